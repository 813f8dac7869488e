//! What an operator can set.

use std::path::PathBuf;

use bootstrap::{AdminConfig, ConfigError, GrpcConfig, LogConfig, MongoConfig, ServiceConfig, validate_node};
use identity::TlsFiles;
use model::Tenant;
use serde::{Deserialize, Serialize};

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
}

/// Where rules come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// Directory of Sigma rules, taken into MongoDB whenever it changes; empty: MongoDB's rules are used as they are.
    pub dir: PathBuf,
    /// Whose rules the directory holds.
    pub tenant: Tenant,
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
        validate_node(&self.node, &self.tls, &self.grpc)
    }
}
