//! `/rules/exceptions` and `/rules/suppressions`: what tunes rules.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use model::Timestamp;
use model::exception::{Exception, Suppression};
use proto::rules::v1::{Exception as WireException, Suppression as WireSuppression};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as JsonValue};
use utoipa::ToSchema;

use super::body::JsonBody;
use super::params::Params;
use super::path::PathText;
use crate::app::tuning;
use crate::auth::Caller;
use crate::problem::{Problem, invalid};
use crate::state::App;

/// Events a rule does not alert on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExceptionBody {
    /// Id of a rule or correlation, or `*` for all.
    rule_id: String,
    /// A Sigma selection: fields, with modifiers, to values. All must match. Either this or `query`.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"host.name": "build-1"}))]
    selection: Map<String, JsonValue>,
    /// The events in the search language, without times relative to now.
    #[schema(example = "host.name:build-* AND source.ip:10.0.0.0/8")]
    query: Option<String>,
    /// Why this is no finding.
    #[schema(example = "the nightly scan")]
    reason: String,
    /// RFC 3339; events at this time or later cause alerts again. Absent: it holds for ever.
    expires_at: Option<String>,
}

/// An exception as it is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExceptionAnswer {
    id: String,
    rule_id: String,
    /// Absent when there is a query instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    selection: Option<JsonValue>,
    /// Absent when there is a selection instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    reason: String,
    /// Who put it.
    #[schema(example = "user:ana")]
    author: String,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339; absent when it holds for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// Exceptions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExceptionList {
    items: Vec<ExceptionAnswer>,
}

impl From<Exception> for ExceptionAnswer {
    fn from(exception: Exception) -> Self {
        Self {
            id: exception.id,
            rule_id: exception.rule_id,
            selection: Some(JsonValue::Object(exception.selection)).filter(|_| exception.query.is_none()),
            query: exception.query,
            reason: exception.reason,
            author: exception.author,
            created_at: exception.created_at.to_string(),
            expires_at: exception.expires_at.map(|at| at.to_string()),
        }
    }
}

impl From<WireException> for ExceptionAnswer {
    fn from(exception: WireException) -> Self {
        let expires = exception.expires_at_micros;
        Self {
            id: exception.id,
            rule_id: exception.rule_id,
            selection: serde_json::from_str(&exception.selection_json).ok(),
            query: Some(exception.query).filter(|query| !query.is_empty()),
            reason: exception.reason,
            author: exception.author,
            created_at: Timestamp(exception.created_at_micros).to_string(),
            expires_at: (expires != 0).then(|| Timestamp(expires).to_string()),
        }
    }
}

impl ExceptionBody {
    fn into_wire(self, id: String) -> Result<WireException, Problem> {
        let expires_at = self
            .expires_at
            .map(|text| text.parse::<Timestamp>())
            .transpose()
            .map_err(|error| invalid(format!("expires_at: {error}")))?;
        Ok(WireException {
            id,
            rule_id: self.rule_id,
            selection_json: match self.selection.is_empty() {
                true => String::new(),
                false => JsonValue::Object(self.selection).to_string(),
            },
            query: self.query.unwrap_or_default(),
            reason: self.reason,
            expires_at_micros: expires_at.map_or(0, |at| at.0),
            ..WireException::default()
        })
    }
}

/// Exceptions.
#[utoipa::path(
    get,
    path = "/rules/exceptions",
    tag = "rules",
    params(("rule_id" = Option<String>, Query, description = "Only this rule's, or `*` for those of all rules")),
    responses((status = 200, description = "Exceptions", body = ExceptionList))
)]
pub(super) async fn list_exceptions(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<ExceptionList>, Problem> {
    let mut params = Params::parse(&uri, &["rule_id"])?;
    let rule_id = params.text("rule_id");
    let found = tuning::exceptions(&app.store, &caller, rule_id.as_deref()).await?;
    Ok(Json(ExceptionList {
        items: found.into_iter().map(ExceptionAnswer::from).collect(),
    }))
}

/// Adds an exception. It is looked at after a rule matched, in event time.
#[utoipa::path(
    post,
    path = "/rules/exceptions",
    tag = "rules",
    request_body = ExceptionBody,
    responses((status = 201, description = "The exception", body = ExceptionAnswer))
)]
pub(super) async fn add_exception(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<ExceptionBody>,
) -> Result<(StatusCode, Json<ExceptionAnswer>), Problem> {
    let stored = tuning::put_exception(&app.peers, &caller, body.into_wire(String::new())?).await?;
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// Replaces an exception.
#[utoipa::path(
    put,
    path = "/rules/exceptions/{id}",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the exception")),
    request_body = ExceptionBody,
    responses((status = 200, description = "The exception", body = ExceptionAnswer))
)]
pub(super) async fn put_exception(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody<ExceptionBody>,
) -> Result<Json<ExceptionAnswer>, Problem> {
    let stored = tuning::put_exception(&app.peers, &caller, body.into_wire(id)?).await?;
    Ok(Json(stored.into()))
}

/// Removes an exception.
#[utoipa::path(
    delete,
    path = "/rules/exceptions/{id}",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the exception")),
    responses((status = 204, description = "The exception is removed"))
)]
pub(super) async fn delete_exception(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<StatusCode, Problem> {
    if tuning::delete_exception(&app.peers, &caller, &id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(tuning::nothing("exception", &id).into())
    }
}

/// How alerts of a rule are folded into one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SuppressionBody {
    /// Fields by whose values alerts are told apart; none: they are all alike. At most 16.
    #[serde(default)]
    #[schema(example = json!(["host.name", "user.name"]))]
    fields: Vec<String>,
    /// For how long, in event time: 1 second to 30 days.
    #[schema(minimum = 1, maximum = 2_592_000, example = 3600)]
    seconds: u32,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// A suppression as it is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuppressionAnswer {
    rule_id: String,
    fields: Vec<String>,
    seconds: u32,
    reason: String,
    /// Who put it.
    #[schema(example = "user:ana")]
    author: String,
    /// RFC 3339.
    created_at: String,
}

/// Suppressions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuppressionList {
    items: Vec<SuppressionAnswer>,
}

impl From<Suppression> for SuppressionAnswer {
    fn from(suppression: Suppression) -> Self {
        Self {
            rule_id: suppression.rule_id,
            fields: suppression.fields,
            seconds: suppression.seconds,
            reason: suppression.reason,
            author: suppression.author,
            created_at: suppression.created_at.to_string(),
        }
    }
}

impl From<WireSuppression> for SuppressionAnswer {
    fn from(suppression: WireSuppression) -> Self {
        Self {
            rule_id: suppression.rule_id,
            fields: suppression.fields,
            seconds: suppression.duration_seconds,
            reason: suppression.reason,
            author: suppression.author,
            created_at: Timestamp(suppression.created_at_micros).to_string(),
        }
    }
}

/// Suppressions.
#[utoipa::path(
    get,
    path = "/rules/suppressions",
    tag = "rules",
    responses((status = 200, description = "Suppressions", body = SuppressionList))
)]
pub(super) async fn list_suppressions(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<SuppressionList>, Problem> {
    let found = tuning::suppressions(&app.store, &caller).await?;
    Ok(Json(SuppressionList {
        items: found.into_iter().map(SuppressionAnswer::from).collect(),
    }))
}

/// Folds the alerts of a rule that are alike in some fields into one for a time. The others are counted on it.
#[utoipa::path(
    put,
    path = "/rules/suppressions/{id}",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    request_body = SuppressionBody,
    responses((status = 200, description = "The suppression", body = SuppressionAnswer))
)]
pub(super) async fn put_suppression(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody<SuppressionBody>,
) -> Result<Json<SuppressionAnswer>, Problem> {
    let suppression = WireSuppression {
        rule_id: id,
        fields: body.fields,
        duration_seconds: body.seconds,
        reason: body.reason,
        ..WireSuppression::default()
    };
    let stored = tuning::put_suppression(&app.peers, &caller, suppression).await?;
    Ok(Json(stored.into()))
}

/// Removes the suppression of a rule.
#[utoipa::path(
    delete,
    path = "/rules/suppressions/{id}",
    tag = "rules",
    params(("id" = String, Path, description = "Id of the rule")),
    responses((status = 204, description = "The suppression is removed"))
)]
pub(super) async fn delete_suppression(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<StatusCode, Problem> {
    if tuning::delete_suppression(&app.peers, &caller, &id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(tuning::nothing("suppression for rule", &id).into())
    }
}
