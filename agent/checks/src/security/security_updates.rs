//! Security updates that Debian and Ubuntu have published and that are not installed, by the lists that apt fetched last.

use super::debian_version::compare;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, date};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use std::cmp::Ordering;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "security.updates",
    title: Text { en: "Security updates", zh: "安全更新" },
    reads: &["/var/lib/dpkg/status", "/var/lib/apt/lists/", "/etc/os-release"],
    needs: Needs::FILES,
    params: &[
        Param::above("warning", 0.0, 0.0, "packages", "lynis include/tests_ports_packages, PKGS-7392"),
        Param::plain("lists", 7.0, "d", "Debian's security archive signs itself for 7 days (Release, Valid-Until)"),
    ],
    impact: Text {
        en: "The holes are public, and so are the programs that use them.",
        zh: "漏洞已公开，利用程序往往也已公开。",
    },
    remedy: Text {
        en: "Take a snapshot, then run apt-get update && apt-get upgrade in a window, and restart what needrestart names.",
        zh: "先创建快照，再在维护窗口内执行 apt-get update && apt-get upgrade，并重启 needrestart 列出的服务。",
    },
    run,
};

const LISTS: &str = "/var/lib/apt/lists";
const STATUS: &str = "/var/lib/dpkg/status";
/// One list; Ubuntu's largest has 15 MiB.
const LIST_BYTES_MAX: u64 = 24 << 20;
/// Packages that are named as evidence.
const NAMED_MAX: usize = 15;
/// Packages that are kept of one file; a large server has 3,000.
const PACKAGES_MAX: usize = 100_000;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let os = host.read("/etc/os-release").or_else(|_| host.read("/usr/lib/os-release")).unwrap_or_default();
    if !host.exists(STATUS) {
        if host.exists("/var/lib/rpm") || host.exists("/usr/lib/sysimage/rpm") {
            return Err(Gap::Unknown(words!(
                "RPM's database is not read here; run dnf updateinfo list --security",
                "此处不读取 RPM 数据库；请执行 dnf updateinfo list --security"
            )));
        }
        return Err(Gap::NotHere(words!("no Debian package database is here", "此主机没有 Debian 软件包数据库")));
    }
    let code = os_value(&os, "VERSION_CODENAME").ok_or_else(|| {
        Gap::Unknown(words!("/etc/os-release has no VERSION_CODENAME", "/etc/os-release 中没有 VERSION_CODENAME"))
    })?;
    let archives = archives(host, &code)?;
    let newest = archives.iter().map(|archive| archive.date).max().unwrap_or(UnixTime(0));
    let days = host.now().0.saturating_sub(newest.0) / DAY_SECS;
    #[expect(clippy::cast_precision_loss, reason = "days")]
    if days as f64 > settings.number("lists") {
        return Err(Gap::Unknown(words!(
            "the newest list of security updates is {days} days old: run apt-get update; if it stays old, this release gets no \
             security updates any more",
            "最新的安全更新列表已有 {days} 天：请执行 apt-get update；若仍不更新，说明该发行版已停止安全支持"
        )));
    }
    let installed = installed(host)?;
    let pending = pending(host, &archives, &installed)?;
    Ok(vec![judge(settings, &pending, installed.len(), days)])
}

fn judge(settings: &Settings<'_>, pending: &BTreeMap<String, Pending>, installed: usize, days: u64) -> Found {
    let count = pending.len();
    #[expect(clippy::cast_precision_loss, reason = "a count of packages")]
    let value = count as f64;
    let summary = if count == 0 {
        words!(
            "no security update is pending for {installed} packages, by lists of {days} days ago",
            "按 {days} 天前的列表，{installed} 个软件包均无待装安全更新"
        )
    } else {
        words!("{count} packages have security updates that are not installed", "{count} 个软件包有未安装的安全更新")
    };
    let mut found = Found::new("", settings.level("", value), summary).value(value, "");
    for (name, update) in pending.iter().take(NAMED_MAX) {
        let held = if update.held { ", held back" } else { "" };
        found = found.evidence(
            update.list.clone(),
            format!("{name} {} is installed, {} is published{held}", update.from, update.to),
        );
    }
    found
}

/// A value of os-release(5).
fn os_value(os: &str, key: &str) -> Option<String> {
    let value = os.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
}

/// A security archive whose lists apt has.
struct Archive {
    /// How the names of its files begin.
    prefix: String,
    /// When it was published.
    date: UnixTime,
}

/// The security archives of this release.
fn archives(host: &Host, code: &str) -> Result<Vec<Archive>, Gap> {
    let mut all = Vec::new();
    for entry in host.list(LISTS)? {
        let release = ["InRelease", "Release"].iter().find_map(|end| entry.name.strip_suffix(end));
        let Some(prefix) = release.filter(|prefix| prefix.ends_with('_')) else { continue };
        // Signed parts and hashes follow; what is needed stands in the first lines.
        let mut fields = BTreeMap::new();
        host.each_line(&format!("{LISTS}/{}", entry.name), LIST_BYTES_MAX, |line| {
            if let Some((key, value)) = line.split_once(": ").filter(|(key, _)| !key.starts_with(' ')) {
                fields.entry(key.to_owned()).or_insert_with(|| value.trim().to_owned());
            }
        })?;
        let field = |key: &str| fields.get(key).map(String::as_str).unwrap_or_default();
        let is_security = field("Label") == "Debian-Security" || field("Suite").ends_with("-security");
        let is_ours =
            [field("Codename"), field("Suite")].iter().any(|name| name.split(['-', '/']).next() == Some(code));
        if let Some(date) = date::rfc_2822_utc(field("Date")).filter(|_| is_security && is_ours) {
            all.push(Archive { prefix: prefix.to_owned(), date: UnixTime(date) });
        }
    }
    if all.is_empty() {
        return Err(Gap::Unknown(words!(
            "{LISTS} has no list of security updates for {code}; run apt-get update",
            "{LISTS} 中没有 {code} 的安全更新列表；请执行 apt-get update"
        )));
    }
    Ok(all)
}

/// What is known of a package that is installed.
struct Installed {
    version: String,
    held: bool,
}

/// A package that has a newer version.
struct Pending {
    from: String,
    to: String,
    list: String,
    held: bool,
}

/// `name:architecture`, where `all` is none.
type Key = (String, String);

/// A paragraph of a control file, as far as it is needed.
#[derive(Default)]
struct Paragraph {
    package: String,
    version: String,
    architecture: String,
    status: String,
}

/// Gives each paragraph of a control file (deb822(5)).
fn paragraphs(host: &Host, path: &str, mut take: impl FnMut(Paragraph)) -> Result<(), Gap> {
    let mut paragraph = Paragraph::default();
    host.each_line(path, LIST_BYTES_MAX, |line| {
        if line.is_empty() {
            take(std::mem::take(&mut paragraph));
        } else if let Some((key, value)) = line.split_once(':') {
            let field = match key {
                "Package" => &mut paragraph.package,
                "Version" => &mut paragraph.version,
                "Architecture" => &mut paragraph.architecture,
                "Status" => &mut paragraph.status,
                _ => return,
            };
            value.trim().clone_into(field);
        }
    })?;
    take(paragraph);
    Ok(())
}

fn installed(host: &Host) -> Result<BTreeMap<Key, Installed>, Gap> {
    let mut all = BTreeMap::new();
    paragraphs(host, STATUS, |one| {
        let mut words = one.status.split(' ');
        let (want, state) = (words.next(), words.nth(1));
        if state.is_some_and(|state| state != "config-files" && state != "not-installed") && all.len() < PACKAGES_MAX {
            let installed = Installed { version: one.version, held: want == Some("hold") };
            all.insert((one.package, one.architecture), installed);
        }
    })?;
    Ok(all)
}

fn pending(
    host: &Host,
    archives: &[Archive],
    installed: &BTreeMap<Key, Installed>,
) -> Result<BTreeMap<String, Pending>, Gap> {
    let (mut pending, mut lists) = (BTreeMap::<String, Pending>::new(), 0);
    for entry in host.list(LISTS)? {
        if !archives.iter().any(|archive| entry.name.starts_with(&archive.prefix)) {
            continue;
        }
        if [".lz4", ".gz", ".xz", ".bz2", ".zst"].iter().any(|end| entry.name.ends_with(&format!("_Packages{end}"))) {
            let name = entry.name;
            return Err(Gap::Unknown(words!(
                "{name} is compressed, which is not read here; run apt-get -s upgrade",
                "{name} 为压缩格式，此处不读取；请执行 apt-get -s upgrade"
            )));
        }
        if !entry.name.ends_with("_Packages") {
            continue;
        }
        lists += 1;
        let path = format!("{LISTS}/{}", entry.name);
        paragraphs(host, &path, |one| {
            let key = (one.package, one.architecture);
            let Some(have) = installed.get(&key) else { return };
            let best = pending.get(&key.0).map_or(have.version.as_str(), |known| known.to.as_str());
            if compare(best, &one.version) == Ordering::Less {
                let (from, held) = (have.version.clone(), have.held);
                pending.insert(key.0, Pending { from, to: one.version, list: path.clone(), held });
            }
        })?;
    }
    if lists == 0 {
        return Err(Gap::Unknown(words!(
            "{LISTS} has no list of packages with security updates; run apt-get update",
            "{LISTS} 中没有安全更新的软件包列表；请执行 apt-get update"
        )));
    }
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use cloud_doctor_proto::finding::Status;

    const PREFIX: &str = "/var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security_";

    fn release(date: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nLabel: Debian-Security\n\
             Suite: stable-security\nCodename: bookworm-security\nDate: {date}\nSHA256:\n e3b0 0 main/x\n"
        )
    }

    fn host(packages: &str, date: &str) -> Fixture {
        Fixture::image()
            .file("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\n")
            .file(
                "/var/lib/dpkg/status",
                "Package: openssh-server\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:9.2p1-2+deb12u9\n\
                 Description: x\n Package: y\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\n\
                 Version: 1\n\nPackage: bash\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b2\n",
            )
            .file(&format!("{PREFIX}InRelease"), release(date))
            .file(&format!("{PREFIX}main_binary-amd64_Packages"), packages)
    }

    const FRESH: &str = "Wed, 31 Dec 2025 10:00:00 UTC";

    #[test]
    fn sec_09_published_and_not_installed_is_a_warning() {
        let package = |name: &str, version: &str| {
            format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/x.deb\n\n")
        };
        for (packages, expected, count) in [
            (package("openssh-server", "1:9.2p1-2+deb12u9"), Status::Ok, 0.0),
            (package("openssh-server", "1:9.2p1-2+deb12u10"), Status::Warning, 1.0),
            (package("openssh-server", "1:9.2p1-2+deb12u10").replace("amd64", "i386"), Status::Ok, 0.0),
            (package("gone", "2") + &package("other", "2"), Status::Ok, 0.0),
            (package("bash", "5.2.15-3") + &package("openssh-server", "1:9.3"), Status::Warning, 2.0),
        ] {
            let found = host(&packages, FRESH).run(&CHECK);
            assert_eq!((found[0].status, found[0].value), (expected, Some(count)), "{packages}");
        }
        let held = host(&package("bash", "5.2.15-3"), FRESH).run(&CHECK);
        assert_eq!(held[0].evidence[0].text, "bash 5.2.15-2+b2 is installed, 5.2.15-3 is published, held back");
    }

    #[test]
    fn sec_09_old_compressed_or_missing_lists_tell_nothing() {
        let lists = |name: &str| host("", FRESH).file(&format!("{PREFIX}{name}"), "");
        for (name, fixture, part) in [
            ("old", host("", "Mon, 01 Dec 2025 10:00:00 UTC"), "30 days old"),
            ("no date", host("", "yesterday"), "no list of security updates"),
            ("compressed", lists("contrib_binary-amd64_Packages.lz4"), "compressed"),
            ("another release", host("", FRESH).file("/etc/os-release", "VERSION_CODENAME=trixie\n"), "for trixie"),
            ("no name", host("", FRESH).file("/etc/os-release", "ID=debian\n"), "VERSION_CODENAME"),
            ("rpm", Fixture::image().file("/var/lib/rpm/Packages", ""), "RPM"),
        ] {
            let found = fixture.run(&CHECK);
            assert_eq!(found[0].status, Status::Unknown, "{name}");
            assert!(found[0].summary.en.contains(part), "{name}: {}", found[0].summary.en);
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }

    #[test]
    fn sec_09_older_debian_and_ubuntu_name_their_archives_otherwise() {
        for (release, code) in [
            ("Label: Debian-Security\nSuite: oldstable\nCodename: buster\n", "buster"),
            ("Label: Ubuntu\nSuite: jammy-security\nCodename: jammy\n", "jammy"),
        ] {
            let fixture = host("", FRESH)
                .file(&format!("{PREFIX}InRelease"), format!("{release}Date: {FRESH}\n"))
                .file("/etc/os-release", format!("VERSION_CODENAME={code}\n"));
            assert_eq!(fixture.status(&CHECK), Status::Ok, "{release}");
        }
    }
}
