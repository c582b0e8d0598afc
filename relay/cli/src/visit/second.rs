//! Waiting for another person's signature: asked for at the relay, or given by root on the server itself.
//!
//! The relay only carries it; guard verifies it against the same grant bytes.

use super::{Asked, Hands, Target, VisitError, refusal, tell};
use crate::messages::Id;
use crate::relay_api::{Approval, ApprovalState, ApprovalWish, Relay, RelayError, TextBytes};
use cloud_doctor_proto::ceiling::Span;
use cloud_doctor_proto::frame::{self, Frame, Kind};
use cloud_doctor_proto::grant::Grant;
use cloud_doctor_proto::signer;
use cloud_doctor_proto::visit::{NeedSecond, Second, Signed};
use cloud_doctor_proto::words::words;
use serde_bytes::ByteBuf;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A relay that cannot be asked for a moment is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Waits until the visit is opened or refused; returns the frame that says so.
pub(super) async fn wait(
    hands: &mut Hands<'_>,
    target: &Target,
    asked: &mut Asked,
    need: &NeedSecond,
) -> Result<Frame, VisitError> {
    let within = Span(need.within_secs);
    let request = match need.remote {
        true => Some(ask(hands, target, asked, need).await?),
        false => None,
    };
    if request.is_some() {
        // The name of the signed bytes, not the relay's: both people must speak of the same grant.
        let visit = Grant::visit(&asked.grant).short();
        tell(hands, Id::NeedSecondRemote.with(&[&target.name, &within, &visit]));
    }
    if need.local {
        tell(hands, Id::NeedSecondLocal.with(&[&target.name]));
    }
    tell(hands, Id::NeedSecondWords.with(&[&words(&Grant::hash(&asked.grant))]));
    let late = || VisitError::NobodySigned(within.to_string());
    let decided = decided(hands, asked, request.as_ref(), within);
    timeout(Duration::from_secs(need.within_secs.saturating_add(5)), decided).await.map_err(|_| late())?
}

async fn ask(hands: &Hands<'_>, target: &Target, asked: &Asked, need: &NeedSecond) -> Result<String, VisitError> {
    let wish = ApprovalWish {
        server: target.agent.to_string(),
        grant: TextBytes(asked.grant.clone()),
        signature: TextBytes(asked.signature.clone()),
        challenge: TextBytes(asked.challenge.clone()),
        valid_secs: need.within_secs,
    };
    Ok(hands.relay.ask_approval(&wish).await?)
}

async fn decided(
    hands: &mut Hands<'_>,
    asked: &mut Asked,
    request: Option<&String>,
    within: Span,
) -> Result<Frame, VisitError> {
    if let Some(request) = request {
        tokio::select! {
            biased;
            // Root on the server may be faster than anybody else: then nobody waits for the others any more.
            frame = asked.stream.next() => {
                // It ends by itself when the relay cannot be told.
                drop(hands.relay.withdraw_approval(request).await);
                return refusal(frame?);
            }
            signed = signature(hands.relay, request, within) => {
                let second = Second { second: signed? };
                asked.stream.outgoing().extend(frame::message(Kind::Second, &second));
            }
        }
        tell(hands, Id::SecondArrived);
    }
    refusal(asked.stream.next().await?)
}

async fn signature(relay: &Relay, id: &str, within: Span) -> Result<Signed, VisitError> {
    loop {
        match relay.wait_approval(id).await {
            Ok(approval) => {
                if let Some(signed) = answered(approval, within)? {
                    return Ok(signed);
                }
            }
            Err(error) if error.may_pass() => sleep(ASK_AGAIN).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The second signature, once it is there. A relay can make up a no, as it can deliver nothing.
fn answered(approval: Approval, within: Span) -> Result<Option<Signed>, VisitError> {
    let Approval { state, second, by, why, .. } = approval;
    let by = by.unwrap_or_default();
    match state {
        ApprovalState::Waiting | ApprovalState::Signed => Ok(second.as_ref().map(signed).transpose()?),
        ApprovalState::Denied => Err(VisitError::Denied { by, why }),
        ApprovalState::Withdrawn => Err(VisitError::Withdrawn { by }),
        ApprovalState::Expired => Err(VisitError::NobodySigned(within.to_string())),
    }
}

fn signed(TextBytes(sshsig): &TextBytes) -> Result<Signed, RelayError> {
    let odd = || RelayError::Odd { why: "the second signature names no key".into() };
    let key = signer::signer_of(sshsig).ok_or_else(odd)?;
    Ok(Signed { key, sshsig: ByteBuf::from(sshsig.clone()) })
}
