//! `GET /` and `GET /health`: whether the server and what it depends on are there.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use model::node::Role;
use serde::Serialize;
use storage::nodes;
use utoipa::ToSchema;

use crate::state::App;

/// How long the database may take to answer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// What `GET /health` answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, or `degraded` when something it depends on is away; the HTTP status is then 503.
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the gateway.
    #[schema(example = "0.1.0")]
    version: &'static str,
    components: Components,
}

/// What the server depends on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Components {
    /// `ok` or `unavailable`.
    #[schema(example = "ok")]
    mongodb: &'static str,
    /// Live nodes by role.
    #[schema(example = json!({"collector": 1, "detector": 1, "responder": 1, "gateway": 1}))]
    nodes: BTreeMap<&'static str, u64>,
}

async fn check(app: &App) -> (StatusCode, Health) {
    let live = tokio::time::timeout(DATABASE_TIMEOUT, nodes::live(&app.store, None)).await;
    let mut counts: BTreeMap<&'static str, u64> = [Role::Collector, Role::Detector, Role::Responder, Role::Gateway]
        .into_iter()
        .map(|role| (role.as_str(), 0))
        .collect();
    let mongodb = if let Ok(Ok(live)) = &live {
        for node in live {
            *counts.entry(node.role.as_str()).or_default() += 1;
        }
        "ok"
    } else {
        "unavailable"
    };
    let works = mongodb == "ok" && counts.get("collector").is_some_and(|count| *count > 0);
    let status = if works {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let health = Health {
        status: if works { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        components: Components { mongodb, nodes: counts },
    };
    (status, health)
}

/// Whether the server, its database and at least one collector are there.
#[utoipa::path(
    get,
    path = "/health",
    tag = "status",
    responses(
        (status = 200, description = "All is well", body = Health),
        (status = 503, description = "The database or every collector is away", body = Health),
    )
)]
pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let (status, health) = check(&app).await;
    (status, Json(health))
}

/// Programs get the health, people the documentation.
pub(super) async fn root(State(app): State<App>, headers: HeaderMap) -> Response {
    let wants_html = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let mut response = if wants_html {
        Redirect::to("/docs/").into_response()
    } else {
        let (status, health) = check(&app).await;
        (status, Json(health)).into_response()
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}
