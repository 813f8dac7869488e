//! What an operator can set.

use bootstrap::{AdminConfig, ConfigError, GrpcConfig, LogConfig, MongoConfig, ServiceConfig, validate_node};
use identity::TlsFiles;
use serde::{Deserialize, Serialize};

/// Configuration of a responder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of this node, unique among responders; the one in its certificate.
    pub node: String,
    /// Its certificate.
    pub tls: TlsFiles,
    /// The database.
    pub mongodb: MongoConfig,
    /// Where other nodes reach it.
    pub grpc: GrpcConfig,
    /// Metrics and liveness.
    pub admin: AdminConfig,
    /// Logging.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "responder-1".to_owned(),
            tls: TlsFiles::default(),
            mongodb: MongoConfig::default(),
            grpc: GrpcConfig::default(),
            admin: AdminConfig::default(),
            log: LogConfig::default(),
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
