//! What an operator can set.

use std::net::SocketAddr;
use std::path::PathBuf;

use bootstrap::{AdminConfig, ConfigError, LogConfig, MongoConfig, ServiceConfig};
use identity::TlsFiles;
use model::{NodeId, Tenant};
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

/// Where the gRPC server listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// Address and port; port 0 takes any free one.
    pub addr: SocketAddr,
    /// `HOST:PORT` at which other nodes reach it; empty: `addr`. Needed when `addr` is a wildcard.
    pub advertise: String,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: String::new(),
        }
    }
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
        if self.node.parse::<NodeId>().is_err() {
            let expected = "a node name of 1-63 characters a-z, 0-9, '-' or '_'";
            return Err(ConfigError::value("node", expected, format!("{:?}", self.node)));
        }
        let files = [
            ("tls.cert_file", &self.tls.cert_file),
            ("tls.key_file", &self.tls.key_file),
            ("tls.ca_file", &self.tls.ca_file),
        ];
        if let Some((key, _)) = files.iter().find(|(_, path)| path.as_os_str().is_empty()) {
            return Err(ConfigError::value(*key, "the path of a PEM file", "nothing"));
        }
        if self.grpc.addr.ip().is_unspecified() && self.grpc.advertise.is_empty() {
            let expected = "HOST:PORT at which other nodes reach this one, as grpc.addr is a wildcard";
            return Err(ConfigError::value("grpc.advertise", expected, "nothing"));
        }
        Ok(())
    }
}
