//! The sealed channel between client and holder: Noise KK, then KKpsk0 for every return (design 5, steps 4 and 5).
//!
//! The client's static key stands in the grant, the holder's in the challenge, so both sides are known before the
//! first byte. The prologue ties a handshake to version, challenge, grant, channel kind, channel and resume index: a
//! relay that changes any of them makes it fail. Randomness comes in as a seed. Never: a way to send unsealed.

use crate::ids::{ChannelId, ExchangeKey, Hash};
use crate::limits::{ABANDONED_MAX, DEAD_SECRETS_MAX, HANDSHAKES_SEEN_MAX, RECORD_BYTES_MAX};
use serde::{Deserialize, Serialize};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash as NoiseHash, Random};
use std::collections::{BTreeSet, VecDeque};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// First handshake of a channel under a grant.
const FIRST: &str = "Noise_KK_25519_ChaChaPoly_SHA256";
/// Every later handshake, with the secret that the last one handed out.
const RESUME: &str = "Noise_KKpsk0_25519_ChaChaPoly_SHA256";
/// Bytes that sealing adds to a record: the Poly1305 tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of an X25519 public key at the start of a first message: tells a replay from a new handshake.
const EPHEMERAL_BYTES: usize = 32;

/// An X25519 private key or a resume secret. Wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Secret(#[serde(with = "serde_bytes")] pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// The public key when this is an X25519 private key.
    #[must_use]
    pub fn exchange_key(&self) -> ExchangeKey {
        ExchangeKey(PublicKey::from(&StaticSecret::from(self.0)).to_bytes())
    }
}

/// What a channel is. Part of the prologue, so a shell's handshake cannot open a command, nor a watcher's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelKind {
    /// A login shell on a PTY.
    Shell,
    /// A command with two output streams and no PTY.
    Exec,
    /// A look at a living shell, which its channel's id names. Nothing that comes in it reaches the PTY.
    Watch,
    /// A question to guard itself ([`crate::look`]): one message each way and no records. Its channel's id is random.
    Ask,
}

/// Everything that a handshake is tied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Wire version of the challenge.
    pub version: u16,
    /// Hash of the challenge's signed bytes.
    pub challenge: Hash,
    /// Hash of the grant's signed bytes.
    pub grant: Hash,
    /// What runs in it.
    pub kind: ChannelKind,
    /// Which one.
    pub channel: ChannelId,
    /// Which resume secret; 0 = none yet.
    pub resume: u64,
}

impl Binding {
    fn prologue(&self, keys: &Keys<'_>) -> Result<Vec<u8>, Broken> {
        if keys.resume.is_some() != (self.resume != 0) {
            return Err(Broken);
        }
        let mut out = b"cloud-doctor channel\0".to_vec();
        out.extend(self.version.to_be_bytes());
        out.extend(self.challenge.0);
        out.extend(self.grant.0);
        out.push(match self.kind {
            ChannelKind::Shell => 1,
            ChannelKind::Exec => 2,
            ChannelKind::Watch => 3,
            ChannelKind::Ask => 4,
        });
        out.extend(self.channel.0);
        out.extend(self.resume.to_be_bytes());
        Ok(out)
    }
}

/// The other side is not who it must be, or bytes were changed on the way. Says no more on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed channel's integrity check failed")]
pub struct Broken;

impl From<snow::Error> for Broken {
    fn from(_: snow::Error) -> Self {
        Broken
    }
}

/// The keys of one side.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// Our X25519 private key.
    pub ours: &'a Secret,
    /// Their X25519 public key.
    pub theirs: &'a ExchangeKey,
    /// The resume secret; `None` exactly when [`Binding::resume`] is 0.
    pub resume: Option<&'a Secret>,
}

/// A client's handshake that waits for the holder's answer.
#[derive(Debug)]
pub struct Initiator(Box<snow::HandshakeState>);

impl Initiator {
    /// Starts a handshake; returns the first message. `payload` travels sealed to the holder's key.
    ///
    /// # Errors
    /// [`Broken`] when a key is unusable or the payload too long.
    pub fn start(binding: &Binding, keys: Keys<'_>, seed: [u8; 32], payload: &[u8]) -> Result<(Self, Vec<u8>), Broken> {
        let prologue = binding.prologue(&keys)?;
        let mut state = builder(&prologue, keys, seed)?.build_initiator()?;
        let first = write(&mut state, payload)?;
        Ok((Self(Box::new(state)), first))
    }

    /// Reads the holder's answer; returns the channel and the answer's payload.
    ///
    /// # Errors
    /// [`Broken`] when the answer is not from that holder for this handshake.
    pub fn finish(mut self, reply: &[u8]) -> Result<(Sealed, Vec<u8>), Broken> {
        let payload = read(&mut self.0, reply)?;
        Ok((Sealed(Box::new(self.0.into_transport_mode()?)), payload))
    }
}

/// A holder's handshake that has read a genuine first message.
#[derive(Debug)]
pub struct Responder {
    state: Box<snow::HandshakeState>,
    /// What the client asks for.
    pub payload: Vec<u8>,
}

impl Responder {
    /// Reads a first message. Success proves that the holder of the grant's client key made it, now or before
    /// (a replay is possible; it ends at the first record, which cannot be replayed).
    ///
    /// # Errors
    /// [`Broken`] when it was not made for exactly this binding and these keys.
    pub fn read(binding: &Binding, keys: Keys<'_>, seed: [u8; 32], first: &[u8]) -> Result<Self, Broken> {
        let prologue = binding.prologue(&keys)?;
        let mut state = Box::new(builder(&prologue, keys, seed)?.build_responder()?);
        let payload = read(&mut state, first)?;
        Ok(Self { state, payload })
    }

    /// Answers; returns the second message and the channel.
    ///
    /// # Errors
    /// [`Broken`] when the payload is too long.
    pub fn reply(mut self, payload: &[u8]) -> Result<(Vec<u8>, Sealed), Broken> {
        let second = write(&mut self.state, payload)?;
        Ok((second, Sealed(Box::new(self.state.into_transport_mode()?))))
    }
}

/// An open channel. Records are numbered by both sides: one that is missing, doubled, moved or changed is [`Broken`].
#[derive(Debug)]
pub struct Sealed(Box<snow::TransportState>);

impl Sealed {
    /// Appends the sealed form of `plain` to `out`.
    ///
    /// # Errors
    /// [`Broken`] when `plain` exceeds a record or the numbers of this direction are used up.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let start = out.len();
        if plain.len() + TAG_BYTES > RECORD_BYTES_MAX {
            return Err(Broken);
        }
        out.resize(start + plain.len() + TAG_BYTES, 0);
        self.0.write_message(plain, &mut out[start..])?;
        Ok(())
    }

    /// Appends the plain form of `record` to `out`.
    ///
    /// # Errors
    /// [`Broken`]: close the stream and reconnect with the resume secret.
    pub fn open(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let start = out.len();
        let len = record.len().checked_sub(TAG_BYTES).ok_or(Broken)?;
        out.resize(start + len, 0);
        let read = self.0.read_message(record, &mut out[start..]);
        if read.is_err() {
            out.truncate(start);
        }
        read?;
        Ok(())
    }
}

/// What the answer to a handshake carries: the secret for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// Number of the secret.
    pub index: u64,
    /// The secret.
    pub secret: Secret,
}

/// A holder's book of resume secrets for one channel under one grant.
///
/// ```text
///  index 0 ──first handshake──▶ hands out 1 ──first record──▶ 1 is current, 0 is dead
///  current n ──handshake──▶ hands out n+1 (n still good: the answer may get lost) ──first record──▶ n is dead
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ResumeBook {
    current: Option<Handed>,
    pending: Option<Handed>,
    dead: VecDeque<Handed>,
    next: u64,
    seen: BTreeSet<ExchangeKey>,
}

/// What the book says about an index that a client names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// No secret was confirmed yet and none is named: the first handshake.
    First,
    /// A secret that may be used.
    Live(Secret),
    /// A secret that was replaced: whoever proves to have it with a new handshake is a copy of the client.
    Dead(Secret),
    /// Nothing that was ever handed out, or too long ago.
    Unknown,
}

/// What the book says about a first message that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It never came before.
    New,
    /// The same one came before: a replay.
    Before,
    /// The book is full: it could not tell any more whether one is replayed, so this visit is resumed no more.
    Full,
}

impl ResumeBook {
    /// Looks an index up.
    #[must_use]
    pub fn lookup(&self, index: u64) -> Known {
        if index == 0 {
            return if self.current.is_none() { Known::First } else { Known::Unknown };
        }
        let find = |slot: &Option<Handed>| slot.as_ref().filter(|h| h.index == index).map(|h| h.secret.clone());
        if let Some(secret) = find(&self.current).or_else(|| find(&self.pending)) {
            return Known::Live(secret);
        }
        match self.dead.iter().find(|h| h.index == index) {
            Some(handed) => Known::Dead(handed.secret.clone()),
            None => Known::Unknown,
        }
    }

    /// Notes a first message that verified.
    #[must_use]
    pub fn note_handshake(&mut self, first: &[u8]) -> Noted {
        let Some(ephemeral) = first.first_chunk::<EPHEMERAL_BYTES>() else {
            return Noted::Before;
        };
        let ephemeral = ExchangeKey(*ephemeral);
        if self.seen.contains(&ephemeral) {
            return Noted::Before;
        }
        if self.seen.len() >= HANDSHAKES_SEEN_MAX {
            return Noted::Full;
        }
        self.seen.insert(ephemeral);
        Noted::New
    }

    /// Notes handshakes that the client itself has given up: whoever delivers one of them now only delivers late. What a
    /// full book does not take is refused all the same, as every further handshake is.
    pub fn note_abandoned(&mut self, ephemerals: &[ExchangeKey]) {
        let room = HANDSHAKES_SEEN_MAX - self.seen.len();
        let new: Vec<ExchangeKey> =
            ephemerals.iter().take(ABANDONED_MAX).filter(|key| !self.seen.contains(key)).take(room).copied().collect();
        self.seen.extend(new);
    }

    /// Makes the secret that the answer carries. An older one that was never confirmed is forgotten.
    pub fn hand_out(&mut self, used: u64, seed: [u8; 32]) -> Handed {
        // A client that uses the pending secret has proved that it received it.
        if self.pending.as_ref().is_some_and(|p| p.index == used) {
            self.confirm(used);
        }
        self.next += 1;
        let handed = Handed { index: self.next, secret: Secret(seed) };
        self.pending = Some(handed.clone());
        handed
    }

    /// The client's first record under the handshake that handed out `index` arrived: older secrets die.
    pub fn confirm(&mut self, index: u64) {
        let Some(pending) = self.pending.take_if(|p| p.index == index) else {
            return;
        };
        if let Some(old) = self.current.replace(pending) {
            self.dead.push_back(old);
        }
        if self.dead.len() > DEAD_SECRETS_MAX {
            self.dead.pop_front();
        }
    }
}

/// The ephemeral key at the start of a first message.
#[must_use]
pub fn ephemeral(first: &[u8]) -> Option<ExchangeKey> {
    first.first_chunk::<EPHEMERAL_BYTES>().map(|key| ExchangeKey(*key))
}

fn builder<'a>(prologue: &'a [u8], keys: Keys<'a>, seed: [u8; 32]) -> Result<snow::Builder<'a>, Broken> {
    let pattern = if keys.resume.is_some() { RESUME } else { FIRST };
    let params = pattern.parse().map_err(|_| Broken)?;
    let builder = snow::Builder::with_resolver(params, Box::new(Seeded { seed }))
        .prologue(prologue)?
        .local_private_key(&keys.ours.0)?
        .remote_public_key(&keys.theirs.0)?;
    match keys.resume {
        Some(secret) => Ok(builder.psk(0, &secret.0)?),
        None => Ok(builder),
    }
}

fn write(state: &mut snow::HandshakeState, payload: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut message = vec![0; payload.len() + 128];
    let len = state.write_message(payload, &mut message)?;
    message.truncate(len);
    Ok(message)
}

fn read(state: &mut snow::HandshakeState, message: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut payload = vec![0; message.len()];
    let len = state.read_message(message, &mut payload)?;
    payload.truncate(len);
    Ok(payload)
}

/// snow's own algorithms with the caller's randomness.
struct Seeded {
    seed: [u8; 32],
}

struct OneSeed(Option<[u8; 32]>);

impl Random for OneSeed {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        match (dest.len(), self.0.take()) {
            (32, Some(seed)) => dest.copy_from_slice(&seed),
            _ => return Err(snow::Error::Rng),
        }
        Ok(())
    }
}

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneSeed(Some(self.seed))))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn NoiseHash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn binding(resume: u64) -> Binding {
        Binding {
            version: 1,
            challenge: Hash([1; 32]),
            grant: Hash([2; 32]),
            kind: ChannelKind::Shell,
            channel: ChannelId([3; 16]),
            resume,
        }
    }

    const CLIENT: Secret = Secret([10; 32]);
    const HOLDER: Secret = Secret([20; 32]);

    fn start(binding: &Binding, resume: Option<&Secret>, seed: u8) -> (Initiator, Vec<u8>) {
        let theirs = HOLDER.exchange_key();
        Initiator::start(binding, Keys { ours: &CLIENT, theirs: &theirs, resume }, [seed; 32], b"please").unwrap()
    }

    fn answer(binding: &Binding, resume: Option<&Secret>, first: &[u8]) -> Result<Responder, Broken> {
        let theirs = CLIENT.exchange_key();
        Responder::read(binding, Keys { ours: &HOLDER, theirs: &theirs, resume }, [9; 32], first)
    }

    fn pair() -> (Sealed, Sealed) {
        let (initiator, first) = start(&binding(0), None, 1);
        let responder = answer(&binding(0), None, &first).unwrap();
        assert_eq!(responder.payload, b"please");
        let (second, holder) = responder.reply(b"next").unwrap();
        let (client, payload) = initiator.finish(&second).unwrap();
        assert_eq!(payload, b"next");
        (client, holder)
    }

    #[test]
    fn records_travel_both_ways() {
        let (mut client, mut holder) = pair();
        for i in 0..100u8 {
            let (mut sealed, mut plain) = (Vec::new(), vec![7]);
            client.seal(&[i; 50], &mut sealed).unwrap();
            holder.open(&sealed, &mut plain).unwrap();
            assert_eq!(plain[1..], [i; 50]);
            sealed.clear();
            holder.seal(b"", &mut sealed).unwrap();
            client.open(&sealed, &mut plain).unwrap();
        }
        let mut out = Vec::new();
        assert_eq!(client.seal(&vec![0; RECORD_BYTES_MAX], &mut out), Err(Broken));
    }

    #[test]
    fn r_09_dropped_doubled_swapped_and_changed_records_are_broken() {
        for fault in 0..4 {
            let (mut client, mut holder) = pair();
            let (mut a, mut b, mut out) = (Vec::new(), Vec::new(), Vec::new());
            client.seal(b"a", &mut a).unwrap();
            client.seal(b"b", &mut b).unwrap();
            let result = match fault {
                0 => holder.open(&b, &mut out),
                1 => holder.open(&a, &mut out).and_then(|()| holder.open(&a, &mut out)),
                2 => {
                    a[0] ^= 1;
                    holder.open(&a, &mut out)
                }
                _ => holder.open(&a[..a.len() - 1], &mut out),
            };
            assert_eq!(result, Err(Broken), "fault {fault}");
        }
    }

    #[test]
    fn a_handshake_for_anything_else_fails() {
        let (_, first) = start(&binding(0), None, 1);
        let good = binding(0);
        let others = [
            Binding { version: 2, ..good },
            Binding { challenge: Hash([0; 32]), ..good },
            Binding { grant: Hash([0; 32]), ..good },
            Binding { kind: ChannelKind::Exec, ..good },
            Binding { channel: ChannelId([0; 16]), ..good },
        ];
        for other in others {
            assert!(answer(&other, None, &first).is_err(), "{other:?}");
        }
        assert!(answer(&Binding { resume: 1, ..good }, Some(&Secret([1; 32])), &first).is_err());
        for byte in 0..first.len() {
            let mut bad = first.clone();
            bad[byte] ^= 0x40;
            assert!(answer(&good, None, &bad).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn resume_secret_is_needed_and_must_match() {
        let secret = Secret([5; 32]);
        let (initiator, first) = start(&binding(1), Some(&secret), 2);
        assert!(answer(&binding(1), Some(&Secret([6; 32])), &first).is_err());
        let responder = answer(&binding(1), Some(&secret), &first).unwrap();
        assert!(initiator.finish(&responder.reply(b"").unwrap().0).is_ok());
    }

    #[test]
    fn a_lost_answer_does_not_lock_the_engineer_out() {
        let mut book = ResumeBook::default();
        assert_eq!(book.lookup(0), Known::First);
        let one = book.hand_out(0, [1; 32]);
        assert_eq!(book.lookup(0), Known::First, "the answer with 1 may have been lost");
        book.confirm(one.index);
        assert_eq!(book.lookup(0), Known::Unknown);
        let two = book.hand_out(1, [2; 32]);
        assert!(matches!(book.lookup(1), Known::Live(_)) && matches!(book.lookup(2), Known::Live(_)));
        let three = book.hand_out(1, [3; 32]);
        assert_eq!(book.lookup(two.index), Known::Unknown, "the answer with 2 was lost: nobody has it");
        book.confirm(three.index);
        assert_eq!(book.lookup(1), Known::Dead(Secret([1; 32])));
        let four = book.hand_out(three.index, [4; 32]);
        let _five = book.hand_out(four.index, [5; 32]);
        assert!(matches!(book.lookup(3), Known::Dead(_)), "using 4 proves that it arrived");
    }

    #[test]
    fn replays_are_told_from_new_handshakes() {
        let mut book = ResumeBook::default();
        let (_, first) = start(&binding(0), None, 1);
        let (_, second) = start(&binding(0), None, 2);
        assert_eq!(book.note_handshake(&first), Noted::New);
        assert_eq!(book.note_handshake(&first), Noted::Before);
        assert_eq!(book.note_handshake(&second), Noted::New);
        assert_eq!(book.note_handshake(b"short"), Noted::Before);
        let (_, held_back) = start(&binding(0), None, 3);
        book.note_abandoned(&[ephemeral(&held_back).unwrap()]);
        assert_eq!(book.note_handshake(&held_back), Noted::Before, "the client has given it up");
    }

    #[test]
    fn r_04_a_full_book_of_handshakes_takes_no_more_and_forgets_none() {
        let mut book = ResumeBook::default();
        let key = |number: usize| {
            let mut key = [0; EPHEMERAL_BYTES];
            key[..8].copy_from_slice(&number.to_be_bytes());
            key
        };
        for number in 0..HANDSHAKES_SEEN_MAX - 10 {
            assert_eq!(book.note_handshake(&key(number)), Noted::New);
        }
        let abandoned: Vec<ExchangeKey> = (0..20).map(|i| ExchangeKey(key(1_000_000 + i))).collect();
        book.note_abandoned(&abandoned);
        book.note_abandoned(&abandoned);
        assert_eq!(book.seen.len(), HANDSHAKES_SEEN_MAX);
        for (number, verdict) in [(0, Noted::Before), (7, Noted::Before), (1_000_000, Noted::Before)] {
            assert_eq!(book.note_handshake(&key(number)), verdict, "{number}");
        }
        for number in [HANDSHAKES_SEEN_MAX, 1_000_015, 2_000_000] {
            assert_eq!(book.note_handshake(&key(number)), Noted::Full, "{number}");
        }
        assert_eq!(book.seen.len(), HANDSHAKES_SEEN_MAX);
    }
}
