//! What an operator can set.

use std::path::PathBuf;

use bootstrap::{AdminConfig, ConfigError, GrpcConfig, LogConfig, MongoConfig, ServiceConfig, validate_node};
use identity::TlsFiles;
use model::Tenant;
use serde::{Deserialize, Serialize};

use crate::intel::alerting::IntelConfig;
use crate::silence::SilenceConfig;

/// Configuration of a detector.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of this node, unique among detectors; the one in its certificate.
    pub node: String,
    /// Its certificate.
    pub tls: TlsFiles,
    /// The database.
    pub mongodb: MongoConfig,
    /// Where collectors and gateways reach it.
    pub grpc: GrpcConfig,
    /// Metrics and liveness.
    pub admin: AdminConfig,
    /// Logging.
    pub log: LogConfig,
    /// Detection rules.
    pub rules: RulesConfig,
    /// Correlations.
    pub correlation: CorrelationConfig,
    /// Feeds of threat intelligence.
    pub feeds: FeedsConfig,
    /// Threat intelligence.
    pub intel: IntelConfig,
    /// Endpoints and sources that stop sending.
    pub silence: SilenceConfig,
}

/// Where rules come from, and what they may cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// Directory of Sigma rules, taken into MongoDB whenever it changes; empty: MongoDB's rules are used as they are.
    pub dir: PathBuf,
    /// Whose rules the directory holds.
    pub tenant: Tenant,
    /// What a rule may cost in nanoseconds per event, on the average over all events; 0: as much as it likes. One that
    /// costs more is flagged.
    pub cost_budget_nanos: u64,
    /// Whether a rule that costs more is disabled, with a note that says so.
    pub disable_over_budget: bool,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            tenant: Tenant::default(),
            cost_budget_nanos: 20_000,
            disable_over_budget: false,
        }
    }
}

/// How findings of more than one event are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorrelationConfig {
    /// How late events may come and still count, in hours: 1 to 720. States of windows are kept so long after the last
    /// event that came in for them.
    pub lateness_hours: u32,
}

impl CorrelationConfig {
    /// Longest lateness in hours.
    const MAX_HOURS: u32 = 720;

    /// How late events may come, in microseconds.
    pub(crate) fn lateness_micros(&self) -> i64 {
        i64::from(self.lateness_hours) * 3_600_000_000
    }
}

impl Default for CorrelationConfig {
    fn default() -> Self {
        Self { lateness_hours: 24 }
    }
}

/// How feeds of threat intelligence are fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedsConfig {
    /// Whether this detector runs feeds.
    pub enabled: bool,
    /// Directory of feeds that are files; empty: there are none.
    pub files_dir: PathBuf,
    /// Directory of publishers' secrets and authorities; empty: there are none.
    pub secrets_dir: PathBuf,
    /// Whether feeds may be fetched from private and loopback addresses. Link-local ones are never fetched from.
    pub private_addresses: bool,
    /// Most mebibytes of one run, unpacked.
    pub max_mib: u32,
    /// Longest time of one run, in seconds.
    pub timeout_secs: u64,
    /// Longest time a publisher may stay silent, in seconds.
    pub silence_secs: u64,
    /// Feeds run at a time.
    pub concurrent: usize,
}

impl Default for FeedsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            files_dir: PathBuf::new(),
            secrets_dir: PathBuf::new(),
            private_addresses: true,
            max_mib: 512,
            timeout_secs: 1800,
            silence_secs: 60,
            concurrent: 2,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "detector-1".to_owned(),
            tls: TlsFiles::default(),
            mongodb: MongoConfig::default(),
            grpc: GrpcConfig::default(),
            admin: AdminConfig::default(),
            log: LogConfig::default(),
            rules: RulesConfig::default(),
            correlation: CorrelationConfig::default(),
            feeds: FeedsConfig::default(),
            intel: IntelConfig::default(),
            silence: SilenceConfig::default(),
        }
    }
}

impl ServiceConfig for Config {
    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn node(&self) -> Option<&str> {
        Some(&self.node)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let hours = self.correlation.lateness_hours;
        if hours == 0 || hours > CorrelationConfig::MAX_HOURS {
            return Err(ConfigError::Value {
                key: "correlation.lateness_hours".to_owned(),
                expected: format!("1 to {} (hours)", CorrelationConfig::MAX_HOURS),
                got: hours.to_string(),
                origin: None,
            });
        }
        self.silence.validate()?;
        validate_node(&self.node, &self.tls, &self.grpc)
    }
}
