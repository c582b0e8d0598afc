//! What a real systemd says of services is what a client is told of them, and nothing of what anybody else says.

use super::road::enrolled;
use cloud_doctor_tests::eventually::{SOON, eventually};

#[test]
fn services_that_fail_and_start_again_are_events() {
    let Some(machine) = enrolled() else { return };
    machine.must(
        "systemctl log-target journal
         echo 'MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c' | systemd-cat -t forged
         systemd-run --quiet --unit=ill --wait /bin/false || true
         systemd-run --quiet --unit=again --property=Restart=on-failure --property=RestartSec=100ms \
           --property=StartLimitBurst=3 --property=StartLimitIntervalSec=60 /bin/false
         sleep 1; journalctl --sync",
    );
    let said = eventually(SOON, "the client is told", || {
        let said = machine.run("CLOUD_DOCTOR_HOME=/root/home cloud-doctor top web --json").out;
        let said: serde_json::Value = serde_json::from_str(&said).ok()?;
        said["sample"]["events"].as_array().filter(|all| all.iter().any(|one| one["unit"] == "again.service")).cloned()
    });
    let of = |kind: &str, unit: &str| {
        let one = said.iter().find(|one| one["kind"] == kind && one["unit"] == unit);
        one.unwrap_or_else(|| panic!("{kind} {unit}: {said:#?}"))["count"].as_u64().unwrap()
    };
    assert_eq!(of("failed", "ill.service"), 1);
    assert!(of("failed", "again.service") >= 1 && of("restarted", "again.service") >= 2, "{said:#?}");
    assert!(said.iter().all(|one| one["unit"] != "forged"), "{said:#?}");
}
