//! Settings of a collector, and what they may be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use bootstrap::config::ConfigError;
use bootstrap::{AdminConfig, LogConfig, MongoConfig, ServiceConfig};
use identity::TlsFiles;
use model::retention::{self, Keep, Policy};
use model::{NodeId, Tenant};
use serde::{Deserialize, Serialize};

/// Everything a collector can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this node, unique among collectors.
    pub node: NodeId,
    /// Its certificate.
    pub tls: TlsFiles,
    /// Where it stores.
    pub mongodb: MongoConfig,
    /// Where its metrics are.
    pub admin: AdminConfig,
    /// What it logs.
    pub log: LogConfig,
    /// Where agents and nodes reach it.
    pub grpc: Grpc,
    /// How endpoints get certificates.
    pub enrolment: Enrolment,
    /// What it takes in, and how fast.
    pub ingest: Ingest,
    /// Where it listens for syslog.
    pub syslog: Syslog,
    /// How long events are kept.
    pub retention: Retention,
    /// Whether and how small blocks are merged.
    pub compaction: Compaction,
    /// What is added to events.
    pub enrich: Enrich,
}

/// `[grpc]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpc {
    /// Where to listen. Port 0 takes a free one.
    pub addr: SocketAddr,
    /// `HOST:PORT` under which other nodes reach this one; the listening address when empty.
    pub advertise: String,
}

/// `[enrolment]`: without the authority's key this collector enrols and renews nobody.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// The authority's certificate, PEM.
    pub ca_cert_file: Option<PathBuf>,
    /// The authority's key, PEM.
    pub ca_key_file: Option<PathBuf>,
    /// Life of an endpoint's certificate, in seconds: 60 to 31,536,000.
    pub agent_ttl_secs: u64,
    /// Enrolments one address may try within a minute: 1 to 100,000.
    pub attempts_per_minute: u32,
}

/// `[ingest]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// Batches one endpoint may have unacknowledged: 1 to 1,000.
    pub window: u32,
    /// Events a second one endpoint may send, on average: at least 1.
    pub agent_events_per_second: u32,
    /// Bytes a second (uncompressed) one endpoint may send, on average: at least 1,024.
    pub agent_bytes_per_second: u32,
    /// Memory for events on their way, in bytes: at least 1,048,576.
    pub memory_bytes: usize,
    /// How long a block waits for more events, in milliseconds: 1 to 1,000.
    pub linger_millis: u64,
    /// After how many seconds a stream that was followed by another of the same endpoint, and is still open, counts as a
    /// second endpoint under one identity: 1 to 3,600. A connection that died unnoticed is closed before that.
    pub duplicate_after_secs: u64,
}

/// `[syslog]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Syslog {
    /// Where to listen for UDP; nowhere when empty.
    pub udp_addr: String,
    /// Where to listen for TCP; nowhere when empty.
    pub tcp_addr: String,
    /// Whose events these are.
    pub tenant: Tenant,
    /// Memory for messages that are not stored yet, in bytes: at least 1,048,576. What does not fit is dropped and counted.
    pub memory_bytes: usize,
    /// Connections at once: 1 to 100,000.
    pub max_connections: usize,
    /// Seconds after which a silent connection is closed: 1 to 86,400.
    pub idle_secs: u64,
}

/// `[retention]`: the same on all collectors, as one of them at a time removes what is over, for all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days events are kept whose class has none of its own: 1 to 36,500.
    pub days: u32,
    /// Days by class of event, such as `web = 14`: each 1 to 36,500. The class of an event is its first `event.category`
    /// or, when it has none of ECS's, its `picket.log_type`.
    pub classes: BTreeMap<String, u32>,
    /// What holds instead for single tenants: `days` and `classes` of their own.
    pub tenants: BTreeMap<String, Keep>,
    /// Seconds between two passes: 1 to 86,400.
    pub check_secs: u64,
}

/// `[compaction]`: small blocks of quiet hours become large ones, one collector at a time doing it for all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compaction {
    /// Whether this collector does it.
    pub enabled: bool,
    /// How long an hour is over, and its blocks are stored, before they are merged, in seconds: 1 to 86,400.
    pub settle_secs: u64,
    /// Seconds between two passes: 1 to 86,400.
    pub check_secs: u64,
    /// Most events merged in a second, on average: at least 1.
    pub events_per_second: u32,
}

/// `[enrich]`: what is added to events before they are stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrich {
    /// Files in the MaxMind DB format with places or autonomous systems of addresses; the first that knows a field wins.
    pub databases: Vec<PathBuf>,
    /// Whether events say of their addresses whether they are public.
    pub address_scope: bool,
    /// Whether events of processes are told who started these, where an earlier event said so.
    pub process_parents: bool,
    /// Seconds between two looks whether a database was replaced: 1 to 86,400.
    pub reload_secs: u64,
}

impl Default for Enrich {
    fn default() -> Self {
        Self {
            databases: Vec::new(),
            address_scope: true,
            process_parents: true,
            reload_secs: 60,
        }
    }
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            enabled: true,
            settle_secs: 900,
            check_secs: 300,
            events_per_second: 20_000,
        }
    }
}

impl Retention {
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            default: Keep {
                days: self.days,
                classes: self.classes.clone(),
            },
            tenants: self.tenants.clone(),
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let policy = self.policy();
        let of_tenants = policy
            .tenants
            .iter()
            .map(|(tenant, keep)| (format!("tenants.{tenant}."), keep));
        for (prefix, keep) in std::iter::once((String::new(), &policy.default)).chain(of_tenants) {
            if let Some((key, value)) = keep.mistake() {
                let expected = format!("1 to {} days for a class of a-z, 0-9 and _", retention::MAX_DAYS);
                return Err(ConfigError::value(format!("retention.{prefix}{key}"), expected, value));
            }
        }
        if let Some(tenant) = policy.tenants.keys().find(|tenant| tenant.parse::<Tenant>().is_err()) {
            return Err(ConfigError::value("retention.tenants", "names of tenants", tenant));
        }
        within("retention.check_secs", self.check_secs, 1, 86_400)
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            days: retention::DEFAULT_DAYS,
            classes: BTreeMap::new(),
            tenants: BTreeMap::new(),
            check_secs: 3600,
        }
    }
}

#[allow(clippy::expect_used, reason = "the name is a constant")]
fn default_node() -> NodeId {
    "collector-1".parse().expect("a valid name")
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: default_node(),
            tls: TlsFiles::default(),
            mongodb: MongoConfig::default(),
            admin: AdminConfig::default(),
            log: LogConfig::default(),
            grpc: Grpc::default(),
            enrolment: Enrolment::default(),
            ingest: Ingest::default(),
            syslog: Syslog::default(),
            retention: Retention::default(),
            compaction: Compaction::default(),
            enrich: Enrich::default(),
        }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 9400)),
            advertise: String::new(),
        }
    }
}

impl Default for Enrolment {
    fn default() -> Self {
        Self {
            ca_cert_file: None,
            ca_key_file: None,
            agent_ttl_secs: 30 * 86_400,
            attempts_per_minute: 60,
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            window: 32,
            agent_events_per_second: 200_000,
            agent_bytes_per_second: 256 << 20,
            memory_bytes: 128 << 20,
            linger_millis: 20,
            duplicate_after_secs: 45,
        }
    }
}

impl Default for Syslog {
    fn default() -> Self {
        Self {
            udp_addr: String::new(),
            tcp_addr: String::new(),
            tenant: Tenant::default(),
            memory_bytes: 32 << 20,
            max_connections: 1000,
            idle_secs: 3600,
        }
    }
}

impl Syslog {
    pub(crate) fn udp(&self) -> Result<Option<SocketAddr>, ConfigError> {
        address("syslog.udp_addr", &self.udp_addr)
    }

    pub(crate) fn tcp(&self) -> Result<Option<SocketAddr>, ConfigError> {
        address("syslog.tcp_addr", &self.tcp_addr)
    }
}

fn address(key: &str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| ConfigError::value(key, "IP:PORT, or nothing to switch it off", format!("{text:?}")))
}

fn within<T: PartialOrd + std::fmt::Display + Copy>(key: &str, value: T, low: T, high: T) -> Result<(), ConfigError> {
    if value >= low && value <= high {
        Ok(())
    } else {
        Err(ConfigError::value(key, format!("{low} to {high}"), value))
    }
}

impl ServiceConfig for Config {
    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn node(&self) -> Option<&str> {
        Some(self.node.as_str())
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let (enrolment, ingest, syslog) = (&self.enrolment, &self.ingest, &self.syslog);
        if enrolment.ca_cert_file.is_some() != enrolment.ca_key_file.is_some() {
            let key = if enrolment.ca_key_file.is_none() {
                "enrolment.ca_key_file"
            } else {
                "enrolment.ca_cert_file"
            };
            return Err(ConfigError::value(
                key,
                "a file, because the other of the two is set",
                "nothing",
            ));
        }
        within("enrolment.agent_ttl_secs", enrolment.agent_ttl_secs, 60, 31_536_000)?;
        within(
            "enrolment.attempts_per_minute",
            enrolment.attempts_per_minute,
            1,
            100_000,
        )?;
        within("ingest.window", ingest.window, 1, 1000)?;
        within(
            "ingest.agent_events_per_second",
            ingest.agent_events_per_second,
            1,
            u32::MAX,
        )?;
        within(
            "ingest.agent_bytes_per_second",
            ingest.agent_bytes_per_second,
            1024,
            u32::MAX,
        )?;
        within("ingest.memory_bytes", ingest.memory_bytes, 1 << 20, 1 << 40)?;
        within("ingest.linger_millis", ingest.linger_millis, 1, 1000)?;
        within("ingest.duplicate_after_secs", ingest.duplicate_after_secs, 1, 3600)?;
        syslog.udp()?;
        syslog.tcp()?;
        within("syslog.memory_bytes", syslog.memory_bytes, 1 << 20, 1 << 40)?;
        within("syslog.max_connections", syslog.max_connections, 1, 100_000)?;
        within("syslog.idle_secs", syslog.idle_secs, 1, 86_400)?;
        within("enrich.reload_secs", self.enrich.reload_secs, 1, 86_400)?;
        if self.enrich.databases.len() > 16 {
            let count = self.enrich.databases.len();
            return Err(ConfigError::value("enrich.databases", "at most 16 files", count));
        }
        let compaction = &self.compaction;
        within("compaction.settle_secs", compaction.settle_secs, 1, 86_400)?;
        within("compaction.check_secs", compaction.check_secs, 1, 86_400)?;
        within(
            "compaction.events_per_second",
            compaction.events_per_second,
            1,
            u32::MAX,
        )?;
        self.retention.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_bad_values_name_their_key() {
        assert!(Config::default().validate().is_ok());
        let mut config = Config::default();
        config.ingest.window = 0;
        assert_eq!(config.validate().unwrap_err().key(), Some("ingest.window"));
        let mut config = Config::default();
        config.retention.classes.insert("web".to_owned(), 0);
        assert_eq!(config.validate().unwrap_err().key(), Some("retention.classes.web"));
        let mut config = Config::default();
        config.syslog.udp_addr = "5140".to_owned();
        assert_eq!(config.validate().unwrap_err().key(), Some("syslog.udp_addr"));
        let mut config = Config::default();
        config.enrolment.ca_cert_file = Some(PathBuf::from("ca.crt"));
        assert_eq!(config.validate().unwrap_err().key(), Some("enrolment.ca_key_file"));
    }
}
