//! A stored rule as a BSON document and back.

use bson::Document;
use model::rule::{RuleKind, RuleOrigin, RuleProblem, StoredRule};
use model::{Level, Timestamp};

use crate::Error;

pub(super) fn time(document: &Document) -> Result<Timestamp, Error> {
    document
        .get_datetime("updated_at")
        .map(|at| Timestamp::from_millis(at.timestamp_millis()))
        .map_err(|_| Error::invalid("rules.updated_at", "a date"))
}

/// Reads a record. What releases before this one did not write is taken for what it was then.
pub(super) fn read(document: &Document) -> Result<StoredRule, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("rules.{field}"), "text"))
    };
    let optional = |field: &str| document.get_str(field).unwrap_or_default().to_owned();
    let tags = document.get_array("tags").into_iter().flatten();
    Ok(StoredRule {
        id: text("id")?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("rules.tenant", format!("{error}")))?,
        kind: match document.get_str("kind") {
            Err(_) => RuleKind::Rule,
            Ok(kind) => kind
                .parse()
                .map_err(|error| Error::invalid("rules.kind", format!("{error}")))?,
        },
        title: text("title")?,
        yaml: text("yaml")?,
        revision: text("revision")?,
        path: text("path")?,
        origin: if document.get_str("origin").unwrap_or_default() == RuleOrigin::Api.as_str() {
            RuleOrigin::Api
        } else {
            RuleOrigin::Dir
        },
        level: document
            .get_str("level")
            .ok()
            .and_then(|level| level.parse::<Level>().ok()),
        tags: tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
        logsource: optional("logsource"),
        enabled: document
            .get_bool("enabled")
            .map_err(|_| Error::invalid("rules.enabled", "true or false"))?,
        vanished: document.get_bool("vanished").unwrap_or(false),
        note: optional("note"),
        updated_at: time(document)?,
        updated_by: optional("updated_by"),
        error: document.get_document("error").ok().map(problem),
    })
}

fn problem(document: &Document) -> RuleProblem {
    let text = |field: &str| document.get_str(field).unwrap_or_default().to_owned();
    RuleProblem {
        line: document.get_i32("line").ok().and_then(|line| u32::try_from(line).ok()),
        field: text("field"),
        reason: text("reason"),
    }
}
