//! The first run: from the link that a relay prints to a prompt on one's own server, in a browser and one root shell.

use crate::{allow_device, is_there, patience, play};
use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::binaries::Program;
use cloud_doctor_tests::people::Person;
use cloud_doctor_tests::relay::{Relay, Web};
use cloud_doctor_tests::site::Client;
use cloud_doctor_tests::world::World;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

/// What the owner types. A canary: it must never stand in a log.
const PASSWORD: &str = "canary-first-run-71c2e0";

/// A relay that nobody owns yet, and a machine that is no server yet.
struct Fresh {
    relay: Relay,
    agent: Agent,
    /// The customer's six words, as the command for the server has them.
    words: String,
    world: World,
}

impl Fresh {
    fn start() -> Self {
        let world = World::lasting(patience() + Duration::from_secs(20));
        let relay = Relay::start(&world, world.folder("relay"), Web::Plain, "");
        let agent = Agent::new(&world, "web-1");
        world.canary("password", PASSWORD);
        Self { relay, agent, words: String::new(), world }
    }

    /// Plays a script for the owner: it is told the relay's link, these, and a folder to save files in.
    fn walk(&mut self, script: &str, how: &[&str]) {
        let (world, link) = (self.world.clone(), self.relay.setup_link());
        let folder = world.folder("owner");
        let arguments = [&[&*link], how, &[folder.to_str().unwrap()]].concat();
        play(&world, script, &arguments, |what, value| {
            match what {
                "install" => self.install(value, how.contains(&"device")),
                other => panic!("{other}?"),
            }
            String::new()
        });
    }

    /// Pastes the command into the server's root shell, as it is.
    fn install(&mut self, command: &str, device: bool) {
        self.words = command.split('"').nth(1).expect("six words").to_owned();
        let token = command.split_whitespace().find(|word| word.starts_with("cdt1.")).expect("a token");
        self.world.canary("install token", token);
        let programs = self.world.folder("programs");
        let write = |name: &str, script: String| {
            let path = programs.join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let (agent, state) = (Program::Agent.path(), self.agent.state.display());
        write("sudo", "#!/bin/sh\nexec \"$@\"\n".to_owned());
        // A state of its own instead of /etc and /var; the answer to its one question is yes.
        write(
            "cloud-doctor-agent",
            format!("#!/bin/sh\nexec {} \"$@\" --state-dir {state} --name web-1 --yes\n", agent.display()),
        );
        // No systemd here: the supervisor is started below.
        write("systemctl", format!("#!/bin/sh\necho \"$@\" >{}\n", self.world.path("started").display()));
        let mut shell: Command = self.world.command("/bin/sh");
        shell.args(["-c", command]).env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        let output = self.world.output("install", shell);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let started = fs::read_to_string(self.world.path("started")).unwrap();
        assert_eq!(started.trim(), "enable --now cloud-doctor.target");
        if device {
            allow_device(&self.agent);
        }
        self.agent.run();
    }

    /// The saved file, which is a key that OpenSSH reads.
    fn saved_key(&self) -> String {
        let mut keygen = self.world.command("/usr/bin/ssh-keygen");
        let file = self.world.path("owner/recovery");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        keygen.args(["-y", "-f"]).arg(&file);
        let output = self.world.output("keygen", keygen);
        assert!(output.status.success() && output.stdout.starts_with(b"ssh-ed25519 "));
        file.to_str().unwrap().to_owned()
    }

    /// A person's key on the command line, where the owner is signed in; its public half.
    fn on_the_command_line(&self, name: &str) -> (Client, String) {
        let client = Client::new(&self.world, name);
        let key = Person::new(name).write(&self.world.path(name));
        client.ssh_agent.add(&key);
        let password = self.world.path("password");
        fs::write(&password, PASSWORD).unwrap();
        let arguments = ["login", &self.relay.url(), "--account", "olga", "--trust", &self.words];
        client.must(&[&arguments[..], &["--password-file", password.to_str().unwrap()]].concat());
        (client, format!("{}.pub", key.display()))
    }
}

#[test]
fn flt_18_web_from_link_to_prompt_by_password_and_passkey() {
    if !is_there() {
        return;
    }
    let mut fresh = Fresh::start();
    fresh.walk("first-run.mjs", &["password", "passkey", PASSWORD]);
    // The passkey is lost: the file puts another key in its place.
    let (client, key) = fresh.on_the_command_line("new");
    client.must(&["tenant", "recover", &fresh.saved_key(), "--root", &key, "--name", "olga", "--yes"]);
    client.must(&["tenant", "engineer", "add", &key, "--name", "olga"]);
    assert_eq!(client.must(&["exec", "web-1", "--user", "root", "--", "/bin/echo", "hello"]), "hello\n");
}

#[test]
fn web_from_link_to_prompt_by_passkeys_alone() {
    if is_there() {
        Fresh::start().walk("first-run.mjs", &["passkey", "passkey", ""]);
    }
}

#[test]
fn web_from_link_to_prompt_by_a_browsers_key() {
    if !is_there() {
        return;
    }
    let mut fresh = Fresh::start();
    fresh.walk("first-run.mjs", &["password", "device", PASSWORD]);
    // On this road the file is the root itself.
    let (client, key) = fresh.on_the_command_line("nina");
    client.must(&["tenant", "--key", &fresh.saved_key(), "engineer", "add", &key, "--name", "nina"]);
}

#[test]
fn aut_09_a_passkey_that_signs_on_servers_signs_nobody_in() {
    if is_there() {
        Fresh::start().walk("sign-in.mjs", &[]);
    }
}

#[test]
fn web_without_a_mouse_in_both_languages() {
    if is_there() {
        Fresh::start().walk("without-mouse.mjs", &[PASSWORD]);
    }
}
