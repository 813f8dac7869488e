//! `/audit`: who changed what.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use utoipa::{IntoParams, ToSchema};

use super::params::Params;
use crate::app::events::check_limit;
use crate::auth::Caller;
use crate::problem::{Problem, internal};
use crate::state::App;

const MAX_LIMIT: usize = 1000;

/// Parameters of `GET /audit`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct ListParams {
    /// Entries in the answer, 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u64>,
}

/// The newest entries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditList {
    /// Newest first. Each has `seq`, `at`, `actor`, `action`, `object`, `detail` (JSON text), `previous` and `hash`.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
}

/// Changes that people and programs made, newest first. `picket audit verify` checks that none was altered or removed.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "security",
    params(ListParams),
    responses((status = 200, description = "The newest entries", body = AuditList))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<AuditList>, Problem> {
    let mut params = Params::parse(&uri, &["limit"])?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_LIMIT}"))?;
    let limit = check_limit(limit, 50, MAX_LIMIT)?;
    let entries = app.accounts.audit_log(&caller, limit).await?;
    let items = entries
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(|error| internal("audit", &error))?;
    Ok(Json(AuditList { items }))
}
