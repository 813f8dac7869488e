//! What a match is worth.

use intel::Hit;
use model::Level;
use model::alert::{AlertIndicator, AlertRule, Attack};
use serde::{Deserialize, Serialize};

use crate::rules::compiled::Heading;

/// Which indicators raise alerts, and at which level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntelConfig {
    /// Indicators below this confidence (0 to 100) raise no alerts.
    pub min_confidence: u8,
    /// From this confidence the level is medium; below it, low.
    pub medium_from: u8,
    /// From this confidence the level is high.
    pub high_from: u8,
    /// From this confidence the level is critical; above 100: never.
    pub critical_from: u8,
    /// File with names, networks and hashes that must not become indicators; empty: the built-in lists only.
    pub guard_file: std::path::PathBuf,
}

impl Default for IntelConfig {
    fn default() -> Self {
        Self {
            min_confidence: 0,
            medium_from: 30,
            high_from: 70,
            critical_from: 101,
            guard_file: std::path::PathBuf::new(),
        }
    }
}

impl IntelConfig {
    /// The level of an alert by an indicator of this confidence.
    pub(crate) fn level(&self, confidence: u8) -> Level {
        if confidence >= self.critical_from {
            Level::Critical
        } else if confidence >= self.high_from {
            Level::High
        } else if confidence >= self.medium_from {
            Level::Medium
        } else {
            Level::Low
        }
    }

    /// The part of the alert that depends on the indicator alone.
    pub(crate) fn heading(&self, hit: &Hit) -> Heading {
        Heading {
            rule: AlertRule {
                id: hit.kind.rule_id().to_owned(),
                title: format!("Threat intelligence: {} {}", hit.kind, hit.value),
                description: hit.note.clone(),
                revision: String::new(),
                tags: Vec::new(),
            },
            level: self.level(hit.confidence),
            attack: Attack::default(),
        }
    }
}

/// The indicator as the alert tells it.
pub(crate) fn alert_indicator(hit: &Hit) -> AlertIndicator {
    AlertIndicator {
        kind: hit.kind.as_str().to_owned(),
        value: hit.value.clone(),
        source: hit.source.clone(),
        field: hit.field.clone(),
        feed: hit.feed.clone(),
        confidence: Some(hit.confidence),
        tags: hit.tags.clone(),
        tlp: hit.tlp,
        reference: hit.reference.clone(),
        others: hit.others.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_decides_the_level() {
        let config = IntelConfig::default();
        let levels = [0, 29, 30, 69, 70, 100].map(|confidence| config.level(confidence));
        assert_eq!(
            levels,
            [
                Level::Low,
                Level::Low,
                Level::Medium,
                Level::Medium,
                Level::High,
                Level::High
            ]
        );
        let loud = IntelConfig {
            critical_from: 100,
            ..IntelConfig::default()
        };
        assert_eq!(loud.level(100), Level::Critical);
    }
}
