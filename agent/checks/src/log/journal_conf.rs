//! journald's settings as they are in effect: `journald.conf` and the drop-ins after it.

use crate::host::Host;

/// Where a setting stands, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) source: String,
    pub(super) value: String,
}

/// The last line that sets `key`, of all files (journald.conf(5)).
pub(super) fn setting(host: &Host, key: &str) -> Option<Setting> {
    let drop_ins = ["/usr/lib/systemd/journald.conf.d/*.conf", "/etc/systemd/journald.conf.d/*.conf"];
    let files = drop_ins.iter().flat_map(|pattern| host.glob(pattern).unwrap_or_default());
    let mut last = None;
    for path in ["/etc/systemd/journald.conf".to_owned()].into_iter().chain(files.take(100)) {
        let text = host.read(&path).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let value = line.trim().strip_prefix(key).and_then(|rest| rest.trim_start().strip_prefix('='));
            if let Some(value) = value.map(str::trim) {
                // An empty one takes back what was set before.
                let set = Setting { source: format!("{path}:{}", index + 1), value: value.to_owned() };
                last = (!value.is_empty()).then_some(set);
            }
        }
    }
    last
}

/// A size like `500M`, in bytes (powers of 1024).
pub(super) fn bytes(value: &str) -> Option<u64> {
    let digits = value.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let factor = match value.get(digits.len()..)?.chars().next() {
        None | Some('B') => 1,
        Some('K') => 1 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        Some('T') => 1_u64 << 40,
        Some(_) => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn the_last_setting_is_in_effect() {
        let fixture = Fixture::image()
            .file("/etc/systemd/journald.conf", "[Journal]\n#Storage=auto\nSystemMaxUse=1G\n")
            .file("/etc/systemd/journald.conf.d/50-ours.conf", "[Journal]\nSystemMaxUse = 200M\nStorage=\n");
        let host = fixture.host();
        let expected = Setting { source: "/etc/systemd/journald.conf.d/50-ours.conf:2".into(), value: "200M".into() };
        assert_eq!(setting(&host, "SystemMaxUse"), Some(expected));
        assert_eq!(setting(&host, "Storage"), None);
        for (text, size) in [
            ("200M", Some(200 << 20)),
            ("4G", Some(4 << 30)),
            ("12", Some(12)),
            ("1X", None),
            ("M", None),
            ("99999999999999T", None),
            ("\u{e9}", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }
}
