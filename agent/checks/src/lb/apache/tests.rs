//! httpd's configurations, whole, and what becomes of them.

use super::super::detect::detection;
use super::super::{Member, Pool, Probe, Setting};
use super::*;
use crate::host::fixture::Fixture;

const FILE: &str = "/etc/httpd/conf/httpd.conf";

fn fleet(fixture: &Fixture) -> Fleet {
    read(&fixture.host()).unwrap_or_default()
}

fn file(text: impl AsRef<[u8]>) -> Fixture {
    Fixture::image().file(FILE, text)
}

fn members(fleet: &Fleet) -> Vec<String> {
    let members = fleet.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    let text = |(pool, member): (&Pool, &Member)| {
        let probe = match &member.probe {
            Probe::Active(active) => {
                let times = detection(active);
                assert!(!active.consecutive);
                format!("{} {} {} {:?}", times.refused_secs, times.hanging_secs, times.return_secs, active.layer)
            }
            Probe::Passive { per_request_secs, fails, window_secs } => {
                format!("passive {} {} {}", per_request_secs.value, fails.value, window_secs.value)
            }
            Probe::Never => "never".to_owned(),
            Probe::Unresolved(_) => "unresolved".to_owned(),
            Probe::Tracks(_) => unreachable!(),
        };
        let flags = [(member.disabled, " disabled"), (member.backup, " backup")];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
        format!("{}/{} {probe}{flags}", pool.name, member.address)
    };
    members.map(text).collect()
}

fn troubles(fleet: &Fleet) -> Vec<String> {
    fleet.troubles.iter().map(|trouble| trouble.place.source()).collect()
}

/// One member with parameters, and lines before its balancer.
fn one(before: &str, parameters: &str) -> String {
    let text = format!("{before}\n<Proxy balancer://web>\nBalancerMember http://10.0.0.2 {parameters}\n</Proxy>\n");
    let fleet = fleet(&file(text));
    assert!(fleet.troubles.is_empty(), "{:?}", fleet.troubles);
    members(&fleet).concat()
}

#[test]
fn lb_01_apache_defaults_units_and_templates() {
    for (before, parameters, expected) in [
        ("", "", "passive 60 1 60"),
        ("", "hcmethod=None hcinterval=5", "passive 60 1 60"),
        ("", "retry=5 timeout=3", "passive 3 1 5"),
        // Neither takes a unit: with retry=500ms a member that lives again had no request for 8 s, with retry=3 after 3 s.
        ("ProxyTimeout 7", "retry=500ms", "passive 7 1 500"),
        ("ProxyTimeout 7", "hcmethod=GET timeout=300ms", "30 330 30 Http"),
        ("", "status=+I", "never"),
        ("", "hcmethod=GET", "30 90 30 Http"),
        ("", "hcmethod=GET timeout=5", "30 35 30 Http"),
        ("Timeout 300", "hcmethod=GET", "30 330 30 Http"),
        ("Timeout 300\nProxyTimeout 4", "hcmethod=HEAD11", "30 34 30 Http"),
        ("", "hcmethod=TCP connectiontimeout=2 timeout=9", "30 32 30 Tcp"),
        ("", "hcmethod=OPTIONS connectiontimeout=12 timeout=9", "30 42 30 Http"),
        ("", "hcmethod=CPING ping=2 connectiontimeout=1", "30 32 30 Protocol"),
        ("", "hcmethod=GET timeout=5 hcinterval=5 hcfails=3 hcpasses=2", "15 30 10 Http"),
        ("", "hcmethod=GET timeout=5 hcinterval=500ms hcfails=2", "1 11 0.5 Http"),
        ("", "hcmethod=GET timeout=5 hcinterval=5min", "300 305 300 Http"),
        ("", "HCMethod=get timeout=1 hcfails=0 hcpasses=x", "30 31 30 Http"),
        ("", "hcmethod=GET timeout=1 hcinterval=9 hcinterval=3", "3 4 3 Http"),
        // A template that names no method connects only.
        ("ProxyHCTemplate t hcinterval=4", "timeout=1 hctemplate=t", "4 5 4 Tcp"),
        (
            "ProxyHCTemplate T hcmethod=GET hcinterval=4 hcfails=2",
            "timeout=1 hctemplate=t hcinterval=6",
            "12 14 6 Http",
        ),
        // It sets all, whatever stood before it.
        ("ProxyHCTemplate t hcmethod=GET", "timeout=1 hcinterval=6 hctemplate=t", "30 31 30 Http"),
        (
            "ProxyHCTemplate t hcmethod=GET hcexpr=ok\nProxyHCExpr ok {%{REQUEST_STATUS} =~ /^[234]/}",
            "timeout=1 hctemplate=t",
            "30 31 30 Http",
        ),
        // Measured with 2.4.67 and a member that takes connections and says nothing: 18.04 s.
        ("Timeout 7", "hcmethod=GET hcinterval=2 hcfails=2", "4 18 2 Http"),
        ("ProxyHCTPsize 0", "hcmethod=GET timeout=1", "30 31 30 Http"),
        ("", "status=+D hcmethod=TCP timeout=1", "30 31 30 Tcp disabled"),
        ("", "status=+H-D retry=1 timeout=1", "passive 1 1 1 backup"),
    ] {
        assert_eq!(one(before, parameters), format!("web/10.0.0.2:80 {expected}"), "{before} {parameters}");
    }
}

#[test]
fn lb_01_apache_files_as_people_write_them() {
    let member = "BalancerMember http://a:81 hcmethod=TCP timeout=1";
    let tcp = "30 31 30 Tcp";
    for (name, text, expected) in [
        ("case, quotes, comments", format!("# {member}\n<PROXY \"balancer://Web/\">\n  \"BalancerMember\" x\n balancermember 'http://a:81' \"hcmethod=TCP\" timeout=1\n</proxy>"), vec![format!("web/a:81 {tcp}")]),
        ("continued", "<Proxy balancer://web>\nBalancerMember http://a:81 \\\n  hcmethod=TCP \\\n  timeout=1\n</Proxy>".to_owned(), vec![format!("web/a:81 {tcp}")]),
        ("outside of a section", "BalancerMember balancer://web http://a:81 hcmethod=TCP timeout=1".to_owned(), vec![format!("web/a:81 {tcp}")]),
        ("two sections of one balancer", format!("<Proxy balancer://web>\n{member}\n</Proxy>\n<Proxy balancer://web>\nBalancerMember ajp://b timeout=1\n</Proxy>"), vec![format!("web/a:81 {tcp}"), "web/b:8009 passive 1 1 60".to_owned()]),
        ("sets", "<Proxy balancer://web>\nBalancerMember http://a timeout=1\nBalancerMember https://b timeout=1 lbset=1\nProxySet lbmethod=bybusyness timeout=9\n</Proxy>".to_owned(), vec!["web/a:80 passive 1 1 60".to_owned(), "web/b:443 passive 1 1 60 backup".to_owned()]),
        ("virtual hosts", "Timeout 9\n<VirtualHost *:80>\nServerName one\n<Proxy balancer://web>\nBalancerMember http://a\n</Proxy>\n</VirtualHost>\n<VirtualHost *:81>\nServerName two\nTimeout 5\n<Proxy balancer://web>\nBalancerMember http://a\n</Proxy>\n</VirtualHost>".to_owned(), vec!["web/a:80 passive 9 1 60".to_owned(), "web (two)/a:80 passive 5 1 60".to_owned()]),
        ("versions and files", format!("<IfVersion >= 2.4>\n<IfFile conf/httpd.conf>\n<Proxy balancer://web>\n{member}\n</Proxy>\n</IfFile>\n</IfVersion>\n<IfVersion < 2.4>\nBalancerMember balancer://no http://a\n</IfVersion>"), vec![format!("web/a:81 {tcp}")]),
        ("a plain proxy is no balancer", "ProxyPass / http://a/ retry=1\n<Proxy http://a>\nProxySet timeout=3\n</Proxy>\nProxyPass /b balancer://none/".to_owned(), vec![]),
    ] {
        let fleet = fleet(&file(text));
        assert_eq!((members(&fleet), troubles(&fleet)), (expected, vec![]), "{name}");
    }
    let text = format!(
        "LoadModule proxy_module modules/mod_proxy.so\nDefine A\nDefine HOST a:81\n<IfModule mod_proxy.c>\n<IfDefine A>\n<IfDefine !B>\n<Proxy balancer://web>\nBalancerMember http://${{HOST}} hcmethod=TCP timeout=1\n</Proxy>\n</IfDefine>\n</IfDefine>\n</IfModule>\n<IfModule !proxy_module>\n<Proxy balancer://no>\n{member}\n</Proxy>\n</IfModule>\nUnDefine A\n<IfDefine A>\n<Proxy balancer://no>\n{member}\n</Proxy>\n</IfDefine>"
    );
    let conditional = fleet(&file(text));
    assert_eq!((members(&conditional), troubles(&conditional)), (vec![format!("web/a:81 {tcp}")], vec![]));
}

#[test]
fn lb_01_apache_on_debian_and_as_it_runs() {
    let envvars = "if [ \"${APACHE_CONFDIR##/etc/apache2-}\" != \"x\" ] ; then\n\tSUFFIX=\"-${APACHE_CONFDIR##/etc/apache2-}\"\nelse\n\tSUFFIX=\nfi\nexport APACHE_RUN_DIR=/var/run/apache2$SUFFIX\nexport SITES=sites$SUFFIX-enabled\n";
    let debian = |fixture: Fixture| {
        fixture
            .file("/etc/apache2/envvars", envvars)
            .file("/etc/apache2/apache2.conf", "Timeout 300\nIncludeOptional mods-enabled/*.load\nIncludeOptional none/*.conf\nInclude ${SITES}/\n")
            .file("/etc/apache2/mods-enabled/proxy_hcheck.load", "# Depends: proxy\nLoadModule proxy_hcheck_module /usr/lib/apache2/modules/mod_proxy_hcheck.so\n")
            .file("/etc/apache2/sites-enabled/a/x.conf", "<IfModule mod_proxy_hcheck.c>\n<Proxy balancer://web>\nBalancerMember http://a hcmethod=GET\n</Proxy>\n</IfModule>\n")
            .file("/srv/other.conf", "<IfDefine Test>\nBalancerMember balancer://other http://a timeout=1\n</IfDefine>\n")
    };
    let usual = "web/a:80 30 330 30 Http";
    for (name, fixture, expected) in [
        ("an image", Fixture::image(), usual),
        ("running", Fixture::live().process(5, 'S', &["/usr/sbin/apache2", "-k", "start"]), usual),
        (
            "its -f and -D",
            Fixture::live().process(5, 'S', &["/usr/sbin/apache2", "-f", "/srv/other.conf", "-D", "Test"]),
            "other/a:80 passive 1 1 60",
        ),
        (
            "its -d",
            Fixture::live().process(5, 'S', &["httpd", "-d/srv", "-f", "other.conf", "-DTest"]),
            "other/a:80 passive 1 1 60",
        ),
    ] {
        let fixture = debian(fixture);
        let fleet = fleet(&fixture);
        assert_eq!((members(&fleet), troubles(&fleet)), (vec![expected.to_owned()], vec![]), "{name}");
    }
    assert!(read(&Fixture::image().host()).is_none());
    let plain = file("Listen 80\n");
    assert!(read(&plain.host()).is_none());
}

#[test]
fn lb_01_apache_says_what_it_would_refuse() {
    for (text, expected, lines) in [
        (
            "BalancerMember balancer://w http://a timeout=1 hcmethod=GET hcinterval=5x",
            &["w/a:80 unresolved"][..],
            &[1][..],
        ),
        ("BalancerMember balancer://w http://a timeout=1 hcmethod=GET hcinterval=50ms", &["w/a:80 unresolved"], &[1]),
        ("BalancerMember balancer://w http://a hcmethod=PROVIDER", &["w/a:80 unresolved"], &[1]),
        ("BalancerMember balancer://w http://a hctemplate=t", &["w/a:80 unresolved"], &[1]),
        // A virtual host does not see the main server's templates.
        (
            "ProxyHCTemplate t hcmethod=GET\n<VirtualHost *>\nBalancerMember balancer://w http://a hctemplate=t\n</VirtualHost>",
            &["w/a:80 unresolved"],
            &[3],
        ),
        (
            "BalancerMember balancer://w http://a timeout=1\nBalancerMember balancer://w http://a timeout=9",
            &["w/a:80 passive 1 1 60"],
            &[2],
        ),
        ("BalancerMember balancer://w", &[], &[1]),
        ("Include none.conf\nTimeout x", &[], &[1, 2]),
        ("Include ${NONE}/a.conf", &[], &[1]),
        ("<Macro M $a>\nBalancerMember balancer://w http://$a\n</Macro>\nUse M x", &[], &[4]),
        ("<IfVersion >= 2.4.50>\nBalancerMember balancer://w http://a\n</IfVersion>", &[], &[1]),
        ("<Proxy balancer://w>\nBalancerMember http://a timeout=1", &["w/a:80 passive 1 1 60"], &[1]),
        ("</Proxy>\n<IfModule x>\n</Proxy>", &[], &[1, 3, 2]),
    ] {
        let fleet = fleet(&file(text));
        let lines: Vec<String> = lines.iter().map(|line| format!("{FILE}:{line}")).collect();
        assert_eq!(
            (members(&fleet), troubles(&fleet)),
            (expected.iter().map(|m| (*m).to_owned()).collect(), lines),
            "{text}"
        );
    }
}

#[test]
fn chk_07_apache_evidence_holds_no_secrets() {
    let text = "BalancerMember balancer://w ajp://u:hunter2@a \\\n secret=hunter2 hcmethod=CPING hcinterval=300\n";
    let fleet = fleet(&file(text));
    let (_, active) = fleet.pools[0].active().next().expect("it is probed");
    let place = super::super::Place {
        file: FILE.to_owned(),
        line: 1,
        text: "BalancerMember balancer://w ajp://a secret=*** hcmethod=CPING hcinterval=300".to_owned(),
    };
    assert_eq!(active.interval, Setting::at(300.0, place));
    assert!(!format!("{fleet:?}").contains("hunter2"));
}

#[test]
fn lb_01_apache_probes_wait_for_each_other_when_threads_are_few() {
    let members: String =
        (0..40).map(|n| format!("BalancerMember balancer://w http://a{n} hcmethod=GET timeout=2\n")).collect();
    for (before, secs) in [("", 4.0), ("ProxyHCTPsize 0", 78.0), ("ProxyHCTPsize 40", 0.0)] {
        let fleet = fleet(&file(format!("{before}\n{members}")));
        assert!(
            fleet.pools[0].active().all(|(_, active)| active.queue_secs.to_bits() == f64::to_bits(secs)),
            "{before}"
        );
    }
}

#[test]
fn chk_01_chk_04_apache_takes_anything_without_a_guess() {
    for (name, bytes) in [
        ("a section without end", b"<Proxy balancer://w>\n".to_vec()),
        ("NUL", b"a\0b\n".to_vec()),
        ("UTF-16", "Timeout 1".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a huge line", vec![b'x'; 7 << 20]),
        ("a huge continued line", "x\\\n".repeat(2 << 20).into_bytes()),
        ("more than may be read", vec![b'x'; 9 << 20]),
        ("deep sections", "<A>\n".repeat(100_000).into_bytes()),
        ("a million directives", "a b\n".repeat(150_000).into_bytes()),
        ("itself", format!("Include {FILE}\n").into_bytes()),
        ("itself by a folder", b"Include /etc/httpd/conf\n".to_vec()),
        ("brackets", b"<\n<A\n</\n".to_vec()),
    ] {
        let fleet = fleet(&file(bytes));
        assert!(fleet.pools.is_empty(), "{name}");
        assert!(!fleet.troubles.is_empty() && fleet.troubles.len() <= 50, "{name}: {:?}", fleet.troubles);
    }
    let odd = fleet(&file(b"\xef\xbb\xbf# caf\xe9\r\nBalancerMember balancer://w http://a timeout=1\r\n"));
    assert_eq!((members(&odd), troubles(&odd)), (vec!["w/a:80 passive 1 1 60".to_owned()], vec![]));
}
