//! `/ti/iocs`: threat intelligence.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::indicator::IndicatorType;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::params::Params;
use crate::app::events::check_limit;
use crate::app::indicators::{self, NewIndicator};
use crate::auth::Caller;
use crate::problem::{Problem, internal};
use crate::state::App;

const MAX_LIMIT: usize = 10_000;

/// An indicator.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IndicatorBody {
    /// `ip`, `domain` or `sha256`.
    #[serde(rename = "type")]
    #[schema(example = "ip", pattern = "^(ip|domain|sha256)$")]
    kind: String,
    /// In any usual form.
    #[schema(example = "10.0.0.5")]
    value: String,
    /// Who says so.
    #[serde(default)]
    #[schema(example = "demo")]
    source: String,
    /// Anything else.
    #[serde(default)]
    #[schema(example = "test indicator")]
    note: String,
}

/// One indicator, or several.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum IndicatorsBody {
    /// One.
    One(IndicatorBody),
    /// Several.
    Many(Vec<IndicatorBody>),
}

/// Untagged, but an element's error still names its field.
impl<'de> Deserialize<'de> for IndicatorsBody {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let value = JsonValue::deserialize(deserializer)?;
        if value.is_array() {
            serde_json::from_value(value).map(Self::Many).map_err(D::Error::custom)
        } else {
            serde_json::from_value(value).map(Self::One).map_err(D::Error::custom)
        }
    }
}

/// What became of the indicators.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PutAnswer {
    /// Indicators that are stored.
    #[schema(example = 1)]
    stored: usize,
    /// What is wrong with the others.
    errors: Vec<IndicatorError>,
}

/// What is wrong with an indicator.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndicatorError {
    /// Its position in the request, from 0.
    index: usize,
    /// Names the field.
    #[schema(example = "value: expected an IPv4 or IPv6 address, got \"10.0.0\"")]
    error: String,
}

/// Parameters of `GET /ti/iocs`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct ListParams {
    /// Only `ip`, `domain` or `sha256`.
    #[param(pattern = "^(ip|domain|sha256)$")]
    r#type: Option<String>,
    /// Indicators in the answer, 1 to 10000.
    #[param(minimum = 1, maximum = 10000, default = 50)]
    limit: Option<u64>,
}

/// A list of indicators.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndicatorList {
    /// Those added last first. Each has `type`, `value`, `source`, `note` and its times.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
}

/// Adds indicators, or replaces those of the same type and value. Events that mention one cause alerts `ti_ip`,
/// `ti_domain` or `ti_sha256`.
#[utoipa::path(
    post,
    path = "/ti/iocs",
    tag = "threat intelligence",
    request_body = IndicatorsBody,
    responses((status = 200, description = "What became of them", body = PutAnswer))
)]
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<IndicatorsBody>,
) -> Result<Json<PutAnswer>, Problem> {
    let given = match body {
        IndicatorsBody::One(one) => vec![one],
        IndicatorsBody::Many(many) => many,
    };
    let given: Vec<NewIndicator> = given
        .into_iter()
        .map(|indicator| NewIndicator {
            kind: indicator.kind,
            value: indicator.value,
            source: indicator.source,
            note: indicator.note,
        })
        .collect();
    let outcome = indicators::put(&app.peers, &caller, &given).await?;
    let stored = outcome.iter().filter(|error| error.is_none()).count();
    let errors = outcome
        .into_iter()
        .enumerate()
        .filter_map(|(index, error)| error.map(|error| IndicatorError { index, error }))
        .collect();
    Ok(Json(PutAnswer { stored, errors }))
}

/// Indicators, those added last first.
#[utoipa::path(
    get,
    path = "/ti/iocs",
    tag = "threat intelligence",
    params(ListParams),
    responses((status = 200, description = "Indicators", body = IndicatorList))
)]
pub(super) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<IndicatorList>, Problem> {
    let mut params = Params::parse(&uri, &["type", "limit"])?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_LIMIT}"))?;
    let limit = check_limit(limit, 50, MAX_LIMIT)?;
    // The error of an unknown type names the field itself.
    let kind = params
        .text("type")
        .map(|kind| kind.parse::<IndicatorType>())
        .transpose()
        .map_err(|error| crate::problem::invalid(error.to_string()))?;
    let found = indicators::list(&app.store, &caller, kind, limit).await?;
    let items = found
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(|error| internal("indicator", &error))?;
    Ok(Json(IndicatorList { items }))
}
