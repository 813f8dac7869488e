//! `/holds`: events that are kept whatever their age.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use model::{EventId, SourceId, Timestamp};
use serde::{Deserialize, Serialize};
use storage::holds::{Hold, Scope};
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::params::Params;
use super::path::PathText;
use crate::app::keeping;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::App;

/// Parameters of `GET /holds`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct ListParams {
    /// Also those that were released.
    #[param(default = false)]
    released: Option<bool>,
    /// Only the one for this incident.
    incident: Option<String>,
}

/// What is to be kept: every block that holds one of the events, or events of one of the sources within the times, or is
/// named. At most 10,000 names.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody {
    /// Why, for whoever finds the hold later: 1 to 500 bytes.
    #[schema(example = "case 7")]
    reason: String,
    /// The incident it is for. A second hold for one incident widens the first.
    incident: Option<String>,
    /// Ids of events.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    events: Vec<EventId>,
    /// Ids of agents or other sources.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    sources: Vec<SourceId>,
    /// Blocks, as `YYYYMMDD/ID`.
    #[serde(default)]
    blocks: Vec<String>,
    /// With sources: not before, RFC 3339.
    from: Option<String>,
    /// With sources: not after, RFC 3339. Absent: also what is still to come.
    to: Option<String>,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HoldAnswer {
    id: String,
    reason: String,
    /// Who placed it.
    #[schema(example = "user:ana")]
    by: String,
    /// RFC 3339.
    at: String,
    /// What it covers, as it was given.
    #[schema(value_type = Object)]
    scope: Scope,
    /// Blocks it holds; of a hold just placed those it had not held before, and of one just released those it had held.
    blocks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    released_by: Option<String>,
    /// RFC 3339; absent while it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    released_at: Option<String>,
}

/// Holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HoldList {
    /// Newest first, at most 1,000.
    items: Vec<HoldAnswer>,
}

impl HoldAnswer {
    fn new(hold: Hold, blocks: u64) -> Self {
        Self {
            id: hold.id,
            reason: hold.reason,
            by: hold.by,
            at: hold.at.to_string(),
            scope: hold.scope,
            blocks,
            released_by: hold.released_by,
            released_at: hold.released_at.map(|at| at.to_string()),
        }
    }
}

/// Holds in force.
#[utoipa::path(
    get,
    path = "/holds",
    tag = "keeping",
    params(ListParams),
    responses((status = 200, description = "Holds", body = HoldList))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<HoldList>, Problem> {
    let mut params = Params::parse(&uri, &["released", "incident"])?;
    let released = params.take::<bool>("released", "true or false")?.unwrap_or(false);
    let incident = params.text("incident");
    let found = keeping::list(&app.store, &caller, released).await?;
    let items = found
        .into_iter()
        .filter(|(hold, _)| incident.is_none() || hold.scope.incident == incident)
        .map(|(hold, blocks)| HoldAnswer::new(hold, blocks))
        .collect();
    Ok(Json(HoldList { items }))
}

/// Keeps events whatever their age, until the hold is released. When this has answered, they are held. While retention is at
/// work it answers 503 after some seconds, and nothing was changed.
#[utoipa::path(
    post,
    path = "/holds",
    tag = "keeping",
    request_body = HoldBody,
    responses((status = 201, description = "The hold", body = HoldAnswer))
)]
pub(super) async fn place(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<HoldBody>,
) -> Result<(StatusCode, Json<HoldAnswer>), Problem> {
    let scope = Scope {
        incident: body.incident,
        blocks: body.blocks,
        events: body.events,
        sources: body.sources,
        from: time("from", body.from)?,
        to: time("to", body.to)?,
    };
    let placed = keeping::place(&app.store, &caller, body.reason, scope).await?;
    Ok((StatusCode::CREATED, Json(HoldAnswer::new(placed.hold, placed.blocks))))
}

fn time(field: &str, text: Option<String>) -> Result<Option<Timestamp>, Problem> {
    text.map(|text| text.parse())
        .transpose()
        .map_err(|error| crate::problem::invalid(format!("{field}: {error}")).into())
}

/// Releases a hold: what nothing else holds may be removed again.
#[utoipa::path(
    delete,
    path = "/holds/{id}",
    tag = "keeping",
    params(("id" = String, Path, description = "Id of the hold")),
    responses((status = 200, description = "The hold", body = HoldAnswer))
)]
pub(super) async fn release(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<HoldAnswer>, Problem> {
    let released = keeping::release(&app.store, &caller, &id).await?;
    Ok(Json(HoldAnswer::new(released.hold, released.blocks)))
}
