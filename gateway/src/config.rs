//! Configuration: defaults < file < `PICKET_GATEWAY__SECTION__KEY` < `--set`.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bootstrap::{AdminConfig, ConfigError, LogConfig, MongoConfig, ServiceConfig};
use identity::TlsFiles;
use model::{NodeId, Tenant};
use serde::{Deserialize, Serialize};

/// Everything that can be set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this node, unique among gateways.
    pub node: String,
    /// Whose users sign in here.
    pub tenant: Tenant,
    /// Who this node is.
    pub tls: TlsFiles,
    /// Where everything is stored.
    pub mongodb: MongoConfig,
    /// Where metrics and probes are served.
    pub admin: AdminConfig,
    /// What is logged.
    pub log: LogConfig,
    /// The port for people and programs.
    pub http: HttpConfig,
    /// Where secrets are.
    pub auth: AuthConfig,
    /// How many requests are taken.
    pub rate_limit: RateLimitConfig,
    /// How much searches may read.
    pub search: SearchConfig,
}

/// The port for people and programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address of the one TLS port for REST, gRPC and documentation.
    pub addr: SocketAddr,
    /// Host names under which requests are taken, without port; any when empty.
    pub trusted_hosts: Vec<String>,
    /// Largest request body, in bytes, 1 KiB to 64 MiB.
    pub max_body_bytes: usize,
    /// Largest body of `POST /ingest`, in bytes, 1 KiB to 64 MiB.
    pub max_ingest_bytes: usize,
    /// Seconds until a request is given up, 1 to 3600. Exports and watches only have to begin in that time.
    pub request_timeout_secs: u64,
    /// Connections at once, 1 to 65536.
    pub max_connections: usize,
    /// Alert watches at once for each identity, 1 to 1000.
    pub max_watches_per_identity: u32,
    /// Alert watches at once in total, 1 to 10000.
    pub max_watches: u32,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 9443)),
            trusted_hosts: Vec::new(),
            max_body_bytes: 1024 * 1024,
            max_ingest_bytes: 8 * 1024 * 1024,
            request_timeout_secs: 30,
            max_connections: 4096,
            max_watches_per_identity: 16,
            max_watches: 500,
        }
    }
}

impl HttpConfig {
    /// How long a request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_secs)
    }
}

/// How much searches may read. Exports are not bounded: they end with their connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Seconds after which a search answers with what it has, 1 to 3600. A page with its exact count is two searches, so
    /// less than half of what a request may take.
    pub max_seconds: u64,
    /// MiB of blocks after which it does, 1 to 1048576.
    pub max_mib: u64,
    /// Searches at once, 1 to 1000; each holds some blocks in memory. Others wait.
    pub max_running: usize,
    /// Exports at once, 1 to 1000. Others wait.
    pub max_exports: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            max_seconds: 12,
            max_mib: 8192,
            max_running: 8,
            max_exports: 4,
        }
    }
}

/// Where secrets are. Each file holds one secret; white space around it is ignored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Key that signs tokens, at least 32 bytes, the same on all gateways. Without one, tokens end with this process.
    pub jwt_key_file: Option<PathBuf>,
    /// Password of user `admin`, set at every start.
    pub admin_password_file: Option<PathBuf>,
    /// API key `up`, role admin, set at every start.
    pub api_key_file: Option<PathBuf>,
}

/// How many requests are taken. A rate of zero means any number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// Requests a second for each user and API key.
    pub requests_per_second: u32,
    /// Requests each may make at once.
    pub burst: u32,
    /// Requests a second for each address that shows no valid credentials.
    pub anonymous_requests_per_second: u32,
    /// Requests each of these may make at once.
    pub anonymous_burst: u32,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            requests_per_second: 100,
            burst: 200,
            anonymous_requests_per_second: 10,
            anonymous_burst: 50,
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
        fn within<T: PartialOrd + Display>(key: &str, value: T, least: T, most: T) -> Result<(), ConfigError> {
            if value >= least && value <= most {
                return Ok(());
            }
            Err(ConfigError::value(
                key,
                format!("a number from {least} to {most}"),
                value,
            ))
        }
        const LEAST_BYTES: usize = 1024;
        const MOST_BYTES: usize = 64 * 1024 * 1024;
        if self.node.parse::<NodeId>().is_err() {
            let expected = "a name of 1-63 characters a-z, 0-9, '-' or '_'";
            return Err(ConfigError::value("node", expected, &self.node));
        }
        let http = &self.http;
        within("http.max_body_bytes", http.max_body_bytes, LEAST_BYTES, MOST_BYTES)?;
        within("http.max_ingest_bytes", http.max_ingest_bytes, LEAST_BYTES, MOST_BYTES)?;
        within("http.request_timeout_secs", http.request_timeout_secs, 1, 3600)?;
        within("http.max_connections", http.max_connections, 1, 65536)?;
        within("http.max_watches_per_identity", http.max_watches_per_identity, 1, 1000)?;
        within("http.max_watches", http.max_watches, 1, 10_000)?;
        within("search.max_seconds", self.search.max_seconds, 1, 3600)?;
        within("search.max_mib", self.search.max_mib, 1, 1024 * 1024)?;
        within("search.max_running", self.search.max_running, 1, 1000)?;
        within("search.max_exports", self.search.max_exports, 1, 1000)?;
        self.log.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_key() {
        let valid = || Config {
            node: "gateway-1".to_owned(),
            ..Config::default()
        };
        assert!(valid().validate().is_ok());
        let key = |change: fn(&mut Config)| {
            let mut config = valid();
            change(&mut config);
            config.validate().unwrap_err().key().map(str::to_owned)
        };
        assert_eq!(key(|c| c.node.clear()).as_deref(), Some("node"));
        assert_eq!(
            key(|c| c.http.max_body_bytes = 1).as_deref(),
            Some("http.max_body_bytes")
        );
        assert_eq!(
            key(|c| c.http.request_timeout_secs = 0).as_deref(),
            Some("http.request_timeout_secs")
        );
        assert_eq!(key(|c| c.http.max_watches = 0).as_deref(), Some("http.max_watches"));
    }
}
