//! How long is too long.

use bootstrap::ConfigError;
use serde::{Deserialize, Serialize};
use storage::heard::Heard;

/// When silence raises an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SilenceConfig {
    /// Seconds after which an endpoint that was not heard of is silent: 5 to 2,592,000; 0: never.
    pub agent_secs: u64,
    /// Seconds after which a source (a file, the journal) of an endpoint that is heard of is silent: 5 to 2,592,000; 0: as
    /// learned.
    pub source_secs: u64,
    /// As learned: so many times as long as it is usually quiet at most; 0: never.
    pub factor: u32,
    /// As learned: not before so many seconds.
    pub min_secs: u64,
    /// Seconds between two looks: 1 to 3,600.
    pub check_secs: u64,
}

/// Notes it takes to know what is usual.
const LEARNED: u64 = 20;
/// After this time who is silent is forgotten, in seconds: 30 days.
pub(super) const LONGEST: u64 = 30 * 86_400;

impl Default for SilenceConfig {
    fn default() -> Self {
        Self {
            agent_secs: 300,
            source_secs: 0,
            factor: 10,
            min_secs: 3600,
            check_secs: 10,
        }
    }
}

impl SilenceConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let within = |key: &str, value: u64, low: u64, high: u64, zero: bool| {
            if (low..=high).contains(&value) || (zero && value == 0) {
                return Ok(());
            }
            let zero = if zero { ", or 0" } else { "" };
            Err(ConfigError::value(
                key,
                format!("{low} to {high} (seconds){zero}"),
                value,
            ))
        };
        within("silence.agent_secs", self.agent_secs, 5, LONGEST, true)?;
        within("silence.source_secs", self.source_secs, 5, LONGEST, true)?;
        within("silence.min_secs", self.min_secs, 5, LONGEST, false)?;
        within("silence.check_secs", self.check_secs, 1, 3600, false)
    }

    /// The shortest time after which any source can be silent, in seconds; `None` when none ever is.
    pub(super) fn shortest(&self) -> Option<u64> {
        match (self.source_secs, self.factor) {
            (0, 0) => None,
            (0, _) => Some(self.min_secs),
            (secs, _) => Some(secs),
        }
    }

    /// After how many milliseconds this source is silent; `None` while it is not known what is usual.
    pub(super) fn allowed_millis(&self, heard: &Heard) -> Option<u64> {
        if self.source_secs > 0 {
            return Some(self.source_secs.saturating_mul(1000));
        }
        let learned = heard.pause_millis.saturating_mul(u64::from(self.factor));
        (self.factor > 0 && heard.times >= LEARNED).then(|| learned.max(self.min_secs.saturating_mul(1000)))
    }
}

#[cfg(test)]
mod tests {
    use model::{AgentId, Tenant, Timestamp};
    use storage::heard::Origin;

    use super::*;

    #[test]
    fn what_is_usual_has_to_be_learned_first_and_a_setting_needs_no_learning() {
        let mut heard = Heard {
            tenant: Tenant::default(),
            agent: AgentId(uuid::Uuid::nil()),
            origin: Origin {
                kind: "file".to_owned(),
                name: "/a".to_owned(),
            },
            last_at: Timestamp(0),
            pause_millis: 1_000_000,
            times: 3,
        };
        let mut config = SilenceConfig::default();
        assert_eq!(config.allowed_millis(&heard), None);
        heard.times = LEARNED;
        assert_eq!(config.allowed_millis(&heard), Some(10_000_000));
        heard.pause_millis = 5;
        assert_eq!(config.allowed_millis(&heard), Some(3_600_000));
        config.factor = 0;
        assert_eq!((config.allowed_millis(&heard), config.shortest()), (None, None));
        config.source_secs = 7;
        assert_eq!(
            (config.allowed_millis(&heard), config.shortest()),
            (Some(7000), Some(7))
        );
        assert!(config.validate().is_ok());
        config.source_secs = 2;
        assert_eq!(config.validate().unwrap_err().key(), Some("silence.source_secs"));
    }
}
