//! Explaining what a rule or a correlation makes of an event.

use model::event::Fields;
use model::rule::RuleKind;
use model::{Epoch, Event, EventId, SourceId, Tenant, Timestamp, ecs};
use proto::rules::v1::ExplainRuleRequest;
use proto::rules::v1::explain_rule_request::{Event as AskedEvent, Rule as AskedRule};
use proto::{ErrorCode, ServiceError};
use sigma::{Correlation, Document, Filter, Rule, RuleError};
use storage::{Store, blocks, rules};
use tonic::Status;

use super::cache::ParsedRules;
use super::compiled::{Problems, catalog};
use super::parsed::{Parsed, Pipeline};
use super::service::{failed, invalid};

/// Largest rule or event given as text, in bytes.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The explanation as JSON text.
pub(crate) async fn explain(
    store: &Store,
    cache: &ParsedRules,
    tenant: &Tenant,
    request: ExplainRuleRequest,
) -> Result<String, Status> {
    let asked = match request.rule {
        Some(AskedRule::RuleId(id)) => stored_rule(store, cache, tenant, &id).await?,
        Some(AskedRule::RuleYaml(yaml)) => given_rule(&yaml)?,
        None => return Err(invalid("rule: expected rule_id or rule_yaml, got nothing".to_owned())),
    };
    let event = match request.event {
        Some(AskedEvent::EventId(id)) => stored_event(store, tenant, &id).await?,
        Some(AskedEvent::EventJson(json)) => given_event(&json)?,
        None => {
            return Err(invalid(
                "event: expected event_id or event_json, got nothing".to_owned(),
            ));
        }
    };
    explain_with_deployed(store, cache, tenant, asked, event).await
}

/// What is to be explained.
pub(crate) enum Asked {
    Rule(Box<Rule>),
    Correlation(Box<Correlation>),
}

/// The explanation, with everything that is in use, as JSON text.
pub(crate) async fn explain_with_deployed(
    store: &Store,
    cache: &ParsedRules,
    tenant: &Tenant,
    asked: Asked,
    event: Event,
) -> Result<String, Status> {
    let needs_rules = matches!(asked, Asked::Correlation(_));
    let stored = rules::enabled(store).await.map_err(|error| failed(&error))?;
    let parsed: Vec<Parsed> = stored
        .iter()
        .filter(|rule| rule.tenant == *tenant)
        .filter(|rule| needs_rules || matches!(rule.kind, RuleKind::Pipeline | RuleKind::Filter))
        .filter_map(|rule| cache.get(rule).ok())
        .collect();
    let explaining = tokio::task::spawn_blocking(move || {
        let content = Deployed::of(&parsed);
        let catalog = catalog(&content.pipelines, &mut Problems::default());
        let unusable = |error: RuleError| invalid(format!("rule: {}: {}", error.field, error.reason));
        let text = match asked {
            Asked::Rule(rule) => serde_json::to_string(
                &sigma::explain_with(&rule, &catalog, &content.filters, &event).map_err(unusable)?,
            ),
            Asked::Correlation(correlation) => {
                let id = correlation.id.clone();
                let mut correlations = content.correlations;
                correlations.retain(|other| other.id != id);
                correlations.push(*correlation);
                let (rules, filters) = (&content.rules, &content.filters);
                let found = sigma::explain_correlation(&id, correlations, rules, &catalog, filters, &event);
                serde_json::to_string(&found.map_err(unusable)?)
            }
        };
        text.map_err(|error| {
            ServiceError::new(
                ErrorCode::Internal,
                format!("the explanation cannot be written ({error})"),
            )
            .into()
        })
    });
    explaining.await.unwrap_or_else(|_| {
        tracing::error!(rule.tenant = %tenant, "explaining a rule panicked");
        Err(ServiceError::new(ErrorCode::Internal, "the rule could not be explained").into())
    })
}

/// What is in use, by kind.
#[derive(Default)]
struct Deployed<'a> {
    pipelines: Vec<&'a Pipeline>,
    filters: Vec<Filter>,
    rules: Vec<Rule>,
    correlations: Vec<Correlation>,
}

impl<'a> Deployed<'a> {
    fn of(parsed: &'a [Parsed]) -> Self {
        let mut content = Self::default();
        for parsed in parsed {
            match parsed {
                Parsed::Pipeline(pipeline) => content.pipelines.push(pipeline),
                Parsed::Document(document) => match &**document {
                    Document::Filter(filter) => content.filters.push(filter.clone()),
                    Document::Rule(rule) => content.rules.push(rule.clone()),
                    Document::Correlation(correlation) => content.correlations.push(correlation.clone()),
                },
            }
        }
        content
    }
}

pub(crate) async fn stored_rule(
    store: &Store,
    cache: &ParsedRules,
    tenant: &Tenant,
    id: &str,
) -> Result<Asked, Status> {
    let stored = rules::get(store, tenant, id).await.map_err(|error| failed(&error))?;
    let stored = stored.ok_or_else(|| {
        Status::from(ServiceError::new(
            ErrorCode::NotFound,
            format!("rule_id: there is no rule {id}"),
        ))
    })?;
    match cache.get(&stored) {
        Ok(Parsed::Document(document)) => asked(&document, "rule_id"),
        Ok(Parsed::Pipeline(_)) => Err(invalid(
            "rule_id: expected a rule or a correlation, got a pipeline".to_owned(),
        )),
        Err(error) => Err(invalid(format!("rule_id: the stored rule is not usable: {error}"))),
    }
}

fn given_rule(yaml: &str) -> Result<Asked, Status> {
    if yaml.len() > MAX_TEXT_BYTES {
        return Err(invalid(format!("rule_yaml: expected at most {MAX_TEXT_BYTES} bytes")));
    }
    let mut documents = sigma::parse_documents("rule", yaml).into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => {
            let document = document.map_err(|error| invalid(format!("rule_yaml: {error}")))?;
            asked(&document, "rule_yaml")
        }
        _ => Err(invalid("rule_yaml: expected one document".to_owned())),
    }
}

fn asked(document: &Document, field: &str) -> Result<Asked, Status> {
    match document {
        Document::Rule(rule) => Ok(Asked::Rule(Box::new(rule.clone()))),
        Document::Correlation(correlation) => Ok(Asked::Correlation(Box::new(correlation.clone()))),
        Document::Filter(_) => Err(invalid(format!(
            "{field}: expected a rule or a correlation, got a filter"
        ))),
    }
}

async fn stored_event(store: &Store, tenant: &Tenant, id: &str) -> Result<Event, Status> {
    let id: EventId = id.parse().map_err(|error| invalid(format!("event_id: {error}")))?;
    let found = blocks::event(store, tenant, &id)
        .await
        .map_err(|error| failed(&error))?;
    let missing = || ServiceError::new(ErrorCode::NotFound, format!("event_id: there is no event {id}"));
    Ok(found.ok_or_else(missing)?)
}

pub(crate) fn given_event(json: &str) -> Result<Event, Status> {
    if json.len() > MAX_TEXT_BYTES {
        return Err(invalid(format!("event_json: expected at most {MAX_TEXT_BYTES} bytes")));
    }
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(|error| invalid(format!("event_json: expected a JSON object ({error})")))?;
    let mut fields = Fields::new();
    fields.insert_json("", &object);
    let time = fields.str(ecs::TIMESTAMP).and_then(|time| time.parse().ok());
    let id = fields.str(ecs::EVENT_ID).and_then(|id| id.parse().ok());
    if time.is_some() && id.is_some() {
        // As Picket shows events: these two are not among the fields.
        fields.remove(ecs::TIMESTAMP);
        fields.remove(ecs::EVENT_ID);
    }
    Ok(Event {
        id: id.unwrap_or(EventId {
            source: SourceId::named("rules", "explain"),
            epoch: Epoch(0),
            seq: 0,
        }),
        timestamp: time.unwrap_or(Timestamp(0)),
        fields,
    })
}
