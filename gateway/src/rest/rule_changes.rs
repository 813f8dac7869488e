//! `/rules`: detection content, changed. What is refused is told with file, line and column.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, Uri};
use model::Timestamp;
use proto::rules::v1::{BacktestRulesRequest, ImportOutcome, ImportRulesResponse, Outcome, RuleFile};
use proto::{ErrorCode, ServiceError};
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::body::{self, JsonBody};
use super::params::Params;
use super::path::PathText;
use crate::app::rules::{self, MAX_BYTES};
use crate::auth::Caller;
use crate::problem::{Place, Problem, internal, invalid, quote};
use crate::state::App;

/// Most places a problem's `detail` tells in words.
const MAX_TOLD: usize = 3;
/// Name of a file that was sent without one.
const UNNAMED: &str = "body.yml";
/// JSON may escape what YAML does not.
const MAX_BODY: usize = 2 * MAX_BYTES;

/// Rules as text. Sent as `application/yaml`, the body is the text itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesBody {
    /// One or more YAML documents.
    yaml: Option<String>,
    /// Name of the file, for people.
    #[serde(default)]
    path: String,
    /// Several files instead.
    #[serde(default)]
    files: Vec<FileBody>,
}

/// A file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileBody {
    /// Files below a folder `pipelines` are processing pipelines.
    #[schema(example = "linux/own.yml")]
    path: String,
    /// One or more YAML documents.
    content: String,
}

/// Rules in any of the forms they are sent in.
pub(super) struct RuleFiles(Vec<RuleFile>);

impl FromRequest<App> for RuleFiles {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let kind = body::media_type(&parts.headers)?;
        let is_yaml = kind.ends_with("yaml") || kind == "text/plain" || kind.ends_with("x-yml");
        if !is_yaml && !body::is_json(&kind) {
            return Err(body::unsupported(&kind, "application/yaml or application/json").into());
        }
        let bytes = body::read(&parts.headers, body, MAX_BODY).await?;
        if is_yaml {
            let content = String::from_utf8(bytes.to_vec()).map_err(|_| invalid("body: expected UTF-8"))?;
            return Ok(Self(vec![RuleFile {
                path: UNNAMED.to_owned(),
                content,
            }]));
        }
        let body: RulesBody = serde_json::from_slice(&bytes).map_err(|error| invalid(format!("body: {error}")))?;
        let files = match (body.yaml, body.files) {
            (Some(content), files) if files.is_empty() => vec![RuleFile {
                path: if body.path.is_empty() {
                    UNNAMED.to_owned()
                } else {
                    body.path
                },
                content,
            }],
            (None, files) if !files.is_empty() => files
                .into_iter()
                .map(|file| RuleFile {
                    path: file.path,
                    content: file.content,
                })
                .collect(),
            _ => return Err(invalid("body: expected either yaml or files").into()),
        };
        Ok(Self(files))
    }
}

/// What became of rules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportAnswer {
    /// Whether nothing is refused.
    valid: bool,
    added: usize,
    changed: usize,
    unchanged: usize,
    refused: usize,
    /// When it was stored, RFC 3339, by the database's clock; a detector whose `rules_at` in `/nodes` is later uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_at: Option<String>,
    /// One for each document, in the order given.
    outcomes: Vec<OutcomeAnswer>,
}

/// What became of a document.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OutcomeAnswer {
    /// `added`, `changed`, `unchanged` or `refused`.
    #[schema(example = "refused")]
    outcome: &'static str,
    path: String,
    id: String,
    /// `rule`, `correlation`, `filter` or `pipeline`; empty when it is readable as none.
    kind: String,
    title: String,
    /// Where it is wrong, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 7)]
    line: u32,
    /// Where it is wrong, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 5)]
    column: u32,
    /// What is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "detection.condition")]
    field: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "expected one of the searches selection, got `selektion`")]
    reason: String,
    /// Worth another look, though it can be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Added => "added",
        Outcome::Changed => "changed",
        Outcome::Unchanged => "unchanged",
        Outcome::Refused | Outcome::Unspecified => "refused",
    }
}

impl ImportAnswer {
    fn of(answer: ImportRulesResponse) -> Self {
        let stored_at = (answer.stored_at_micros > 0).then(|| Timestamp(answer.stored_at_micros).to_string());
        let outcomes = answer.outcomes;
        let count = |wanted: Outcome| outcomes.iter().filter(|outcome| outcome.outcome() == wanted).count();
        let refused = count(Outcome::Refused);
        Self {
            valid: refused == 0,
            added: count(Outcome::Added),
            changed: count(Outcome::Changed),
            unchanged: count(Outcome::Unchanged),
            refused,
            stored_at,
            outcomes: outcomes
                .into_iter()
                .map(|outcome| OutcomeAnswer {
                    outcome: outcome_name(outcome.outcome()),
                    path: outcome.path,
                    id: outcome.id,
                    kind: outcome.kind,
                    title: outcome.title,
                    line: outcome.line,
                    column: outcome.column,
                    field: outcome.field,
                    reason: outcome.reason,
                    warnings: outcome.warnings,
                })
                .collect(),
        }
    }
}

/// The problem of a request of which nothing can be used.
fn refused(outcomes: &[ImportOutcome]) -> Option<Problem> {
    let mut places = rules::places(outcomes);
    for place in &mut places {
        place.path.take_if(|path| path == UNNAMED);
    }
    if places.is_empty() || places.len() < outcomes.len() {
        return None;
    }
    let mut told: Vec<String> = places.iter().take(MAX_TOLD).map(rules::place_text).collect();
    if places.len() > MAX_TOLD {
        told.push(format!("{} more", places.len() - MAX_TOLD));
    }
    Some(Problem(invalid(told.join("; ")), places))
}

/// Stores rules. Those that are wrong cost only themselves; when none can be used, the answer is a problem that names
/// line and column. Detectors use them within a second.
#[utoipa::path(
    post,
    path = "/rules",
    tag = "rules",
    params(("dry_run" = Option<bool>, Query, description = "Only say what would come of it")),
    request_body(content((RulesBody = "application/json"), (String = "application/yaml"))),
    responses((status = 200, description = "What became of them", body = ImportAnswer))
)]
pub(super) async fn import(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    RuleFiles(files): RuleFiles,
) -> Result<Json<ImportAnswer>, Problem> {
    let mut params = Params::parse(&uri, &["dry_run"])?;
    let dry_run = params.take("dry_run", "true or false")?.unwrap_or(false);
    let answer = rules::import(&app.peers, &caller, files, dry_run).await?;
    match refused(&answer.outcomes) {
        Some(problem) => Err(problem),
        None => Ok(Json(ImportAnswer::of(answer))),
    }
}

/// Says what would become of rules, and stores nothing. What is wrong is told with line and column.
#[utoipa::path(
    post,
    path = "/rules/validate",
    tag = "rules",
    request_body(content((RulesBody = "application/json"), (String = "application/yaml"))),
    responses((status = 200, description = "What would become of them", body = ImportAnswer))
)]
pub(super) async fn validate(
    State(app): State<App>,
    caller: Caller,
    RuleFiles(files): RuleFiles,
) -> Result<Json<ImportAnswer>, Problem> {
    let answer = rules::import(&app.peers, &caller, files, true).await?;
    Ok(Json(ImportAnswer::of(answer)))
}

/// Rules, and over which events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BacktestBody {
    /// One or more YAML documents: rules, correlations, filters.
    yaml: String,
    /// Events at this RFC 3339 time or later.
    from: Option<String>,
    /// Events before this RFC 3339 time.
    to: Option<String>,
    /// Replay the deployed versions of the same rules, too.
    #[serde(default)]
    diff: bool,
    /// Alerts shown, at most 1000.
    #[serde(default = "default_samples")]
    #[schema(maximum = 1000)]
    samples: u32,
}

fn default_samples() -> u32 {
    10
}

/// Says what rules would have done with stored events. It ends before the gateway's time for a request is over: then
/// `complete` is false, and the answer is about the latest `events` of `events_in_all`. For more there are the RPC, which
/// tells its progress, and `picket rules backtest`.
#[utoipa::path(
    post,
    path = "/rules/backtest",
    tag = "rules",
    request_body = BacktestBody,
    responses((status = 200, description = "Alerts by rule, host and day, and samples", body = Object))
)]
pub(super) async fn backtest(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<BacktestBody>,
) -> Result<Json<JsonValue>, Problem> {
    let micros = |name: &str, text: Option<String>| -> Result<i64, Problem> {
        let time = text.map(|text| text.parse::<Timestamp>()).transpose();
        let time = time.map_err(|error| invalid(format!("{name}: {error}")))?;
        Ok(time.map_or(0, |time| time.0))
    };
    let (began, limit) = (Instant::now(), app.http.request_timeout());
    let request = BacktestRulesRequest {
        files: vec![RuleFile {
            path: UNNAMED.to_owned(),
            content: body.yaml,
        }],
        from_micros: micros("from", body.from)?,
        to_micros: micros("to", body.to)?,
        diff: body.diff,
        max_samples: body.samples,
        max_seconds: u32::try_from(limit.as_secs() * 2 / 3).unwrap_or(u32::MAX).max(1),
        ..BacktestRulesRequest::default()
    };
    let answers = rules::backtest(&app.peers, &caller, request).await?;
    let outcome = rules::outcome(answers, began + limit * 9 / 10).await?;
    let value = serde_json::from_str(&outcome).map_err(|error| internal("backtest", &error))?;
    Ok(Json(value))
}

/// Stores the text of one rule. Its `id` must be that of the path.
#[utoipa::path(
    put,
    path = "/rules/{id}",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    request_body(content((RulesBody = "application/json"), (String = "application/yaml"))),
    responses((status = 200, description = "What became of it", body = ImportAnswer))
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    RuleFiles(files): RuleFiles,
) -> Result<Json<ImportAnswer>, Problem> {
    let outcomes = rules::import(&app.peers, &caller, files.clone(), true).await?.outcomes;
    if let Some(problem) = refused(&outcomes) {
        return Err(problem);
    }
    let [outcome] = outcomes.as_slice() else {
        return Err(invalid(format!("body: expected one document, got {}", outcomes.len())).into());
    };
    if outcome.id != id {
        let place = Place {
            path: None,
            line: None,
            column: None,
            field: "id".to_owned(),
            reason: format!("expected {} as in the path, got {}", quote(&id), quote(&outcome.id)),
        };
        return Err(Problem(invalid(rules::place_text(&place)), vec![place]));
    }
    let answer = rules::import(&app.peers, &caller, files, false).await?;
    match refused(&answer.outcomes) {
        Some(problem) => Err(problem),
        None => Ok(Json(ImportAnswer::of(answer))),
    }
}

/// Deletes a rule that was imported; its versions stay. A rule from a detector's directory is deleted with its file.
#[utoipa::path(
    delete,
    path = "/rules/{id}",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    responses((status = 204, description = "The rule is deleted"))
)]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<StatusCode, Problem> {
    let changes = rules::delete(&app.peers, &caller, vec![id.clone()]).await?;
    let change = rules::single(&app.store, &caller, changes).await?;
    if change.changed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ServiceError::new(ErrorCode::NotFound, format!("no rule {}", quote(&id))).into())
    }
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoteBody {
    /// Kept in the audit log and shown with the rule.
    #[serde(default)]
    #[schema(example = "too many false positives on build hosts")]
    note: String,
}

/// Whether a rule is another one than before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeAnswer {
    id: String,
    enabled: bool,
    /// False when it was so already.
    changed: bool,
}

async fn switch(
    app: App,
    caller: Caller,
    id: String,
    enabled: bool,
    note: String,
) -> Result<Json<ChangeAnswer>, Problem> {
    let changes = rules::set_enabled(&app.peers, &caller, vec![id], enabled, note).await?;
    let change = rules::single(&app.store, &caller, changes).await?;
    Ok(Json(ChangeAnswer {
        id: change.id,
        enabled,
        changed: change.changed,
    }))
}

/// Switches a rule on. All detectors use it within a second.
#[utoipa::path(
    post,
    path = "/rules/{id}/enable",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    request_body = NoteBody,
    responses((status = 200, description = "The rule is enabled", body = ChangeAnswer))
)]
pub(super) async fn enable(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody<NoteBody>,
) -> Result<Json<ChangeAnswer>, Problem> {
    switch(app, caller, id, true, body.note).await
}

/// Switches a rule off. It stays stored.
#[utoipa::path(
    post,
    path = "/rules/{id}/disable",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    request_body = NoteBody,
    responses((status = 200, description = "The rule is disabled", body = ChangeAnswer))
)]
pub(super) async fn disable(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody<NoteBody>,
) -> Result<Json<ChangeAnswer>, Problem> {
    switch(app, caller, id, false, body.note).await
}
