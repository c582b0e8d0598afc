//! The admin listener: `/metrics` and `/healthz`, on loopback unless somebody decides otherwise. No customer data, but on
//! `/metrics/servers`, which has what the operator's own `metrics.export_label` lets out.

use crate::store::Store;
use crate::watch::out::Exports;
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
    exports: Option<Arc<Exports>>,
}

/// The routes.
pub(crate) fn router(store: Store, metrics: Registry, exports: Option<Arc<Exports>>) -> Router {
    let admin = Arc::new(Admin { store, metrics, exports });
    let routes = Router::new().route("/metrics", get(metrics_text)).route("/metrics/servers", get(servers));
    routes.route("/healthz", get(healthz)).with_state(admin)
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &admin.metrics).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn servers(State(admin): State<Arc<Admin>>) -> Response {
    match &admin.exports {
        Some(exports) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exports.text()).into_response()
        }
        None => {
            (StatusCode::NOT_FOUND, "no server is exported: set metrics.export_label in relay.toml\n").into_response()
        }
    }
}

async fn healthz(State(admin): State<Arc<Admin>>) -> Response {
    match tokio::time::timeout(PATIENCE, admin.store.check()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n").into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}
