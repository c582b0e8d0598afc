//! What a check is: one constant that everything about it comes from.

use crate::found::Outcome;
use crate::host::Host;
use crate::run::{Settings, Wanted};
use cloud_doctor_proto::refusal::Language;

/// A fixed text in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// Simplified Chinese.
    pub zh: &'static str,
}

impl Text {
    /// The text in one language.
    #[must_use]
    pub fn get(self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::Zh => self.zh,
        }
    }
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its name for ever: `group.what`.
    pub id: &'static str,
    /// A line for lists.
    pub title: Text,
    /// What it reads: files, sockets, measurements.
    pub reads: &'static [&'static str],
    /// What it needs to tell anything, or everything.
    pub needs: Needs,
    /// Its numbers, each with a source.
    pub params: &'static [Param],
    /// What it costs when it fires; a finding may know better.
    pub impact: Text,
    /// What to do when it fires; a finding may know better.
    pub remedy: Text,
    /// Looks.
    pub run: fn(&Host, &Settings<'_>) -> Outcome,
}

impl Check {
    /// The group it belongs to.
    ///
    /// # Panics
    /// When the id does not begin with a group's name; a test of this crate holds that.
    #[must_use]
    pub fn group(&self) -> Group {
        let name = self.id.split('.').next().unwrap_or_default();
        *Group::ALL.iter().find(|group| group.name() == name).expect("every id begins with its group")
    }

    /// How long it watches before it can say anything, in milliseconds: what its parameter `observe` was set to. It needs
    /// sockets for that.
    #[must_use]
    pub fn watches_ms(&self, wanted: &Wanted) -> u64 {
        let secs = wanted.set.get(&format!("{}.observe", self.id)).copied().unwrap_or(0.0);
        let has_it = self.params.iter().any(|param| param.name == "observe");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just here")]
        let millis = (secs.clamp(0.0, OBSERVE_SECS_MAX) * 1000.0) as u64;
        if has_it { millis } else { 0 }
    }
}

/// The longest that a check watches.
pub(crate) const OBSERVE_SECS_MAX: f64 = 900.0;

/// What a check needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Whether only a running host can tell, not a copied root.
    pub live: bool,
    /// Whether root sees more than others; a check says itself what it could not see.
    pub root: bool,
    /// Whether it speaks to sockets of this host or of the network.
    pub net: bool,
    /// Whether it reads counters twice ([`Host::twice`]), and so needs the time between.
    pub rates: bool,
    /// Whether it reads the history of this host's metrics ([`crate::Wanted::history`]).
    pub history: bool,
}

impl Needs {
    /// Files are enough, readable by anybody.
    pub const FILES: Self = Self { live: false, root: false, net: false, rates: false, history: false };
    /// A running host.
    pub const LIVE: Self = Self { live: true, ..Self::FILES };
    /// A running host, for the time between two readings.
    pub const RATES: Self = Self { rates: true, ..Self::LIVE };
    /// A running host, and what it remembers.
    pub const HISTORY: Self = Self { history: true, ..Self::LIVE };
}

/// A number of a check that can be set.
#[derive(Debug)]
pub struct Param {
    /// Its name, unique in the check: `warning`, `critical`, or what it is.
    pub name: &'static str,
    /// Where it fires.
    pub fires: f64,
    /// Where it is over again once it has fired (hysteresis). The same as `fires` for a plain number.
    pub clears: f64,
    /// Whether it fires below `fires` and not above.
    pub below: bool,
    /// Its unit.
    pub unit: &'static str,
    /// Where the number comes from.
    pub source: &'static str,
}

impl Param {
    /// Fires above `fires`, is over below `clears`.
    #[must_use]
    pub const fn above(name: &'static str, fires: f64, clears: f64, unit: &'static str, source: &'static str) -> Self {
        Self { name, fires, clears, below: false, unit, source }
    }

    /// Fires below `fires`, is over above `clears`.
    #[must_use]
    pub const fn below(name: &'static str, fires: f64, clears: f64, unit: &'static str, source: &'static str) -> Self {
        Self { name, fires, clears, below: true, unit, source }
    }

    /// A number that is no threshold of a verdict.
    #[must_use]
    pub const fn plain(name: &'static str, value: f64, unit: &'static str, source: &'static str) -> Self {
        Self { name, fires: value, clears: value, below: false, unit, source }
    }
}

macro_rules! groups {
    ($($variant:ident $name:literal $en:literal $zh:literal;)*) => {
        /// What checks are about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Group { $(#[doc = $en] $variant,)* }

        impl Group {
            /// Every group, in the order of reports.
            pub const ALL: &'static [Group] = &[$(Group::$variant,)*];

            /// The first part of its checks' ids.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Group::$variant => $name,)* }
            }

            /// Its heading.
            #[must_use]
            pub fn title(self) -> Text {
                match self { $(Group::$variant => Text { en: $en, zh: $zh },)* }
            }
        }
    };
}

groups! {
    Lb "lb" "Load balancers" "负载均衡";
    Nginx "nginx" "nginx" "nginx";
    Haproxy "haproxy" "HAProxy" "HAProxy";
    Web "web" "Web servers" "Web 服务";
    Cpu "cpu" "Processors" "处理器";
    Memory "memory" "Memory" "内存";
    Disk "disk" "Disks and file systems" "磁盘与文件系统";
    Net "net" "Network" "网络";
    Kernel "kernel" "Kernel" "内核";
    Hardware "hardware" "Hardware" "硬件";
    Process "process" "Processes" "进程";
    Service "service" "Services" "服务";
    Time "time" "Clock" "时间";
    Dns "dns" "Names" "域名解析";
    Tls "tls" "Certificates" "证书";
    Security "security" "Security" "安全";
    Db "db" "Databases and caches" "数据库与缓存";
    Container "container" "Containers" "容器";
    Log "log" "Logs" "日志";
    Backup "backup" "Backups" "备份";
    Cloud "cloud" "Cloud instance" "云实例";
    Own "x" "Own checks" "自定义检查";
}

#[cfg(test)]
mod tests {
    use super::Group;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_is_complete_and_its_id_is_its_own() {
        let mut ids = BTreeSet::new();
        for check in crate::all() {
            assert!(ids.insert(check.id), "{} twice", check.id);
            assert!(Group::ALL.contains(&check.group()), "{}", check.id);
            for text in [check.title, check.impact, check.remedy] {
                assert!(!text.en.is_empty() && text.en.is_ascii(), "{}: {}", check.id, text.en);
                assert!(!text.zh.is_empty() && !text.zh.is_ascii(), "{}: {}", check.id, text.zh);
            }
            assert!(!check.reads.is_empty(), "{}", check.id);
            let mut names = BTreeSet::new();
            for param in check.params {
                assert!(names.insert(param.name) && !param.source.is_empty(), "{}: {}", check.id, param.name);
                assert!(
                    param.fires.to_bits() == param.clears.to_bits() || (param.clears > param.fires) == param.below,
                    "{}: {} clears on the wrong side",
                    check.id,
                    param.name
                );
            }
        }
    }
}
