//! `/ti/hunts`: indicators looked for in events that are stored already.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::Timestamp;
use proto::ServiceError;
use proto::intel::v1::{HuntedValue, StartHuntRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Value as JsonValue, json};
use storage::hunts::{Hunt, Quarry};
use utoipa::ToSchema;

use super::body::JsonBody;
use super::params::Params;
use super::path::PathText;
use crate::app::events::check_limit;
use crate::app::hunts;
use crate::auth::Caller;
use crate::problem::{Problem, internal, invalid};
use crate::state::App;

const MAX_LIMIT: usize = 1000;

/// What to look for, and where. Either `indicators` or `feed`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HuntBody {
    /// At most 1000, each `TYPE:VALUE` or a value whose form tells its type. They need not be stored.
    #[schema(example = json!(["ip:198.51.100.77", "evil.example"]))]
    indicators: Vec<String>,
    /// All indicators of this feed.
    feed: String,
    /// Of the feed, only those added at this time or later. RFC 3339.
    added_since: Option<String>,
    /// Events at this time or later. RFC 3339.
    from: Option<String>,
    /// Events before this time. RFC 3339.
    to: Option<String>,
    /// Whether matches become alerts, marked `retroactive`.
    alert: bool,
}

/// A hunt that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HuntStarted {
    /// Ask for it by this.
    id: String,
}

/// A list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HuntList {
    /// The latest first. Each as `GET /ti/hunts/{id}` answers it.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
}

/// A page of what a hunt found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MatchPage {
    /// Each has `id` (the alert's, if there is one), `@timestamp`, `event_id`, `type`, `value`, `field`, `source`, `feed`,
    /// `host` and the start of `message`. At most 10,000 are kept of a hunt.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Whether a hunt was stopped.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HuntCancelled {
    /// False: it was over.
    cancelled: bool,
}

fn micros(field: &str, text: Option<&String>) -> Result<i64, ServiceError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    let time = text.parse::<Timestamp>();
    let Timestamp(micros) = time.map_err(|error| invalid(format!("{field}: {error}")))?;
    if micros > 0 {
        Ok(micros)
    } else {
        Err(invalid(format!("{field}: expected a time after 1970")))
    }
}

fn to_json(hunt: &Hunt) -> JsonValue {
    let (indicators, feed, added_since) = match &hunt.quarry {
        Quarry::Indicators(values) => {
            let texts: Vec<String> = values.iter().map(|(kind, value)| format!("{kind}:{value}")).collect();
            (texts, None, None)
        }
        Quarry::Feed { name, added_since } => (Vec::new(), Some(name), *added_since),
    };
    json!({
        "id": hunt.id,
        "indicators": indicators,
        "feed": feed,
        "added_since": added_since,
        "from": hunt.from,
        "to": hunt.to,
        "alert": hunt.alert,
        "requested_by": hunt.requested_by,
        "state": hunt.state,
        "progress": hunt.progress,
        "node": hunt.node,
        "error": hunt.error,
        "created_at": hunt.created_at,
        "finished_at": hunt.finished_at,
    })
}

/// Looks for indicators in stored events, in the background and one hunt after the other.
#[utoipa::path(
    post,
    path = "/ti/hunts",
    tag = "threat intelligence",
    request_body = HuntBody,
    responses((status = 200, description = "It waits for a detector", body = HuntStarted))
)]
pub(super) async fn start(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<HuntBody>,
) -> Result<Json<HuntStarted>, Problem> {
    let mut values = Vec::with_capacity(body.indicators.len());
    for (index, text) in body.indicators.iter().enumerate() {
        let (kind, value) = hunts::read_indicator(index, text)?;
        values.push(HuntedValue {
            r#type: kind.as_str().to_owned(),
            value,
        });
    }
    if values.is_empty() == body.feed.is_empty() {
        return Err(invalid("indicators: expected either these or a feed").into());
    }
    let request = StartHuntRequest {
        indicators: values,
        added_since_micros: micros("added_since", body.added_since.as_ref())?,
        from_micros: micros("from", body.from.as_ref())?,
        to_micros: micros("to", body.to.as_ref())?,
        feed: body.feed,
        alert: body.alert,
        ..StartHuntRequest::default()
    };
    let id = hunts::start(&app.peers, &caller, request).await?;
    Ok(Json(HuntStarted { id }))
}

/// Hunts of the last 30 days, the latest first.
#[utoipa::path(
    get,
    path = "/ti/hunts",
    tag = "threat intelligence",
    params(("limit" = Option<u64>, Query, description = "Hunts in the answer, 1 to 1000", minimum = 1, maximum = 1000)),
    responses((status = 200, description = "Hunts", body = HuntList))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<HuntList>, Problem> {
    let mut params = Params::parse(&uri, &["limit"])?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_LIMIT}"))?;
    let found = hunts::list(&app.store, &caller, check_limit(limit, 50, MAX_LIMIT)?).await?;
    Ok(Json(HuntList {
        items: found.iter().map(to_json).collect(),
    }))
}

/// How a hunt stands: `state` is `waiting`, `running`, `done`, `failed` or `cancelled`, and `progress` counts blocks,
/// events, matches and new alerts.
#[utoipa::path(
    get,
    path = "/ti/hunts/{id}",
    tag = "threat intelligence",
    params(("id" = String, Path, description = "As `POST /ti/hunts` answered")),
    responses((status = 200, description = "The hunt", body = Object))
)]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<JsonValue>, Problem> {
    let hunt = hunts::get(&app.store, &caller, &id).await?;
    Ok(Json(to_json(&hunt)))
}

/// What a hunt has found so far.
#[utoipa::path(
    get,
    path = "/ti/hunts/{id}/matches",
    tag = "threat intelligence",
    params(
        ("id" = String, Path, description = "As `POST /ti/hunts` answered"),
        ("limit" = Option<u64>, Query, description = "Matches in the answer, 1 to 1000", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")
    ),
    responses((status = 200, description = "A page of matches", body = MatchPage))
)]
pub(super) async fn matches(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    uri: Uri,
) -> Result<Json<MatchPage>, Problem> {
    let mut params = Params::parse(&uri, &["limit", "cursor"])?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_LIMIT}"))?;
    let limit = check_limit(limit, 100, MAX_LIMIT)?;
    let after = params.text("cursor");
    let is_id = |text: &String| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if after.as_ref().is_some_and(|after| !is_id(after)) {
        return Err(invalid("cursor: expected the next_cursor of an earlier answer").into());
    }
    let found = hunts::matches(&app.store, &caller, &id, after.as_deref(), limit).await?;
    let next_cursor = found
        .last()
        .filter(|_| found.len() == limit)
        .map(|last| last.id.clone());
    let items: Result<Vec<JsonValue>, _> = found.iter().map(serde_json::to_value).collect();
    Ok(Json(MatchPage {
        items: items.map_err(|error| internal("match", &error))?,
        next_cursor,
    }))
}

/// Stops a hunt. What it found stays.
#[utoipa::path(
    delete,
    path = "/ti/hunts/{id}",
    tag = "threat intelligence",
    params(("id" = String, Path, description = "As `POST /ti/hunts` answered")),
    responses((status = 200, description = "Whether it was stopped", body = HuntCancelled))
)]
pub(super) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<HuntCancelled>, Problem> {
    let cancelled = hunts::cancel(&app.store, &app.peers, &caller, &id).await?;
    Ok(Json(HuntCancelled { cancelled }))
}
