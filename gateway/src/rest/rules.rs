//! `/rules`: detection content, read and explained.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::Level;
use model::rule::{RuleKind, RuleOrigin, StoredRule};
use proto::rules::v1::ExplainRuleRequest;
use proto::rules::v1::explain_rule_request::{Event, Rule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as JsonValue};
use storage::rules::RuleFilter;
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::params::Params;
use super::path::PathText;
use crate::app::events::check_limit;
use crate::app::rule_use::{self, Cost, Coverage, MAX_DAYS, check_days};
use crate::app::rules::{self, DEFAULT_PAGE, MAX_PAGE};
use crate::auth::Caller;
use crate::problem::{Problem, internal, invalid};
use crate::state::App;

const KNOWN: [&str; 10] = [
    "enabled",
    "kind",
    "origin",
    "min_level",
    "tag",
    "logsource",
    "q",
    "error",
    "limit",
    "cursor",
];

/// Which rules.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct RuleParams {
    /// Enabled or disabled ones.
    enabled: Option<bool>,
    /// `rule`, `correlation`, `filter` or `pipeline`.
    #[param(pattern = "^(rule|correlation|filter|pipeline)$")]
    kind: Option<String>,
    /// `dir` for those from a detector's directory, `api` for imported ones.
    #[param(pattern = "^(dir|api)$")]
    origin: Option<String>,
    /// Lowest level: `informational`, `low`, `medium`, `high` or `critical`.
    #[param(pattern = "^(informational|low|medium|high|critical)$")]
    min_level: Option<String>,
    /// A tag, such as `attack.t1110`.
    tag: Option<String>,
    /// A part of `product/category/service`, such as `windows`.
    logsource: Option<String>,
    /// A part of the title, the id or the path.
    q: Option<String>,
    /// `true`: enabled ones that cannot be used; `false`: all others.
    error: Option<bool>,
    /// Rules on the page, 1 to 5000.
    #[param(minimum = 1, maximum = 5000, default = 100)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of rules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RulePage {
    /// By id.
    items: Vec<RuleAnswer>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A rule, correlation, filter or pipeline.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleAnswer {
    #[schema(example = "a6c7c567-bcd9-5191-9010-55aa97ba57c4")]
    id: String,
    /// `rule`, `correlation`, `filter` or `pipeline`.
    #[schema(example = "rule")]
    kind: &'static str,
    #[schema(example = "SSH failed password")]
    title: String,
    /// Absent where the kind has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "low")]
    level: Option<&'static str>,
    /// `product/category/service`.
    #[schema(example = "linux//sshd")]
    logsource: String,
    tags: Vec<String>,
    enabled: bool,
    /// Why it was enabled or disabled last.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    /// Why it is not in use though it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RuleErrorAnswer>,
    /// `dir` or `api`.
    #[schema(example = "api")]
    origin: &'static str,
    path: String,
    /// Changes with the text.
    revision: String,
    /// RFC 3339.
    updated_at: String,
    updated_by: String,
    /// The text; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    yaml: Option<String>,
}

/// Why a rule is not in use.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleErrorAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    field: String,
    reason: String,
}

impl RuleAnswer {
    fn of(rule: StoredRule, with_text: bool) -> Self {
        Self {
            id: rule.id,
            kind: rule.kind.as_str(),
            title: rule.title,
            level: rule.level.map(Level::as_str),
            logsource: rule.logsource,
            tags: rule.tags,
            enabled: rule.enabled,
            note: rule.note,
            error: rule.error.filter(|_| rule.enabled).map(|error| RuleErrorAnswer {
                line: error.line,
                field: error.field,
                reason: error.reason,
            }),
            origin: rule.origin.as_str(),
            path: rule.path,
            revision: rule.revision,
            updated_at: rule.updated_at.to_string(),
            updated_by: rule.updated_by,
            yaml: with_text.then_some(rule.yaml),
        }
    }
}

/// Rules, by id.
#[utoipa::path(
    get,
    path = "/rules",
    tag = "rules",
    params(RuleParams),
    responses((status = 200, description = "A page of rules", body = RulePage))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<RulePage>, Problem> {
    let mut params = Params::parse(&uri, &KNOWN)?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_PAGE}"))?;
    let limit = check_limit(limit, DEFAULT_PAGE, MAX_PAGE)?;
    let origin = match params.text("origin").as_deref() {
        None => None,
        Some("dir") => Some(RuleOrigin::Dir),
        Some("api") => Some(RuleOrigin::Api),
        Some(other) => return Err(invalid(format!("origin: expected dir or api, got {other:?}")).into()),
    };
    let filter = RuleFilter {
        tenant: caller.tenant,
        enabled: params.take("enabled", "true or false")?,
        kind: params.take_named::<RuleKind>("kind")?,
        origin,
        min_level: params.take_named::<Level>("min_level")?,
        tag: params.text("tag"),
        logsource: params.text("logsource"),
        text: params.text("q"),
        has_error: params.take("error", "true or false")?,
        after: params
            .text("cursor")
            .map(|text| rules::parse_cursor(&text))
            .transpose()?,
        limit: 0,
    };
    let page = rules::page(&app.store, filter, limit).await?;
    Ok(Json(RulePage {
        items: page.rules.into_iter().map(|rule| RuleAnswer::of(rule, false)).collect(),
        next_cursor: page.next,
    }))
}

/// How far back to look for data.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct CoverageParams {
    /// Days looked back, today included, 1 to 400.
    #[param(minimum = 1, maximum = 400, default = 7)]
    days: Option<u32>,
}

/// How far back to look, and how many rules to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct CostParams {
    /// Days looked back, today included, 1 to 400.
    #[param(minimum = 1, maximum = 400, default = 7)]
    days: Option<u32>,
    /// Rules listed, 1 to 5000; those over their budget are listed in any case.
    #[param(minimum = 1, maximum = 5000, default = 100)]
    limit: Option<u64>,
}

fn days(params: &mut Params) -> Result<u32, Problem> {
    let days = params.take::<u32>("days", &format!("a number from 1 to {MAX_DAYS}"))?;
    Ok(check_days(days)?)
}

/// ATT&CK techniques that enabled rules and correlations look for, and enabled rules that saw no data in `days` days.
#[utoipa::path(
    get,
    path = "/rules/coverage",
    tag = "rules",
    params(CoverageParams),
    responses((status = 200, description = "Techniques and blind rules", body = Coverage))
)]
pub(super) async fn coverage(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<Coverage>, Problem> {
    let days = days(&mut Params::parse(&uri, &["days"])?)?;
    Ok(Json(rule_use::coverage(&app.store, &app.peers, &caller, days).await?))
}

/// What rules cost over the last `days` days, as detectors counted it on a sample of events; the dearest first.
#[utoipa::path(
    get,
    path = "/rules/cost",
    tag = "rules",
    params(CostParams),
    responses((status = 200, description = "Costs by rule", body = Cost))
)]
pub(super) async fn cost(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<Cost>, Problem> {
    let mut params = Params::parse(&uri, &["days", "limit"])?;
    let days = days(&mut params)?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_PAGE}"))?;
    let limit = check_limit(limit, DEFAULT_PAGE, MAX_PAGE)?;
    Ok(Json(rule_use::cost(&app.store, &caller, days, limit).await?))
}

/// One rule with its text.
#[utoipa::path(
    get,
    path = "/rules/{id}",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    responses((status = 200, description = "The rule", body = RuleAnswer))
)]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<RuleAnswer>, Problem> {
    let rule = rules::get(&app.store, &caller, &id).await?;
    Ok(Json(RuleAnswer::of(rule, true)))
}

/// A revision of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionAnswer {
    revision: String,
    /// When it was put in place last, RFC 3339.
    at: String,
    /// By whom.
    #[schema(example = "user:ana")]
    by: String,
    yaml: String,
}

/// The revisions of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionList {
    /// That put in place last first.
    items: Vec<VersionAnswer>,
}

/// Every revision a rule has had, that put in place last first; also of rules that were deleted.
#[utoipa::path(
    get,
    path = "/rules/{id}/versions",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    responses((status = 200, description = "The revisions", body = VersionList))
)]
pub(super) async fn versions(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Json<VersionList>, Problem> {
    let versions = rules::versions(&app.store, &caller, &id).await?;
    let items = versions
        .into_iter()
        .map(|version| VersionAnswer {
            revision: version.revision,
            at: version.at.to_string(),
            by: version.by,
            yaml: version.yaml,
        })
        .collect();
    Ok(Json(VersionList { items }))
}

/// An event: a stored one by its id, or one as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainBody {
    /// Id of a stored event.
    event_id: Option<String>,
    /// An event, nested or with dotted names.
    #[schema(value_type = Option<Object>)]
    event: Option<Map<String, JsonValue>>,
}

/// A rule as text, and an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainTextBody {
    /// The rule.
    yaml: String,
    /// Id of a stored event.
    event_id: Option<String>,
    /// An event, nested or with dotted names.
    #[schema(value_type = Option<Object>)]
    event: Option<Map<String, JsonValue>>,
}

fn event(id: Option<String>, object: Option<Map<String, JsonValue>>) -> Result<Event, Problem> {
    match (id, object) {
        (Some(id), None) => Ok(Event::EventId(id)),
        (None, Some(object)) => Ok(Event::EventJson(JsonValue::Object(object).to_string())),
        (Some(_), Some(_)) | (None, None) => Err(invalid("body: expected either event_id or event").into()),
    }
}

async fn explained(app: &App, caller: &Caller, rule: Rule, event: Event) -> Result<Json<JsonValue>, Problem> {
    let request = ExplainRuleRequest {
        tenant: String::new(),
        rule: Some(rule),
        event: Some(event),
    };
    let text = rules::explain(&app.peers, caller, request).await?;
    let value = serde_json::from_str(&text).map_err(|error| internal("explanation", &error))?;
    Ok(Json(value))
}

/// Says why a rule matches an event, or what is missing.
#[utoipa::path(
    post,
    path = "/rules/{id}/explain",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    request_body = ExplainBody,
    responses((status = 200, description = "How the evaluation went", body = Object))
)]
pub(super) async fn explain(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody<ExplainBody>,
) -> Result<Json<JsonValue>, Problem> {
    let event = event(body.event_id, body.event)?;
    explained(&app, &caller, Rule::RuleId(id), event).await
}

/// The same for a rule that is not stored.
#[utoipa::path(
    post,
    path = "/rules/explain",
    tag = "rules",
    request_body = ExplainTextBody,
    responses((status = 200, description = "How the evaluation went", body = Object))
)]
pub(super) async fn explain_text(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<ExplainTextBody>,
) -> Result<Json<JsonValue>, Problem> {
    let event = event(body.event_id, body.event)?;
    explained(&app, &caller, Rule::RuleYaml(body.yaml), event).await
}
