//! What a checker gathers besides findings: steps, each of which can be given up alone, and the pieces that they give.

use super::facts::{self, FileSystem, LoadBalancer, System};
use super::files::{self, FileText, Part};
use super::timeline::{self, ROWS_MAX, Row};
use crate::host::Host;
use cloud_doctor_proto::finding::Words;
use serde::{Deserialize, Serialize};
use std::io;

/// Bytes of all files of a report, before they are packed. Packing can only add a little, so a bundle stays below its cap.
pub(super) const FILES_BYTES_MAX: usize = 40 << 20;
/// Sentences about what could not be gathered.
const GAPS_MAX: usize = 100;
const LIST_MAX: usize = 500;

/// One thing to gather.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// What machine and system this is.
    System,
    /// How full its disks are.
    FileSystems,
    /// What it balances, and how soon it notices.
    LoadBalancers,
    /// What was installed, upgraded and removed.
    Packages,
    /// Which files of `/etc` have changed.
    Configuration,
    /// When the kernel and the services started.
    Starts,
    /// What the kernel has complained about.
    Kernel,
    /// How often somebody has logged in.
    Logins,
    /// Configuration of load balancers and web servers, to take along.
    ConfigFiles,
    /// The kernel's log, to take along.
    KernelLog,
    /// A log that a finding names, to take along.
    Log(String),
}

impl Step {
    /// What every report has.
    pub const FACTS: [Step; 8] = [
        Step::System,
        Step::FileSystems,
        Step::LoadBalancers,
        Step::Packages,
        Step::Configuration,
        Step::Starts,
        Step::Kernel,
        Step::Logins,
    ];

    /// Its name in sentences.
    #[must_use]
    pub fn name(&self) -> Words {
        match self {
            Step::System => crate::words!("facts about the system", "系统信息"),
            Step::FileSystems => crate::words!("file systems", "文件系统"),
            Step::LoadBalancers => crate::words!("load balancers", "负载均衡"),
            Step::Packages => crate::words!("changes of packages", "软件包变更"),
            Step::Configuration => crate::words!("changes of configuration files", "配置文件变更"),
            Step::Starts => crate::words!("restarts", "重启记录"),
            Step::Kernel => crate::words!("events of the kernel", "内核事件"),
            Step::Logins => crate::words!("logins", "登录次数"),
            Step::ConfigFiles => crate::words!("configuration files", "配置文件"),
            Step::KernelLog => crate::words!("the kernel's log", "内核日志"),
            Step::Log(path) => crate::words!("log {path}", "日志 {path}"),
        }
    }
}

/// What a step gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// Of [`Step::System`].
    System(Box<System>),
    /// Of [`Step::FileSystems`].
    FileSystems(Vec<FileSystem>),
    /// Of [`Step::LoadBalancers`].
    LoadBalancers(Vec<LoadBalancer>),
    /// Of a step of the timeline.
    Rows(Vec<Row>),
    /// Part of a file.
    Part(Part),
    /// What could not be gathered, and why.
    Gap(Words),
}

/// Does one step, and says each piece.
///
/// # Errors
/// Those of `say`.
pub fn gather(step: &Step, host: &Host, say: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
    match step {
        Step::System => say(Piece::System(Box::new(facts::system(host)))),
        Step::FileSystems => match facts::file_systems(host) {
            Ok(found) => say(Piece::FileSystems(found)),
            Err(why) => say(Piece::Gap(why)),
        },
        Step::LoadBalancers => say(Piece::LoadBalancers(facts::load_balancers(host))),
        Step::Packages | Step::Configuration | Step::Starts | Step::Kernel | Step::Logins => {
            let found = timeline::look(step, host);
            say(Piece::Rows(found.rows))?;
            found.gaps.into_iter().try_for_each(|gap| say(Piece::Gap(gap)))
        }
        Step::ConfigFiles => files::configuration(host, say),
        Step::KernelLog => files::kernel_log(host, say),
        Step::Log(path) => files::log(host, path, say),
    }
}

/// All pieces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    /// What machine and system this is.
    pub system: System,
    /// How full its disks are.
    pub file_systems: Vec<FileSystem>,
    /// What it balances.
    pub load_balancers: Vec<LoadBalancer>,
    /// What has changed, the newest first once all is there.
    pub rows: Vec<Row>,
    /// Files to take along.
    pub files: Vec<FileText>,
    /// What could not be gathered.
    pub gaps: Vec<Words>,
    bytes: usize,
}

impl Gathered {
    /// Takes a piece while there is room; a checker can say anything.
    pub fn take(&mut self, piece: Piece) {
        match piece {
            Piece::System(system) => self.system = *system,
            Piece::FileSystems(found) => self.file_systems = found.into_iter().take(LIST_MAX).collect(),
            Piece::LoadBalancers(found) => self.load_balancers = found.into_iter().take(LIST_MAX).collect(),
            Piece::Rows(rows) => {
                let room = ROWS_MAX.saturating_sub(self.rows.len());
                if rows.len() > room {
                    self.gap(crate::words!(
                        "the timeline has more than {ROWS_MAX} rows; the rest is left out",
                        "时间线超过 {ROWS_MAX} 行，其余已省略"
                    ));
                }
                self.rows.extend(rows.into_iter().take(room));
                self.rows.sort_by_key(|row| std::cmp::Reverse(row.at));
            }
            Piece::Part(part) => self.part(part),
            Piece::Gap(why) => self.gap(why),
        }
    }

    /// Something that could not be gathered.
    pub fn gap(&mut self, why: Words) {
        if self.gaps.len() < GAPS_MAX && !self.gaps.contains(&why) {
            self.gaps.push(why);
        }
    }

    fn part(&mut self, part: Part) {
        let source = part.source.clone();
        if self.bytes.saturating_add(part.text.len()) > FILES_BYTES_MAX {
            if let Some(file) = self.files.iter_mut().find(|file| file.source == source) {
                file.truncated = true;
            }
            return self.gap(crate::words!(
                "{source} is left out, or a part of it: the report is full",
                "{source} 未收录或仅收录一部分：报告已满"
            ));
        }
        self.bytes += part.text.len();
        match self.files.last_mut().filter(|file| file.source == source && file.collector == part.collector) {
            Some(file) => file.add(part),
            None => self.files.push(FileText::from(part)),
        }
    }
}
