//! Lines of package managers as they stand in real logs, and lines that mean harm.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::host::fixture::Fixture;
use crate::report::stamp::utc;

/// As Debian 12 writes them.
const DPKG_LOG: &str = "2025-12-31 06:12:30 startup archives unpack\n2025-12-31 06:12:31 upgrade nginx:amd64 1.22.1-8 1.22.1-9\n2025-12-31 06:12:31 status half-configured nginx:amd64 1.22.1-8\n2025-12-31 06:12:32 status installed nginx:amd64 1.22.1-9\n2025-12-31 09:00:00 install local-tool:all <none> 1.0\n2025-12-31 09:00:30 remove old-tool:amd64 0.9 <none>\n2025-11-01 09:00:00 install long-ago:all <none> 1.0\n";
const APT_LOG: &str = "\nStart-Date: 2025-12-31  06:12:30\nCommandline: /usr/bin/unattended-upgrade --password hunter2\nRequested-By: alice (1000)\nInstall: liba:amd64 (1.0-1, automatic), libb:amd64 (2.0)\nUpgrade: nginx:amd64 (1.22.1-8, 1.22.1-9)\nEnd-Date: 2025-12-31  06:12:40\n";
/// As CentOS 7 and CentOS Stream 9 write them.
const YUM_LOG: &str = "Dec 31 06:12:33 Installed: 1:nginx-1.20.1-1.el7.x86_64\nDec 31 06:12:34 Updated: kernel-3.10.0-1160.el7.x86_64\nDec 31 06:12:35 Erased: telnet-0.17-66.el7.x86_64\n";
const DNF_LOG: &str = "2025-12-31T06:12:33+0800 SUBDEBUG Upgrade: nginx-1:1.20.1-16.el9.x86_64\n2025-12-31T06:12:33+0800 SUBDEBUG Upgraded: nginx-1:1.20.1-14.el9.x86_64\n2025-12-31T06:12:34Z INFO --- logging initialized ---\n2025-12-31T20:00:00+0000 SUBDEBUG Installed: strace-5.18-2.el9.x86_64\n";

fn rows(fixture: &Fixture) -> Vec<(String, String, String, Confidence)> {
    let seen = super::super::look(&crate::report::Step::Packages, &fixture.host());
    seen.rows.into_iter().map(|row| (utc(row.at), row.what.en, row.evidence, row.confidence)).collect()
}

fn expect(fixture: &Fixture, expected: &[(&str, &str, &str, Confidence)]) {
    let found = rows(fixture);
    let found: Vec<_> = found.iter().map(|row| (row.0.as_str(), row.1.as_str(), row.2.as_str(), row.3)).collect();
    assert_eq!(found, expected);
}

#[test]
fn chk_packages_of_debian_are_told_once() {
    use Confidence::Medium;
    expect(
        &Fixture::image().file("/var/log/dpkg.log", DPKG_LOG).file("/var/log/apt/history.log", APT_LOG),
        &[
            (
                "2025-12-31 09:00:00",
                "dpkg: 1 installed: local-tool 1.0; 1 removed: old-tool 0.9",
                "/var/log/dpkg.log:5",
                Medium,
            ),
            (
                "2025-12-31 06:12:30",
                "unattended-upgrade: 2 installed: liba 1.0-1, libb 2.0; 1 upgraded: nginx 1.22.1-8 => 1.22.1-9",
                "/var/log/apt/history.log:2",
                Medium,
            ),
        ],
    );
    // By hand, a minute after apt.
    let by_hand = "2025-12-31 06:12:31 upgrade nginx:amd64 1 2\n2025-12-31 06:13:40 install mine:all <none> 1\n";
    let fixture = Fixture::image().file("/var/log/dpkg.log", by_hand).file("/var/log/apt/history.log", APT_LOG);
    assert_eq!(rows(&fixture)[0].1, "dpkg: 1 installed: mine 1");
    let shanghai = Fixture::image().file("/var/log/dpkg.log", DPKG_LOG).file("/etc/timezone", "Asia/Shanghai");
    let seen = look(&shanghai.host());
    assert!(seen.gaps[0].en.contains("time zone is not known"), "{:?}", seen.gaps);
    assert!(rows(&shanghai).iter().all(|row| row.3 == Confidence::Low));
}

#[test]
fn chk_packages_of_red_hat_have_years_and_zones() {
    expect(
        &Fixture::image().file("/var/log/yum.log", YUM_LOG),
        &[(
            "2025-12-31 06:12:33",
            "yum: 1 installed: 1:nginx-1.20.1-1.el7.x86_64; 1 upgraded: kernel-3.10.0-1160.el7.x86_64; 1 removed: telnet-0.17-66.el7.x86_64",
            "/var/log/yum.log:1",
            Confidence::Low,
        )],
    );
    expect(
        &Fixture::image().file("/var/log/dnf.rpm.log", DNF_LOG),
        &[
            (
                "2025-12-31 20:00:00",
                "dnf: 1 installed: strace-5.18-2.el9.x86_64",
                "/var/log/dnf.rpm.log:4",
                Confidence::High,
            ),
            (
                "2025-12-30 22:12:33",
                "dnf: 1 upgraded: nginx-1:1.20.1-16.el9.x86_64",
                "/var/log/dnf.rpm.log:1",
                Confidence::High,
            ),
        ],
    );
}

#[test]
fn chk_hostile_lines_of_package_logs_are_no_rows() {
    let long = format!("2025-12-31 06:12:31 install {} <none> 1\n", "x".repeat(100_000));
    for text in [
        "",
        "\n\n\n",
        "2025-12-31",
        "2025-12-31 06:12:31 upgrade",
        "2025-12-31 06:12:31 upgrade nginx",
        "2025-99-99 06:12:31 install a b c",
        "9999-12-31 23:59:59 install a <none> 1",
        "0000-00-00 00:00:00 install a <none> 1",
        "\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac} install a b c",
        "Start-Date: ",
        "Start-Date: x\nInstall: a (1)",
        "Install: a (1)",
        "Start-Date: 2025-12-31  06:12:30\nInstall: ((((,,,)))",
        "Dec 31 06:12:33 Installed:",
        "Dec 99 06:12:33 Installed: x",
        "Xxx 31 06:12:33 Installed: x",
        "Dec\u{20ac}31 06:12:33 Installed: x",
        "2025-12-31T06:12:33+9999999 SUBDEBUG Installed: x y",
        "2025-12-31T06:12:33+0\u{20ac}0 X Installed: x",
        "T Z Installed: x",
        &long,
    ] {
        for path in ["/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/yum.log", "/var/log/dnf.rpm.log"] {
            let found = rows(&Fixture::image().file(path, text));
            let allowed = usize::from(text == long || text.contains("+9999999") || text.contains("+0\u{20ac}0"));
            assert!(found.len() <= allowed, "{path}: {found:?}");
            assert!(found.iter().all(|row| row.1.len() < 1000), "{path}");
        }
    }
    let control =
        rows(&Fixture::image().file("/var/log/dpkg.log", "2025-12-31 06:12:31 install a\u{1b}[2Jb <none> 1\u{202e}\n"));
    assert!(control[0].1.chars().all(|one| !one.is_control() && one != '\u{202e}'), "{control:?}");
}

#[test]
fn chk_an_upgrade_of_hundreds_is_one_row() {
    let text: String =
        (0..400).map(|at| format!("2025-12-31 06:{:02}:{:02} upgrade p{at}:amd64 1 2\n", at / 60, at % 60)).collect();
    let found = rows(&Fixture::image().file("/var/log/dpkg.log", text));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].1.starts_with("dpkg: 400 upgraded: p0 1 => 2, ") && found[0].1.ends_with("and 394 more"),
        "{found:?}"
    );
}
