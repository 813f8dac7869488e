//! Explaining what a rule makes of an event.

use model::event::Fields;
use model::rule::RuleKind;
use model::{Epoch, Event, EventId, SourceId, Tenant, Timestamp, ecs};
use proto::rules::v1::ExplainRuleRequest;
use proto::rules::v1::explain_rule_request::{Event as AskedEvent, Rule as AskedRule};
use proto::{ErrorCode, ServiceError};
use sigma::{Document, Filter, Rule};
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
    let rule = match request.rule {
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
    let stored = rules::enabled(store).await.map_err(|error| failed(&error))?;
    let parsed: Vec<Parsed> = stored
        .iter()
        .filter(|rule| rule.tenant == *tenant && matches!(rule.kind, RuleKind::Pipeline | RuleKind::Filter))
        .filter_map(|rule| cache.get(rule).ok())
        .collect();
    let explaining = tokio::task::spawn_blocking(move || {
        let pipelines: Vec<&Pipeline> = parsed
            .iter()
            .filter_map(|parsed| match parsed {
                Parsed::Pipeline(pipeline) => Some(&**pipeline),
                Parsed::Document(_) => None,
            })
            .collect();
        let filters: Vec<Filter> = parsed
            .iter()
            .filter_map(|parsed| match parsed {
                Parsed::Document(document) => match &**document {
                    Document::Filter(filter) => Some(filter.clone()),
                    Document::Rule(_) | Document::Correlation(_) => None,
                },
                Parsed::Pipeline(_) => None,
            })
            .collect();
        let catalog = catalog(&pipelines, &mut Problems::default());
        let explanation = sigma::explain_with(&rule, &catalog, &filters, &event)
            .map_err(|error| invalid(format!("rule: {}: {}", error.field, error.reason)))?;
        serde_json::to_string(&explanation).map_err(|error| {
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

async fn stored_rule(store: &Store, cache: &ParsedRules, tenant: &Tenant, id: &str) -> Result<Rule, Status> {
    let stored = rules::get(store, tenant, id).await.map_err(|error| failed(&error))?;
    let stored = stored.ok_or_else(|| {
        Status::from(ServiceError::new(
            ErrorCode::NotFound,
            format!("rule_id: there is no rule {id}"),
        ))
    })?;
    match cache.get(&stored) {
        Ok(Parsed::Document(document)) => only_rule(&document, "rule_id"),
        Ok(Parsed::Pipeline(_)) => Err(invalid("rule_id: expected a rule, got a pipeline".to_owned())),
        Err(error) => Err(invalid(format!("rule_id: the stored rule is not usable: {error}"))),
    }
}

fn given_rule(yaml: &str) -> Result<Rule, Status> {
    if yaml.len() > MAX_TEXT_BYTES {
        return Err(invalid(format!("rule_yaml: expected at most {MAX_TEXT_BYTES} bytes")));
    }
    let mut documents = sigma::parse_documents("rule", yaml).into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => {
            let document = document.map_err(|error| invalid(format!("rule_yaml: {error}")))?;
            only_rule(&document, "rule_yaml")
        }
        _ => Err(invalid("rule_yaml: expected one document".to_owned())),
    }
}

fn only_rule(document: &Document, field: &str) -> Result<Rule, Status> {
    match document {
        Document::Rule(rule) => Ok(rule.clone()),
        Document::Correlation(_) | Document::Filter(_) => Err(invalid(format!(
            "{field}: expected a rule, got a {}",
            document.kind().as_str()
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

fn given_event(json: &str) -> Result<Event, Status> {
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
