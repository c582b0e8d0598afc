//! Every parser of the checks: any bytes as one of the files that they read, on a root that has nothing else. They may say
//! anything about it but nothing that is not text, and never panic, hang or grow.
#![no_main]

use cloud_doctor_checks::redact::Redactor;
use cloud_doctor_checks::{Host, Ran, Wanted};
use std::path::PathBuf;
use std::sync::LazyLock;

/// The input's first byte chooses.
const FILES: &[&str] = &[
    "etc/haproxy/haproxy.cfg",
    "etc/nginx/nginx.conf",
    "etc/envoy/envoy.yaml",
    "etc/envoy/envoy.json",
    "etc/traefik/traefik.yml",
    "etc/traefik/traefik.toml",
    "etc/kubernetes/manifests/web.yaml",
    "etc/caddy/Caddyfile",
    "etc/caddy/caddy.json",
    "etc/keepalived/keepalived.conf",
    "etc/apache2/apache2.conf",
    "var/log/nginx/access.log",
    "etc/ssh/sshd_config",
    "etc/fstab",
    "etc/resolv.conf",
    "etc/os-release",
    "etc/logrotate.conf",
    "etc/redis/redis.conf",
    "etc/mysql/my.cnf",
    "etc/postgresql/15/main/postgresql.conf",
    "etc/postgresql/15/main/pg_hba.conf",
    "etc/docker/daemon.json",
    "etc/letsencrypt/live/x/fullchain.pem",
    "var/lib/dpkg/status",
    "var/log/syslog",
    "var/log/auth.log",
    "var/log/wtmp",
    "etc/crontab",
    "etc/sudoers",
    "etc/passwd",
    "etc/shadow",
    "var/log/journal/0123456789abcdef0123456789abcdef/system.journal",
];

/// A root in memory, of this process.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = PathBuf::from(format!("/dev/shm/cloud-doctor-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&root).expect("memory can be written");
    root
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((which, content)) = input.split_first() else { return };
    let path = ROOT.join(FILES[usize::from(*which) % FILES.len()]);
    std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("memory can be written");
    std::fs::write(&path, content).expect("memory can be written");
    let host = Host::image(&ROOT).expect("the root is there");
    let mut redactor = Redactor::new([1; 32]);
    for check in cloud_doctor_checks::all().filter(|check| !check.needs.live) {
        let Ran::Findings(findings) = cloud_doctor_checks::run(check, &host, &Wanted::default()) else { continue };
        assert!(findings.len() <= 5000, "{}: {} findings", check.id, findings.len());
        for mut finding in findings {
            redactor.finding(&mut finding);
        }
    }
    std::fs::remove_file(&path).expect("what was written is there");
});
