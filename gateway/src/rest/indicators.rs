//! `/ti/iocs`: threat intelligence.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use model::Timestamp;
use model::indicator::{Indicator, IndicatorType, canonical_value};
use proto::detection::v1::Indicator as WireIndicator;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use storage::indicators::Filter;
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::params::Params;
use crate::app::events::check_limit;
use crate::app::indicators::{self, Removal};
use crate::auth::Caller;
use crate::problem::{Problem, internal, invalid};
use crate::state::App;

const MAX_LIMIT: usize = 10_000;

/// An indicator.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IndicatorBody {
    /// `ip` (an address or a network), `domain` (with its subdomains), `url`, `md5`, `sha1`, `sha256` or `email`.
    #[serde(rename = "type")]
    #[schema(example = "ip", pattern = "^(ip|domain|url|md5|sha1|sha256|email)$")]
    kind: String,
    /// In any usual form, `hxxp://evil[.]example` too.
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
    /// How sure the source is, 0 to 100. Decides the level of alerts. Absent: 75.
    #[schema(example = 75, maximum = 100)]
    confidence: Option<u32>,
    /// Free words.
    #[serde(default)]
    tags: Vec<String>,
    /// TLP 2.0: `clear`, `green`, `amber`, `amber+strict` or `red`.
    #[schema(example = "amber")]
    tlp: Option<String>,
    /// Where the source tells more.
    #[serde(default)]
    reference: String,
    /// RFC 3339; events before it do not match.
    valid_from: Option<String>,
    /// RFC 3339; events after it do not match.
    valid_until: Option<String>,
    /// Takes it although it would match what is not malicious: a public resolver, a popular site, a wide network.
    #[serde(default)]
    allow: bool,
}

impl IndicatorBody {
    fn into_wire(self) -> Result<WireIndicator, String> {
        let time = |field: &str, text: Option<String>| match text.filter(|text| !text.is_empty()) {
            None => Ok(0),
            Some(text) => match text.parse::<Timestamp>() {
                Ok(Timestamp(micros)) if micros > 0 => Ok(micros),
                Ok(_) => Err(format!("{field}: expected a time after 1970")),
                Err(error) => Err(format!("{field}: {error}")),
            },
        };
        Ok(WireIndicator {
            r#type: self.kind,
            value: self.value,
            source: self.source,
            note: self.note,
            valid_until_micros: time("valid_until", self.valid_until)?,
            feed: String::new(),
            confidence: self.confidence,
            valid_from_micros: time("valid_from", self.valid_from)?,
            tags: self.tags,
            tlp: self.tlp.unwrap_or_default(),
            reference: self.reference,
            allow: self.allow,
        })
    }
}

/// One indicator, or several.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum IndicatorsBody {
    /// One.
    One(Box<IndicatorBody>),
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
    #[schema(example = "value: expected an IPv4 or IPv6 address or a network such as 198.51.100.0/24, got \"10.0.0\"")]
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
    /// Only of this type.
    #[param(pattern = "^(ip|domain|url|md5|sha1|sha256|email)$")]
    r#type: Option<String>,
    /// Only with this very value; its type is told by its form unless `type` is given.
    value: Option<String>,
    /// Only of this source.
    source: Option<String>,
    /// Only of this feed.
    feed: Option<String>,
    /// Only with this tag.
    tag: Option<String>,
    /// Only with at least this confidence.
    #[param(minimum = 0, maximum = 100)]
    min_confidence: Option<u8>,
    /// Indicators in the answer, 1 to 10000.
    #[param(minimum = 1, maximum = 10000, default = 50)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A list of indicators.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndicatorList {
    /// Those added last first. Each has `type`, `value`, `source`, `feed`, `confidence`, `tags`, `tlp`, `note`,
    /// `reference` and its times.
    #[schema(value_type = Vec<Object>)]
    items: Vec<JsonValue>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Indicators of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndicatorGroup {
    /// Their type.
    #[serde(rename = "type")]
    #[schema(example = "ip")]
    kind: String,
    /// Their feed; empty for those of no feed.
    feed: String,
    /// Their source; empty for those of a feed.
    source: String,
    /// How many.
    count: u64,
}

/// How many indicators there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IndicatorStats {
    /// In all groups.
    total: u64,
    /// The largest first, at most 1000.
    groups: Vec<IndicatorGroup>,
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeleteAnswer {
    /// How many indicators.
    #[schema(example = 1)]
    deleted: u64,
}

fn to_items(found: &[Indicator]) -> Result<Vec<JsonValue>, Problem> {
    let items: Result<_, _> = found.iter().map(serde_json::to_value).collect();
    items.map_err(|error| internal("indicator", &error).into())
}

/// Adds indicators, or replaces those of the same type, value and source. Events that mention one cause alerts `ti_ip`,
/// `ti_domain`, `ti_url`, `ti_md5`, `ti_sha1`, `ti_sha256` or `ti_email`.
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
        IndicatorsBody::One(one) => vec![*one],
        IndicatorsBody::Many(many) => many,
    };
    let mut wires = Vec::with_capacity(given.len());
    for (index, indicator) in given.into_iter().enumerate() {
        let wire = indicator.into_wire();
        wires.push(wire.map_err(|error| invalid(format!("{error} (indicator {index})")))?);
    }
    let outcome = indicators::put(&app.peers, &caller, wires).await?;
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
    let known = [
        "type",
        "value",
        "source",
        "feed",
        "tag",
        "min_confidence",
        "limit",
        "cursor",
    ];
    let mut params = Params::parse(&uri, &known)?;
    let limit = params.take::<u64>("limit", &format!("a number from 1 to {MAX_LIMIT}"))?;
    let limit = check_limit(limit, 50, MAX_LIMIT)?;
    let mut filter = Filter {
        tenant: caller.tenant,
        source: params.text("source"),
        feed: params.text("feed"),
        tag: params.text("tag"),
        min_confidence: params.take("min_confidence", "a number from 0 to 100")?,
        ..Filter::default()
    };
    if let Some((kind, value)) = typed_value(&mut params)? {
        filter.kind = kind;
        filter.value = value;
    }
    filter.after = params
        .text("cursor")
        .map(|text| indicators::parse_cursor(&text))
        .transpose()?;
    let page = indicators::page(&app.store, &filter, limit).await?;
    Ok(Json(IndicatorList {
        items: to_items(&page.indicators)?,
        next_cursor: page.next,
    }))
}

type TypedValue = (Option<IndicatorType>, Option<String>);

/// `type` and `value`; a value alone tells its type.
fn typed_value(params: &mut Params) -> Result<Option<TypedValue>, Problem> {
    // The errors name the field themselves.
    let wrong = |error: model::indicator::InvalidIndicator| invalid(error.to_string());
    let kind = params
        .text("type")
        .map(|kind| kind.parse::<IndicatorType>())
        .transpose()
        .map_err(wrong)?;
    let Some(value) = params.text("value") else {
        return Ok(kind.map(|kind| (Some(kind), None)));
    };
    let (kind, value) = match kind {
        Some(kind) => (kind, canonical_value(kind, &value).map_err(wrong)?),
        None => IndicatorType::parse_typed(&value).map_err(wrong)?,
    };
    Ok(Some((Some(kind), Some(value))))
}

/// Removes indicators: those of a value, a source or a feed, or of several of these together.
#[utoipa::path(
    delete,
    path = "/ti/iocs",
    tag = "threat intelligence",
    params(
        ("type" = Option<String>, Query, description = "Type of `value`; without it its form tells"),
        ("value" = Option<String>, Query, description = "With this very value"),
        ("source" = Option<String>, Query, description = "Of this source"),
        ("feed" = Option<String>, Query, description = "Of this feed")
    ),
    responses((status = 200, description = "How many were removed", body = DeleteAnswer))
)]
pub(super) async fn delete(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<DeleteAnswer>, Problem> {
    let mut params = Params::parse(&uri, &["type", "value", "source", "feed"])?;
    let mut removal = Removal {
        source: params.text("source"),
        feed: params.text("feed"),
        ..Removal::default()
    };
    match typed_value(&mut params)? {
        Some((Some(kind), Some(value))) => removal.values.push((kind, value)),
        Some(_) => return Err(invalid("value: expected one beside type").into()),
        None if removal.source.is_none() && removal.feed.is_none() => {
            return Err(invalid("value: expected a value, a source or a feed").into());
        }
        None => {}
    }
    let deleted = indicators::remove(&app.peers, &caller, removal).await?;
    Ok(Json(DeleteAnswer { deleted }))
}

/// Stored indicators that would match a value: for an address also networks around it, for a name also names above it.
#[utoipa::path(
    get,
    path = "/ti/iocs/lookup",
    tag = "threat intelligence",
    params(("value" = String, Query, description = "An address, domain, URL, hash or e-mail address, in any usual form")),
    responses((status = 200, description = "Indicators", body = IndicatorList))
)]
pub(super) async fn lookup(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<IndicatorList>, Problem> {
    let mut params = Params::parse(&uri, &["value"])?;
    let value = params.text("value").ok_or_else(|| invalid("value: expected one"))?;
    let found = indicators::lookup(&app.store, &caller, &value).await?;
    Ok(Json(IndicatorList {
        items: to_items(&found)?,
        next_cursor: None,
    }))
}

/// How many indicators there are, by type and by feed or source.
#[utoipa::path(
    get,
    path = "/ti/iocs/stats",
    tag = "threat intelligence",
    responses((status = 200, description = "Numbers", body = IndicatorStats))
)]
pub(super) async fn stats(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<IndicatorStats>, Problem> {
    Params::parse(&uri, &[])?;
    let groups = indicators::stats(&app.store, &caller).await?;
    Ok(Json(IndicatorStats {
        total: groups.iter().map(|group| group.count).sum(),
        groups: groups
            .into_iter()
            .map(|group| IndicatorGroup {
                kind: group.kind.as_str().to_owned(),
                feed: group.feed,
                source: group.source,
                count: group.count,
            })
            .collect(),
    }))
}
