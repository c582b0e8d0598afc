//! What to write so that a dead member is out soon, in each system's own words, and what that would give.

use super::detect::detection;
use super::{Active, Member, Origin, Pool, Setting, System};
use crate::number::span;
use crate::words;
use cloud_doctor_proto::finding::Words;

/// Probe every five seconds, give up on a hanging one after three, and be sure after three.
const INTERVAL_SECS: f64 = 5.0;
const HANG_SECS: f64 = 3.0;
const FALL: u32 = 3;
/// Between probes of a member that begins to fail, where a system knows that.
const FAST_SECS: f64 = 1.0;

/// What to do about one member.
pub(super) fn remedy(pool: &Pool, member: &Member, probe: &Active) -> Words {
    let after = span(detection(&wanted(pool.system, probe)).hanging_secs);
    let place = match &probe.interval.origin {
        Origin::At(place) => place,
        Origin::Default(_) => &member.place,
    };
    let (source, file, name) = (place.source(), &place.file, &member.name);
    let then = words!(
        "; {name} is then out after {after} when it hangs.",
        "\u{ff1b}\u{6b64}\u{540e} {name} \u{6302}\u{8d77}\u{65f6} {after} \u{5373}\u{88ab}\u{6458}\u{9664}\u{3002}"
    );
    let what = match pool.system {
        System::Haproxy => {
            let word = if place.text.starts_with("default-server") { "default-server" } else { "server ... check" };
            words!(
                "In {source} write: {word} inter 5s fastinter 1s downinter 5s fall 3 rise 2, and in the same section or its defaults: timeout check 3s and timeout connect 3s. Test it (haproxy -c -f {file}), then reload (systemctl reload haproxy)",
                "在 {source} 写：{word} inter 5s fastinter 1s downinter 5s fall 3 rise 2，并在同一段落或其 defaults 中写：timeout check 3s 和 timeout connect 3s。先验证（haproxy -c -f {file}），再重载（systemctl reload haproxy）"
            )
        }
        System::NginxPlus => words!(
            "In {source} write: health_check interval=5s fails=3 passes=2, with proxy_connect_timeout 3s and proxy_read_timeout 3s in that location. Test it (nginx -t), then reload (nginx -s reload)",
            "在 {source} 写：health_check interval=5s fails=3 passes=2，并在该 location 中设置 proxy_connect_timeout 3s 和 proxy_read_timeout 3s。先验证（nginx -t），再重载（nginx -s reload）"
        ),
        System::Nginx | System::Tengine => words!(
            "In {source} write (milliseconds): check interval=5000 fall=3 rise=2 timeout=3000 type=http. Test it (nginx -t), then reload (nginx -s reload)",
            "在 {source} 写（单位为毫秒）：check interval=5000 fall=3 rise=2 timeout=3000 type=http。先验证（nginx -t），再重载（nginx -s reload）"
        ),
        System::Envoy => words!(
            "In {source} set: interval 5s, timeout 3s, unhealthy_threshold 3, unhealthy_edge_interval 1s, no_traffic_interval 5s",
            "在 {source} 设置：interval 5s、timeout 3s、unhealthy_threshold 3、unhealthy_edge_interval 1s、no_traffic_interval 5s"
        ),
        System::Traefik => words!(
            "In {source} set: healthCheck interval 5s and timeout 3s",
            "在 {source} 设置：healthCheck 的 interval 为 5s、timeout 为 3s"
        ),
        System::Caddy => words!(
            "In {source} write: health_interval 5s and health_timeout 3s. Test it (caddy validate), then reload (caddy reload)",
            "在 {source} 写：health_interval 5s 和 health_timeout 3s。先验证（caddy validate），再重载（caddy reload）"
        ),
        System::Keepalived => words!(
            "In {source} write: delay_loop 5, and in the checker: connect_timeout 3, retry 2, delay_before_retry 1. Test it (keepalived -t), then reload (systemctl reload keepalived)",
            "在 {source} 写：delay_loop 5，并在检查器中写：connect_timeout 3、retry 2、delay_before_retry 1。先验证（keepalived -t），再重载（systemctl reload keepalived）"
        ),
        System::Apache => words!(
            "In {source} write: hcinterval=5 hcfails=3 hcpasses=2, and timeout=3 for the member. Test it (apachectl configtest), then reload (apachectl graceful)",
            "在 {source} 写：hcinterval=5 hcfails=3 hcpasses=2，并为该成员设置 timeout=3。先验证（apachectl configtest），再重载（apachectl graceful）"
        ),
        System::Kubernetes => words!(
            "In {source} set for the probe: period 5 s, timeout 3 s, 3 failures (readinessProbe: periodSeconds 5, timeoutSeconds 3, failureThreshold 3)",
            "在 {source} 为探测设置：周期 5 秒、超时 3 秒、失败 3 次（readinessProbe:periodSeconds 5、timeoutSeconds 3、failureThreshold 3）"
        ),
    };
    Words { en: what.en + &then.en, zh: what.zh + &then.zh }
}

/// The probe as it would be.
fn wanted(system: System, probe: &Active) -> Active {
    let own = |value| Setting::default(value, "our recommendation");
    let fast = match system {
        System::Haproxy | System::Envoy | System::Keepalived => FAST_SECS,
        System::Nginx
        | System::NginxPlus
        | System::Tengine
        | System::Traefik
        | System::Caddy
        | System::Apache
        | System::Kubernetes => INTERVAL_SECS,
    };
    // Traefik knows no thresholds, and Caddy's are left as they are.
    let fall = match system {
        System::Traefik | System::Caddy => probe.fall.value,
        System::Haproxy
        | System::Nginx
        | System::NginxPlus
        | System::Tengine
        | System::Envoy
        | System::Keepalived
        | System::Apache
        | System::Kubernetes => FALL,
    };
    Active {
        interval: own(INTERVAL_SECS),
        fast: own(fast),
        hang_secs: own(HANG_SECS),
        fall: Setting::default(fall, "our recommendation"),
        ..probe.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lb::detect::tests::probe;
    use crate::lb::{Cadence, Layer, Place, Probe};

    #[test]
    fn lb_01_every_system_is_told_in_its_own_words_and_what_they_give() {
        for (system, cadence, words, after) in [
            (System::Haproxy, Cadence::AfterEnd, "fastinter 1s", "16 s"),
            (System::NginxPlus, Cadence::AfterEnd, "health_check interval=5s", "24 s"),
            (System::Tengine, Cadence::HalfTicks, "interval=5000", "31.5 s"),
            (System::Envoy, Cadence::AfterEnd, "no_traffic_interval 5s", "16 s"),
            (System::Traefik, Cadence::Fixed, "healthCheck", "18 s"),
            (System::Caddy, Cadence::Fixed, "health_interval 5s", "18 s"),
            (System::Keepalived, Cadence::AfterEnd, "delay_loop 5", "16 s"),
            (System::Apache, Cadence::AfterEnd, "hcinterval=5", "24 s"),
            (System::Kubernetes, Cadence::Fixed, "periodSeconds 5", "18 s"),
        ] {
            let place = Place { file: "/etc/x.conf".into(), line: 7, text: "interval".into() };
            let active = probe(cadence, 300.0, 3, 2, 300.0);
            let member = Member {
                name: "web1".into(),
                address: String::new(),
                place: place.clone(),
                probe: Probe::Active(Box::new(active.clone())),
                disabled: false,
                backup: false,
            };
            let pool = Pool { system, name: "web".into(), place, layer: Layer::Http, members: Vec::new() };
            let told = remedy(&pool, &member, &active);
            assert!(told.en.contains(words) && told.en.contains(&format!("out after {after} ")), "{}", told.en);
            assert!(told.en.contains("/etc/x.conf:7") && told.zh.contains(&format!(" {after} ")), "{}", told.zh);
        }
    }
}
