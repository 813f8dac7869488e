//! Suppressions: which alerts of a rule are alike, and so become one.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::alert::AlertSuppression;
use model::exception::Suppression;
use model::{AlertId, Event, Tenant, Timestamp};
use serde_json::Value as Json;
use sigma::{Catalog, Rule};

use super::engine;

/// How alerts of a rule are folded into one.
#[derive(Debug)]
pub(crate) struct Folding {
    suppression: Suppression,
    /// Names to try for each field, in order.
    names: Vec<Vec<Arc<str>>>,
}

/// The one alert an event's alert becomes part of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    pub(crate) id: AlertId,
    pub(crate) suppression: AlertSuppression,
}

impl Folding {
    pub(crate) fn new(suppression: &Suppression, rule: &Rule, catalog: &Catalog) -> Self {
        let names = suppression
            .fields
            .iter()
            .map(|field| engine::names_of(catalog, &rule.logsource, field))
            .collect();
        Self {
            suppression: suppression.clone(),
            names,
        }
    }

    /// Where the alert of an event belongs.
    pub(crate) fn fold(&self, tenant: &Tenant, event: &Event) -> Fold {
        let suppression = &self.suppression;
        let mut fields = BTreeMap::new();
        for (field, names) in suppression.fields.iter().zip(&self.names) {
            let value = names.iter().find_map(|name| event.fields.get(name));
            fields.insert(field.clone(), value.map_or(Json::Null, model::Value::to_json));
        }
        let span = suppression.span(event.timestamp);
        let micros = i64::from(suppression.seconds.max(1)) * 1_000_000;
        let values = serde_json::to_string(&(&fields, suppression.seconds)).unwrap_or_default();
        Fold {
            id: AlertId::suppressed(tenant, &suppression.rule_id, &values, span),
            suppression: AlertSuppression {
                fields,
                from: Timestamp(span.saturating_mul(micros)),
                to: Timestamp(span.saturating_add(1).saturating_mul(micros)),
                suppressed_count: 0,
                at_least: false,
            },
        }
    }
}
