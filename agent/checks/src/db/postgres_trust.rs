//! Lines of pg_hba.conf that let anybody in without a password.

use super::postgres_clusters::{Cluster, clusters};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::net::IpAddr;

pub(crate) const CHECK: Check = Check {
    id: "db.postgres-trust",
    title: Text { en: "PostgreSQL without a password", zh: "PostgreSQL 免密访问" },
    reads: &["/etc/postgresql/*/*/pg_hba.conf", "/var/lib/pgsql/data/pg_hba.conf"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Whoever reaches the port becomes any user, the superuser too, who can run programs on this server.",
        zh: "任何能访问端口的人都可成为任意用户，包括能在服务器上执行程序的超级用户。",
    },
    remedy: Text {
        en: "Replace trust by scram-sha-256, give the users passwords, and reload (SELECT pg_reload_conf()).",
        zh: "将 trust 改为 scram-sha-256，为用户设置密码，并重载配置（SELECT pg_reload_conf（））。",
    },
    run,
};

/// Lines that are told one by one.
const LINES_MAX: usize = 20;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    Ok(clusters(host)?.iter().flat_map(|cluster| judge(host, cluster)).collect())
}

fn judge(host: &Host, cluster: &Cluster) -> Vec<Found> {
    let path = cluster.hba_path();
    let text = match host.read(&path) {
        Ok(text) => text,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return vec![Found::new(path, Status::Unknown, why)],
    };
    // PostgreSQL listens on localhost only where nothing is said.
    let listens = cluster.get("listen_addresses").map_or("localhost", |setting| setting.value.as_str());
    let is_own = listens.split(',').map(str::trim).all(|name| matches!(name, "" | "localhost" | "127.0.0.1" | "::1"));
    let lines = text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, Line::parse(line)?)));
    let trusted = lines.filter(|(_, line)| line.method == "trust").take(LINES_MAX);
    let (here, away): (Vec<_>, Vec<_>) = trusted.partition(|(_, line)| line.is_from_here());
    let mut all: Vec<Found> = away.iter().map(|(at, line)| line.judge(&path, *at, is_own)).collect();
    if !here.is_empty() {
        let summary = words!(
            "every user of this host comes into PostgreSQL without a password",
            "本机任何用户都可免密进入 PostgreSQL"
        );
        let found = Found::advice(path.clone(), summary);
        all.push(here.iter().fold(found, |found, (at, line)| found.evidence(format!("{path}:{at}"), line.told())));
    }
    if text.lines().any(|line| line.trim_start().starts_with("include")) {
        let why =
            words!("{path} includes other files, which are not followed here", "{path} 引用了其他文件，此处未跟踪");
        all.push(Found::new(path, Status::Unknown, why));
    } else if all.is_empty() {
        all.push(Found::new(
            path.clone(),
            Status::Ok,
            words!("{path} trusts nobody unseen", "{path} 中没有 trust 条目"),
        ));
    }
    all
}

/// A line that says how somebody comes in.
struct Line {
    kind: String,
    users: String,
    address: String,
    method: String,
}

impl Line {
    /// `TYPE DATABASE USER [ADDRESS [MASK]] METHOD`; what follows may hold a password and is not looked at.
    fn parse(line: &str) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = words(line).into_iter();
        let kind = words.next()?;
        let (database, user) = (words.next()?, words.next()?);
        let users = format!("{database} {user}");
        if kind == "local" {
            return Some(Self { kind, users, address: String::new(), method: words.next()? });
        }
        if !matches!(kind.as_str(), "host" | "hostssl" | "hostnossl" | "hostgssenc" | "hostnogssenc") {
            return None;
        }
        let (address, next) = (words.next()?, words.next()?);
        // An address without a length has a mask behind it.
        let has_mask = address.parse::<IpAddr>().is_ok() && next.parse::<IpAddr>().is_ok();
        let method = if has_mask { words.next()? } else { next };
        Some(Self { kind, users, address, method })
    }

    fn is_from_here(&self) -> bool {
        let bare = self.address.split('/').next().unwrap_or_default();
        self.kind == "local" || bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn told(&self) -> String {
        let Self { kind, users, address, method } = self;
        format!("{kind} {users} {address} {method}")
    }

    /// A line for others than this host.
    fn judge(&self, path: &str, at: usize, is_own: bool) -> Found {
        let Self { kind, users, address, .. } = self;
        let subject = format!("{path} {kind} {users} {address}");
        let found = if is_own {
            let summary = words!(
                "{address} may come in without a password; only listen_addresses holds it off",
                "{address} 可免密访问；目前仅靠 listen_addresses 阻止"
            );
            Found::new(subject, Status::Warning, summary)
        } else {
            let summary = words!(
                "{address} may come in as {users:?} without a password",
                "{address} 可免密以 {users:?} 身份访问"
            );
            Found::new(subject, Status::Critical, summary)
        };
        found.evidence(format!("{path}:{at}"), self.told())
    }
}

/// Words, of which a quoted one may hold spaces.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for one in line.chars() {
        match one {
            '"' => is_quoted = !is_quoted,
            one if one.is_whitespace() && !is_quoted => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
            }
            one => word.push(one),
        }
    }
    if !word.is_empty() {
        all.push(word);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::postgres_clusters::tests::host;
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn db_postgres_trusts_nobody_from_the_network() {
        let everywhere = "listen_addresses = '*'\n";
        let shipped = "# TYPE DATABASE USER ADDRESS METHOD\nlocal all postgres peer\n\
            host    all             all             127.0.0.1/32            scram-sha-256\n";
        for (lines, more, expected, notes) in [
            (everywhere, "", Status::Ok, 0),
            (everywhere, "host all all 0.0.0.0/0 trust\n", Status::Critical, 0),
            (everywhere, "host all all 10.0.0.0 255.0.0.0 trust\n", Status::Critical, 0),
            (everywhere, "hostssl \"my db\" all samenet trust\n", Status::Critical, 0),
            (everywhere, "#host all all 0.0.0.0/0 trust\n", Status::Ok, 0),
            (everywhere, "host all all 0.0.0.0/0 ldap ldapbindpasswd=trust\n", Status::Ok, 0),
            ("", "host all all 0.0.0.0/0 trust\n", Status::Warning, 0),
            (everywhere, "local all all trust\nhost all all ::1/128 trust\n", Status::Ok, 1),
            (everywhere, "include_dir hba.d\n", Status::Unknown, 0),
        ] {
            let found = host(lines).file("/etc/postgresql/15/main/pg_hba.conf", format!("{shipped}{more}")).run(&CHECK);
            assert_eq!(found.iter().map(|one| one.status).max(), Some(expected), "{more}");
            assert_eq!(found.iter().filter(|one| one.note).count(), notes, "{more}");
        }
        assert_eq!(host("").status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
