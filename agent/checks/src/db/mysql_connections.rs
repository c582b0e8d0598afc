//! How many connections a MySQL or MariaDB server has, of those that it allows: counted in the kernel, without a login.

use super::mysql_options::{Brand, Options};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;

pub(crate) const CHECK: Check = Check {
    id: "db.mysql-connections",
    title: Text { en: "Connections of MySQL", zh: "MySQL 连接数" },
    reads: &["/etc/my.cnf", "/etc/mysql/", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/unix"],
    needs: Needs::LIVE,
    params: &[
        Param::above("warning", 70.0, 60.0, "%", "netdata health.d/mysql.conf, mysql_connections"),
        Param::above("critical", 90.0, 80.0, "%", "netdata health.d/mysql.conf, mysql_connections"),
    ],
    impact: Text {
        en: "At the limit new connections get \"Too many connections\", and the programs behind them fail.",
        zh: "达到上限后新连接会报 \"Too many connections\"，依赖它的程序将失败。",
    },
    remedy: Text {
        en: "Look with SHOW PROCESSLIST who holds them. Give the programs pools with a limit; raise max_connections only where \
             memory allows.",
        zh: "用 SHOW PROCESSLIST 查看连接来源；为程序配置有上限的连接池；仅在内存允许时调大 max_connections。",
    },
    run,
};

/// Both servers' default (server system variables, max_connections).
const CONNECTIONS_DEFAULT: f64 = 151.0;
const PORT_DEFAULT: u16 = 3306;
const TABLE_BYTES_MAX: u64 = 16 << 20;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let options = Options::read(host)?;
    let sockets = host.sockets()?;
    let port = options.get(&["port"]).and_then(|port| port.value.parse().ok()).unwrap_or(PORT_DEFAULT);
    let own = options.get(&["socket"]).map(|socket| socket.value.as_str()).unwrap_or_default();
    let (local, is_open) = unix_connections(host, own)?;
    if !sockets.has_tcp(port) && !is_open {
        let why = words!(
            "the server listens neither at port {port} nor at its socket",
            "服务器未监听端口 {port}，也未监听其套接字"
        );
        let runs = host.processes().iter().any(|process| matches!(process.program(), "mysqld" | "mariadbd"));
        return Err(if runs { Gap::Unknown(why) } else { Gap::NotHere(why) });
    }
    let name = match options.brand {
        Brand::MySql => "MySQL",
        Brand::MariaDb => "MariaDB",
    };
    let most = match options.get(&["max_connections"]) {
        None => CONNECTIONS_DEFAULT,
        Some(set) => set.value.parse::<f64>().ok().filter(|most| *most >= 1.0).ok_or_else(|| {
            let (value, source) = (&set.value, &set.source);
            Gap::Unknown(words!("{source}: max_connections is {value:?}", "{source}：max_connections 为 {value:?}"))
        })?,
    };
    let remote = sockets.established.get(&port).copied().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a count of connections")]
    let count = remote.saturating_add(local) as f64;
    let percent = 100.0 * count / most;
    let subject = format!("mysql port {port}");
    let summary = words!(
        "{name} has {count} of {most} connections ({percent:.0} %)",
        "{name} 已有 {count} 个连接，上限 {most}（{percent:.0}%）"
    );
    let found = Found::new(subject.clone(), settings.level(&subject, percent), summary)
        .value(percent, "%")
        .evidence("/proc/net/tcp", format!("{remote} established at port {port}"))
        .evidence("/proc/net/unix", format!("{local} connected to its socket"))
        .evidence(options.source(&["max_connections"]), format!("max_connections {most}"));
    Ok(vec![found])
}

/// Connections of the server's socket, and whether it listens: those that were accepted bear the socket's path.
fn unix_connections(host: &Host, own: &str) -> Result<(u64, bool), Gap> {
    const COMMON: [&str; 4] =
        ["/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];
    let (mut count, mut is_open) = (0_u64, false);
    let read = host.each_line("/proc/net/unix", TABLE_BYTES_MAX, |line| {
        // Num RefCount Protocol Flags Type St Inode Path
        let mut fields = line.split_ascii_whitespace();
        let (flags, state, path) = (fields.nth(3), fields.nth(1), fields.nth(1).unwrap_or_default());
        if !path.is_empty() && (path == own || (own.is_empty() && COMMON.contains(&path))) {
            is_open |= flags == Some("00010000");
            count = count.saturating_add(u64::from(state == Some("03")));
        }
    });
    match read {
        Ok(()) | Err(Gap::NotHere(_)) => Ok((count, is_open)),
        Err(gap) => Err(gap),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mysql_options::tests::{maria, mysql};
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    fn tcp(fixture: Fixture, count: u32) -> Fixture {
        let listens = "sl\n 0: 0100007F:0CEA 00000000:0000 0A 0:0 0:0 0 0 0 7\n".to_owned();
        let row = |at| format!(" 1: 0100007F:0CEA 0100007F:{:04X} 01 0:0 0:0 0 0 0 8\n", 40000 + at);
        fixture.file("/proc/net/tcp", listens + &(0..count).map(row).collect::<String>())
    }

    #[test]
    fn db_01_connections_are_counted_without_a_login() {
        let unix = "Num RefCount Protocol Flags Type St Inode Path\n\
            0: 00000002 00000000 00010000 0001 01 11 /run/mysqld/mysqld.sock\n\
            0: 00000003 00000000 00000000 0001 03 12 /run/mysqld/mysqld.sock\n\
            0: 00000003 00000000 00000000 0001 03 13\n";
        for (name, fixture, expected) in [
            ("few", tcp(maria("max_connections=10\n"), 5), Status::Ok),
            ("many", tcp(maria("max_connections=10\n"), 8), Status::Warning),
            ("nearly all", tcp(maria("max_connections=10\n"), 10), Status::Critical),
            ("default", tcp(mysql(""), 10), Status::Ok),
            ("with the socket", tcp(maria("max_connections=10\n"), 7).file("/proc/net/unix", unix), Status::Warning),
            ("only the socket", maria("").file("/proc/net/tcp", "sl\n").file("/proc/net/unix", unix), Status::Ok),
            ("deaf", maria("").file("/proc/net/tcp", "sl\n").process(5, 'S', &["/usr/sbin/mariadbd"]), Status::Unknown),
            ("odd", tcp(maria("max_connections=many\n"), 1), Status::Unknown),
        ] {
            assert_eq!(fixture.status(&CHECK), expected, "{name}");
        }
        assert!(maria("").file("/proc/net/tcp", "sl\n").has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
