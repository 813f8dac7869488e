//! The sections every service has.

use std::net::SocketAddr;

use identity::TlsFiles;
use model::NodeId;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::{ConfigError, SecretUri};

/// `[mongodb]`: the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MongoConfig {
    /// Connection string of a replica set.
    pub uri: SecretUri,
    /// Name of the database.
    pub database: String,
}

impl Default for MongoConfig {
    fn default() -> Self {
        Self {
            uri: SecretUri::from("mongodb://127.0.0.1:27017/?directConnection=true"),
            database: "picket".to_owned(),
        }
    }
}

/// `[log]`: what is logged and how. Logs go to stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,collector=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl LogConfig {
    /// Checks the level.
    ///
    /// # Errors
    /// Names `log.level` when it is neither a level nor directives.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.filter().map(|_| ())
    }

    pub(crate) fn filter(&self) -> Result<EnvFilter, ConfigError> {
        let error = || {
            ConfigError::value(
                "log.level",
                "error, warn, info, debug, trace, or directives such as info,collector=debug",
                format!("{:?}", self.level),
            )
        };
        // A single word that is no level would be taken for the name of a module.
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let is_word = self.level.chars().all(|c| c.is_ascii_alphanumeric());
        if is_word && !LEVELS.contains(&self.level.to_ascii_lowercase().as_str()) {
            return Err(error());
        }
        // The driver tells of every server selection; who wants that names it.
        let directives = if is_word && !["off", "error"].contains(&self.level.to_ascii_lowercase().as_str()) {
            format!("{},mongodb=warn", self.level)
        } else {
            self.level.clone()
        };
        EnvFilter::try_new(directives).map_err(|_| error())
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[admin]`: health and metrics over plain HTTP; keep it on a private address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// `IP:PORT` to listen on; port 0 takes a free one.
    pub addr: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// `[grpc]`: where the node's gRPC server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// `IP:PORT` to listen on; port 0 takes a free one.
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

/// Checks what a node needs before others can know and reach it: its `node` name, its `[tls]` files, its `[grpc]` address.
///
/// # Errors
/// When one of them cannot be used; names the key.
pub fn validate_node(node: &str, tls: &TlsFiles, grpc: &GrpcConfig) -> Result<(), ConfigError> {
    if node.parse::<NodeId>().is_err() {
        let expected = "a node name of 1-63 characters a-z, 0-9, '-' or '_'";
        return Err(ConfigError::value("node", expected, format!("{node:?}")));
    }
    let files = [
        ("tls.cert_file", &tls.cert_file),
        ("tls.key_file", &tls.key_file),
        ("tls.ca_file", &tls.ca_file),
    ];
    if let Some((key, _)) = files.iter().find(|(_, path)| path.as_os_str().is_empty()) {
        return Err(ConfigError::value(*key, "the path of a PEM file", "nothing"));
    }
    if grpc.addr.ip().is_unspecified() && grpc.advertise.is_empty() {
        let expected = "HOST:PORT at which other nodes reach this one, as grpc.addr is a wildcard";
        return Err(ConfigError::value("grpc.advertise", expected, "nothing"));
    }
    Ok(())
}
