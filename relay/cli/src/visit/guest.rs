//! Opening a visit on a server that no trust log names: the guest of an invitation.
//!
//! Nothing says whose server answers but two people on the phone. So the engineer signs in a namespace that no enrolled
//! server accepts, both people compare six words over identity, key and grant, and nothing is started before both have
//! said yes. Never: a terminal tied to a server whose words nobody compared.

use super::{Ground, Signing, Visit, VisitError, Wish, checks, grant_bytes, next, read, refusal};
use crate::clock;
use crate::messages::Id;
use crate::relay_api::{Relay, StreamNote, Way};
use crate::signer::{Candidate, Keyring, Person};
use crate::stream::FrameStream;
use cloud_doctor_proto::channel::Secret;
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::grant::Grant;
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::signer::NAMESPACE_GUEST;
use cloud_doctor_proto::visit::{NeedSecond, OpenVisit, Signed, VisitOpened};
use cloud_doctor_proto::words::words;
use serde_bytes::ByteBuf;
use std::time::Duration;
use tokio::time::timeout;

/// Longest host name shown.
const HOST_CHARS_MAX: usize = 64;

/// Whose hands a guest is met with.
pub struct Guest<'a> {
    /// The relay, signed in.
    pub relay: &'a Relay,
    /// The invitation's id.
    pub invitation: &'a str,
    /// The keys.
    pub keys: &'a Keyring,
    /// The engineer's key among them: the one that the invitation names.
    pub engineer: &'a Candidate,
    /// Who is told what happens.
    pub person: &'a mut dyn Person,
}

impl std::fmt::Debug for Guest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("invitation", &self.invitation).finish_non_exhaustive()
    }
}

/// Opens a visit on the guest's server. `agree` is asked with the server's name for itself and the six words, and ends
/// with whether the customer reads the same ones.
///
/// # Errors
/// [`VisitError`]; nothing was started then.
pub async fn open_guest(
    guest: &mut Guest<'_>,
    wish: &Wish,
    agree: impl AsyncFnOnce(&str, &str) -> bool,
) -> Result<(Visit, String), VisitError> {
    let way = Way::Guest(guest.invitation.to_owned());
    let note = StreamNote { purpose: super::purpose(&wish.first), channel: None, visit: None };
    let mut stream = FrameStream::open(guest.relay, &way, &note).await?;
    let challenged = checks::check_guest(&super::challenge(&mut stream, 0).await?)?;
    let challenge = &challenged.challenge;
    // Without runs of blanks: a stranger's name must not look like a line of its own.
    let host = one_line(&challenge.host.split_whitespace().collect::<Vec<_>>().join(" "), HOST_CHARS_MAX);
    let ours = Secret(clock::random());
    let signing = Signing { keys: guest.keys, engineer: guest.engineer, namespace: NAMESPACE_GUEST };
    let head = TrustHead { seq: challenge.trust_seq, hash: challenge.trust_head };
    let place = (challenge.tenant, AgentId::of(&challenge.identity), head);
    let grant = grant_bytes(&signing, &wish.terms, &challenged, place, &ours);
    let sshsig = signing.sign_while_connected(guest.person, &mut stream, &grant).await?;
    let open = OpenVisit {
        grant: ByteBuf::from(grant.clone()),
        engineer: Signed { key: guest.engineer.key.id(), sshsig: ByteBuf::from(sshsig) },
        second: None,
        entries: Vec::new(),
    };
    stream.outgoing().extend(frame::message(Kind::OpenVisit, &open));
    let frame = next(&mut stream).await?;
    if frame.kind != Kind::NeedSecond {
        // A server that does not ask its root is not the one that was invited.
        return Err(VisitError::OutOfTurn(frame.kind));
    }
    let need: NeedSecond = read(&frame)?;
    let six = words(&Grant::hash(&grant));
    guest.person.tell(Id::GuestWords.with(&[&host, &six]));
    let both = both_agree(&mut stream, agree(&host, &six));
    let within = Duration::from_secs(need.within_secs.saturating_add(5));
    let late = || VisitError::NobodySigned(cloud_doctor_proto::ceiling::Span(need.within_secs).to_string());
    let mut opened = timeout(within, both).await.map_err(|_| late())??;
    if opened.visit != Grant::visit(&grant) {
        return Err(VisitError::OutOfTurn(Kind::VisitOpened));
    }
    opened.ends_in_secs = opened.ends_in_secs.min(wish.terms.ttl_secs);
    let ground = Ground::of(guest.relay.clone(), way, &challenged, &grant, ours);
    Ok((Visit { ground, opened }, host))
}

/// Waits for root on the server and for the engineer here, in whichever order.
async fn both_agree(stream: &mut FrameStream, agree: impl Future<Output = bool>) -> Result<VisitOpened, VisitError> {
    let mut agree = std::pin::pin!(agree);
    let (mut agreed, mut opened) = (false, None);
    loop {
        match opened {
            Some(opened) if agreed => return Ok(opened),
            Some(_) | None => {}
        }
        tokio::select! {
            biased;
            yes = &mut agree, if !agreed => {
                if !yes {
                    return Err(VisitError::OtherWords);
                }
                agreed = true;
            }
            frame = stream.next() => {
                let frame = refusal(frame?)?;
                if frame.kind != Kind::VisitOpened || opened.is_some() {
                    return Err(VisitError::OutOfTurn(frame.kind));
                }
                opened = Some(read(&frame)?);
            }
        }
    }
}
