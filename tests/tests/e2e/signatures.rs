//! Signatures against those of OpenSSH: what it makes counts here, what is made here counts there.

use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_LOG, NAMESPACE_SECOND, SignerError, SshKey, unarmour};
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::people::Person;
use cloud_doctor_tests::ssh_agent::SshAgent;
use cloud_doctor_tests::world::World;
use data_encoding::BASE64;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A key made by `ssh-keygen`.
fn keygen(world: &World, kind: &[&str]) -> PathBuf {
    let file = world.path(format!("key-{}", kind.join("")));
    let mut command = world.command("/usr/bin/ssh-keygen");
    command.args(["-q", "-N", "", "-C", "test", "-t"]).args(kind).arg("-f").arg(&file);
    assert!(world.output("ssh-keygen", command).status.success());
    file
}

/// `ssh-keygen -Y sign`: the binary signature.
fn sign(world: &World, key: &Path, namespace: &str, message: &[u8], agent: Option<&SshAgent>) -> Vec<u8> {
    let file = world.path("message");
    fs::write(&file, message).unwrap();
    let mut command = world.command("/usr/bin/ssh-keygen");
    command.args(["-Y", "sign", "-n", namespace, "-f"]).arg(key);
    if let Some(agent) = agent {
        command.arg("-U").env("SSH_AUTH_SOCK", agent.socket());
    }
    let output = world.output("ssh-keygen-sign", {
        command.arg(&file);
        command
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let armour = fs::read_to_string(file.with_extension("sig")).unwrap();
    fs::remove_file(file.with_extension("sig")).unwrap();
    unarmour(&armour).unwrap()
}

/// `ssh-keygen -Y verify`.
fn verifies(world: &World, key: &SshKey, namespace: &str, message: &[u8], signature: &[u8]) -> bool {
    let (signers, armour, file) = (world.path("signers"), world.path("signature"), world.path("message"));
    fs::write(&signers, format!("somebody {}\n", key.to_openssh().unwrap())).unwrap();
    let body = BASE64.encode(signature);
    let lines: Vec<&str> = body.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"));
    fs::write(&armour, pem).unwrap();
    fs::write(&file, message).unwrap();
    let mut command = world.command("/usr/bin/ssh-keygen");
    command.args(["-Y", "verify", "-I", "somebody", "-n", namespace, "-f"]).arg(signers).arg("-s").arg(armour);
    command.stdin(Stdio::from(fs::File::open(file).unwrap()));
    world.output("ssh-keygen-verify", command).status.success()
}

#[test]
fn signatures_of_ssh_keygen_and_ssh_agent_count() {
    let world = World::new();
    let agent = SshAgent::start(&world);
    for kind in [&["ed25519"][..], &["ecdsa", "-b", "256"]] {
        let file = keygen(&world, kind);
        let public = SshKey::from_openssh(&fs::read_to_string(file.with_extension("pub")).unwrap()).unwrap();
        agent.add(&file);
        for via in [None, Some(&agent)] {
            for namespace in [NAMESPACE_LOG, NAMESPACE_GRANT, NAMESPACE_SECOND] {
                let signature = sign(&world, &file, namespace, b"a grant", via);
                assert_eq!(public.verify(namespace, b"a grant", &signature), Ok(()), "{kind:?} {namespace}");
                assert!(public.verify(namespace, b"another", &signature).is_err());
                assert!(public.verify("file", b"a grant", &signature).is_err());
            }
        }
    }
}

#[test]
fn keys_that_are_too_weak_are_refused_by_name() {
    let world = World::new();
    for kind in [&["rsa", "-b", "2048"][..], &["ecdsa", "-b", "384"]] {
        let file = keygen(&world, kind);
        let refused = SshKey::from_openssh(&fs::read_to_string(file.with_extension("pub")).unwrap());
        assert!(matches!(&refused, Err(SignerError::KeyType(_) | SignerError::NotAKey(_))), "{kind:?}: {refused:?}");
    }
}

#[test]
fn our_signatures_count_for_ssh_keygen() {
    let world = World::new();
    let person = Person::new("erin");
    let signature = person.sign(NAMESPACE_GRANT, b"a grant");
    let public = person.public();
    assert!(eventually(SOON, "a verdict", || Some(verifies(&world, &public, NAMESPACE_GRANT, b"a grant", &signature))));
    assert!(!verifies(&world, &public, NAMESPACE_SECOND, b"a grant", &signature));
    assert!(!verifies(&world, &public, NAMESPACE_GRANT, b"another", &signature));
}
