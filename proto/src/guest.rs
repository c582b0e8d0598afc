//! Help without an account: a code that is read over the phone, and the one-visit customer that it makes.
//!
//! ```text
//!  engineer's client ── invitation ─▶ relay ◀── code ── guest (root, in the foreground)
//!                                       │ who asks: the engineer's key
//!                                       ▼
//!              guest makes a trust log for this one visit: a root that signs and is forgotten, that engineer, itself
//! ```
//!
//! From there on everything is as with an enrolled server: challenge, grant, ceiling, sealed channel. Two things
//! differ. The engineer signs in a namespace of its own, so that no enrolled server can be passed off as a guest, and
//! root's word is always needed, given after two people have compared six words over identity, key and grant. So the
//! relay that carries the invitation, and whoever reads the code, can open nothing.

use crate::ceiling::{Ceiling, End, Limits, Mode, Rule, ScopeName, Span};
use crate::ids::{Hash, Nonce, VerifyKey};
use crate::limits::{GUEST_CODE_BYTES, GUEST_DETACHED_SECS, VISIT_SECS_MAX};
use crate::pin::Pin;
use crate::signer::{self, NAMESPACE_LOG, SignerKind, SshKey};
use crate::time::{DAY_SECS, UnixTime};
use crate::trust::{Entry, LogError, NamedKey, Policy, Role, SignedEntry, TrustLog, What, batch_id};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::fmt;
use std::str::FromStr;

/// Crockford's base 32: no I, L, O or U, so that a code can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code behind the relay's address.
const CHARS: usize = 16;
/// Hash rounds over the relay's pin: 40 bits are short, so each guess at another key is made to cost.
const ROUNDS: u32 = 1 << 16;
/// Longest address in a code: a DNS name with a port.
const RELAY_CHARS_MAX: usize = 263;

/// What an invited customer types: `relay.example:8443/K7QX-9M2P-4TZD-8RWN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Where the relay listens for agents, `host:port`.
    pub relay: String,
    /// Tells the relay which invitation is meant.
    pub secret: [u8; GUEST_CODE_BYTES],
    /// [`relay_mark`] of the relay's key.
    pub mark: [u8; GUEST_CODE_BYTES],
}

/// The text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotACode {
    /// No slash, or nothing in front of it.
    #[error("a code begins with the relay's address, like relay.example:8443/K7QX-9M2P-4TZD-8RWN")]
    Relay,
    /// Too short, too long, or a character that codes do not have.
    #[error("a code ends in four groups of four letters or digits; read it once more")]
    Characters,
}

/// What a guest's connection begins with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestBegin {
    /// [`Code::secret`].
    #[serde(with = "serde_bytes")]
    pub secret: [u8; GUEST_CODE_BYTES],
    /// What the host calls itself, for the engineer's screen.
    pub host: crate::control::HostFacts,
}

/// Who asks to help, as the relay says. Decides nothing: the words that two people compare do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestOffer {
    /// The key that will sign the grant.
    pub engineer: SshKey,
    /// The account that made the invitation. A stranger's text.
    pub account: String,
}

/// The guest's answer: the tunnel that it will come back with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestCommit {
    /// Guard's word for the tunnel's key, under the log of this visit.
    pub binding: crate::control::TransportBinding,
}

impl fmt::Debug for GuestBegin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestBegin").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The part of a code that names the relay's key: 40 bits of its pin, stretched so that finding another key with the
/// same mark costs about 2^56 hashes. It keeps strangers from learning who visits whom; what is typed and shown is
/// protected by the six words alone.
#[must_use]
pub fn relay_mark(pin: &Pin) -> [u8; GUEST_CODE_BYTES] {
    let mut stretched = Hash::of(&[b"cloud-doctor relay mark v1\0", &pin.0]);
    for _ in 0..ROUNDS {
        stretched = Hash::of(&[&stretched.0, &pin.0]);
    }
    let mut mark = [0; GUEST_CODE_BYTES];
    mark.copy_from_slice(&stretched.0[..GUEST_CODE_BYTES]);
    mark
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.secret, self.mark].concat();
        write!(f, "{}/", self.relay)?;
        for at in 0..CHARS {
            if at > 0 && at % 4 == 0 {
                f.write_str("-")?;
            }
            let value = (0..5).fold(0, |sum, bit| {
                let bit = at * 5 + bit;
                sum << 1 | usize::from(bytes[bit / 8] >> (7 - bit % 8) & 1)
            });
            write!(f, "{}", char::from(ALPHABET[value]))?;
        }
        Ok(())
    }
}

impl FromStr for Code {
    type Err = NotACode;
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let (relay, code) = text.trim().rsplit_once('/').ok_or(NotACode::Relay)?;
        let relay = relay.strip_prefix("quic://").unwrap_or(relay);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if relay.is_empty() || relay.len() > RELAY_CHARS_MAX || !relay.chars().all(plain) {
            return Err(NotACode::Relay);
        }
        let mut bytes = [0u8; 2 * GUEST_CODE_BYTES];
        let mut count = 0;
        for c in code.chars().filter(|c| !matches!(c, '-' | ' ')) {
            let value = digit(c).filter(|_| count < CHARS).ok_or(NotACode::Characters)?;
            for bit in 0..5 {
                let to = count * 5 + bit;
                bytes[to / 8] |= (value >> (4 - bit) & 1) << (7 - to % 8);
            }
            count += 1;
        }
        if count != CHARS {
            return Err(NotACode::Characters);
        }
        let (mut secret, mut mark) = ([0; GUEST_CODE_BYTES], [0; GUEST_CODE_BYTES]);
        secret.copy_from_slice(&bytes[..GUEST_CODE_BYTES]);
        mark.copy_from_slice(&bytes[GUEST_CODE_BYTES..]);
        Ok(Self { relay: relay.to_owned(), secret, mark })
    }
}

/// A character as it may have been heard: case does not matter, and neither do 1, I and L, or 0 and O.
fn digit(c: char) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    let at = ALPHABET.iter().position(|known| char::from(*known) == c)?;
    u8::try_from(at).ok()
}

/// Randomness of a visit's log: three keys that are forgotten, and a salt.
#[derive(Debug)]
pub struct Seeds {
    /// The root's.
    pub root: SigningKey,
    /// The recovery key's, which signs nothing.
    pub recovery: SigningKey,
    /// The batch's, which signs this server's entry.
    pub batch: SigningKey,
    /// Makes every log another one.
    pub salt: Nonce,
}

/// The trust log of one visit: this engineer, this server, for a day at most, under the policy of the customer whose
/// server it is, where it is enrolled.
///
/// # Errors
/// [`LogError`] when the engineer's name or key is not fit for a log.
pub fn log_of_one_visit(
    seeds: &Seeds,
    engineer: &NamedKey,
    identity: VerifyKey,
    host: &str,
    policy: Option<&Policy>,
    at: UnixTime,
) -> Result<TrustLog, LogError> {
    let named = |key: &SigningKey| {
        let key = SshKey::of_ed25519(&VerifyKey(key.verifying_key().to_bytes()));
        NamedKey::ssh(key, "this visit")
    };
    let root = named(&seeds.root);
    let by = root.key.id();
    let genesis = What::Genesis {
        name: "one visit".to_owned(),
        roots: vec![root],
        recovery: named(&seeds.recovery),
        salt: seeds.salt,
        first: vec![],
    };
    let first = Entry { version: 1, seq: 0, prev: Hash([0; 32]), at, by, what: genesis };
    let mut log = TrustLog::genesis(&signed(&first, &seeds.root), None)?;
    let until = at.plus_secs(DAY_SECS);
    let person = What::AddPerson { key: engineer.clone(), role: Role::Engineer, until };
    log.append(&signed(&log.next_entry(by, at, person), &seeds.root))?;
    if let Some(policy) = policy {
        let what = What::SetPolicy { policy: policy.clone() };
        log.append(&signed(&log.next_entry(by, at, what), &seeds.root))?;
    }
    let batch = VerifyKey(seeds.batch.verifying_key().to_bytes());
    let enrol = What::EnrolBatch { key: batch, until, uses: 1, note: String::new() };
    log.append(&signed(&log.next_entry(by, at, enrol), &seeds.root))?;
    let server = What::AddAgent { identity, name: host.to_owned() };
    log.append(&log.next_entry(batch_id(&batch), at, server).sign_with_batch(&seeds.batch).to_bytes())?;
    Ok(log)
}

fn signed(entry: &Entry, root: &SigningKey) -> Vec<u8> {
    let entry = entry.to_bytes();
    let signature = signer::sign_ed25519(root, NAMESPACE_LOG, &entry);
    SignedEntry { entry: ByteBuf::from(entry), signature: ByteBuf::from(signature) }.to_bytes()
}

/// The ceiling of a visit: root's word for everything. Where the server has a ceiling of its own, what that never
/// allows stays forbidden, and hours and times hold.
#[must_use]
pub fn ceiling_of_one_visit(own: Option<&Ceiling>) -> Ceiling {
    let asking = |rule: &Rule| Rule {
        mode: if rule.mode == Mode::Never { Mode::Never } else { Mode::Ask },
        second: vec![SignerKind::Local],
        ..rule.clone()
    };
    let any = |scope| Rule {
        scope,
        mode: Mode::Ask,
        users: vec!["root".to_owned(), "*".to_owned()],
        hours: Vec::new(),
        time: None,
        signers: vec![SignerKind::Sshsig],
        second: vec![SignerKind::Local],
        ahead: false,
        paths: Vec::new(),
        checks: Vec::new(),
        set: Vec::new(),
    };
    let limits = own.map_or(Limits { visit: Span(VISIT_SECS_MAX), ..Limits::default() }, |own| own.limits.clone());
    Ceiling {
        version: 1,
        preset: "one visit".to_owned(),
        limits: Limits { detached: limits.detached.min(Span(GUEST_DETACHED_SECS)), ..limits },
        rules: match own {
            Some(own) => own.rules.iter().map(asking).collect(),
            None => vec![any(ScopeName::Shell), any(ScopeName::Exec)],
        },
        plugins: Vec::new(),
        end: End {},
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::preset::Preset;

    #[test]
    fn codes_are_read_as_people_say_them() {
        let code = Code { relay: "relay.example:8443".into(), secret: [1, 2, 3, 4, 5], mark: [0xff, 0, 0xaa, 0x55, 9] };
        let shown = code.to_string();
        assert_eq!(shown, "relay.example:8443/0410-6105-ZW0A-MN89");
        let (relay, letters) = shown.split_once('/').unwrap();
        for said in [
            shown.clone(),
            format!(" {relay}/{}\n", letters.to_lowercase()),
            format!("quic://{relay}/{}", letters.replace('-', "")),
            format!("{relay}/{}", letters.replace('-', " ").replace('1', "l").replace('0', "o")),
            format!("{relay}/{}", letters.replace('1', "I")),
        ] {
            assert_eq!(said.parse(), Ok(code.clone()), "{said}");
        }
        for bad in ["", "relay:1", "/0410-6105-ZW0A-MN89", "re lay/0410-6105-ZW0A-MN89", "$(x)/0410-6105-ZW0A-MN89"] {
            assert_eq!(bad.parse::<Code>(), Err(NotACode::Relay), "{bad}");
        }
        for bad in ["r:1/", "r:1/0410-6105-ZW0A-MNA", "r:1/0410-6105-ZW0A-MN89-0", "r:1/U410-6105-ZW0A-MN89"] {
            assert_eq!(bad.parse::<Code>(), Err(NotACode::Characters), "{bad}");
        }
    }

    #[test]
    fn the_log_of_a_visit_replays_and_names_its_engineer_and_server_only() {
        let seeds = Seeds {
            root: SigningKey::from_bytes(&[1; 32]),
            recovery: SigningKey::from_bytes(&[2; 32]),
            batch: SigningKey::from_bytes(&[3; 32]),
            salt: Nonce([4; 16]),
        };
        let engineer = NamedKey::ssh(SshKey::of_ed25519(&VerifyKey([5; 32])), "eve");
        let identity = VerifyKey(SigningKey::from_bytes(&[6; 32]).verifying_key().to_bytes());
        let log = log_of_one_visit(&seeds, &engineer, identity, "web-1", None, UnixTime(1_800_000_000)).unwrap();
        let again = TrustLog::replay(&log.entries_from(0, 9), Some(log.tenant())).unwrap();
        assert_eq!(again.head(), log.head());
        assert_eq!(again.people.keys().collect::<Vec<_>>(), [&engineer.key.id()]);
        assert_eq!(again.agents.len(), 1);
        assert!(again.batches.is_empty(), "nobody else can be added by it");
        let empty = NamedKey { person: String::new(), ..engineer };
        assert!(log_of_one_visit(&seeds, &empty, identity, "web-1", None, UnixTime(1)).is_err());
    }

    #[test]
    fn r_17_a_visit_never_goes_beyond_the_servers_own_ceiling() {
        let own: Ceiling = Preset::ChecksOnly.text().parse().unwrap();
        let visit = ceiling_of_one_visit(Some(&own));
        let opens = |ceiling: &Ceiling, user: &str| ceiling.rule(ScopeName::Shell, user).map(|rule| rule.mode);
        assert!(matches!(opens(&visit, "root"), None | Some(Mode::Never)));
        let own: Ceiling = Preset::Own.text().parse().unwrap();
        let visit = ceiling_of_one_visit(Some(&own));
        assert_eq!(
            opens(&visit, "root"),
            Some(Mode::Ask),
            "what needs no second signature elsewhere needs root's here"
        );
        let written = toml::to_string(&visit).unwrap();
        assert_eq!(written.parse::<Ceiling>().unwrap(), visit, "it is written with its end");
        let none = ceiling_of_one_visit(None);
        assert_eq!((opens(&none, "root"), opens(&none, "deploy")), (Some(Mode::Ask), Some(Mode::Ask)));
        assert!(none.rules.iter().all(|rule| rule.second == [SignerKind::Local]));
        let text = toml::to_string(&none).unwrap();
        assert_eq!(text.parse::<Ceiling>().unwrap(), none, "as the visit's file holds it");
    }
}
