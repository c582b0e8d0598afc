//! The whole road under a real systemd, as a customer installs it: relay, guard and tunnel as units, a root shell in a
//! slice of its own that lives through an upgrade and ends with the target.

use super::boot::{install, make};
use super::machine::Machine;
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::terminal::Terminal;
use cloud_doctor_tests::world::World;
use std::time::Duration;

/// A boot, an enrolment, a shell and an upgrade, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the relay prints for those who will pin it.
struct Relay {
    agents: String,
    agents_pin: String,
    clients: String,
    clients_pin: String,
}

impl Relay {
    /// Starts the relay's unit and reads what it printed.
    fn start(machine: &Machine) -> Self {
        machine.must(
            "systemd-sysusers
             install -d -o cloud-doctor-relay -g cloud-doctor-relay -m 0700 /var/lib/cloud-doctor-relay
             printf '[agents]\\nlisten = \"127.0.0.1:8443\"\\n[clients]\\nlisten = \"127.0.0.1:8443\"\\n' \
               > /var/lib/cloud-doctor-relay/relay.toml
             systemctl start cloud-doctor-relay.service",
        );
        let printed = eventually(SOON, "the relay printed its addresses", || {
            let printed = machine.must("journalctl -u cloud-doctor-relay -o cat --no-pager");
            (printed.contains("quic://") && printed.contains("https://")).then_some(printed)
        });
        let word = |line: &str, start: &str| -> String {
            let line = printed.lines().find(|l| l.contains(line)).unwrap();
            line.split([' ', '"', ',']).find(|word| word.starts_with(start)).unwrap().to_owned()
        };
        Self {
            agents: word("quic://", "quic://"),
            agents_pin: word("quic://", "sha256:"),
            clients: word("https://", "https://"),
            clients_pin: word("https://", "sha256:"),
        }
    }

    /// The one-time code, which under systemd stands in the journal.
    fn code(machine: &Machine) -> String {
        let said = machine.must("journalctl -u cloud-doctor-relay -o cat --no-pager | grep '^set-up'");
        let code = |word: &&str| word.len() == 27 && word.matches('-').count() == 3;
        said.split_whitespace().find(code).unwrap().to_owned()
    }
}

/// A machine with a relay, a customer and an agent that is connected; nothing where machines cannot boot.
pub(crate) fn enrolled() -> Option<Machine> {
    let machine = Machine::boot()?;
    install(&machine);
    let relay = Relay::start(&machine);
    enrol(&machine, &relay);
    Some(machine)
}

/// A customer whose owner is also the engineer, and this machine enrolled with the preset for owners.
fn enrol(machine: &Machine, relay: &Relay) {
    let Relay { agents, agents_pin, clients, clients_pin } = relay;
    let code = Relay::code(machine);
    machine.must(&format!(
        "umask 077; cd /root; export CLOUD_DOCTOR_HOME=/root/home
         ssh-keygen -q -t ed25519 -N '' -f key; echo {code} > code; echo a long enough password > password
         cloud-doctor setup {clients} --pin {clients_pin} --account owner --tenant ACME \
           --code-file code --password-file password
         cloud-doctor --key key tenant init ACME --root key --recovery-out recovery --json > tenant.json
         cloud-doctor --key key tenant engineer add key.pub --name owner
         cloud-doctor --key key tenant token --out token --relay-address {agents} --relay-pin {agents_pin}
         tenant=$(sed -n 's/.*\"id\": *\"\\([0-9a-f]*\\)\".*/\\1/p' tenant.json)
         cloud-doctor-agent enrol --yes --name web --preset own --relay {agents} --relay-pin {agents_pin} \
           --trust $tenant --token-file token
         systemctl enable --now cloud-doctor.target"
    ));
    eventually(SOON, "the agent has reached the relay", || {
        let listed = machine.run("CLOUD_DOCTOR_HOME=/root/home cloud-doctor servers --json").out;
        listed.replace([' ', '\n'], "").contains("\"connected\":true").then_some(())
    });
}

/// A root shell through the whole road; returns it with its process id.
fn root_shell(world: &World, machine: &Machine) -> (Terminal, String) {
    let mut client = machine.command("cloud-doctor");
    client.args(["--key", "/root/key", "shell", "web", "--user", "root", "--reason", "upgrade"]);
    client.env("CLOUD_DOCTOR_HOME", "/root/home").env("TERM", "xterm");
    let mut terminal = Terminal::start(world, "shell", &client, 100, 30);
    terminal.wait_for("# ");
    terminal.type_in("stty -echo; echo shell:$$:$(id -un):\n");
    terminal.wait_for(":root:");
    let shown = String::from_utf8_lossy(&terminal.shown()).into_owned();
    let pid = shown.rsplit("shell:").next().unwrap().split(':').next().unwrap().to_owned();
    (terminal, pid)
}

#[test]
fn flt_04_a_root_shell_lives_through_an_upgrade_and_ends_with_the_target() {
    let Some(machine) = enrolled() else { return };
    let world = World::lasting(PATIENCE);
    let (mut terminal, shell) = root_shell(&world, &machine);
    let unit = machine.must(&format!("cat /proc/{shell}/cgroup"));
    assert!(unit.contains("cloud-doctor-visits.slice"), "{unit}");

    upgrade(&machine);
    terminal.type_in("echo still $$ here\n");
    terminal.wait_for_within(&format!("still {shell} here"), Duration::from_secs(20));

    for service in ["guard", "tunnel"] {
        kill(&machine, service);
        terminal.type_in(&format!("echo {service} is gone, $$ is not\n"));
        terminal.wait_for_within(&format!("{service} is gone, {shell} is not"), Duration::from_secs(20));
    }

    machine.must("systemctl stop cloud-doctor.target");
    // One that was killed is there until the kernel has taken it apart; one that outlived the target stays.
    let ended = || (machine.run(&format!("test -e /proc/{shell}")).code != Some(0)).then_some(());
    eventually(SOON, "the shell ended with the target", ended);
    nothing_is_left(&machine);
    let verified = machine.must(
        "CLOUD_DOCTOR_HOME=/root/home cloud-doctor verify-audit --server web --show /var/lib/cloud-doctor/audit/*.jsonl",
    );
    assert!(verified.contains("upgrade"), "the reason stands in the audit: {verified}");
}

#[test]
fn r_17_checks_run_in_a_unit_of_their_own_and_see_the_host() {
    let Some(machine) = enrolled() else { return };
    // A unit that failed is what a check of services must see, through the sandbox and over the bus.
    machine.run("systemd-run --quiet --unit=broken-demo -- /bin/false");
    let failed = || machine.run("systemctl is-failed broken-demo").out.contains("failed").then_some(());
    eventually(SOON, "a service has failed", failed);
    // Programs of this machine that the ceiling names: one as somebody else, one that hangs.
    machine.must(
        "cd /etc/cloud-doctor; sed -i '/^\\[end\\]/d' ceiling.toml
         printf '%s\\n' '[[plugin]]' 'id = \"x.site.who\"' 'exec = \"/usr/bin/id\"' 'args = [\"-un\"]' \
           '[[plugin]]' 'id = \"x.site.hangs\"' 'exec = \"/bin/sleep\"' 'args = [\"60\"]' 'timeout = \"1s\"' \
           '[[rule]]' 'scope = \"checks\"' 'mode = \"allow\"' 'checks = [\"x\"]' '[end]' >> ceiling.toml
         cloud-doctor-agent ceiling check",
    );
    let checked = machine.run("CLOUD_DOCTOR_HOME=/root/home cloud-doctor check web --json --all --lang en");
    let document: serde_json::Value =
        serde_json::from_str(&checked.out).unwrap_or_else(|error| panic!("{error}: {} {}", checked.out, checked.err));
    let found = document["findings"].as_array().unwrap();
    let of = |check: &str| found.iter().filter(|finding| finding["check"] == check).collect::<Vec<_>>();
    assert!(of("cpu.usage").iter().any(|one| one["value"].is_number()), "{document}");
    let services = of("service.failed");
    assert!(services.iter().any(|one| one["subject"].as_str().unwrap().contains("broken-demo")), "{services:?}");
    assert!(found.len() > 40, "{} findings", found.len());
    let who = of("x.site.who");
    assert_eq!((&who[0]["status"], &who[0]["summary"]), (&"ok".into(), &"nobody".into()), "{who:?}");
    let hung = of("x.site.hangs");
    assert!(hung[0]["summary"].as_str().unwrap().contains("no answer within 1 s"), "{hung:?}");
    // Guard, which may write its own folder, keeps what was found; the run's unit may write nothing.
    let kept =
        machine.must("stat -c %a:%U /var/lib/cloud-doctor/found.record; head -c 24 /var/lib/cloud-doctor/found.record");
    assert!(kept.contains("600:root") && kept.contains("cloud-doctor record v1"), "{kept}");
    let left = machine.must("systemctl list-units --all --plain --no-legend 'run-*' 'cloud-doctor-check*'");
    assert!(!left.contains("Cloud Doctor checks"), "{left}");
}

/// `kill -9` of a service; systemd starts it again.
fn kill(machine: &Machine, service: &str) {
    let id = format!("systemctl show -P MainPID cloud-doctor-{service}");
    let before = machine.must(&id);
    machine.must(&format!("kill -9 {before}"));
    let again = || {
        let now = machine.must(&id);
        (now.trim() != "0" && now != before).then_some(())
    };
    eventually(SOON, "systemd has started the service again", again);
}

/// As a package does it: the file is replaced in one step, then both services are restarted.
fn upgrade(machine: &Machine) {
    let ids = "systemctl show -P MainPID cloud-doctor-guard cloud-doctor-tunnel";
    let before = machine.must(ids);
    machine.must(
        "cp /usr/bin/cloud-doctor-agent /usr/bin/cloud-doctor-agent.new
         mv /usr/bin/cloud-doctor-agent.new /usr/bin/cloud-doctor-agent
         systemctl restart cloud-doctor-guard.service cloud-doctor-tunnel.service
         systemctl is-active cloud-doctor-guard.service cloud-doctor-tunnel.service",
    );
    assert_ne!(machine.must(ids), before, "both services are new processes");
}

/// No unit, no process, no socket of the agent. Systemd waits for the target alone; its parts are stopped meanwhile.
fn nothing_is_left(machine: &Machine) {
    let gone = || {
        let units = machine.must("systemctl list-units --plain --no-legend --state=active,failed 'cloud-doctor*'");
        // The slice above the visits' is systemd's own, made from the name, and empty.
        let others = ["cloud-doctor-relay.service", "cloud-doctor.slice"];
        let ours = units.lines().filter(|unit| !others.iter().any(|other| unit.starts_with(other)));
        // A process that has ended has its name until systemd has asked for its status.
        (ours.count() == 0 && machine.run("pgrep -a cloud-doctor-ag").out.is_empty()).then_some(())
    };
    eventually(SOON, "no unit and no process of the agent is left", gone);
    assert_eq!(machine.must("ls -A /run/cloud-doctor/h"), "");
}

#[test]
fn leaving_keeps_the_audit_and_the_ceiling_and_nothing_else() {
    let Some(machine) = enrolled() else { return };
    machine.must(
        "systemctl disable --quiet --now cloud-doctor.target
         cloud-doctor-agent unenrol --yes",
    );
    make(&machine, &["uninstall-agent"]);
    let listed = machine.run("CLOUD_DOCTOR_HOME=/root/home cloud-doctor servers --json").out;
    assert!(!listed.replace([' ', '\n'], "").contains("\"connected\":true"), "the relay has let go: {listed}");
    let found =
        machine.must("find /etc /run /usr /var -xdev \\( -name '*cloud-doctor*' -o -path '*cloud-doctor/*' \\)");
    let ours = |path: &&str| !path.contains("cloud-doctor-relay") && !path.ends_with("/bin/cloud-doctor");
    let left: Vec<_> = found.lines().filter(ours).collect();
    // Both are the customer's own words: what happened here, and what may.
    let kept = |path: &str| path.starts_with("/var/lib/cloud-doctor") || path.starts_with("/etc/cloud-doctor");
    assert!(left.iter().all(|path| kept(path)) && left.iter().any(|path| path.contains("audit")), "{left:?}");
    assert_eq!(machine.must("ls /etc/cloud-doctor").trim(), "ceiling.toml");
    assert_eq!(machine.must("find /var/lib/cloud-doctor* -xdev -name '*.key' ! -path '*-relay*'"), "", "keys are left");
}
