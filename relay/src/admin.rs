//! The admin listener: `/metrics` and `/healthz`, on loopback unless somebody decides otherwise. No customer data.

use crate::store::Store;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

/// A database that does not answer for so long is not healthy.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Admin {
    store: Store,
    metrics: Registry,
}

/// The routes.
pub(crate) fn router(store: Store, metrics: Registry) -> Router {
    let admin = Arc::new(Admin { store, metrics });
    Router::new().route("/metrics", get(metrics_text)).route("/healthz", get(healthz)).with_state(admin)
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &admin.metrics).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn healthz(State(admin): State<Arc<Admin>>) -> Response {
    match tokio::time::timeout(PATIENCE, admin.store.check()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n").into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}
