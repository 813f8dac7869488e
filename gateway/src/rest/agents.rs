//! `/agents` and what admins do about endpoints.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::params::Params;
use super::path::PathText;
use crate::app::agents;
use crate::app::events::check_limit;
use crate::auth::Caller;
use crate::problem::{Problem, internal};
use crate::state::App;

const MAX_LIMIT: usize = 10_000;

/// Parameters of `GET /agents`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct ListParams {
    /// Agents in the answer, 1 to 10000.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u64>,
}

/// A list of endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgentList {
    /// Those heard from last first. Each has `id`, `group`, `host` and its times; `revoked_at` when it is revoked,
    /// `duplicate_seen_at` when two endpoints used its identity at once.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
}

/// Enrolled endpoints.
#[utoipa::path(
    get,
    path = "/agents",
    tag = "agents",
    params(ListParams),
    responses((status = 200, description = "Endpoints", body = AgentList))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<AgentList>, Problem> {
    let mut params = Params::parse(&uri, &["limit"])?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_LIMIT}"))?;
    let limit = check_limit(limit, 1000, MAX_LIMIT)?;
    let found = agents::list(&app.store, &caller, limit).await?;
    let items = found
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(|error| internal("agent", &error))?;
    Ok(Json(AgentList { items }))
}

/// What became of everything an agent has sent: which numbers are stored, which were refused or given up and why, which are
/// missing, how far the newest receipt reaches and whether its signature is valid. `holds` is the verdict. The blocks
/// themselves are read by `picket agent delivery ID --verify`.
#[utoipa::path(
    get,
    path = "/agents/{id}/delivery",
    tag = "agents",
    params(("id" = uuid::Uuid, Path, description = "Id of the agent")),
    responses((status = 200, description = "The delivery", body = Object))
)]
pub(super) async fn delivery(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<proof::Report>, Problem> {
    Ok(Json(agents::delivery(&app, &caller, &id).await?))
}

fn default_uses() -> u32 {
    1
}

fn default_ttl_secs() -> u64 {
    24 * 3600
}

fn default_group() -> String {
    "default".to_owned()
}

/// What the token is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnrolmentTokenBody {
    /// How many endpoints may enrol with it, 1 to 100000.
    #[serde(default = "default_uses")]
    #[schema(default = 1, minimum = 1, maximum = 100000)]
    uses: u32,
    /// Seconds it stays valid, 1 to 31536000.
    #[serde(default = "default_ttl_secs")]
    #[schema(default = 86400, minimum = 1, maximum = 31536000)]
    ttl_secs: u64,
    /// Group of the endpoints.
    #[serde(default = "default_group")]
    #[schema(default = "default", example = "web", pattern = "^[a-z0-9_-]{1,63}$")]
    group: String,
}

/// An enrolment token. It is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EnrolmentTokenAnswer {
    /// For `agentd enrol --token`.
    token: String,
    /// When it stops working, RFC 3339.
    expires_at: String,
}

/// Makes a token with which endpoints enrol.
#[utoipa::path(
    post,
    path = "/security/enrolment-tokens",
    tag = "agents",
    request_body = EnrolmentTokenBody,
    responses((status = 200, description = "The token", body = EnrolmentTokenAnswer))
)]
pub(super) async fn create_enrolment_token(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<EnrolmentTokenBody>,
) -> Result<Json<EnrolmentTokenAnswer>, Problem> {
    let made = agents::create_enrolment_token(&app.peers, &caller, body.uses, body.ttl_secs, &body.group).await?;
    Ok(Json(EnrolmentTokenAnswer {
        token: made.token.expose_secret().to_owned(),
        expires_at: made.expires_at.to_string(),
    }))
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeBody {
    /// For the audit log, at most 500 characters.
    #[serde(default)]
    #[schema(example = "stolen laptop", max_length = 500)]
    reason: String,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevokeAnswer {
    /// False when it was revoked before.
    revoked: bool,
}

/// Refuses an endpoint from now on and closes its connections.
#[utoipa::path(
    post,
    path = "/security/agents/{id}/revoke",
    tag = "agents",
    params(("id" = uuid::Uuid, Path, description = "Id of the agent")),
    request_body = RevokeBody,
    responses((status = 200, description = "It is revoked", body = RevokeAnswer))
)]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody<RevokeBody>,
) -> Result<Json<RevokeAnswer>, Problem> {
    let revoked = agents::revoke(&app.peers, &caller, &id, &body.reason).await?;
    Ok(Json(RevokeAnswer { revoked }))
}
