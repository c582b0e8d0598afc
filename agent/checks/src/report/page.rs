//! The report as a page: the first screen says what is wrong and what to do, the rest is for whoever digs.

use super::model::{FIRST_MAX, NotChecked, Report};
use super::objectives::objectives;
use super::score::{CRITICAL_COSTS, Score, WARNING_COSTS};
use super::stamp::utc;
use super::timeline::{RECENT_SECS, Row};
use crate::check::Text;
use crate::number::size;
use crate::number::span;
use crate::show::page::{Block, Cell, Mark, Page, card, cards};
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use cloud_doctor_proto::refusal::Language;

/// What one reason for not checking names.
const NAMED_MAX: usize = 12;
/// Reasons that are listed.
const REASONS_MAX: usize = 120;
const ROWS_SHOWN_MAX: usize = 400;

/// The page in one language.
#[must_use]
pub fn page(report: &Report, language: Language) -> Page {
    let made = Making { report, language };
    let mut blocks = made.head();
    blocks.extend(made.ticket());
    blocks.extend(made.first());
    blocks.extend(made.score());
    blocks.extend(made.others());
    blocks.extend(made.not_checked());
    blocks.extend(made.facts());
    blocks.extend(made.timeline());
    blocks.extend(made.absent());
    let host = &report.host;
    let title = words!("Diagnostic report: {host}", "诊断报告：{host}");
    Page { language, title: title.get(language).to_owned(), blocks }
}

struct Making<'a> {
    report: &'a Report,
    language: Language,
}

impl Making<'_> {
    fn say(&self, words: &Words) -> String {
        words.get(self.language).to_owned()
    }

    fn heading(&self, en: &'static str, zh: &'static str) -> Block {
        Block::Heading(Text { en, zh }.get(self.language).to_owned())
    }

    fn table(&self, head: &[Text], rows: Vec<Vec<Cell>>) -> Block {
        Block::Table(head.iter().map(|name| name.get(self.language).to_owned()).collect(), rows)
    }

    fn mark(&self, status: Status) -> Mark {
        Mark::of(status, false, self.language)
    }

    fn head(&self) -> Vec<Block> {
        let (at, version) = (utc(self.report.at), &self.report.version);
        let made = words!(
            "Made {at} UTC by cloud-doctor-agent {version}, read-only",
            "由 cloud-doctor-agent {version} 于 {at} UTC 只读生成"
        );
        let score = self.report.score();
        let told = match score.value {
            Some(value) => words!("Health score: {value} of 100", "健康分：{value}/100"),
            None => words!("No health score: no check could judge anything", "无健康分：没有任何检查能够作出判断"),
        };
        vec![
            Block::Paragraph(self.say(&made)),
            Block::Verdict(self.mark(self.report.status()), self.say(&self.report.verdict())),
            Block::Paragraph(self.say(&told)),
        ]
    }

    fn ticket(&self) -> Vec<Block> {
        let ticket = self.report.ticket();
        let Text { en, zh } = ticket.priority.title();
        let priority = if ticket.priority_suggested {
            words!("{en} (suggested)", "{zh}（建议）")
        } else {
            words!("{en}", "{zh}")
        };
        let row = |name: Words, text: &Words| vec![Cell::Text(self.say(&name)), Cell::Text(self.say(text))];
        let mut rows = vec![
            row(words!("Type", "问题类型"), &ticket.kind.told()),
            row(words!("Symptom", "问题现象"), &ticket.symptom.told()),
            row(words!("Impact", "影响范围"), &ticket.impact.told()),
            row(words!("Priority", "优先级"), &priority),
            row(words!("Tag", "问题溯源标签"), &ticket.tag.told()),
        ];
        for one in objectives(self.report) {
            let name = one.name;
            let (en, zh) = (&one.told.en, &one.told.zh);
            let told = if one.assumed {
                words!("{en} (the objective is assumed: --rto)", "{zh}（目标为默认假设：--rto）")
            } else {
                one.told.clone()
            };
            rows.push(row(words!("{name}", "{name}"), &told));
        }
        let head = [Text { en: "Field", zh: "字段" }, Text { en: "Value", zh: "内容" }];
        vec![self.heading("Ticket", "工单字段"), self.table(&head, rows)]
    }

    fn first(&self) -> Vec<Block> {
        let first = self.report.first();
        let mut blocks = vec![self.heading("What matters most", "最重要的问题")];
        if first.is_empty() {
            blocks.push(Block::Paragraph(
                self.say(&words!("Nothing critical and no warning.", "没有严重问题，也没有警告。")),
            ));
        }
        blocks
            .extend(first.into_iter().map(|(finding, more)| Block::Card(Box::new(card(finding, more, self.language)))));
        blocks
    }

    fn score(&self) -> Vec<Block> {
        let Score { value, costs, judged, unknown, absent } = &self.report.score();
        let rule = words!(
            "100 points, minus {CRITICAL_COSTS} for each check that found something critical, minus {WARNING_COSTS} for each that found a warning; each check counts once, for its worst. What could not be told costs nothing.",
            "满分 100；每个发现严重问题的检查扣 {CRITICAL_COSTS} 分，每个发现警告的检查扣 {WARNING_COSTS} 分；每个检查只按其最严重的结果计一次。无法判断的不扣分。"
        );
        let mut blocks = vec![self.heading("Health score", "健康分"), Block::Paragraph(self.say(&rule))];
        if let Some(value) = value {
            let line = |points: String, told: Words, mark: Option<Mark>| {
                vec![
                    Cell::Code(points),
                    mark.map_or(Cell::Text(String::new()), Cell::Mark),
                    Cell::Text(self.say(&told)),
                ]
            };
            let mut rows = vec![line("100".to_owned(), words!("every host begins here", "起始分"), None)];
            rows.extend(costs.iter().map(|(id, status, points)| {
                line(format!("-{points}"), words!("{id}", "{id}"), Some(self.mark(*status)))
            }));
            let lost = costs.iter().map(|cost| cost.2).sum::<u32>();
            let floor = lost > 100;
            rows.push(line(
                format!("= {value}"),
                if floor {
                    words!("100 - {lost}; below 0 counts as 0", "100 - {lost}；低于 0 计为 0")
                } else {
                    words!("100 - {lost}", "100 - {lost}")
                },
                None,
            ));
            let head = [
                Text { en: "Points", zh: "分数" },
                Text { en: "Status", zh: "状态" },
                Text { en: "Because of", zh: "原因" },
            ];
            blocks.push(self.table(&head, rows));
        }
        let all = self.report.results().checks();
        let counted = words!(
            "Of {all} checks, {judged} could judge something, {unknown} could not tell all, {absent} had nothing to look at here.",
            "共 {all} 项检查：{judged} 项作出了判断，{unknown} 项未能完全判断，{absent} 项在此主机上没有对象。"
        );
        blocks.push(Block::Paragraph(self.say(&counted)));
        blocks
    }

    fn others(&self) -> Vec<Block> {
        let others = self.report.others();
        if others.is_empty() {
            return Vec::new();
        }
        let mut blocks = vec![self.heading("Other findings and advice", "其他发现与建议")];
        if self.report.first().len() == FIRST_MAX {
            blocks.push(Block::Paragraph(self.say(&words!("The worst first.", "按严重程度排列。"))));
        }
        blocks.extend(cards(others.into_iter(), self.language));
        blocks
    }

    fn not_checked(&self) -> Vec<Block> {
        let all = self.report.not_checked();
        let mut blocks = vec![self.heading("What was not checked, and why", "未检查的内容及原因")];
        if all.is_empty() {
            blocks.push(Block::Paragraph(self.say(&words!("Everything was checked.", "全部已检查。"))));
            return blocks;
        }
        blocks.push(self.reasons(&all));
        blocks
    }

    fn absent(&self) -> Vec<Block> {
        let all = self.report.absent();
        if all.is_empty() {
            return Vec::new();
        }
        vec![self.heading("What there is nothing of here", "此主机上没有的对象"), self.reasons(&all)]
    }

    fn reasons(&self, all: &[NotChecked]) -> Block {
        let mut items: Vec<_> = all.iter().take(REASONS_MAX).map(|one| self.reason(one)).collect();
        if all.len() > REASONS_MAX {
            let left = all.len() - REASONS_MAX;
            items.push(
                self.say(&words!("{left} more reasons; the JSON has them all", "另有 {left} 条原因；JSON 中包含全部")),
            );
        }
        Block::List(items)
    }

    fn reason(&self, one: &NotChecked) -> String {
        if one.what.is_empty() {
            return self.say(&one.why);
        }
        let more = one.what.len().saturating_sub(NAMED_MAX);
        let named = one.what.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let (en, zh) = (&one.why.en, &one.why.zh);
        self.say(&if more > 0 {
            words!("{en}: {named} and {more} more", "{zh}：{named} 等另外 {more} 项")
        } else {
            words!("{en}: {named}", "{zh}：{named}")
        })
    }

    fn facts(&self) -> Vec<Block> {
        let system = &self.report.gathered.system;
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        let mut row = |name: Words, value: Option<String>| {
            rows.extend(
                value
                    .filter(|value| !value.is_empty())
                    .map(|value| vec![Cell::Text(self.say(&name)), Cell::Text(value)]),
            );
        };
        row(words!("System", "操作系统"), system.os.clone());
        row(words!("Kernel", "内核"), system.kernel.clone());
        row(words!("Processors", "处理器"), system.cpus.map(|count| count.to_string()));
        row(words!("Memory", "内存"), system.memory_bytes.map(size));
        row(words!("Running for", "运行时长"), system.uptime_secs.map(|secs| self.say(&days(secs))));
        row(words!("Time zone", "时区"), self.zone());
        row(words!("Addresses", "地址"), Some(system.addresses.join(", ")));
        row(words!("Running services", "运行中的服务"), system.services.map(|count| count.to_string()));
        let mut blocks = vec![self.heading("Facts", "主机信息")];
        if rows.is_empty() {
            blocks.push(Block::Paragraph(self.say(&words!("None are known.", "无已知信息。"))));
        } else {
            blocks.push(self.table(&[Text { en: "Fact", zh: "项目" }, Text { en: "Value", zh: "值" }], rows));
        }
        blocks.extend(self.file_systems());
        blocks.extend(self.load_balancers());
        blocks
    }

    fn zone(&self) -> Option<String> {
        let system = &self.report.gathered.system;
        let east = system.east_secs.map(|secs| {
            format!("UTC{}{:02}:{:02}", if secs < 0 { '-' } else { '+' }, secs.abs() / 3600, secs.abs() / 60 % 60)
        });
        match (&system.zone, east) {
            (Some(name), Some(east)) => Some(format!("{name}, {east}")),
            (Some(name), None) => Some(self.say(&words!("{name}, its rules are not here", "{name}，缺少其规则文件"))),
            (None, east) => east,
        }
    }

    fn file_systems(&self) -> Option<Block> {
        let unknown = || self.say(&words!("not asked", "未查询"));
        let rows = self.report.gathered.file_systems.iter().map(|one| {
            let used = one
                .bytes
                .zip(one.free_bytes)
                .and_then(|(all, free)| crate::number::percent(all.saturating_sub(free), all));
            vec![
                Cell::Code(one.mount.clone()),
                Cell::Short(one.kind.clone()),
                Cell::Short(one.bytes.map_or_else(unknown, size)),
                Cell::Short(one.free_bytes.map_or_else(unknown, size)),
                Cell::Short(used.map_or_else(String::new, |used| format!("{used:.0} %"))),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            Text { en: "File system", zh: "文件系统" },
            Text { en: "Type", zh: "类型" },
            Text { en: "Size", zh: "容量" },
            Text { en: "Free", zh: "可用" },
            Text { en: "Used", zh: "已用" },
        ];
        (!rows.is_empty()).then(|| self.table(&head, rows))
    }

    fn load_balancers(&self) -> Option<Block> {
        let unknown = || self.say(&words!("not probed", "未探测"));
        let rows = self.report.gathered.load_balancers.iter().map(|one| {
            vec![
                Cell::Code(format!("{} {}", one.system, one.pool)),
                Cell::Short(one.members.to_string()),
                Cell::Short(one.hanging_secs.map_or_else(unknown, span)),
                Cell::Short(one.refused_secs.map_or_else(unknown, span)),
                Cell::Short(one.return_secs.map_or_else(unknown, span)),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            Text { en: "Load balancer", zh: "负载均衡" },
            Text { en: "Members", zh: "成员数" },
            Text { en: "Out when hanging", zh: "挂起时摘除" },
            Text { en: "Out when refusing", zh: "拒绝时摘除" },
            Text { en: "Back again", zh: "恢复接入" },
        ];
        (!rows.is_empty()).then(|| self.table(&head, rows))
    }

    fn timeline(&self) -> Vec<Block> {
        let rows = &self.report.gathered.rows;
        let is_recent = |row: &&Row| row.at.0.saturating_add(RECENT_SECS) >= self.report.at.0;
        let (recent, before): (Vec<_>, Vec<_>) = rows.iter().take(ROWS_SHOWN_MAX).partition(is_recent);
        let mut blocks = vec![self.heading("What changed in the last 24 hours", "最近 24 小时的变更")];
        blocks.push(self.rows(&recent));
        blocks.push(self.heading("The six days before", "之前六天的变更"));
        blocks.push(self.rows(&before));
        if rows.len() > ROWS_SHOWN_MAX {
            let left = rows.len() - ROWS_SHOWN_MAX;
            blocks.push(Block::Paragraph(self.say(&words!(
                "{left} older rows are left out here; the JSON has them all.",
                "此处省略较早的 {left} 行；JSON 中包含全部。"
            ))));
        }
        blocks
    }

    fn rows(&self, rows: &[&Row]) -> Block {
        if rows.is_empty() {
            return Block::Paragraph(self.say(&words!("Nothing that could be read.", "未读取到任何变更。")));
        }
        let cells = rows.iter().map(|row| {
            vec![
                Cell::Short(utc(row.at)),
                Cell::Short(row.kind.title().get(self.language).to_owned()),
                Cell::Text(self.say(&row.what)),
                Cell::Code(row.evidence.clone()),
                Cell::Short(row.confidence.title().get(self.language).to_owned()),
            ]
        });
        let head = [
            Text { en: "UTC", zh: "UTC 时间" },
            Text { en: "Source", zh: "来源" },
            Text { en: "What", zh: "内容" },
            Text { en: "Evidence", zh: "依据" },
            Text { en: "Certainty", zh: "可信度" },
        ];
        self.table(&head, cells.collect())
    }
}

/// A long time for people.
fn days(secs: f64) -> Words {
    if secs < 172_800.0 {
        return Words::same(&span(secs));
    }
    let days = (secs / 86_400.0).floor();
    words!("{days:.0} days", "{days:.0} 天")
}
