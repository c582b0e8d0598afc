//! Invitations: a code for somebody without an account, and the stream to whoever came with it.
//!
//! Only the account that made an invitation sees or reaches its guest. Nothing here opens anything there: root on the
//! guest compares six words and says yes.

use super::Api;
use super::caller::{Asked, Body, Caller, Id};
use super::encoding::{Bytes, ListId};
use super::problem::{Code, Problem, ProblemBody};
use super::stream::{Opener, Purpose, open_to};
use super::tokens::agents;
use super::wait::{Look, Wait, held};
use crate::clock;
use crate::store::{self, NewInvitation};
use crate::tunnels::secret_hash;
use axum::Json;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use cloud_doctor_proto::guest::{Code as GuestCode, relay_mark};
use cloud_doctor_proto::limits::GUEST_CODE_SECS;
use cloud_doctor_proto::signer::SshKey;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Invitations that one account may have open: a support engineer's whole day of calls.
const OPEN_MAX: u32 = 20;

/// An invitation to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct Invite {
    /// The public key that will sign, in SSH's wire format.
    #[schema(value_type = String)]
    engineer_key: Bytes,
}

/// An invitation, with its code for the only time.
#[derive(Serialize, ToSchema)]
pub(super) struct Invited {
    /// Names it.
    id: String,
    /// What the customer types behind `cloud-doctor-agent visit`.
    code: String,
    /// Last second in which the code counts.
    expires_at: u64,
}

/// Makes an invitation.
#[utoipa::path(post, path = "/invitations", tag = "invitations", security(("login" = [])), request_body = Invite,
    responses((status = 201, body = Invited), (status = "default", body = ProblemBody)))]
pub(super) async fn invite(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Body(asked): Body<Invite>,
) -> Result<(StatusCode, Json<Invited>), Problem> {
    let key = SshKey::from_blob(&asked.engineer_key.0);
    let key = key.map_err(|error| Problem::with(Code::BadRequest, &format!("engineer_key: {error}")))?;
    let mut secret = [0; cloud_doctor_proto::limits::GUEST_CODE_BYTES];
    getrandom::fill(&mut secret)?;
    let now = clock::now();
    let new = NewInvitation {
        id: ListId::random()?.0,
        secret_hash: secret_hash(&secret),
        engineer_key: key.blob().to_vec(),
        expires_at: now.plus_secs(GUEST_CODE_SECS),
    };
    if !caller.scoped(&api).add_invitation(&new, OPEN_MAX, caller.actor(), now).await? {
        return Err(Problem::with(Code::TooMany, "20 invitations of yours are open"));
    }
    let code = GuestCode { relay: agents(&api, &headers), secret, mark: relay_mark(&api.agents.pins[0]) };
    let invited = Invited { id: ListId(new.id).to_string(), code: code.to_string(), expires_at: new.expires_at.0 };
    Ok((StatusCode::CREATED, Json(invited)))
}

/// How an invitation stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Invitation {
    /// Names it.
    id: String,
    /// Last second in which the code counts.
    expires_at: u64,
    /// Over.
    ended: bool,
    /// What the guest calls itself, once it came. A stranger's text.
    hostname: Option<String>,
    /// The guest has a tunnel here now.
    online: bool,
}

impl Invitation {
    fn of(api: &Api, row: &store::Invitation) -> Self {
        let now = clock::now();
        let guest = row.guest_at(now);
        Self {
            id: ListId(row.id).to_string(),
            expires_at: row.expires_at.0,
            ended: row.ended || (guest.is_none() && (row.guest.is_some() || now > row.expires_at)),
            hostname: guest.map(|guest| guest.hostname.clone()),
            online: guest.is_some_and(|guest| api.registry.live(&guest.agent).is_some()),
        }
    }
}

/// One invitation; with `wait`, answers when its guest is there or the time is over.
#[utoipa::path(get, path = "/invitations/{id}", tag = "invitations", security(("login" = [])),
    params(("id" = String, Path, description = "the invitation's id"), Wait),
    responses((status = 200, body = Invitation), (status = "default", body = ProblemBody)))]
pub(super) async fn wait(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ListId>,
    Asked(Wait { wait }): Asked<Wait>,
) -> Result<Json<Invitation>, Problem> {
    let answer = held(&api, &api.guests, wait, || async {
        let row = caller.scoped(&api).invitation(&id.0, &caller.account.name).await?.ok_or(Code::Unknown)?;
        let answer = Invitation::of(&api, &row);
        // A code that nobody has used ends by itself; a guest that came and has no tunnel may come back.
        let until = row.guest.is_none().then_some(row.expires_at);
        Ok(if answer.online || answer.ended { Look::News(answer) } else { Look::Same(answer, until) })
    });
    Ok(Json(answer.await?))
}

/// Ends an invitation; its guest is let go.
#[utoipa::path(delete, path = "/invitations/{id}", tag = "invitations", security(("login" = [])),
    params(("id" = String, Path, description = "the invitation's id")),
    responses((status = 204), (status = "default", body = ProblemBody)))]
pub(super) async fn end(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id<ListId>,
) -> Result<StatusCode, Problem> {
    let scoped = caller.scoped(&api);
    let row = scoped.invitation(&id.0, &caller.account.name).await?.ok_or(Code::Unknown)?;
    if !scoped.end_invitation(&id.0, caller.actor(), clock::now()).await? {
        return Err(Code::Unknown.into());
    }
    if let Some(guest) = row.guest {
        api.registry.remove(&guest.agent);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Opens a sealed stream to the guest: a WebSocket with the subprotocol `cloud-doctor.v1`.
#[utoipa::path(get, path = "/invitations/{id}/stream", tag = "invitations", security(("login" = [])),
    params(("id" = String, Path, description = "the invitation's id"), Purpose),
    responses((status = 101), (status = "default", body = ProblemBody)))]
pub(super) async fn open(
    State(api): State<Arc<Api>>,
    Opener(caller): Opener,
    Id(id): Id<ListId>,
    Asked(purpose): Asked<Purpose>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let row = caller.scoped(&api).invitation(&id.0, &caller.account.name).await?.ok_or(Code::Unknown)?;
    let agent = row.guest_at(clock::now()).ok_or(Code::Unknown)?.agent;
    open_to(api, caller, agent, purpose, &headers, upgrade).await
}
