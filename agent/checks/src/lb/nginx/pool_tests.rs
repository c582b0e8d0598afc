//! Pools as the checks of every load balancer see them.
#![allow(clippy::unwrap_used)]
use super::super::detect::detection;
use super::super::{Active, Cadence, Probe};
use super::*;
use crate::host::fixture::Fixture;

fn fleet(text: &str) -> Fleet {
    read(&Fixture::image().file("/etc/nginx/nginx.conf", text).host()).unwrap()
}

/// The first member's probe, in short.
fn probe_of(inside: &str, location: &str) -> String {
    let text = format!(
        "http {{ upstream web {{ {inside} }} server {{ location / {{ proxy_pass http://web; {location} }} }} }}"
    );
    match &fleet(&text).pools.first().unwrap().members.first().unwrap().probe {
        Probe::Passive { per_request_secs, fails, window_secs } => {
            format!("passive {} {} {}", per_request_secs.value, fails.value, window_secs.value)
        }
        Probe::Never => "never".into(),
        Probe::Unresolved(_) => "unresolved".into(),
        Probe::Tracks(other) => format!("tracks {other}"),
        Probe::Active(active) => {
            let Active { interval, hang_secs, fall, rise, layer, cadence, slow_start_secs, elsewhere, .. } = &**active;
            let cadence = if *cadence == Cadence::HalfTicks { "half" } else { "end" };
            let (interval, hang, fall, rise, elsewhere) =
                (interval.value, hang_secs.value, fall.value, rise.value, elsewhere.is_some());
            format!("{layer:?} {cadence} {interval} {hang} {fall} {rise} {slow_start_secs} {elsewhere}")
        }
    }
}

#[test]
fn lb_04_how_a_dead_server_is_noticed() {
    let two = "server 10.0.0.1; server 10.0.0.2;";
    for (inside, location, expected) in [
        (two, "", "passive 60 1 10"),
        (two, "proxy_connect_timeout 3s; proxy_read_timeout 20s;", "passive 20 1 10"),
        (two, "proxy_read_timeout 5s;", "passive 60 1 10"),
        ("server a max_fails=3 fail_timeout=30s; server b;", "", "passive 60 3 30"),
        ("server a max_fails=0; server b;", "", "never"),
        ("server a max_fails=x; server b;", "", "unresolved"),
        ("server a fail_timeout=300ms; server b;", "", "unresolved"),
        (two, "proxy_read_timeout soon;", "unresolved"),
        ("server 10.0.0.1 max_fails=3;", "", "never"),
        ("server app.internal:80;", "", "unresolved"),
        // NGINX Plus.
        (two, "health_check;", "Http end 5 60 1 1 0 false"),
        (
            "zone web 64k; server 10.0.0.1 slow_start=30s; server 10.0.0.2;",
            "proxy_connect_timeout 2s; proxy_read_timeout 3s; health_check interval=10 jitter=2 fails=3 passes=2 uri=/h port=8080 match=ok;",
            "Http end 12 3 3 2 30 true",
        ),
        (two, "health_check interval=60s; health_check interval=10s uri=/x;", "Http end 10 60 1 1 0 false"),
        (two, "health_check interval=often;", "unresolved"),
        // Tengine, nginx_upstream_check_module.
        (
            "server 10.0.0.1; server 10.0.0.2; check interval=3000 rise=2 fall=5 timeout=1000 type=http; check_http_send \"HEAD / HTTP/1.0\\r\\n\\r\\n\"; check_http_expect_alive http_2xx http_3xx;",
            "",
            "Http half 3 1 5 2 0 false",
        ),
        ("server 10.0.0.1; check type=tcp;", "", "Tcp half 30 1 5 2 0 false"),
        (
            "server 10.0.0.1; check interval=300 port=8081 type=ssl_hello default_down=false;",
            "",
            "Tls half 0.3 1 5 2 0 true",
        ),
        ("server 10.0.0.1; check interval=5s;", "", "unresolved"),
        ("server 10.0.0.1; check interval=0;", "", "unresolved"),
        ("server 10.0.0.1; check type=mysql fall=99999999999;", "", "unresolved"),
    ] {
        assert_eq!(probe_of(inside, location), expected, "{inside} {location}");
    }
}

#[test]
fn lb_01_tengines_defaults_are_those_of_the_catalogue() {
    let fleet = fleet(
        "http { upstream a { server 10.0.0.1; server 10.0.0.2 backup; server 10.0.0.3 down; check type=http; } }",
    );
    let pool = fleet.pools.first().unwrap();
    assert_eq!(pool.subject(), "tengine upstream a");
    let times: Vec<_> =
        pool.active().map(|(member, probe)| (member.name.as_str(), detection(probe).hanging_secs)).collect();
    assert_eq!(times, [("10.0.0.1", 230.0), ("10.0.0.2", 230.0)]);
    assert!(pool.members[1].backup && pool.members[2].disabled);
}

#[test]
fn lb_04_groups_that_are_not_plain_http() {
    let fleet = fleet(
        "stream { upstream db { server 10.0.0.1:3306; server 10.0.0.1:3306; } match ping { send x; }
           server { listen 3306; proxy_pass db; proxy_connect_timeout 1s; health_check match=ping; } }
         http { upstream php { server unix:/run/php.sock; server 10.0.0.9:9000; }
           upstream unused { server 10.0.0.1; server 10.0.0.2; }
           server { location ~ \\.php$ { fastcgi_pass php; fastcgi_read_timeout 300s; } location / { proxy_pass http://$pool; } } }",
    );
    let [db, php, unused] = fleet.pools.as_slice() else { panic!("{fleet:?}") };
    assert_eq!([db.layer, php.layer, unused.layer], [Layer::Tcp, Layer::Protocol, Layer::Http]);
    assert_eq!(
        db.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(),
        ["10.0.0.1:3306", "10.0.0.1:3306#2"]
    );
    let (_, active) = db.active().next().unwrap();
    assert_eq!((active.layer, active.hang_secs.value), (Layer::Protocol, 5.0));
    let Probe::Passive { per_request_secs, .. } = &php.members[0].probe else { panic!("{php:?}") };
    assert_eq!(per_request_secs.value, 300.0);
    assert!(matches!(unused.members[0].probe, Probe::Unresolved(_)));
}

#[test]
fn lb_04_a_web_server_is_no_load_balancer() {
    let plain = Fixture::image().file("/etc/nginx/nginx.conf", parse::tests::DEBIAN.replace("mime.types", "conf.d/*"));
    assert!(read(&plain.host()).is_none());
    assert!(read(&Fixture::image().host()).is_none());
    let broken = fleet("http { upstream a { server b; }");
    assert_eq!(broken.troubles.first().unwrap().place.source(), "/etc/nginx/nginx.conf:1");
}

#[test]
fn chk_01_a_million_groups_are_told_and_not_listed() {
    let text = format!("http {{ {} }}", "upstream a { server b; }\n".repeat(20_000));
    let fleet = fleet(&text);
    assert_eq!(fleet.pools.len(), 1000);
    // One group that is passed to from everywhere, in a block of a hundred thousand.
    let passes = "location / { proxy_pass http://a; proxy_read_timeout 5s; }".repeat(50_000);
    let many = format!("http {{ upstream a {{ {} }} server {{ {passes} }} }}", "server 10.0.0.1; ".repeat(50_000));
    let pool = read(&Fixture::image().file("/etc/nginx/nginx.conf", many).host()).unwrap().pools.remove(0);
    assert_eq!(pool.members.len(), 1000);
    assert!(fleet.troubles.iter().any(|trouble| trouble.why.en.starts_with("19000 more")));
}
