//! The agent's configuration: defaults < TOML file < `PICKET_AGENT__SECTION__KEY` < `--set`.

use std::path::PathBuf;
use std::time::Duration;

use bootstrap::{ConfigError, LogConfig, ServiceConfig};
use serde::{Deserialize, Serialize};

use crate::pipeline;
use crate::sensors::file::{Group, Limits, Start};
use crate::sensors::{event_log, journald, pihole};
use crate::spool;

/// Start of the names of environment variables.
pub const ENV_PREFIX: &str = "PICKET_AGENT";

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Identity, spool and status. One agent per directory.
    pub data_dir: PathBuf,
    /// `HOST:PORT` each, the preferred one first. Empty: the one the host was enrolled with.
    pub collectors: Vec<String>,
    /// Where events wait.
    pub spool: SpoolConfig,
    /// Files to follow.
    pub files: Vec<FilesConfig>,
    /// How files are followed.
    pub tail: TailConfig,
    /// The systemd journal.
    pub journald: JournaldConfig,
    /// Pi-hole's query database.
    pub pihole: PiHoleConfig,
    /// Archived files of the Windows Event Log.
    pub event_logs: EventLogsConfig,
    /// When a batch is closed.
    pub batch: BatchConfig,
    /// What is logged.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/picket-agentd"),
            collectors: Vec::new(),
            spool: SpoolConfig::default(),
            files: Vec::new(),
            tail: TailConfig::default(),
            journald: JournaldConfig::default(),
            pihole: PiHoleConfig::default(),
            event_logs: EventLogsConfig::default(),
            batch: BatchConfig::default(),
            log: LogConfig::default(),
        }
    }
}

/// `[spool]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Most bytes on disk. When it is full, the oldest events are given up and counted.
    pub max_bytes: u64,
    /// Size of the files it consists of; that much is given up at once.
    pub segment_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            max_bytes: GIB,
            segment_bytes: 16 * MIB,
        }
    }
}

/// `[[files]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// Absolute paths or glob patterns.
    pub paths: Vec<String>,
    /// Patterns of paths that are left out.
    pub exclude: Vec<String>,
    /// Parser to use upstream; empty to detect it.
    pub log_type: String,
    /// Where to start in files that exist when their pattern is first seen.
    pub start: Start,
    /// Lines are cut behind this many bytes; how many were cut is told upstream.
    pub max_line_bytes: u64,
    /// Whether each line is an event by itself: no array is taken apart, no audit records are joined.
    pub each_line: bool,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            exclude: Vec::new(),
            log_type: String::new(),
            start: Start::End,
            max_line_bytes: 256 * KIB,
            each_line: false,
        }
    }
}

/// `[tail]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TailConfig {
    /// Most files that are open at once. Further ones are closed while they are quiet.
    pub max_open_files: u64,
    /// Seconds for which a renamed or removed file is still read after it last grew.
    pub rotated_grace_secs: u64,
}

impl Default for TailConfig {
    fn default() -> Self {
        Self {
            max_open_files: 512,
            rotated_grace_secs: 30,
        }
    }
}

/// `[journald]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournaldConfig {
    /// Whether to follow it. `journalctl` must be on `PATH`.
    pub enabled: bool,
    /// Only these units; empty for all.
    pub units: Vec<String>,
}

/// `[pihole]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PiHoleConfig {
    /// Pi-hole's query database; empty: none.
    pub database: PathBuf,
    /// Where to start in a database that was not followed before.
    pub start: Start,
    /// Seconds between two looks.
    pub poll_secs: u64,
}

impl Default for PiHoleConfig {
    fn default() -> Self {
        Self {
            database: PathBuf::new(),
            start: Start::End,
            poll_secs: 5,
        }
    }
}

/// `[event_logs]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventLogsConfig {
    /// Absolute paths or glob patterns of `.evtx` files; empty: none. Each is read once.
    pub paths: Vec<String>,
    /// Seconds for which nothing must have been written to a file before it is read.
    pub settle_secs: u64,
    /// Seconds between two looks for new files.
    pub poll_secs: u64,
}

impl Default for EventLogsConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            settle_secs: 10,
            poll_secs: 5,
        }
    }
}

/// `[batch]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchConfig {
    /// Most events.
    pub max_events: u64,
    /// Most bytes before compression.
    pub max_bytes: u64,
    /// Longest time an event waits for others, in milliseconds.
    pub linger_ms: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            max_events: 1000,
            max_bytes: MIB,
            linger_ms: 200,
        }
    }
}

impl ServiceConfig for Config {
    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.log.validate()?;
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::value("data_dir", "a directory", "nothing"));
        }
        for addr in &self.collectors {
            check_addr("collectors", addr)?;
        }
        range("spool.segment_bytes", self.spool.segment_bytes, 64 * KIB, GIB)?;
        let least = self.spool.segment_bytes.saturating_mul(3);
        range("spool.max_bytes", self.spool.max_bytes, least, 1024 * GIB)?;
        range("tail.max_open_files", self.tail.max_open_files, 1, 65_536)?;
        range("tail.rotated_grace_secs", self.tail.rotated_grace_secs, 1, 86_400)?;
        range("batch.max_events", self.batch.max_events, 1, 10_000)?;
        range("batch.max_bytes", self.batch.max_bytes, 4 * KIB, 3 * MIB)?;
        range("batch.linger_ms", self.batch.linger_ms, 1, 10_000)?;
        range("pihole.poll_secs", self.pihole.poll_secs, 1, 3600)?;
        range("event_logs.poll_secs", self.event_logs.poll_secs, 1, 3600)?;
        range("event_logs.settle_secs", self.event_logs.settle_secs, 0, 86_400)?;
        patterns("event_logs.paths", &self.event_logs.paths)?;
        if !self.pihole.database.as_os_str().is_empty() && !self.pihole.database.is_absolute() {
            let found = self.pihole.database.display();
            return Err(ConfigError::value(
                "pihole.database",
                "an absolute path, or nothing",
                found,
            ));
        }
        for unit in &self.journald.units {
            if unit.is_empty() || unit.starts_with('-') {
                return Err(ConfigError::value(
                    "journald.units",
                    "names of units",
                    format!("{unit:?}"),
                ));
            }
        }
        self.groups().map(|_| ())
    }
}

impl Config {
    /// The files as the sensor takes them.
    ///
    /// # Errors
    /// When a pattern is broken or not absolute, or a limit is out of range.
    pub fn groups(&self) -> Result<Vec<Group>, ConfigError> {
        self.files
            .iter()
            .enumerate()
            .map(|(index, files)| {
                let mut group = files.group(index)?;
                // What is read as an event log has no lines.
                group
                    .exclude
                    .extend(patterns("event_logs.paths", &self.event_logs.paths)?);
                Ok(group)
            })
            .collect()
    }

    pub(crate) fn event_logs(&self) -> Result<Option<event_log::Settings>, ConfigError> {
        let logs = &self.event_logs;
        if logs.paths.is_empty() {
            return Ok(None);
        }
        Ok(Some(event_log::Settings {
            patterns: patterns("event_logs.paths", &logs.paths)?,
            settle: Duration::from_secs(logs.settle_secs),
            poll: Duration::from_secs(logs.poll_secs),
        }))
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_open_files: usize::try_from(self.tail.max_open_files).unwrap_or(usize::MAX),
            rotated_grace: Duration::from_secs(self.tail.rotated_grace_secs),
            ..Limits::default()
        }
    }

    pub(crate) fn spool_options(&self) -> spool::Options {
        spool::Options {
            max_bytes: self.spool.max_bytes,
            segment_bytes: self.spool.segment_bytes,
        }
    }

    pub(crate) fn batch_limits(&self) -> pipeline::Limits {
        pipeline::Limits {
            max_events: usize::try_from(self.batch.max_events).unwrap_or(usize::MAX),
            max_bytes: usize::try_from(self.batch.max_bytes).unwrap_or(usize::MAX),
            linger: Duration::from_millis(self.batch.linger_ms),
        }
    }

    pub(crate) fn pihole(&self) -> Option<pihole::Settings> {
        let pihole = &self.pihole;
        (!pihole.database.as_os_str().is_empty()).then(|| pihole::Settings {
            database: pihole.database.clone(),
            start: pihole.start,
            poll: Duration::from_secs(pihole.poll_secs),
        })
    }

    pub(crate) fn journal(&self) -> Option<journald::Settings> {
        self.journald.enabled.then(|| journald::Settings {
            units: self.journald.units.clone(),
            max_entry_bytes: usize::try_from(256 * KIB).unwrap_or(usize::MAX),
            program: String::from("journalctl"),
        })
    }
}

impl FilesConfig {
    fn group(&self, index: usize) -> Result<Group, ConfigError> {
        let key = |name: &str| format!("files[{index}].{name}");
        if self.paths.is_empty() {
            return Err(ConfigError::value(key("paths"), "at least one path or pattern", "none"));
        }
        range(&key("max_line_bytes"), self.max_line_bytes, 64, MIB)?;
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.log_type.len() > 64 || !self.log_type.chars().all(known) {
            return Err(ConfigError::value(
                key("log_type"),
                "at most 64 characters a-z, 0-9, '-', '_' or '.'",
                format!("{:?}", self.log_type),
            ));
        }
        Ok(Group {
            patterns: patterns(&key("paths"), &self.paths)?,
            exclude: patterns(&key("exclude"), &self.exclude)?,
            log_type: self.log_type.clone(),
            start: self.start,
            max_line_bytes: usize::try_from(self.max_line_bytes).unwrap_or(usize::MAX),
            each_line: self.each_line,
        })
    }
}

/// Checks `HOST:PORT`.
pub(crate) fn check_addr(key: &str, addr: &str) -> Result<(), ConfigError> {
    let valid = addr
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if valid {
        Ok(())
    } else {
        Err(ConfigError::value(key, "HOST:PORT", format!("{addr:?}")))
    }
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<glob::Pattern>, ConfigError> {
    texts
        .iter()
        .map(|text| {
            if !text.starts_with('/') {
                return Err(ConfigError::value(
                    key,
                    "absolute paths or patterns",
                    format!("{text:?}"),
                ));
            }
            glob::Pattern::new(text)
                .map_err(|error| ConfigError::value(key, format!("a glob pattern ({error})"), format!("{text:?}")))
        })
        .collect()
}

fn range(key: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::value(key, format!("{least} to {most}"), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agentd.toml");
        std::fs::write(&file, text).unwrap();
        let sources = bootstrap::config::Sources {
            file: Some(file),
            env_prefix: "PICKET_AGENT_TEST_OF_CONFIG",
            overrides: Vec::new(),
        };
        let config: Config = bootstrap::config::load(&sources).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_documented_example_is_valid() {
        let page = include_str!("../../docs/reference/agentd.md");
        let example = page.split("```toml").nth(1).unwrap().split("```").next().unwrap();
        let config = load(example).unwrap();
        assert_eq!(config.files.len(), 2);
        assert_eq!(config.spool, SpoolConfig::default());
        assert_eq!(config.batch, BatchConfig::default());
        assert_eq!(config.tail, TailConfig::default());
        assert_eq!(config.pihole, PiHoleConfig::default());
        assert_eq!(config.event_logs, EventLogsConfig::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, key) in [
            ("colectors = []", "colectors"),
            ("collectors = [\"nowhere\"]", "collectors"),
            ("collectors = [\"host:0\"]", "collectors"),
            ("[spool]\nmax_bytes = 1", "spool.max_bytes"),
            ("[spool]\nsegment_bytes = 5", "spool.segment_bytes"),
            ("[batch]\nmax_events = 10001", "batch.max_events"),
            ("[batch]\nlinger_ms = 0", "batch.linger_ms"),
            ("[[files]]\npaths = []", "files[0].paths"),
            ("[[files]]\npaths = [\"relative.log\"]", "files[0].paths"),
            ("[[files]]\npaths = [\"/var/[log\"]", "files[0].paths"),
            ("[[files]]\npaths = [\"/a\"]\nstart = \"middle\"", "start"),
            (
                "[[files]]\npaths = [\"/a\"]\nmax_line_bytes = 5",
                "files[0].max_line_bytes",
            ),
            ("[pihole]\ndatabase = \"pihole-FTL.db\"", "pihole.database"),
            ("[event_logs]\npaths = [\"logs/*.evtx\"]", "event_logs.paths"),
            ("[journald]\nunits = [\"--help\"]", "journald.units"),
            ("[log]\nlevel = \"loud\"", "log.level"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
