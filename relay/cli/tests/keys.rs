//! Keys: a relay's by its pin, a person's in a real ssh-agent and in files, checked by ssh-keygen.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use cloud_doctor::messages::{Say, Sentence};
use cloud_doctor::relay_api::Relay;
use cloud_doctor::signer::{Keyring, Person};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

const SOON: Duration = Duration::from_secs(20);

struct Nobody;

impl Person for Nobody {
    fn tell(&mut self, _: Say) {}
    fn passphrase(&mut self, _: &Path) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new("correct horse".to_owned()))
    }
}

/// A TLS relay with a fresh self-signed certificate that answers any call; returns its address and pin.
async fn tls_relay(tasks: &mut JoinSet<()>) -> (String, cloud_doctor_proto::pin::Pin) {
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pin = cloud_doctor_proto::pin::Pin::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&made.signing_key));
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tasks.spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
            let mut head = [0; 2048];
            let _asked = tls.read(&mut head).await;
            let body = r#"{"account":"anna","role":"admin","tenant":{"name":"ACME","id":null}}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _sent = tls.write_all(answer.as_bytes()).await;
            let _gone = tls.shutdown().await;
        }
    });
    (url, pin)
}

#[tokio::test]
async fn tls_a_self_signed_relay_is_known_by_its_pin_and_by_nothing_else() {
    let mut tasks = JoinSet::new();
    let (url, pin) = tls_relay(&mut tasks).await;
    let relay = |pin| Relay::new(url.parse().unwrap(), pin, Some("token".into()));
    assert_eq!(relay(Some(pin)).unwrap().me().await.unwrap().account, "anna");
    let mut wrong = pin;
    wrong.0[0] ^= 1;
    let error = relay(Some(wrong)).unwrap().me().await.unwrap_err();
    assert!(matches!(error, cloud_doctor::relay_api::RelayError::Pin { .. }), "{error:?}");
    // Without a pin the computer's CAs decide, and none of them knows it.
    let error = match relay(None) {
        Ok(relay) => relay.me().await.unwrap_err(),
        Err(error) => error,
    };
    let text = error.sentence().to_string();
    assert!(text.contains("--pin sha256:"), "{text}");
}

/// Programs of OpenSSH, as the machine has them.
fn openssh(program: &str) -> std::process::Command {
    std::process::Command::new(program)
}

#[tokio::test]
async fn signatures_by_a_real_ssh_agent_and_by_files_hold_for_ssh_keygen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let socket = at("agent");
    let mut agent =
        openssh("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(std::process::Stdio::null()).spawn().unwrap();
    timeout(SOON, async {
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    for (name, kind, passphrase) in
        [("plain", "ed25519", ""), ("ecdsa", "ecdsa", ""), ("locked", "ed25519", "correct horse"), ("rsa", "rsa", "")]
    {
        let made =
            openssh("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-C", name, "-f"]).arg(at(name)).status();
        assert!(made.unwrap().success());
        if passphrase.is_empty() {
            let added = openssh("ssh-add").arg("-q").arg(at(name)).env("SSH_AUTH_SOCK", &socket).status();
            assert!(added.unwrap().success());
        }
    }
    let held = Keyring::open(Some(&socket), None).await.unwrap();
    let names: Vec<&str> = held.candidates().iter().map(|candidate| candidate.comment.as_str()).collect();
    assert_eq!(names, ["plain", "ecdsa"], "RSA is not accepted");
    for (name, file) in
        [("plain", None), ("ecdsa", Some("ecdsa.pub")), ("locked", Some("locked")), ("ecdsa", Some("ecdsa"))]
    {
        let file = file.map(at);
        let mut keys = Keyring::open(Some(&socket), file.as_deref()).await.unwrap();
        keys.unlock(&mut Nobody).unwrap();
        let key = keys.pick(|_| true).unwrap();
        let sshsig = keys.sign(&key, "cloud-doctor-grant-v1", b"message", &mut Nobody).await.unwrap();
        assert!(
            ssh_keygen_verifies(folder.path(), &std::fs::read_to_string(at(&format!("{name}.pub"))).unwrap(), &sshsig),
            "{name}"
        );
        assert_eq!(cloud_doctor_proto::signer::signer_of(&sshsig), Some(key.key.id()));
    }
    let missing = Keyring::open(Some(&socket), Some(&at("locked.pub"))).await.unwrap_err();
    assert!(missing.sentence().to_string().contains("ssh-add"), "{missing}");
    agent.kill().unwrap();
    agent.wait().unwrap();
    let gone = Keyring::open(Some(&socket), None).await.unwrap_err();
    assert!(matches!(gone, cloud_doctor::signer::SignError::Agent(_)), "{gone:?}");
}

fn ssh_keygen_verifies(folder: &Path, public: &str, sshsig: &[u8]) -> bool {
    let base64 = data_encoding::BASE64.encode(sshsig);
    let lines: Vec<&str> = base64.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let armour = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"));
    std::fs::write(folder.join("sig"), armour).unwrap();
    std::fs::write(folder.join("allowed"), format!("anna {public}")).unwrap();
    std::fs::write(folder.join("message"), b"message").unwrap();
    openssh("ssh-keygen")
        .args(["-q", "-Y", "verify", "-I", "anna", "-n", "cloud-doctor-grant-v1", "-f"])
        .arg(folder.join("allowed"))
        .arg("-s")
        .arg(folder.join("sig"))
        .stdin(std::fs::File::open(folder.join("message")).unwrap())
        .status()
        .unwrap()
        .success()
}
