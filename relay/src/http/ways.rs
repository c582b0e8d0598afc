//! What a page must know before anybody is signed in: which ways lead in. Never: anything about an account.

use super::Api;
use super::problem::ProblemBody;
use super::site::site;
use crate::clock;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The ways to sign in.
#[derive(Serialize, ToSchema)]
pub(super) struct Ways {
    /// Nobody has an account yet: `/setup` takes the code from the relay's terminal.
    set_up: bool,
    /// By a password.
    password: bool,
    /// By a passkey: where the page is reached by the relay's own host name and port.
    passkey: bool,
    /// At an identity provider, if one is configured.
    oidc: Option<Provider>,
}

/// An identity provider.
#[derive(Serialize, ToSchema)]
pub(super) struct Provider {
    /// What people call it.
    name: String,
}

/// Says which ways to sign in there are.
#[utoipa::path(get, path = "/sign-in", tag = "sign-in", security(()),
    responses((status = 200, body = Ways), (status = "default", body = ProblemBody)))]
pub(super) async fn list(State(api): State<Arc<Api>>, headers: HeaderMap) -> Json<Ways> {
    Json(Ways {
        set_up: api.access.setup.is_open(clock::instant()),
        password: true,
        passkey: site(&api, &headers).is_ok(),
        oidc: api.access.oidc.as_ref().map(|oidc| Provider { name: oidc.settings().name.clone() }),
    })
}
