//! `/ti/feeds`: feeds of threat intelligence, and how they go.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::feed::FeedSpec;
use proto::intel::v1::PutFeedOutcome;
use serde::Serialize;
use serde_json::{Map, Value as JsonValue, json};
use storage::feeds::Feed;
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::params::Params;
use super::path::PathText;
use crate::app::feeds;
use crate::auth::Caller;
use crate::problem::{Problem, internal, invalid};
use crate::state::App;

/// A list of feeds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedList {
    /// By name. Each is as it was put, with `status`, `created_at`, `updated_at` and `updated_by`.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
}

/// What became of a feed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedPut {
    /// Its name.
    #[schema(example = "feodo")]
    name: String,
    /// `added`, `changed` or `unchanged`.
    #[schema(example = "added")]
    outcome: &'static str,
}

/// What went with a feed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedDeleted {
    /// Indicators that were removed.
    indicators_removed: u64,
}

/// That a feed will run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedAsked {
    /// Its name.
    name: String,
}

/// Parameters of `DELETE /ti/feeds/{name}`.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct DeleteParams {
    /// Leave the feed's indicators.
    #[param(default = false)]
    keep_indicators: Option<bool>,
}

fn shown(feed: &Feed) -> Result<JsonValue, Problem> {
    let mut value = serde_json::to_value(&feed.spec).map_err(|error| internal("feed", &error))?;
    if let Some(object) = value.as_object_mut() {
        let status = serde_json::to_value(&feed.status).map_err(|error| internal("feed", &error))?;
        object.insert("status".to_owned(), status);
        object.insert("created_at".to_owned(), json!(feed.created_at));
        object.insert("updated_at".to_owned(), json!(feed.updated_at));
        object.insert("updated_by".to_owned(), json!(feed.updated_by));
    }
    Ok(value)
}

/// Feeds by name, with how they go.
#[utoipa::path(
    get,
    path = "/ti/feeds",
    tag = "threat intelligence",
    responses((status = 200, description = "Feeds", body = FeedList))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<FeedList>, Problem> {
    Params::parse(&uri, &[])?;
    let found = feeds::list(&app.store, &caller).await?;
    let items = found.iter().map(shown).collect::<Result<_, _>>()?;
    Ok(Json(FeedList { items }))
}

/// One feed, with how it goes.
#[utoipa::path(
    get,
    path = "/ti/feeds/{name}",
    tag = "threat intelligence",
    params(("name" = String, Path, description = "Name of the feed")),
    responses((status = 200, description = "The feed", body = Object))
)]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<Json<JsonValue>, Problem> {
    let feed = feeds::get(&app.store, &caller, &name).await?;
    shown(&feed).map(Json)
}

/// Sets a feed up, or changes it. It runs at once. Secrets are named by `secret_file` or `secret_env`, never sent.
#[utoipa::path(
    put,
    path = "/ti/feeds/{name}",
    tag = "threat intelligence",
    params(("name" = String, Path, description = "Name of the feed")),
    request_body(content = Object, example = json!({
        "kind": "list", "url": "https://feeds.example.org/list.txt", "interval_secs": 3600,
        "options": { "type": "ip", "ttl_days": 30, "delete_missing": true },
    })),
    responses((status = 200, description = "What became of it", body = FeedPut))
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
    JsonBody(mut body): JsonBody<Map<String, JsonValue>>,
) -> Result<Json<FeedPut>, Problem> {
    let named = body.insert("name".to_owned(), JsonValue::String(name.clone()));
    if named.is_some_and(|named| named.as_str() != Some(name.as_str())) {
        return Err(invalid("name: expected the name in the path, or none").into());
    }
    let spec: FeedSpec =
        serde_json::from_value(JsonValue::Object(body)).map_err(|error| invalid(format!("body: {error}")))?;
    let outcome = match feeds::put(&app.peers, &caller, &spec).await? {
        PutFeedOutcome::Added => "added",
        PutFeedOutcome::Changed => "changed",
        PutFeedOutcome::Unchanged | PutFeedOutcome::Unspecified => "unchanged",
    };
    Ok(Json(FeedPut { name, outcome }))
}

/// Removes a feed and its indicators.
#[utoipa::path(
    delete,
    path = "/ti/feeds/{name}",
    tag = "threat intelligence",
    params(("name" = String, Path, description = "Name of the feed"), DeleteParams),
    responses((status = 200, description = "It is gone", body = FeedDeleted))
)]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
    uri: Uri,
) -> Result<Json<FeedDeleted>, Problem> {
    let mut params = Params::parse(&uri, &["keep_indicators"])?;
    let keep = params
        .take::<bool>("keep_indicators", "true or false")?
        .unwrap_or_default();
    let indicators_removed = feeds::delete(&app.peers, &caller, &name, keep).await?;
    Ok(Json(FeedDeleted { indicators_removed }))
}

/// Makes a feed run now, whatever its schedule. How it went is in its status.
#[utoipa::path(
    post,
    path = "/ti/feeds/{name}/run",
    tag = "threat intelligence",
    params(("name" = String, Path, description = "Name of the feed")),
    responses((status = 200, description = "It will run", body = FeedAsked))
)]
pub(super) async fn run(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<Json<FeedAsked>, Problem> {
    feeds::run(&app.peers, &caller, &name).await?;
    Ok(Json(FeedAsked { name }))
}
