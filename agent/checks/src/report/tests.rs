//! The report as a whole: what leaves, how large it is, and whether it is what its schema says.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::boot_time;
use crate::host::fixture::Fixture;
use crate::redact::Redactor;
use crate::redact::tests::PLANTED;
use crate::show;
use cloud_doctor_proto::checks::Absent;
use cloud_doctor_proto::finding::{Detail, Evidence, Finding, Status, Words};
use cloud_doctor_proto::refusal::{Language, one_line};
use cloud_doctor_proto::time::{BootTime, UnixTime};
use serde_json::Value;
use std::collections::BTreeMap;

/// Texts that mean something to Markdown, HTML, terminals, or people who trust too much.
pub(crate) const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "</code></pre><script>x</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "\" style=\"x:expression(1)",
    "</title><script>1</script>",
    "</style><b>",
    "<!-- ",
    "--> <b>",
    "<![CDATA[x]]>",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "&amp;amp;",
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/p.png)",
    "[x]: http://evil.example",
    "<http://evil.example>",
    "http://evil.example/login",
    "https://evil.example",
    "www.evil.example",
    "WWW.evil.example",
    "a@evil.example",
    "| a | b |",
    "a | b",
    "\\| a",
    "\\\\| a",
    "`code`",
    "``` \nfence",
    "~~~",
    "`",
    "``",
    "a`b``c```d",
    "`|`",
    "* item",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "# heading",
    "## heading",
    "===",
    "---",
    "> quote",
    "**bold**",
    "__bold__",
    "*x*",
    "_x_",
    "~~gone~~",
    "\\",
    "ends with \\",
    "a\nb",
    "a\r\nb\r\n# c",
    "\n\n<script>",
    "\u{1b}[2J\u{1b}]52;c;aGk=\u{7}",
    "\u{202e}gpj.exe",
    "\u{200b}\u{feff}x",
    "\0\u{1}\u{2}",
    "{{7*7}}",
    "${7*7}",
    "$(id)",
    "<% 1 %>",
    "^[[A",
    ":::",
    "\t- x",
    "    code",
    "@here",
    "&copy;",
    " ",
    "",
    "\u{2028}x\u{2029}",
    "<details open ontoggle=alert(1)>",
    "\u{ff1c}script\u{ff1e}",
    "%3Cscript%3E",
];

pub(crate) fn finding(check: &str, subject: &str, status: Status) -> Finding {
    Finding {
        check: check.to_owned(),
        subject: subject.to_owned(),
        status,
        note: false,
        since: None,
        value: None,
        unit: String::new(),
        evidence: vec![Evidence { source: "/etc/x:1".into(), text: "x".into() }],
        summary: Words { en: "it is late".into(), zh: "太迟".into() },
        impact: Words { en: "Users wait.".into(), zh: "用户等待。".into() },
        remedy: Words { en: "Make it faster.".into(), zh: "加快。".into() },
        details: BTreeMap::new(),
    }
}

pub(crate) fn finding_at(check: &str, status: Status, source: &str) -> Finding {
    Finding { evidence: vec![Evidence { source: source.into(), text: "x".into() }], ..finding(check, "", status) }
}

pub(crate) fn report(findings: Vec<Finding>) -> Report {
    Report {
        version: "0.1.0".into(),
        host: "web-1".into(),
        at: UnixTime(1_767_225_600),
        findings,
        absent: Vec::new(),
        open: Vec::new(),
        is_root: true,
        is_live: true,
        gathered: Gathered::default(),
        said: TicketWords::default(),
        rto_secs: None,
        rpo_secs: None,
    }
}

/// A finding with one text in every place.
fn everywhere(check: &str, status: Status, text: &str) -> Finding {
    let words = || Words::same(text);
    Finding {
        subject: text.into(),
        evidence: vec![Evidence { source: text.into(), text: text.into() }],
        summary: words(),
        impact: words(),
        remedy: words(),
        details: BTreeMap::from([("x".to_owned(), Detail::Text(text.into()))]),
        ..finding(check, "", status)
    }
}

fn gathered(fixture: &Fixture, logs: &[String]) -> Gathered {
    let (host, mut all) = (fixture.host(), Gathered::default());
    let logs = logs.iter().cloned().map(Step::Log);
    for step in Step::FACTS.into_iter().chain([Step::ConfigFiles, Step::KernelLog]).chain(logs) {
        gather(&step, &host, &mut |piece| {
            // As over the wire.
            all.take(serde_json::from_str(&serde_json::to_string(&piece)?)?);
            Ok(())
        })
        .unwrap();
    }
    all
}

fn packed(report: &mut Report, redactor: &mut Redactor) -> Vec<u8> {
    let bundle = Bundle::new(report, redactor, Language::En, boot_time().plus_secs(600)).unwrap();
    bundle.write(report, Vec::new()).unwrap()
}

fn unpacked(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let entry = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        assert_eq!(entry.header().mode().unwrap(), 0o600);
        let mut bytes = Vec::new();
        flate_read(&mut entry, &mut bytes);
        (name.split_once('/').unwrap().1.to_owned(), bytes)
    };
    tar.entries().unwrap().map(entry).collect()
}

fn flate_read(from: &mut impl std::io::Read, to: &mut Vec<u8>) {
    from.read_to_end(to).unwrap();
}

#[test]
fn chk_07_none_of_the_planted_secrets_is_in_any_byte_of_a_report() {
    let lines: String = PLANTED.iter().map(|(line, _)| format!("{line}\n")).collect();
    let pem =
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEvPLANTEDKEYBODY\nq0cPLANTEDKEYTAIL=\n-----END RSA PRIVATE KEY-----\n";
    let records: String =
        PLANTED.iter().enumerate().map(|(at, (line, _))| format!("3,{at},1000000,-;I/O error {line}\n")).collect();
    let apt = format!("Start-Date: 2025-12-31  06:12:30\nCommandline: {lines}Install: x:amd64 (1)\n");
    let fixture = Fixture::live()
        .file("/etc/haproxy/haproxy.cfg", format!("{lines}{pem}"))
        .file("/etc/nginx/conf.d/a.conf", format!("{pem}{lines}"))
        .file("/var/log/app.log", format!("{lines}{pem}"))
        .file("/dev/kmsg", records)
        .file("/proc/uptime", "100.00 1\n")
        .file("/var/log/apt/history.log", apt)
        .file("/etc/hostname", "web-1");
    let planted: Vec<_> = PLANTED.iter().map(|(line, _)| everywhere("cpu.usage", Status::Critical, line)).collect();
    let advice: Vec<_> =
        PLANTED.iter().map(|(line, _)| Finding { note: true, ..everywhere("cpu.load", Status::Ok, line) }).collect();
    let unknown: Vec<_> = PLANTED.iter().map(|(line, _)| everywhere("cpu.steal", Status::Unknown, line)).collect();
    let mut report = report([planted, advice, unknown].concat());
    report.absent.push(Absent { check: "cpu.iowait".into(), why: Words::same(PLANTED[0].0) });
    report.gathered = gathered(&fixture, &["/var/log/app.log".to_owned()]);
    for (line, _) in PLANTED {
        report.gathered.gap(Words::same(line));
    }
    report.open = PLANTED.iter().map(|(line, _)| (*line).to_owned()).collect();
    PLANTED[0].0.clone_into(&mut report.host);
    let all = || Some(PLANTED[1].0.to_owned());
    report.said = TicketWords { kind: all(), impact: all(), symptom: all(), priority: None, tag: all() };

    let mut redactor = Redactor::new([7; 32]);
    report.redact(&mut redactor);
    let mut outputs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for language in [Language::En, Language::Zh] {
        let page = page(&report, language);
        outputs.insert(format!("html {language:?}"), show::html(&page).into_bytes());
        outputs.insert(format!("markdown {language:?}"), show::markdown(&page).into_bytes());
        outputs.insert(format!("json {language:?}"), json(&report, language).unwrap().into_bytes());
    }
    let bundle = packed(&mut report, &mut redactor);
    outputs.extend(unpacked(&bundle));
    outputs.insert("names".into(), outputs.keys().cloned().collect::<String>().into_bytes());
    assert!(outputs.len() >= 6 + 10, "{:?}", outputs.keys());
    for name in
        ["config/etc/haproxy/haproxy.cfg", "config/etc/nginx/conf.d/a.conf", "raw/var/log/app.log", "raw/kernel.log"]
    {
        assert!(outputs[name].len() > 500, "{name} is really there");
    }
    let secrets = PLANTED.iter().map(|(_, secret)| *secret).chain(["PLANTEDKEYBODY", "PLANTEDKEYTAIL"]);
    let mut left = Vec::new();
    for secret in secrets {
        for (name, bytes) in &outputs {
            // As it is, and as Markdown and HTML would escape it.
            let text = String::from_utf8_lossy(bytes);
            let undone = text.replace('\\', "").replace("&amp;", "&").replace("&#39;", "'");
            if text.contains(secret) || undone.contains(secret) {
                left.push((name.clone(), secret));
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
    let manifest: Value = serde_json::from_slice(&outputs["manifest.json"]).unwrap();
    let config = manifest["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["name"] == "config/etc/haproxy/haproxy.cfg")
        .unwrap();
    assert!(config["redactions"]["private-key"].as_u64() == Some(1), "{config}");
}

#[test]
fn chk_hostile_text_is_text_in_whole_pages() {
    // What is empty on a screen is not written at all.
    for hostile in HOSTILE.iter().filter(|text| !one_line(text, 2000).trim().is_empty()) {
        let mut report = report(vec![everywhere("cpu.usage", Status::Critical, hostile)]);
        (*hostile).clone_into(&mut report.host);
        report.gathered.take(Piece::Rows(vec![Row {
            at: report.at,
            kind: RowKind::Kernel,
            what: Words::same(hostile),
            evidence: (*hostile).to_owned(),
            confidence: Confidence::High,
        }]));
        report.gathered.gap(Words::same(hostile));
        let innocent = {
            let mut other = self::report(vec![everywhere("cpu.usage", Status::Critical, "x")]);
            other.gathered.take(Piece::Rows(vec![Row {
                at: other.at,
                kind: RowKind::Kernel,
                what: Words::same("x"),
                evidence: "x".into(),
                confidence: Confidence::High,
            }]));
            other.gathered.gap(Words::same("x"));
            other
        };
        for language in [Language::En, Language::Zh] {
            let tags = |html: &str| html.matches('<').count();
            let (mine, theirs) = (page(&report, language), page(&innocent, language));
            let (evil, good) = (show::html(&mine), show::html(&theirs));
            assert_eq!(tags(&evil), tags(&good), "{hostile}");
            assert_eq!(evil.matches('"').count(), good.matches('"').count(), "{hostile}");
            let (evil, good) = (show::markdown(&mine), show::markdown(&theirs));
            assert_eq!(evil.lines().count(), good.lines().count(), "{hostile}");
            let shape = |text: &str| {
                text.lines()
                    .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
                    .filter(|word| ["#", "##", "###", "-", "|"].contains(&word.as_str()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(shape(&evil), shape(&good), "{hostile}");
        }
    }
}

#[test]
fn chk_a_bundle_of_huge_logs_stays_below_its_cap() {
    // Bytes that cannot be packed: what is random has no pattern.
    let mut state = 1_u64;
    let mut noise = |bytes: usize| -> String {
        let mut text = String::with_capacity(bytes);
        while text.len() < bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(char::from(b'!' + u8::try_from(state >> 57).unwrap() % 94));
            if text.len() % 100 == 99 {
                text.push('\n');
            }
        }
        text
    };
    let noise = noise(3 << 20).replace(['$', ':', '=', '#'], "x");
    let mut fixture = Fixture::image();
    let mut logs = Vec::new();
    for at in 0..23 {
        let path = format!("/var/log/huge{at}.log");
        fixture = fixture.file(&path, &noise);
        logs.push(path);
    }
    let mut report = report(Vec::new());
    report.gathered = gathered(&fixture, &logs);
    assert!(report.gathered.gaps.iter().any(|gap| gap.en.contains("is left out")), "{:?}", report.gathered.gaps);
    let mut redactor = Redactor::new([7; 32]);
    report.redact(&mut redactor);
    let bundle = packed(&mut report, &mut redactor);
    assert!((bundle.len() as u64) < BUNDLE_BYTES_MAX, "{}", bundle.len());
    assert!(bundle.len() > 20 << 20, "as much as fits: {}", bundle.len());
    let entries = unpacked(&bundle);
    let manifest: Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    for item in manifest["items"].as_array().unwrap() {
        let bytes = &entries[item["name"].as_str().unwrap()];
        assert_eq!(item["bytes"].as_u64(), Some(bytes.len() as u64));
        let sha: String =
            <sha2::Sha256 as sha2::Digest>::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(item["sha256"].as_str(), Some(sha.as_str()));
        assert_eq!(item["truncated"].as_bool(), Some(item["collector"] == "log"));
    }
    assert_eq!(entries.len(), manifest["items"].as_array().unwrap().len() + 1);
    assert!(manifest["left_out"].as_array().unwrap().len() >= 3);
}

#[test]
fn chk_without_time_files_are_left_out_and_that_is_said() {
    let mut report = report(Vec::new());
    report.gathered = gathered(&Fixture::image().file("/etc/nginx/nginx.conf", "http {}"), &[]);
    assert_eq!(report.gathered.files.len(), 1);
    let bundle = Bundle::new(&mut report, &mut Redactor::new([0; 32]), Language::Zh, BootTime(0)).unwrap();
    let entries = unpacked(&bundle.write(&report, Vec::new()).unwrap());
    assert!(!entries.keys().any(|name| name.contains('/')));
    assert!(String::from_utf8_lossy(&entries["report.en.md"]).contains("there was no time for it"));
}

#[test]
fn chk_names_in_a_bundle_stay_in_their_folder_and_are_not_twice() {
    let mut report = report(Vec::new());
    for source in ["/etc/../../x", "/etc/a b", "/etc/a_b", "/etc/\u{1b}[2J", &format!("/{}", "d/".repeat(400))] {
        let part = Part {
            collector: files::Collector::Configuration,
            source: source.to_owned(),
            text: "x".into(),
            truncated: false,
        };
        report.gathered.take(Piece::Part(part));
    }
    let entries = unpacked(&packed(&mut report, &mut Redactor::new([0; 32])));
    let names: Vec<_> = entries.keys().filter(|name| name.contains('/')).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(
        names.iter().all(|name| name.starts_with("config/") && name.len() < 200 && !name.contains("..")),
        "{names:?}"
    );
    assert!(names.iter().any(|name| *name == "config/etc/a_b.2"), "{names:?}");
}

#[test]
fn chk_a_flood_of_pieces_is_bounded() {
    let mut all = Gathered::default();
    let row = Row {
        at: UnixTime(1),
        kind: RowKind::Login,
        what: Words::same("x"),
        evidence: String::new(),
        confidence: Confidence::Low,
    };
    for at in 0..200 {
        all.take(Piece::Rows(vec![row.clone(); 100]));
        all.take(Piece::Gap(Words::same(&at.to_string())));
        let part = Part {
            collector: files::Collector::Log,
            source: "/var/log/x".into(),
            text: "x".repeat(1 << 20),
            truncated: false,
        };
        all.take(Piece::Part(part));
    }
    assert!(all.rows.len() <= 1500 && all.gaps.len() <= 100);
    assert_eq!(all.files.iter().map(|file| file.text.len()).sum::<usize>(), 40 << 20);
    assert!(all.files[0].truncated);
}

#[test]
fn chk_the_first_findings_are_five_of_different_checks() {
    let many = |id: &str, count: usize, status| {
        (0..count).map(|at| finding(id, &format!("s{at}"), status)).collect::<Vec<_>>()
    };
    let report = report(
        [
            many("lb.detection-time", 30, Status::Warning),
            many("cpu.usage", 3, Status::Critical),
            many("cpu.load", 1, Status::Warning),
            many("cpu.steal", 1, Status::Warning),
            many("cpu.iowait", 1, Status::Warning),
            many("memory.available", 1, Status::Warning),
            many("memory.pressure", 1, Status::Warning),
        ]
        .concat(),
    );
    let first: Vec<_> = report.first().into_iter().map(|(finding, more)| (finding.check.as_str(), more)).collect();
    assert_eq!(
        first,
        [("cpu.usage", 2), ("lb.detection-time", 29), ("cpu.load", 0), ("cpu.steal", 0), ("cpu.iowait", 0)]
    );
    assert_eq!(report.others().len(), 29 + 2 + 2);
    assert!(
        report.verdict().en.starts_with("web-1 needs action now: 3 critical, 35 warning"),
        "{}",
        report.verdict().en
    );
}

#[test]
fn chk_nothing_judged_is_not_fine() {
    for (results, status, part) in [
        (Vec::new(), Status::Unknown, "Nothing can be said"),
        (vec![finding("cpu.usage", "", Status::Unknown)], Status::Unknown, "Nothing can be said"),
        (vec![finding("cpu.usage", "", Status::Ok)], Status::Ok, "Nothing wrong was found on web-1 by 1 checks."),
        (
            vec![finding("cpu.usage", "", Status::Ok), finding("cpu.load", "", Status::Unknown)],
            Status::Ok,
            "but 1 could not tell all",
        ),
    ] {
        let report = report(results);
        assert_eq!(report.status(), status);
        assert!(report.verdict().en.contains(part), "{}", report.verdict().en);
    }
}

/// As much of JSON Schema as ours use; also refuses what the schema does not know.
fn fits(schema: &Value, root: &Value, value: &Value, path: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return fits(root.pointer(name.trim_start_matches('#')).unwrap(), root, value, path);
    }
    if let Some(only) = schema.get("const") {
        assert_eq!(only, value, "{path}");
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{path}: {value}");
    }
    match schema["type"].as_str() {
        Some("object") => {
            let object = value.as_object().unwrap_or_else(|| panic!("{path}: {value}"));
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(object.contains_key(name.as_str().unwrap()), "{path} lacks {name}");
            }
            for (name, inner) in object.iter().filter(|_| schema.get("properties").is_some()) {
                let known =
                    schema["properties"].get(name).unwrap_or_else(|| panic!("{path}.{name} is not in the schema"));
                fits(known, root, inner, &format!("{path}.{name}"));
            }
        }
        Some("array") => {
            value.as_array().unwrap().iter().for_each(|inner| fits(&schema["items"], root, inner, &format!("{path}[]")))
        }
        Some("string") => assert!(value.is_string(), "{path}: {value}"),
        Some("integer") => assert!(value.is_i64() || value.is_u64(), "{path}: {value}"),
        Some("number") => assert!(value.is_number(), "{path}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{path}: {value}"),
        other => assert!(other.is_none(), "{path}: {other:?}"),
    }
}

#[test]
fn chk_the_json_is_what_its_schema_says() {
    let schema: Value = serde_json::from_str(schema()).unwrap();
    let fixture = Fixture::live()
        .file("/etc/os-release", "PRETTY_NAME=x\n")
        .file("/proc/uptime", "100 1\n")
        .file("/proc/self/mounts", "/dev/vda1 / ext4 rw 0 0\n")
        .file("/var/log/dpkg.log", "2025-12-31 09:00:00 install a:all <none> 1.0\n")
        .file(
            "/etc/keepalived/keepalived.conf",
            "virtual_server 10.0.0.1 80 {\n delay_loop 6\n real_server 10.0.0.2 80 {\n TCP_CHECK {\n }\n }\n}\n",
        );
    let mut slow = finding("lb.detection-time", "keepalived x", Status::Critical);
    (slow.value, slow.unit) = (Some(99.0), "s".into());
    let mut full = report(vec![slow, finding("cpu.usage", "", Status::Unknown)]);
    full.gathered = gathered(&fixture, &[]);
    full.rpo_secs = Some(3600.0);
    assert!(
        !full.gathered.rows.is_empty()
            && !full.gathered.load_balancers.is_empty()
            && !full.gathered.file_systems.is_empty()
    );
    for report in [full, report(Vec::new())] {
        for language in [Language::En, Language::Zh] {
            let document: Value = serde_json::from_str(&json(&report, language).unwrap()).unwrap();
            fits(&schema, &schema, &document, "report");
        }
    }
}
