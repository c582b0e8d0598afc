//! Times whose unit was forgotten: a bare number is milliseconds for HAProxy and Tengine, and seconds nearly everywhere
//! else. HAProxy takes `inter 300` without a word.

use super::haproxy::{Extras, extras};
use super::{Pool, Probe, System, fleet};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.interval-unit",
    title: Text { en: "Times whose unit was forgotten", zh: "漏写单位的时间" },
    reads: &["the configuration of HAProxy and of Tengine"],
    needs: Needs::FILES,
    params: &[
        Param::below("critical", 500.0, 500.0, "ms", "our recommendation; measured: inter 4 made 161 probes a second"),
        Param::above("too-long", 60_000.0, 60_000.0, "ms", "our recommendation: twice Tengine's default"),
    ],
    impact: Text {
        en: "Backends are flooded with probes, or taken out because a probe has no time to be answered.",
        zh: "后端会被探测请求淹没，或因探测来不及得到响应而被误摘除。",
    },
    remedy: Text {
        en: "Write the unit that is meant: 300s, not 300. A bare number is milliseconds.",
        zh: "写明所需的单位：写 300s，而不是 300。不带单位的数字为毫秒。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let pools = &fleet(host)?.pools;
    let mut found: Vec<_> = pools.iter().filter_map(|pool| of_tengine(settings, pool)).collect();
    if let Ok(extras) = extras(host) {
        found.extend(of_haproxy(settings, extras));
    }
    if found.is_empty() {
        return Err(Gap::NotHere(words!(
            "neither HAProxy nor Tengine is installed here, where a bare number is milliseconds",
            "此主机未安装 HAProxy 或 Tengine（两者不带单位的数字为毫秒）"
        )));
    }
    Ok(found)
}

fn of_haproxy(settings: &Settings<'_>, extras: &Extras) -> Vec<Found> {
    let judged = extras
        .bare_times
        .iter()
        .map(|time| (time, settings.level_of(&time.subject, f64::from(time.millis), "", "critical")));
    let mut found: Vec<_> = judged.filter(|(_, status)| *status != Status::Ok).map(|(time, status)| {
        let (millis, option) = (time.millis, time.subject.rsplit(' ').next().unwrap_or_default());
        let summary = words!("{option} {millis} has no unit and means {millis} ms", "{option} {millis} 未写单位，实际为 {millis} 毫秒");
        Found::new(&time.subject, status, summary)
            .value(f64::from(millis), "ms")
            .evidence(time.place.source(), &time.place.text)
            .remedy(words!("If seconds are meant, write {millis}s; if milliseconds are, write {millis}ms, so that nobody has to guess.", "若本意为秒，写 {millis}s；若确为毫秒，写 {millis}ms，以免歧义。"))
    }).collect();
    if let Some(why) = extras.instances.iter().find_map(|instance| instance.unread.clone()) {
        found.push(Found::new("haproxy", Status::Unknown, why));
    } else if found.is_empty() {
        found.push(Found::new(
            "haproxy",
            Status::Ok,
            words!(
                "every time of a probe has a unit, or is long enough without one",
                "所有探测时间均带单位，或不带单位时也足够长"
            ),
        ));
    }
    found
}

/// One for each upstream: it has one interval.
fn of_tengine(settings: &Settings<'_>, pool: &Pool) -> Option<Found> {
    if pool.system != System::Tengine {
        return None;
    }
    let interval = pool.members.iter().find_map(|member| match &member.probe {
        Probe::Active(active) => Some(&active.interval),
        Probe::Passive { .. } | Probe::Never | Probe::Tracks(_) | Probe::Unresolved(_) => None,
    })?;
    let (subject, millis) = (pool.subject(), interval.value * 1000.0);
    let status =
        settings.level_of(&subject, millis, "", "critical").max(settings.level_of(&subject, millis, "", "too-long"));
    let summary = words!(
        "Tengine probes every {millis} ms; its numbers have no other unit",
        "Tengine 每 {millis} 毫秒探测一次；其数字只能是毫秒"
    );
    let found = Found::new(subject, status, summary).value(millis, "ms");
    Some(
        interval.show(found, "interval").remedy(words!(
            "Write milliseconds: interval=5000 is five seconds.",
            "以毫秒书写：interval=5000 即 5 秒。"
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Cadence, Fleet, Layer, Member, Place, Setting, detect::tests::probe};
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_03_a_bare_number_that_is_too_small_is_named() {
        for (lines, expected, subject) in [
            (" server s 10.0.0.1:80 check inter 300\n", Status::Critical, "haproxy backend b/s inter"),
            (" server s 10.0.0.1:80 check inter 4s fastinter 1\n", Status::Critical, "haproxy backend b/s fastinter"),
            (" timeout check 10\n server s 10.0.0.1:80 check\n", Status::Critical, "haproxy backend b timeout check"),
            (" default-server inter 5\n", Status::Critical, "haproxy backend b inter"),
            (" server s 10.0.0.1:80 check inter 300s\n", Status::Ok, "haproxy"),
            (" server s 10.0.0.1:80 check inter 300ms\n", Status::Ok, "haproxy"),
            (" timeout connect 50\n server s 10.0.0.1:80 check inter 5000\n", Status::Ok, "haproxy"),
        ] {
            let fixture = Fixture::image().file("/etc/haproxy/haproxy.cfg", format!("backend b\n{lines}"));
            let findings = fixture.run(&CHECK);
            assert_eq!((findings[0].status, findings[0].subject.as_str()), (expected, subject), "{lines}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }

    #[test]
    fn lb_03_tengine_counts_in_milliseconds() {
        for (secs, expected) in [(0.03, Status::Critical), (5.0, Status::Ok), (300.0, Status::Critical)] {
            let place = Place { file: "/etc/nginx/nginx.conf".into(), line: 7, text: "check interval=...".into() };
            let mut active = probe(Cadence::HalfTicks, secs, 5, 2, 1.0);
            active.interval = Setting::at(secs, place.clone());
            let member = Member {
                name: "a".into(),
                address: "a:80".into(),
                place: place.clone(),
                probe: Probe::Active(Box::new(active)),
                disabled: false,
                backup: false,
            };
            let pool =
                Pool { system: System::Tengine, name: "u".into(), place, layer: Layer::Http, members: vec![member] };
            let fixture = Fixture::image();
            let host = fixture.host();
            host.memo.fleet.set(Some(Fleet { pools: vec![pool], ..Fleet::default() })).ok();
            let crate::run::Ran::Findings(findings) = crate::run::run(&CHECK, &host, &fixture.wanted) else { panic!() };
            assert_eq!(findings[0].status, expected, "{secs}");
        }
    }
}
