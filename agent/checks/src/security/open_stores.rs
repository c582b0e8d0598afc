//! Redis and MongoDB that need no password, by their configuration. It must never show a password.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::net::IpAddr;

pub(crate) const CHECK: Check = Check {
    id: "security.open-stores",
    title: Text { en: "Redis and MongoDB without a password", zh: "无密码的 Redis 与 MongoDB" },
    reads: &["/etc/redis/*.conf", "/etc/redis.conf", "/etc/mongod.conf"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Whoever reaches the port reads and deletes everything; through Redis an intruder can also write files and become \
             root.",
        zh: "任何能访问该端口的人都可读取和删除全部数据；通过 Redis 还可写入文件并进一步获取 root 权限。",
    },
    remedy: Text {
        en: "Redis: set requirepass or users with aclfile, bind 127.0.0.1 or a private address, keep protected-mode yes. MongoDB: \
             create an administrator, then set security.authorization: enabled and net.bindIp.",
        zh: "Redis：设置 requirepass 或用 aclfile 配置用户，bind 到 127.0.0.1 或内网地址，保持 protected-mode yes。MongoDB：先创建管理员，再设置 \
             security.authorization: enabled 与 net.bindIp。",
    },
    run,
};

const REDIS: [&str; 3] = ["/etc/redis/*.conf", "/etc/redis.conf", "/etc/valkey/*.conf"];
const MONGO: &str = "/etc/mongod.conf";
/// Files of one kind that are looked at, and that one includes.
const FILES_MAX: usize = 20;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let mut all = Vec::new();
    for pattern in REDIS {
        let paths = host.glob(pattern)?.into_iter().filter(|path| !path.contains("sentinel"));
        for path in paths.take(FILES_MAX) {
            all.push(match Redis::read(host, &path) {
                Ok(redis) => redis.judge(&path),
                Err(Gap::NotHere(why) | Gap::Unknown(why)) => Found::new(path, Status::Unknown, why),
            });
        }
    }
    match host.read(MONGO) {
        Ok(text) => all.push(Mongo::parse(&text).judge()),
        Err(Gap::NotHere(_)) => {}
        Err(Gap::Unknown(why)) => all.push(Found::new(MONGO, Status::Unknown, why)),
    }
    if all.is_empty() {
        return Err(Gap::NotHere(words!(
            "no Redis and no MongoDB is configured here",
            "此主机未配置 Redis 或 MongoDB"
        )));
    }
    Ok(all)
}

/// Whether a name or address is this host alone.
fn is_own(address: &str) -> bool {
    let bare = address.trim_start_matches('-').trim_matches(['[', ']']);
    bare == "localhost" || bare.starts_with('/') || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What redis.conf says of who may come in; the last of several lines holds.
#[derive(Debug, Default)]
struct Redis {
    /// Nothing is all addresses.
    bind: Option<(String, String)>,
    /// Where a password is set, or users are.
    password: Option<String>,
    is_protected: Option<(bool, String)>,
    has_no_port: bool,
    files: usize,
}

/// Redis has no limit; this one ends a circle.
const INCLUDES_MAX: u32 = 8;

impl Redis {
    fn read(host: &Host, path: &str) -> Result<Self, Gap> {
        let mut redis = Self::default();
        redis.read_file(host, path, 0)?;
        Ok(redis)
    }

    fn read_file(&mut self, host: &Host, path: &str, depth: u32) -> Result<(), Gap> {
        self.files += 1;
        if depth > INCLUDES_MAX || self.files > FILES_MAX {
            return Err(Gap::Unknown(words!("{path} includes too many files", "{path} 的 include 过多")));
        }
        for (at, line) in host.read(path)?.lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            let Some(key) = words.next().map(str::to_ascii_lowercase) else { continue };
            let values: Vec<&str> = words.map(|word| word.trim_matches(['"', '\''])).collect();
            let (first, source) = (values.first().copied().unwrap_or_default(), format!("{path}:{}", at + 1));
            match key.as_str() {
                "bind" => self.bind = Some((values.join(" "), source)),
                // `requirepass ""` takes it away again.
                "requirepass" => self.password = Some(source).filter(|_| !first.is_empty()),
                "aclfile" => self.password = Some(source),
                "user" if first == "default" && !values.contains(&"nopass") => self.password = Some(source),
                "protected-mode" => self.is_protected = Some((first != "no", source)),
                "port" => self.has_no_port = first == "0",
                "include" => {
                    for file in host.glob(first)? {
                        self.read_file(host, &file, depth + 1)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn judge(self, path: &str) -> Found {
        let own = self.bind.as_ref().is_some_and(|(addresses, _)| addresses.split(' ').all(is_own));
        if let Some(source) = self.password {
            let summary = words!("Redis asks for a password", "Redis 需要密码");
            return Found::new(path, Status::Ok, summary).evidence(source, "a password or users are set");
        }
        if own || self.has_no_port {
            let summary =
                words!("Redis needs no password, but only this host reaches it", "Redis 无需密码，但仅本机可访问");
            return Found::new(path, Status::Ok, summary);
        }
        let (protected, mode_source) =
            self.is_protected.unwrap_or((true, format!("{path} (protected-mode: default yes)")));
        let (place, bind_source) =
            self.bind.clone().unwrap_or_else(|| ("*".to_owned(), format!("{path} (bind: default)")));
        let found = if !protected {
            let summary = words!("Redis at {place} needs no password", "Redis 监听 {place} 且无需密码");
            Found::new(path, Status::Critical, summary)
        } else if self.bind.is_some() {
            // Up to 6.2 a bind line switches protected mode off (server.c, `protected_mode && bindaddr_count == 0`).
            let summary = words!(
                "Redis at {place} has no password: before 7.0 it is open, later it refuses all other hosts",
                "Redis 监听 {place} 且未设密码：7.0 之前完全开放，之后会拒绝所有外部主机"
            );
            Found::new(path, Status::Warning, summary)
        } else {
            let summary = words!("Redis has no password and refuses other hosts", "Redis 未设密码，但会拒绝外部主机");
            Found::new(path, Status::Ok, summary)
        };
        found
            .evidence(bind_source, format!("bind {place}"))
            .evidence(mode_source, format!("protected-mode {}", if protected { "yes" } else { "no" }))
    }
}

/// What mongod.conf says: YAML of two levels, or the older `key = value`.
#[derive(Debug, Default)]
struct Mongo {
    is_closed: Option<usize>,
    bind: Option<(String, usize)>,
}

impl Mongo {
    fn parse(text: &str) -> Self {
        let (mut mongo, mut section) = (Self::default(), String::new());
        for (at, line) in text.lines().enumerate() {
            let line = line.split(" #").next().unwrap_or_default().trim_end();
            if line.trim_start().starts_with('#') {
                continue;
            }
            let Some((key, value)) = line.split_once(':').or_else(|| line.split_once('=')) else { continue };
            let (name, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
            let is_top = !key.starts_with([' ', '\t']);
            if is_top && value.is_empty() {
                name.clone_into(&mut section);
                continue;
            }
            let full = if is_top { name.to_owned() } else { format!("{section}.{name}") };
            match full.as_str() {
                "security.authorization" => mongo.is_closed = (value == "enabled").then_some(at + 1),
                "security.keyFile" | "keyFile" => mongo.is_closed = Some(at + 1),
                "auth" if value == "true" => mongo.is_closed = Some(at + 1),
                "net.bindIp" | "bind_ip" => mongo.bind = Some((value.to_owned(), at + 1)),
                "net.bindIpAll" | "bind_ip_all" if value == "true" => mongo.bind = Some(("*".to_owned(), at + 1)),
                _ => {}
            }
        }
        mongo
    }

    fn judge(self) -> Found {
        if let Some(line) = self.is_closed {
            let summary = words!("MongoDB asks for a login", "MongoDB 需要登录");
            return Found::new(MONGO, Status::Ok, summary).evidence(format!("{MONGO}:{line}"), "authorization is on");
        }
        // Since 3.6 it is localhost where nothing is said.
        let Some((place, line)) = self.bind.filter(|(place, _)| !place.split(',').all(|part| is_own(part.trim())))
        else {
            return Found::advice(
                MONGO,
                words!("MongoDB needs no login; only this host reaches it", "MongoDB 未启用认证；仅本机可访问"),
            );
        };
        Found::new(
            MONGO,
            Status::Critical,
            words!("MongoDB at {place} needs no login", "MongoDB 监听 {place} 且无需登录"),
        )
        .evidence(format!("{MONGO}:{line}"), format!("bindIp {place}"))
        .evidence(MONGO, "no security.authorization")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn sec_12_redis_that_strangers_reach_needs_a_password() {
        for (config, expected) in [
            ("bind 127.0.0.1 -::1\nprotected-mode yes\nport 6379\n", Status::Ok),
            ("bind 0.0.0.0\nprotected-mode no\n", Status::Critical),
            ("protected-mode no\n", Status::Critical),
            ("protected-mode yes\n# bind 0.0.0.0\n", Status::Ok),
            ("bind * -::*\n", Status::Warning),
            ("bind 10.0.0.5\nrequirepass hunter2\n", Status::Ok),
            ("bind 10.0.0.5\nprotected-mode no\nrequirepass hunter2\nrequirepass \"\"\n", Status::Critical),
            ("bind 0.0.0.0\nprotected-mode no\nuser default on nopass ~* +@all\n", Status::Critical),
            ("bind 0.0.0.0\nprotected-mode no\nuser default on >hunter2 ~* +@all\n", Status::Ok),
            ("bind 127.0.0.1\ninclude /etc/redis/more/*.conf\n", Status::Critical),
            ("include /etc/redis/redis.conf\n", Status::Unknown),
            ("bind 0.0.0.0\nport 0\nprotected-mode no\n", Status::Ok),
            ("a\0", Status::Unknown),
        ] {
            let found = Fixture::image()
                .file("/etc/redis/redis.conf", config)
                .file("/etc/redis/more/x.conf", "bind 0.0.0.0\nprotected-mode no\n")
                .run(&CHECK);
            assert_eq!((found.len(), found[0].status), (1, expected), "{config}");
            assert!(!format!("{found:?}").contains("hunter2"), "{config}");
        }
    }

    #[test]
    fn sec_12_mongodb_that_strangers_reach_needs_a_login() {
        let shipped = "storage:\n  dbPath: /var/lib/mongodb\nnet:\n  port: 27017\n  bindIp: 127.0.0.1\n#security:\n";
        for (config, expected, note) in [
            (shipped.to_owned(), Status::Ok, true),
            (shipped.replace("127.0.0.1", "0.0.0.0"), Status::Critical, false),
            (shipped.replace("127.0.0.1", "127.0.0.1,10.0.0.5"), Status::Critical, false),
            (
                shipped.replace("127.0.0.1", "0.0.0.0 # all") + "security:\n  authorization: enabled\n",
                Status::Ok,
                false,
            ),
            ("bind_ip = 0.0.0.0\n".to_owned(), Status::Critical, false),
            ("bind_ip=0.0.0.0\nauth=true\n".to_owned(), Status::Ok, false),
        ] {
            let found = Fixture::image().file(MONGO, &config).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (expected, note), "{config}");
        }
        assert_eq!(Fixture::image().file(MONGO, "\0").status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
