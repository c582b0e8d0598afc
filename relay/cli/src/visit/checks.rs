//! What a client checks before it signs: that the server is the one in the trust log that the person meant, that the
//! customer is the pinned one, and that no history is forked.

use super::{Hands, Target, VisitError, tell};
use crate::clock;
use crate::messages::Id;
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::grant::Challenge;
use cloud_doctor_proto::ids::Hash;
use cloud_doctor_proto::limits::{CHALLENGE_BYTES_MAX, PROTO_VERSION, PROTO_VERSION_MIN};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::visit::ChallengeReply;

/// Clocks that differ by more than this are worth a word.
const CLOCK_SECS: u64 = 300;

/// A challenge that may be answered.
pub(super) struct Challenged {
    pub(super) challenge: Challenge,
    pub(super) hash: Hash,
    pub(super) bytes: Vec<u8>,
}

/// Verifies a challenge against the trust log, which grows by the entries that came with it.
pub(super) async fn check(
    hands: &mut Hands<'_>,
    target: &Target,
    reply: &ChallengeReply,
) -> Result<Challenged, VisitError> {
    let verified = Challenge::verify(&reply.challenge, &reply.signature, &target.identity);
    let challenge = verified.map_err(|_| VisitError::NotThatServer(target.name.clone()))?;
    if challenge.tenant != hands.trust.log().tenant() {
        return Err(VisitError::OtherTenant(target.name.clone()));
    }
    same_offer(&challenge, &target.name)?;
    catch_up(hands, &challenge, reply).await?;
    // The server may have been taken off the list by the entries that just came.
    match hands.trust.log().agents.get(&target.agent) {
        Some(record) if record.identity == challenge.identity => {}
        Some(_) | None => return Err(VisitError::NotThatServer(target.name.clone())),
    }
    worth_a_word(hands, target, &challenge);
    Ok(Challenged { hash: Challenge::hash(&reply.challenge), bytes: reply.challenge.to_vec(), challenge })
}

/// Whoever narrows the offer on the way would choose the version for both sides.
fn same_offer(challenge: &Challenge, server: &str) -> Result<(), VisitError> {
    let offered = (challenge.offered_min, challenge.offered_max) == (PROTO_VERSION_MIN, PROTO_VERSION);
    if offered && (PROTO_VERSION_MIN..=PROTO_VERSION).contains(&challenge.version) {
        Ok(())
    } else {
        Err(VisitError::Version { server: server.to_owned(), version: challenge.version })
    }
}

/// A guest's challenge: signed by the key that it names itself. Whose key that is, two people find out by six words.
pub(super) fn check_guest(reply: &ChallengeReply) -> Result<Challenged, VisitError> {
    let odd = || VisitError::OutOfTurn(Kind::Challenge);
    let claimed: Challenge = pack::from_signed_bytes(&reply.challenge, CHALLENGE_BYTES_MAX).map_err(|_| odd())?;
    let verified = Challenge::verify(&reply.challenge, &reply.signature, &claimed.identity);
    let challenge = verified.map_err(|_| odd())?;
    same_offer(&challenge, &challenge.host)?;
    Ok(Challenged { hash: Challenge::hash(&reply.challenge), bytes: reply.challenge.to_vec(), challenge })
}

/// Brings our copy up to the server's: with the entries it sent, else from the relay.
async fn catch_up(hands: &mut Hands<'_>, challenge: &Challenge, reply: &ChallengeReply) -> Result<(), VisitError> {
    let from = hands.trust.log().head().seq + 1;
    hands.trust.extend(from, &reply.entries)?;
    let theirs = TrustHead { seq: challenge.trust_seq, hash: challenge.trust_head };
    if hands.trust.log().head().seq < theirs.seq {
        hands.trust.sync(hands.relay).await?;
    }
    hands.trust.agree(theirs)?;
    if hands.trust.log().head().seq < theirs.seq {
        return Err(VisitError::RelayBehind);
    }
    Ok(())
}

fn worth_a_word(hands: &mut Hands<'_>, target: &Target, challenge: &Challenge) {
    let apart = challenge.at.distance_secs(clock::wall());
    if apart > CLOCK_SECS {
        let apart = cloud_doctor_proto::ceiling::Span(apart);
        tell(hands, Id::ClockDiffers.with(&[&target.name, &apart]));
    }
    if let Some(before) = hands.trust.host_changed(&target.agent, &challenge.host) {
        tell(hands, Id::NameDiffers.with(&[&target.name, &challenge.host, &before]));
    }
}
