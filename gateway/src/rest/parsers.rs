//! `/parsers`: log formats that operators describe.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use proto::formats::v1::PutParserResponse;
use serde::{Deserialize, Serialize};
use storage::parsers::StoredParser;
use utoipa::ToSchema;

use super::body;
use super::path::PathText;
use crate::app::parsers::{self, MAX_TEXT};
use crate::auth::Caller;
use crate::problem::{Place, Problem, invalid};
use crate::state::App;

/// Most places a problem's `detail` tells in words.
const MAX_TOLD: usize = 3;
/// JSON may escape what TOML does not.
const MAX_BODY: usize = 2 * MAX_TEXT;

/// A parser as text. Sent as `application/toml`, the body is the text itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParserBody {
    /// TOML.
    text: String,
}

/// A parser in either of the forms it is sent in.
pub(super) struct ParserText(String);

impl FromRequest<App> for ParserText {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let kind = body::media_type(&parts.headers)?;
        let is_toml = kind.ends_with("toml") || kind == "text/plain";
        if !is_toml && !body::is_json(&kind) {
            return Err(body::unsupported(&kind, "application/toml or application/json").into());
        }
        let bytes = body::read(&parts.headers, body, MAX_BODY).await?;
        if is_toml {
            let text = String::from_utf8(bytes.to_vec()).map_err(|_| invalid("body: expected UTF-8"))?;
            return Ok(Self(text));
        }
        let body: ParserBody = serde_json::from_slice(&bytes).map_err(|error| invalid(format!("body: {error}")))?;
        Ok(Self(body.text))
    }
}

/// A parser as it is stored, or one of its versions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParserAnswer {
    /// What `picket.log_type` says of its events, and what a source's `log_type` asks for.
    #[schema(example = "shop")]
    name: String,
    /// `event.dataset` of its events.
    #[schema(example = "shop.orders")]
    dataset: String,
    /// From 1, one more with every change.
    revision: i64,
    /// Who put it in place, or removed it.
    #[schema(example = "user:ana")]
    by: String,
    /// RFC 3339.
    at: String,
    /// TOML. Absent in lists, and in the version that says it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl ParserAnswer {
    fn new(parser: StoredParser, with_text: bool) -> Self {
        Self {
            name: parser.name,
            dataset: parser.dataset,
            revision: parser.revision,
            by: parser.by,
            at: parser.at.to_string(),
            text: Some(parser.text).filter(|text| with_text && !text.is_empty()),
        }
    }
}

/// Parsers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParserList {
    items: Vec<ParserAnswer>,
}

/// What became of a parser.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParserOutcome {
    /// Whether it can be used and its own tests hold.
    valid: bool,
    /// Absent when the text cannot be used.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "shop")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "shop.orders")]
    dataset: String,
    /// The revision that is stored; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    /// It was stored like this before.
    unchanged: bool,
    /// Whether lines are tried that nobody said the type of.
    detected: bool,
    /// Tests in the text.
    tests: u32,
    /// What is wrong, and where.
    errors: Vec<Place>,
}

impl From<PutParserResponse> for ParserOutcome {
    fn from(answer: PutParserResponse) -> Self {
        Self {
            valid: answer.mistakes.is_empty(),
            name: answer.name,
            dataset: answer.dataset,
            revision: (answer.revision > 0).then_some(answer.revision),
            unchanged: answer.unchanged,
            detected: answer.detected,
            tests: answer.tests,
            errors: parsers::places(answer.mistakes),
        }
    }
}

/// Own parsers by name.
#[utoipa::path(
    get,
    path = "/parsers",
    tag = "parsers",
    responses((status = 200, description = "Parsers, without their texts", body = ParserList))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<ParserList>, Problem> {
    let found = parsers::list(&app.store, &caller).await?;
    let items = found.into_iter().map(|parser| ParserAnswer::new(parser, false));
    Ok(Json(ParserList { items: items.collect() }))
}

/// One parser with its text.
#[utoipa::path(
    get,
    path = "/parsers/{name}",
    tag = "parsers",
    params(("name" = String, Path, description = "Name of the parser")),
    responses((status = 200, description = "The parser", body = ParserAnswer))
)]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<Json<ParserAnswer>, Problem> {
    let found = parsers::get(&app.store, &caller, &name).await?;
    Ok(Json(ParserAnswer::new(found, true)))
}

/// Every text a parser has had, the newest first; also of one that was removed.
#[utoipa::path(
    get,
    path = "/parsers/{name}/versions",
    tag = "parsers",
    params(("name" = String, Path, description = "Name of the parser")),
    responses((status = 200, description = "Versions", body = ParserList))
)]
pub(super) async fn versions(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<Json<ParserList>, Problem> {
    let found = parsers::versions(&app.store, &caller, &name).await?;
    let items = found.into_iter().map(|parser| ParserAnswer::new(parser, true));
    Ok(Json(ParserList { items: items.collect() }))
}

/// Says what would come of a parser: where it is wrong, and which of its own tests fail. Stores nothing.
#[utoipa::path(
    post,
    path = "/parsers/validate",
    tag = "parsers",
    request_body = ParserBody,
    responses((status = 200, description = "What would come of it", body = ParserOutcome))
)]
pub(super) async fn validate(
    State(app): State<App>,
    caller: Caller,
    ParserText(text): ParserText,
) -> Result<Json<ParserOutcome>, Problem> {
    let answer = parsers::put(&app.peers, &caller, "", text, true).await?;
    Ok(Json(answer.into()))
}

/// Stores a parser under the name in its text, or replaces the one of that name. Collectors use it within a second.
#[utoipa::path(
    post,
    path = "/parsers",
    tag = "parsers",
    request_body = ParserBody,
    responses((status = 201, description = "It is stored", body = ParserOutcome))
)]
pub(super) async fn import(
    State(app): State<App>,
    caller: Caller,
    ParserText(text): ParserText,
) -> Result<(StatusCode, Json<ParserOutcome>), Problem> {
    Ok((StatusCode::CREATED, Json(store(&app, &caller, "", text).await?)))
}

/// Stores a parser of this name, or replaces it.
#[utoipa::path(
    put,
    path = "/parsers/{name}",
    tag = "parsers",
    params(("name" = String, Path, description = "Name of the parser, as in its text")),
    request_body = ParserBody,
    responses((status = 200, description = "It is stored", body = ParserOutcome))
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
    ParserText(text): ParserText,
) -> Result<Json<ParserOutcome>, Problem> {
    store(&app, &caller, &name, text).await.map(Json)
}

/// Removes a parser. Its versions stay.
#[utoipa::path(
    delete,
    path = "/parsers/{name}",
    tag = "parsers",
    params(("name" = String, Path, description = "Name of the parser")),
    responses((status = 204, description = "The parser is removed"))
)]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<StatusCode, Problem> {
    if parsers::delete(&app.peers, &caller, &name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(parsers::nothing(&name).into())
    }
}

async fn store(app: &App, caller: &Caller, name: &str, text: String) -> Result<ParserOutcome, Problem> {
    let answer = parsers::put(&app.peers, caller, name, text, false).await?;
    if answer.mistakes.is_empty() {
        return Ok(answer.into());
    }
    let places = parsers::places(answer.mistakes);
    let told: Vec<String> = places.iter().take(MAX_TOLD).map(in_words).collect();
    Err(Problem(invalid(told.join("; ")), places))
}

/// What is wrong at a place.
fn in_words(place: &Place) -> String {
    let at = match (place.line, place.column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        _ => String::new(),
    };
    let field = if place.field.is_empty() {
        String::new()
    } else {
        format!("{}: ", place.field)
    };
    format!("{at}{field}{}", place.reason)
}
