//! Who may watch and read the audit: engineers as the ceiling says, approvers by themselves, nobody else, and never more.

use super::*;

const LOOK: &str = "version=1\n[[rule]]\nscope='watch'\nmode='MODE'\nusers=['root','*']\n\
                    [[rule]]\nscope='audit'\nmode='MODE'\n[[rule]]\nscope='shell'\nmode='allow'\nusers=['root']\n[end]";

fn ceiling(mode: &str) -> String {
    LOOK.replace("MODE", mode)
}

fn watch(user: &str) -> Scope {
    Scope::Watch { user: user.into() }
}

fn shell() -> Scope {
    Scope::Shell { user: "root".into() }
}

/// What becomes of a grant for these scopes that the key with this seed signs.
fn decided(setting: &mut Setting, seed: u8, scopes: &[Scope], guest: bool) -> Result<Permit, Refusal> {
    setting.book = ChallengeBook::default();
    let challenge = setting.challenge(1);
    let key = named(seed, "").key.id();
    let bytes = Grant { scopes: scopes.to_vec(), engineer: key, ..setting.grant(&challenge) }.to_bytes();
    let (agent, log) = (setting.agent(), &setting.log);
    let world = World { agent, log, ceiling: Some(&setting.ceiling), now: NOW, zone_secs: 0, guest };
    let namespace = if guest { NAMESPACE_GUEST } else { NAMESPACE_GRANT };
    let engineer = Signed { key, sshsig: sshsig(seed, namespace, &bytes) };
    decide(world, &mut setting.book, BOOT, &bytes, &engineer).map_err(|refused| refused.code)
}

#[test]
fn engineers_look_as_the_ceiling_says_and_approvers_by_themselves() {
    type Row<'a> = (&'a str, u8, &'a [Scope], Result<bool, Refusal>);
    let rows: &[Row<'_>] = &[
        ("allow", 5, &[watch("root")], Ok(false)),
        ("ask", 5, &[watch("root")], Ok(true)),
        ("never", 5, &[watch("root")], Err(Refusal::Ceiling)),
        ("allow", 6, &[watch("root"), Scope::Audit {}], Ok(false)),
        ("ask", 6, &[watch("deploy"), watch("root"), Scope::Audit {}], Ok(false)),
        ("never", 6, &[watch("root")], Err(Refusal::Ceiling)),
        ("never", 6, &[Scope::Audit {}], Err(Refusal::Ceiling)),
        ("ask", 5, &[Scope::Audit {}], Ok(true)),
        ("ask", 5, &[shell(), watch("root")], Ok(true)),
        ("allow", 1, &[watch("root")], Err(Refusal::UnknownEngineer)),
        ("allow", 9, &[Scope::Audit {}], Err(Refusal::UnknownEngineer)),
    ];
    for (mode, seed, scopes, expected) in rows {
        let mut setting = Setting::new(&ceiling(mode));
        let second = decided(&mut setting, *seed, scopes, false).map(|permit| permit.second.is_some());
        assert_eq!(second, *expected, "{mode} by {seed}: {scopes:?}");
    }
}

#[test]
fn r_02_an_approvers_key_opens_nothing_that_does_more_than_look() {
    let mut setting = Setting::new(&ceiling("allow"));
    for scopes in [&[shell()][..], &[shell(), watch("root")], &[shell(), Scope::Audit {}]] {
        assert_eq!(decided(&mut setting, 6, scopes, false).unwrap_err(), Refusal::ApproverScope, "{scopes:?}");
    }
    let permit = decided(&mut setting, 6, &[watch("root")], false).unwrap();
    assert_eq!(permit.person, "carl");
}

#[test]
fn an_approvers_key_is_of_the_kind_that_the_rule_wants_of_the_customer() {
    let rule = |mode: &str, kinds: &str| {
        format!("version=1\n[[rule]]\nscope='watch'\nmode='{mode}'\nusers=['root']\n{kinds}\n[end]")
    };
    let rows = [
        ("ask", "second=['device']", Ok(())),
        ("ask", "signers=['device']", Err(Refusal::SignerKind)),
        ("allow", "signers=['device']", Ok(())),
        ("allow", "second=['device']", Err(Refusal::SignerKind)),
        ("ask", "", Err(Refusal::SignerKind)),
    ];
    for (mode, kinds, expected) in rows {
        let mut setting = Setting::of(&rule(mode, kinds), named(5, "eve"), device(6, "carl"));
        assert_eq!(decided(&mut setting, 6, &[watch("root")], false).map(|_| ()), expected, "{mode} {kinds}");
    }
}

#[test]
fn the_policy_asks_engineers_and_forbids_everybody() {
    let rows = [
        (crate::trust::Policy { second_for: vec!["root".into()], ..Default::default() }, Ok(true), Ok(false)),
        (
            crate::trust::Policy { never: vec!["root".into()], ..Default::default() },
            Err(Refusal::Policy),
            Err(Refusal::Policy),
        ),
    ];
    for (policy, eve, carl) in rows {
        let mut setting = Setting::new(&ceiling("allow"));
        let entry = setting.log.next_entry(named(1, "").key.id(), NOW, What::SetPolicy { policy });
        setting.log.append(&signed(&entry)).unwrap();
        let mut second =
            |seed| decided(&mut setting, seed, &[watch("root")], false).map(|permit| permit.second.is_some());
        assert_eq!((second(5), second(6)), (eve, carl));
        assert!(decided(&mut setting, 6, &[Scope::Audit {}], false).is_ok(), "the audit is nobody's");
    }
}

#[test]
fn r_14_r_19_a_watcher_is_trusted_no_longer_than_its_key_and_for_no_more_than_it_signed() {
    let mut setting = Setting::new(&ceiling("ask"));
    let carl = named(6, "").key.id();
    let trusted =
        |log: &TrustLog, agent: &AgentId, scopes: &[Scope]| still_trusted(log, &carl, scopes, agent).is_some();
    let agent = setting.agent();
    assert!(trusted(&setting.log, &agent, &[watch("root")]));
    assert!(!trusted(&setting.log, &agent, &[shell()]), "an engineer who became an approver keeps no shell");
    let remove = What::RemovePerson { key: carl };
    let entry = setting.log.next_entry(named(1, "").key.id(), NOW, remove);
    setting.log.append(&signed(&entry)).unwrap();
    assert!(!trusted(&setting.log, &agent, &[watch("root")]));
    assert_eq!(decided(&mut setting, 6, &[watch("root")], false).unwrap_err(), Refusal::UnknownEngineer);
}

#[test]
fn nobody_watches_a_guest() {
    let mut setting = Setting::new(&ceiling("allow"));
    assert!(decided(&mut setting, 5, &[shell()], true).is_ok());
    for scopes in [&[watch("root")][..], &[Scope::Audit {}], &[shell(), watch("root")]] {
        assert_eq!(decided(&mut setting, 5, scopes, true).unwrap_err(), Refusal::Malformed, "{scopes:?}");
    }
}
