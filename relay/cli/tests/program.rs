//! The program itself, without any relay: words, exit statuses, help, and the audit offline.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use cloud_doctor::clock::wall as now;
use std::path::Path;

/// Runs the program itself in a home of its own.
fn program(home: &Path, locale: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cloud-doctor"))
        .args(arguments)
        .env_clear()
        .env("CLOUD_DOCTOR_HOME", home)
        .env("LANG", locale)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn exit_statuses_and_words_are_as_documented() {
    let home = tempfile::tempdir().unwrap();
    let rows: &[(&[&str], i32, &str, &str)] = &[
        (&["servers"], 3, "Not signed in", "尚未登录"),
        (&["exec", "web-1", "--", "id"], 255, "Not signed in", "尚未登录"),
        (&["shell", "web-1"], 255, "Not signed in", "尚未登录"),
        (&["login", "http://example.com", "--password-file", "/dev/null"], 1, "plain http", "中继地址"),
        (&["login", "https://127.0.0.1:1", "--pin", "sha256:xx", "--password-file", "/dev/null"], 1, "64 hex", "指纹"),
        (&["login", "http://127.0.0.1:1", "--password-file", "/dev/null"], 4, "cannot be reached", "无法连接"),
        (&["verify-audit", "/nonexistent", "--identity", "00"], 1, "identity key", "身份公钥"),
        (
            &["approve", "ahead", "web-1", "--for", "erin", "--user", "root", "--until", "tomorrow"],
            1,
            "no moment",
            "不是时间",
        ),
        (&["approve", "list-ahead"], 3, "Not signed in", "尚未登录"),
        (&["approve", "ahead", "web-1", "--for", "erin", "--until", "+1h"], 2, "--user", "--user"),
        (&["exec", "web-1"], 2, "required", "required"),
        (&["nonsense"], 2, "unrecognized", "unrecognized"),
    ];
    for (arguments, code, english, chinese) in rows {
        for (locale, words) in [("C.UTF-8", english), ("zh_CN.UTF-8", chinese)] {
            let (status, out, err) = program(home.path(), locale, arguments);
            assert_eq!((status, out.as_str()), (*code, ""), "{arguments:?}: {err}");
            assert!(err.contains(words), "{arguments:?}: {err}");
            assert!(!err.contains('\x1b'), "no colours where there is no terminal: {err}");
        }
    }
}

#[test]
fn help_completions_and_man_pages_are_there() {
    let home = tempfile::tempdir().unwrap();
    let (status, out, _) = program(home.path(), "zh_CN.UTF-8", &["--help"]);
    assert!(status == 0 && out.contains("退出状态"), "{out}");
    for shell in ["bash", "zsh", "fish"] {
        let (status, out, _) = program(home.path(), "C", &["completion", shell]);
        assert!(status == 0 && ["verify-audit", "recover", "revoke"].iter().all(|word| out.contains(word)), "{shell}");
    }
    let pages = home.path().join("man");
    let (status, _, err) = program(home.path(), "C", &["man", pages.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    for page in ["tenant-root-add", "tenant-recover", "tenant-tokens", "tenant-token-revoke"] {
        assert!(pages.join(format!("cloud-doctor-{page}.1")).exists(), "{page}");
    }
    let exec = std::fs::read_to_string(pages.join("cloud-doctor-exec.1")).unwrap();
    assert!(exec.contains("127") && exec.contains("255"), "{exec}");
}

#[test]
fn aud_an_audit_log_is_verified_offline() {
    use cloud_doctor_proto::audit::{Head, Moment, encode};
    let home = tempfile::tempdir().unwrap();
    let identity = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let key = data_encoding::HEXLOWER.encode(&identity.verifying_key().to_bytes());
    let mut head = Head::EMPTY;
    let mut lines = Vec::new();
    for i in 0..5u64 {
        let moment = Moment { at: now(), boot: cloud_doctor_proto::time::BootTime(i) };
        let fields = serde_json::Map::from_iter([("who".to_owned(), "anna".into())]);
        let (line, next) = encode(head, moment, "visit-opened", &fields, &identity);
        lines.push(line);
        head = next;
    }
    let (one, two) = (home.path().join("one"), home.path().join("two"));
    std::fs::write(&one, lines[..3].join("\n") + "\n").unwrap();
    std::fs::write(&two, lines[3..].join("\n") + "\n").unwrap();
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let verify = |files: &[&str]| program(home.path(), "C", &[&["verify-audit", "--identity", &key], files].concat());
    let (status, _, err) = verify(&[one, two]);
    assert!(status == 0 && err.contains("5 lines"), "{err}");
    let (status, _, err) = verify(&[two]);
    assert!(status == 0 && err.contains("begins with line 3"), "{err}");
    let (status, _, err) = verify(&[two, one]);
    assert!(status == 6 && err.contains("line 1"), "{err}");
    std::fs::write(one, lines[..3].join("\n").replace("anna", "eve") + "\n").unwrap();
    let (status, _, err) = verify(&[one]);
    assert!(status == 6 && err.contains("signature"), "{err}");
}

/// A relay that speaks only TLS 1.2, with the very key that is pinned.
#[test]
fn tls_02_a_relay_of_tls_1_2_is_not_spoken_to() {
    use rustls::crypto::aws_lc_rs;
    use std::io::Read as _;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["relay".into()]).unwrap().self_signed(&key).unwrap();
    let pin = cloud_doctor_proto::pin::Pin::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&key));
    let config = rustls::ServerConfig::builder_with_provider(std::sync::Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let relay = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        let mut heard = Vec::new();
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        stream.read_to_end(&mut heard).err().map(|error| (error.to_string(), heard.len()))
    });
    let home = tempfile::tempdir().unwrap();
    let password = home.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let arguments =
        ["login", &url, "--account", "ann", "--pin", &pin.to_string(), "--password-file", password.to_str().unwrap()];
    let (status, out, err) = program(home.path(), "C.UTF-8", &arguments);
    assert!(status == 6 && out.is_empty() && err.contains("secure connection"), "{status}: {out}{err}");
    let (why, heard) = relay.join().unwrap().unwrap();
    assert_eq!(heard, 0, "{why}");
}
