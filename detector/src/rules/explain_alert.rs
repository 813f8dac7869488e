//! Explaining a stored alert: for a correlation, which events made it and which rules each of them matched; for a rule,
//! what it makes of the alert's event.

use std::collections::BTreeMap;

use model::alert::{Alert, AlertCorrelation};
use model::{AlertId, Event, Tenant, Timestamp, ecs};
use proto::{ErrorCode, ServiceError};
use serde::Serialize;
use serde_json::Value as Json;
use sigma::correlation::{Origin, Values};
use sigma::{Correlation, Document, Scratch};
use storage::{Store, alerts, blocks, rule_versions};
use tonic::Status;

use super::cache::ParsedRules;
use super::compiled::TenantRules;
use super::explain::{explain_with_deployed, given_event, stored_rule};
use super::service::{failed, invalid};

/// How an alert of a correlation came to be.
#[derive(Debug, Serialize)]
struct AlertExplanation<'a> {
    alert_id: &'a AlertId,
    rule: RuleName<'a>,
    /// The revision that is in use, where it is another one than the alert's.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed_revision: Option<String>,
    /// What has to hold, in words; absent when the correlation's text is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    timespan: Option<i64>,
    /// The bounds, by Sigma's word; absent where rules are looked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    threshold: BTreeMap<&'static str, f64>,
    /// As in the alert: group, window, count, value, limits.
    correlation: &'a AlertCorrelation,
    /// The events the alert names, in order of time.
    events: Vec<Contributing>,
    /// How many more there are, at least.
    not_listed: u64,
}

#[derive(Debug, Serialize)]
struct RuleName<'a> {
    id: &'a str,
    title: &'a str,
    level: &'static str,
    revision: &'a str,
}

/// An event, or an alert of another correlation.
#[derive(Debug, Serialize)]
struct Contributing {
    id: String,
    /// `event` or `alert`.
    kind: &'static str,
    /// Whether it is still stored.
    stored: bool,
    #[serde(rename = "@timestamp", skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Rules of the correlation that match it as they are in use; for an alert, the rule that made it.
    rules: Vec<Matched>,
    /// The values that count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Matched {
    id: String,
    title: String,
}

/// The explanation as JSON text.
pub(crate) async fn explain(
    store: &Store,
    cache: &ParsedRules,
    rules: &TenantRules,
    tenant: &Tenant,
    id: &str,
) -> Result<String, Status> {
    let id: AlertId = id.parse().map_err(|error| invalid(format!("alert_id: {error}")))?;
    let alert = alerts::get(store, tenant, &id).await.map_err(|error| failed(&error))?;
    let alert = alert.ok_or_else(|| {
        Status::from(ServiceError::new(
            ErrorCode::NotFound,
            format!("alert_id: there is no alert {id}"),
        ))
    })?;
    match &alert.correlation {
        Some(correlation) => of_correlation(store, rules, &alert, correlation).await,
        None if alert.indicator.is_some() => Err(invalid(
            "alert_id: expected an alert of a rule or a correlation, got one of an indicator".to_owned(),
        )),
        None => {
            let rule = stored_rule(store, cache, tenant, &alert.rule_id).await?;
            // The event is in the alert, so it is there even when the stored one has been removed.
            let event = given_event(&alert.event.to_string())?;
            explain_with_deployed(store, cache, tenant, rule, event).await
        }
    }
}

async fn of_correlation(
    store: &Store,
    rules: &TenantRules,
    alert: &Alert,
    correlation: &AlertCorrelation,
) -> Result<String, Status> {
    let in_use = rules.correlations.all().iter().map(|one| one.definition());
    let deployed = in_use.into_iter().find(|definition| definition.id == alert.rule_id);
    let definition = match deployed.filter(|found| found.revision == alert.rule.revision) {
        Some(found) => Some(found.clone()),
        None => former(store, alert).await?,
    };
    let mut origins = Vec::with_capacity(correlation.event_ids.len());
    for id in &correlation.event_ids {
        origins.push(read(store, &alert.tenant, id).await?);
    }
    let position = rules
        .correlations
        .all()
        .iter()
        .position(|one| one.definition().id == alert.rule_id);
    let mut events: Vec<Contributing> = origins
        .into_iter()
        .map(|origin| contributing(rules, position, origin))
        .collect();
    events.sort_by(|left, right| (left.timestamp, &left.id).cmp(&(right.timestamp, &right.id)));
    let threshold = match definition.as_ref().map(|definition| &definition.condition) {
        Some(sigma::correlation::Condition::Bounds { bounds, .. }) => {
            bounds.iter().map(|bound| (bound.op.as_str(), bound.value)).collect()
        }
        _ => BTreeMap::new(),
    };
    let explanation = AlertExplanation {
        alert_id: &alert.id,
        rule: RuleName {
            id: &alert.rule_id,
            title: &alert.rule.title,
            level: alert.level.as_str(),
            revision: &alert.rule.revision,
        },
        deployed_revision: deployed
            .map(|deployed| deployed.revision.clone())
            .filter(|revision| *revision != alert.rule.revision),
        condition: definition.as_ref().map(Correlation::condition_text),
        timespan: definition.as_ref().map(|definition| definition.timespan.seconds()),
        threshold,
        not_listed: correlation.count.saturating_sub(events.len() as u64),
        correlation,
        events,
    };
    serde_json::to_string(&explanation).map_err(|error| {
        let text = format!("the explanation cannot be written ({error})");
        ServiceError::new(ErrorCode::Internal, text).into()
    })
}

/// The correlation as it was when it made the alert; `None` when its text is no longer known.
async fn former(store: &Store, alert: &Alert) -> Result<Option<Correlation>, Status> {
    let versions = rule_versions::list(store, &alert.tenant, &alert.rule_id).await;
    let versions = versions.map_err(|error| failed(&error))?;
    let Some(version) = versions.into_iter().find(|found| found.revision == alert.rule.revision) else {
        return Ok(None);
    };
    let documents = sigma::parse_documents(&alert.rule_id, &version.yaml).into_iter();
    Ok(documents.flatten().find_map(|document| match document {
        Document::Correlation(correlation) => Some(correlation),
        Document::Rule(_) | Document::Filter(_) => None,
    }))
}

/// What an id led to.
enum Read {
    Event(String, Option<Box<Event>>),
    Alert(String, Option<Box<Alert>>),
}

async fn read(store: &Store, tenant: &Tenant, id: &str) -> Result<Read, Status> {
    match id.parse() {
        Ok(Origin::Event(event)) => {
            let found = blocks::event(store, tenant, &event).await;
            Ok(Read::Event(
                id.to_owned(),
                found.map_err(|error| failed(&error))?.map(Box::new),
            ))
        }
        Ok(Origin::Alert(alert)) => {
            let found = alerts::get(store, tenant, &alert).await;
            Ok(Read::Alert(
                id.to_owned(),
                found.map_err(|error| failed(&error))?.map(Box::new),
            ))
        }
        Err(_) => Ok(Read::Event(id.to_owned(), None)),
    }
}

fn contributing(rules: &TenantRules, correlation: Option<usize>, origin: Read) -> Contributing {
    match origin {
        Read::Event(id, event) => {
            let (matched, values) = event
                .as_deref()
                .map(|event| matched(rules, correlation, event))
                .unwrap_or_default();
            let text = |field: &str| Some(event.as_ref()?.fields.str(field)?.to_owned());
            Contributing {
                id,
                kind: "event",
                stored: event.is_some(),
                timestamp: event.as_ref().map(|event| event.timestamp),
                host: text(ecs::HOST_NAME),
                message: text(ecs::MESSAGE),
                rules: matched,
                values,
            }
        }
        Read::Alert(id, alert) => Contributing {
            id,
            kind: "alert",
            stored: alert.is_some(),
            timestamp: alert.as_ref().map(|alert| alert.timestamp),
            host: alert
                .as_ref()
                .and_then(|alert| alert.event["host"]["name"].as_str().map(str::to_owned)),
            message: None,
            rules: alert
                .into_iter()
                .map(|alert| Matched {
                    id: alert.rule_id,
                    title: alert.rule.title,
                })
                .collect(),
            values: Vec::new(),
        },
    }
}

/// Which rules that give to the correlation match, and the values they give.
fn matched(rules: &TenantRules, correlation: Option<usize>, event: &Event) -> (Vec<Matched>, Vec<String>) {
    let (mut hits, mut found, mut values) = (Vec::new(), Vec::new(), Vec::new());
    rules.set.evaluate(event, &mut Scratch::new(), &mut hits);
    for position in hits {
        let mut given = Vec::new();
        if let Some(correlation) = correlation {
            rules
                .correlations
                .contributions_to(correlation, position, event, &mut given);
        }
        let Some(rule) = rules.set.rules().get(position).filter(|_| !given.is_empty()) else {
            continue;
        };
        found.push(Matched {
            id: rule.id.clone(),
            title: rule.title.clone(),
        });
        for contribution in given {
            let texts = match contribution.entry.values {
                Values::None => Vec::new(),
                Values::Texts(texts) => texts,
                Values::Numbers(numbers) => numbers.iter().map(|number| Json::from(*number).to_string()).collect(),
            };
            values.extend(texts);
        }
    }
    values.sort();
    values.dedup();
    (found, values)
}
