//! `/retention`: how long events are kept.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::JsonBody;
use crate::app::keeping::{self, Retention};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::App;

/// How long to keep events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionBody {
    /// Days events are kept whose class is not in `classes`.
    #[schema(minimum = 1, maximum = 36500, example = 90)]
    days: u32,
    /// Days by class: each 1 to 36,500.
    #[serde(default)]
    #[schema(example = json!({"web": 14, "authentication": 365}))]
    classes: BTreeMap<String, u32>,
}

/// How long events are kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetentionAnswer {
    /// Days events are kept whose class is not in `classes`; absent before retention's first pass, as it is not known then.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    /// Days by class.
    classes: BTreeMap<String, u32>,
    /// Who set it; absent when collectors' configuration holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "user:ana")]
    set_by: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_at: Option<String>,
    /// When the last pass ended, RFC 3339; what was set since holds from the next one on.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<String>,
}

impl From<Retention> for RetentionAnswer {
    fn from(retention: Retention) -> Self {
        let (set_by, set_at) = retention.set.unzip();
        let keep = retention.keep;
        Self {
            days: keep.as_ref().map(|keep| keep.days),
            classes: keep.map(|keep| keep.classes).unwrap_or_default(),
            set_by,
            set_at: set_at.map(|at| at.to_string()),
            last_at: retention.last_at.map(|at| at.to_string()),
        }
    }
}

/// How long events of the caller's tenant are kept.
#[utoipa::path(
    get,
    path = "/retention",
    tag = "keeping",
    responses((status = 200, description = "Days", body = RetentionAnswer))
)]
pub(super) async fn get(State(app): State<App>, caller: Caller) -> Result<Json<RetentionAnswer>, Problem> {
    Ok(Json(keeping::retention(&app.store, &caller).await?.into()))
}

/// Sets how long events of the caller's tenant are kept, all of it, from the next pass on; it holds instead of what
/// collectors are configured with. Events that are over by then are removed for good.
#[utoipa::path(
    put,
    path = "/retention",
    tag = "keeping",
    request_body = RetentionBody,
    responses((status = 200, description = "Days", body = RetentionAnswer))
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<RetentionBody>,
) -> Result<Json<RetentionAnswer>, Problem> {
    let set = keeping::set_retention(&app.store, &caller, body.days, body.classes).await?;
    Ok(Json(set.into()))
}

/// Has what collectors are configured with hold again.
#[utoipa::path(
    delete,
    path = "/retention",
    tag = "keeping",
    responses(
        (status = 204, description = "The configuration holds"),
        (status = 404, description = "Nothing was set")
    )
)]
pub(super) async fn delete(State(app): State<App>, caller: Caller) -> Result<StatusCode, Problem> {
    keeping::unset_retention(&app.store, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
