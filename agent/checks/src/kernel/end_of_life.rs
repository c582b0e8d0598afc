//! Whether this system's release still gets security updates.

use super::releases;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::host::date::parse_day;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "kernel.end-of-life",
    title: Text { en: "Support of the operating system", zh: "操作系统支持期限" },
    reads: &["/etc/os-release", "/usr/lib/os-release"],
    needs: Needs::FILES,
    params: &[Param::plain("soon", 90.0, "days", "our recommendation: a quarter to plan a move")],
    impact: Text {
        en: "New security holes in this system are not mended any more.",
        zh: "该系统新发现的安全漏洞将不再得到修复。",
    },
    remedy: Text {
        en: "Plan the move to a supported release (build anew and move the service; upgrade in place only where the vendor supports it), or buy the vendor's extended support.",
        zh: "规划迁移到仍受支持的版本（建议新建服务器后迁移业务；仅在厂商支持时原地升级），或购买厂商的延长支持服务。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let system = host.os_release()?;
    let name = if system.pretty_name.is_empty() {
        format!("{} {}", system.id, system.version_id)
    } else {
        system.pretty_name.clone()
    };
    let Some((release, until)) = releases::of(&system).and_then(|release| Some((release, parse_day(release.until)?)))
    else {
        return Err(Gap::Unknown(words!(
            "until when {name} gets security updates is not in our table",
            "内置表中没有 {name} 的支持期限"
        )));
    };
    let day = release.until;
    let today = i64::try_from(host.now().0 / 86_400).unwrap_or(i64::MAX);
    let left = until.saturating_sub(today);
    let paid = release.paid_until;
    let found = if left < 0 {
        let summary = if paid.is_empty() || parse_day(paid).is_none_or(|paid| paid < today) {
            words!("{name} has had no security updates since {day}", "{name} 自 {day} 起已停止安全更新")
        } else {
            words!(
                "{name} has had no free security updates since {day}; paid ones go on until {paid}",
                "{name} 自 {day} 起已停止免费安全更新，付费支持可至 {paid}"
            )
        };
        Found::new("", Status::Warning, summary)
    } else {
        let summary = words!("{name} gets security updates until {day}", "{name} 的安全更新将持续到 {day}");
        #[expect(clippy::cast_precision_loss, reason = "days of a few decades")]
        let soon = (left as f64) < settings.number("soon");
        if soon { Found::advice("", summary) } else { Found::new("", Status::Ok, summary) }
    };
    #[expect(clippy::cast_precision_loss, reason = "days of a few decades")]
    let left = left as f64;
    let evidence = format!("ID={} VERSION_ID={} VERSION={}", system.id, system.version_id, system.version);
    Ok(vec![found.value(left, "days").evidence(system.path, evidence).detail("until", day)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    /// 2026-11-26.
    const NOW: u64 = 1_795_651_200;

    #[test]
    fn krn_13_releases_by_the_last_day() {
        for (text, expected, note, part) in [
            (
                "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
                Status::Ok,
                false,
                "2028-06-30",
            ),
            ("ID=debian\nVERSION_ID=\"11\"\n", Status::Warning, false, "paid ones go on until 2031-06-30"),
            ("NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"7\"\n", Status::Warning, false, "since 2024-06-30"),
            ("NAME=\"CentOS Stream\"\nID=\"centos\"\nVERSION_ID=\"9\"\n", Status::Ok, false, "2027-05-31"),
            ("ID=\"rocky\"\nVERSION_ID=\"9.4\"\n", Status::Ok, false, "2032-05-31"),
            ("ID=\"alinux\"\nVERSION_ID=\"2.1903\"\n", Status::Warning, false, "since 2026-03-31"),
            ("ID=\"openEuler\"\nVERSION_ID=\"24.03\"\nVERSION=\"24.03 (LTS-SP1)\"\n", Status::Ok, true, "2026-12-31"),
            ("ID=\"sles\"\nVERSION_ID=\"15.5\"\n", Status::Warning, false, "2027-12-31"),
            ("ID=fedora\nVERSION_ID=43\n", Status::Ok, true, "2026-12-09"),
            ("ID=debian\n", Status::Unknown, false, ""),
            ("ID=arch\n", Status::Unknown, false, ""),
            ("", Status::Unknown, false, ""),
        ] {
            let findings = Fixture::image().now(NOW).file("/etc/os-release", text).run(&CHECK);
            assert_eq!((findings[0].status, findings[0].note), (expected, note), "{text}");
            assert!(findings[0].summary.en.contains(part), "{}", findings[0].summary.en);
        }
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }

    #[test]
    fn krn_13_the_last_day_itself_is_covered() {
        let text = "ID=fedora\nVERSION_ID=43\n";
        for (now, expected) in [(1_796_774_400, Status::Ok), (1_796_860_800, Status::Warning)] {
            let fixture = Fixture::image().now(now).file("/etc/os-release", text);
            assert_eq!(fixture.status(&CHECK), expected);
        }
    }
}
