//! The fields of a ticket: what the engineer has said, and suggestions from the worst finding where nothing was said.

use crate::check::{Group, Text};
use crate::words;
use cloud_doctor_proto::finding::{Finding, Status, Words};
use cloud_doctor_proto::refusal::{Language, one_line};

const FIELD_CHARS_MAX: usize = 500;

/// How soon somebody must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Now.
    Urgent,
    /// Today.
    Important,
    /// In its turn.
    Normal,
}

impl Priority {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Priority::Urgent => "urgent",
            Priority::Important => "important",
            Priority::Normal => "normal",
        }
    }

    /// For people.
    #[must_use]
    pub fn title(self) -> Text {
        match self {
            Priority::Urgent => Text { en: "urgent", zh: "紧急" },
            Priority::Important => Text { en: "important", zh: "重要" },
            Priority::Normal => Text { en: "normal", zh: "常规" },
        }
    }
}

/// What the engineer has said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TicketWords {
    /// What kind of trouble it is.
    pub kind: Option<String>,
    /// What it costs.
    pub impact: Option<String>,
    /// What is seen.
    pub symptom: Option<String>,
    /// How soon somebody must look.
    pub priority: Option<Priority>,
    /// What it is found by later.
    pub tag: Option<String>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its text.
    pub text: Words,
    /// Whether it comes from the findings and not from the engineer.
    pub suggested: bool,
}

/// The fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What kind of trouble it is.
    pub kind: Field,
    /// What it costs.
    pub impact: Field,
    /// What is seen.
    pub symptom: Field,
    /// How soon somebody must look.
    pub priority: Priority,
    /// Whether the priority was suggested.
    pub priority_suggested: bool,
    /// 问题溯源 tag.
    pub tag: Field,
}

impl Ticket {
    /// What was said, and what the worst finding suggests for the rest.
    pub(super) fn new(said: &TicketWords, worst: Option<&Finding>) -> Self {
        let field = |said: &Option<String>, suggested: Words| match said {
            Some(text) => Field { text: Words::same(&one_line(text.trim(), FIELD_CHARS_MAX)), suggested: false },
            None => Field { text: suggested, suggested: true },
        };
        let group = worst.and_then(|finding| crate::by_id(&finding.check)).map(crate::Check::group);
        let title = |language| group.map_or("", |group| group.title().get(language));
        let (en, zh) = (title(Language::En), title(Language::Zh));
        let none = words!("none found", "未发现");
        let status = worst.map(|finding| finding.status);
        let suggested = match status {
            Some(Status::Critical) => Priority::Urgent,
            Some(Status::Warning) => Priority::Important,
            Some(Status::Ok | Status::Unknown) | None => Priority::Normal,
        };
        Self {
            kind: field(&said.kind, if group.is_some() { words!("fault: {en}", "故障：{zh}") } else { none.clone() }),
            impact: field(&said.impact, worst.map_or_else(|| none.clone(), |finding| finding.impact.clone())),
            symptom: field(&said.symptom, worst.map_or(none, |finding| finding.summary.clone())),
            priority: said.priority.unwrap_or(suggested),
            priority_suggested: said.priority.is_none(),
            tag: field(&said.tag, tag(group)),
        }
    }
}

/// A tag for each group that customers' tickets know.
fn tag(group: Option<Group>) -> Words {
    let Some(group) = group else { return words!("no-anomaly", "未见异常") };
    let Text { en, zh } = match group {
        Group::Lb | Group::Haproxy => Text { en: "load-balancer-anomaly", zh: "负载均衡异常" },
        Group::Nginx | Group::Web => Text { en: "web-server-anomaly", zh: "Web 服务异常" },
        Group::Cpu | Group::Process => Text { en: "compute-anomaly", zh: "计算资源异常" },
        Group::Memory => Text { en: "memory-anomaly", zh: "内存异常" },
        Group::Disk => Text { en: "storage-anomaly", zh: "存储异常" },
        Group::Net | Group::Dns => Text { en: "network-anomaly", zh: "网络异常" },
        Group::Kernel | Group::Hardware => Text { en: "system-anomaly", zh: "系统与硬件异常" },
        Group::Service | Group::Container => Text { en: "service-anomaly", zh: "服务异常" },
        Group::Time => Text { en: "clock-anomaly", zh: "时钟异常" },
        Group::Tls => Text { en: "certificate-anomaly", zh: "证书异常" },
        Group::Security => Text { en: "security-risk", zh: "安全风险" },
        Group::Db => Text { en: "database-anomaly", zh: "数据库异常" },
        Group::Log => Text { en: "log-anomaly", zh: "日志异常" },
        Group::Backup => Text { en: "backup-anomaly", zh: "备份异常" },
        Group::Cloud => Text { en: "cloud-instance-anomaly", zh: "云实例异常" },
        Group::Own => Text { en: "own-check", zh: "自定义检查异常" },
    };
    Words { en: en.to_owned(), zh: zh.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::finding;

    #[test]
    fn fields_are_what_was_said_or_what_the_worst_finding_suggests() {
        let worst = finding("lb.detection-time", "x", Status::Critical);
        let ticket = Ticket::new(&TicketWords::default(), Some(&worst));
        assert_eq!((ticket.priority, ticket.tag.text.zh.as_str()), (Priority::Urgent, "负载均衡异常"));
        assert!(ticket.tag.suggested && ticket.priority_suggested);
        let said = TicketWords {
            tag: Some(" mine\n\x1b[31m ".into()),
            priority: Some(Priority::Normal),
            ..TicketWords::default()
        };
        let ticket = Ticket::new(&said, Some(&worst));
        assert_eq!(ticket.priority, Priority::Normal);
        assert!(
            !ticket.tag.suggested && ticket.tag.text.en.starts_with("mine") && !ticket.tag.text.en.contains('\x1b')
        );
        let quiet = Ticket::new(&TicketWords::default(), None);
        assert_eq!((quiet.priority, quiet.symptom.text.en.as_str()), (Priority::Normal, "none found"));
        for check in crate::all() {
            let words = tag(Some(check.group()));
            assert!(words.en.is_ascii() && !words.zh.is_ascii());
        }
    }
}
