//! Ceiling: any text. What is read has a meaning that survives being written and read again, and is never wider.
#![no_main]

use cloud_doctor_proto::ceiling::{Ceiling, Mode, OWN_CHECKS, ScopeName};
use cloud_doctor_proto::plugin::PLUGINS_MAX;
use cloud_doctor_proto::time::UnixTime;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(ceiling) = text.parse::<Ceiling>() else { return };
    assert_eq!(ceiling.version, 1, "a schema that this build does not know");
    let own = ceiling.check_rule("x.a.b", OWN_CHECKS).filter(|rule| rule.mode != Mode::Never);
    if let Some(rule) = own {
        assert!(rule.checks.iter().any(|name| name == "x.a.b" || name == "x"), "an own check was not named: {text}");
    }
    assert!(ceiling.plugins.len() <= PLUGINS_MAX);
    for (at, plugin) in ceiling.plugins.iter().enumerate() {
        assert!(plugin.exec.starts_with('/') && plugin.id.starts_with("x.") && (1..=10).contains(&plugin.timeout.0));
        assert!(ceiling.plugins[..at].iter().all(|other| other.id != plugin.id), "twice: {text}");
    }
    for scope in [ScopeName::Shell, ScopeName::Exec, ScopeName::FilesWrite, ScopeName::Remedy] {
        let Some(rule) = ceiling.rule(scope, "root") else { continue };
        assert!(rule.users.iter().any(|user| user == "root"), "root was not named: {text}");
        for hours in &rule.hours {
            assert_eq!(hours.to_string().parse().as_ref(), Ok(hours), "hours change when written");
        }
        let _ = rule.open_at(UnixTime(1_800_000_000), 3600);
    }
});
