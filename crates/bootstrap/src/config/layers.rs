//! Merging the layers and finding out which of them is to blame.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "TOML's and figment's enums; only a few of their arms mean something here"
)]

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use figment::error::{Actual, Kind};
use figment::providers::Serialized;
use figment::{Figment, Profile};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::ConfigError;

/// Largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Most segments in a key from the environment or a flag.
const MAX_DEPTH: usize = 16;

/// One value from the environment or a flag.
struct Setting {
    path: Vec<String>,
    raw: String,
    value: Value,
    origin: String,
    retried: bool,
}

pub(crate) fn load_from<C: Serialize + DeserializeOwned + Default>(
    file: Option<&Path>,
    env_prefix: &str,
    env: impl Iterator<Item = (OsString, OsString)>,
    overrides: &[(String, String)],
) -> Result<C, ConfigError> {
    Layers::read(file, env_prefix, env, overrides)?.extract()
}

/// Everything that is not a default, by precedence.
pub(crate) struct Layers {
    file: Option<(String, Table)>,
    settings: Vec<Setting>,
}

impl Layers {
    pub(crate) fn read(
        file: Option<&Path>,
        env_prefix: &str,
        env: impl Iterator<Item = (OsString, OsString)>,
        overrides: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let file = file
            .map(|path| Ok((path.display().to_string(), read_file(path)?)))
            .transpose()?;
        let mut settings = read_env(env_prefix, env)?;
        for (key, raw) in overrides {
            settings.push(Setting::new(key, raw.clone(), format!("--set {key}"))?);
        }
        Ok(Self { file, settings })
    }

    pub(crate) fn extract<C: Serialize + DeserializeOwned + Default>(mut self) -> Result<C, ConfigError> {
        // Every round turns one misread setting into what its place wants, so the rounds end.
        loop {
            let mut figment = Figment::from(Serialized::defaults(C::default()));
            if let Some((_, table)) = &self.file {
                figment = figment.merge(Serialized::from(table, Profile::Default));
            }
            let mut flags = Table::new();
            for setting in &self.settings {
                insert(&mut flags, setting)?;
            }
            figment = figment.merge(Serialized::from(&flags, Profile::Default));
            let error = match figment.extract::<C>() {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            if !self.reread_setting(&error) {
                return Err(self.explain(&error));
            }
        }
    }

    /// Reads a setting that had the wrong type as what was expected there. False when there is nothing to reread.
    fn reread_setting(&mut self, error: &figment::Error) -> bool {
        let Kind::InvalidType(_, expected) = &error.kind else {
            return false;
        };
        let Some(setting) = self.settings.iter_mut().rev().find(|s| is_prefix(&s.path, &error.path)) else {
            return false;
        };
        if setting.retried {
            return false;
        }
        setting.retried = true;
        setting.value = if expected.contains("sequence") && !setting.value.is_array() {
            let items = setting.raw.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        } else if setting.value.is_str() {
            return false;
        } else {
            Value::String(setting.raw.clone())
        };
        true
    }

    fn explain(&self, error: &figment::Error) -> ConfigError {
        let mut path = error.path.clone();
        let got = |actual: &Actual, path: &[String]| {
            if is_secret(path) {
                "another kind of value".to_owned()
            } else {
                actual.to_string()
            }
        };
        match &error.kind {
            Kind::UnknownField(name, expected) => {
                if path.last() != Some(name) {
                    path.push(name.clone());
                }
                let expected = if expected.is_empty() {
                    "none here".to_owned()
                } else {
                    format!("one of {}", expected.join(", "))
                };
                ConfigError::UnknownKey {
                    origin: self.origin(&path),
                    key: path.join("."),
                    expected,
                }
            }
            Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
                self.value_error(&path, expected.clone(), got(actual, &path))
            }
            Kind::InvalidLength(length, expected) => {
                self.value_error(&path, expected.clone(), format!("{length} items"))
            }
            Kind::UnknownVariant(name, expected) => {
                self.value_error(&path, format!("one of {}", expected.join(", ")), format!("{name:?}"))
            }
            Kind::MissingField(name) => {
                path.push(name.to_string());
                self.value_error(&path, "a value".to_owned(), "none".to_owned())
            }
            // A custom message, from a type that parses itself, already says what it expected and got.
            other => {
                let text = other.to_string();
                let (expected, got) = match text.strip_prefix("expected ").and_then(|t| t.split_once(", got ")) {
                    Some((expected, got)) => (expected.to_owned(), got.to_owned()),
                    None => ("a usable value".to_owned(), text.clone()),
                };
                let got = if is_secret(&path) {
                    "something else".to_owned()
                } else {
                    got
                };
                self.value_error(&path, expected, got)
            }
        }
    }

    fn value_error(&self, path: &[String], expected: String, got: String) -> ConfigError {
        ConfigError::Value {
            key: path.join("."),
            expected,
            got,
            origin: self.origin(path),
        }
    }

    /// The layer that had the last word on a key.
    pub(crate) fn origin(&self, path: &[String]) -> Option<String> {
        let setting = self
            .settings
            .iter()
            .rev()
            .find(|s| is_prefix(&s.path, path) || is_prefix(path, &s.path));
        if let Some(setting) = setting {
            return Some(setting.origin.clone());
        }
        let (name, table) = self.file.as_ref()?;
        let mut segments = path.iter();
        let mut value = table.get(segments.next()?)?;
        for segment in segments {
            match value {
                Value::Table(table) => value = table.get(segment)?,
                _ => break,
            }
        }
        Some(name.clone())
    }
}

impl Setting {
    fn new(key: &str, raw: String, origin: String) -> Result<Self, ConfigError> {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        if path.len() > MAX_DEPTH || path.iter().any(String::is_empty) {
            return Err(ConfigError::Argument(format!(
                "{origin}: expected a key such as section.key"
            )));
        }
        let value = parse_value(&raw);
        Ok(Self {
            path,
            raw,
            value,
            origin,
            retried: false,
        })
    }
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let error = |reason: String| ConfigError::File {
        path: path.to_owned(),
        reason,
    };
    let size = fs::metadata(path)
        .map_err(|e| error(format!("cannot read the configuration file: {e}")))?
        .len();
    if size > MAX_FILE_BYTES {
        return Err(error(format!("expected a file of at most 4 MiB, got {size} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|e| error(format!("cannot read the configuration file: {e}")))?;
    text.parse::<Table>()
        .map_err(|e| error(format!("is not valid TOML: {}", e.to_string().trim_end())))
}

fn read_env(prefix: &str, env: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<Setting>, ConfigError> {
    let prefix = format!("{prefix}__");
    let mut settings = Vec::new();
    for (name, raw) in env {
        let Some(key) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else {
            continue;
        };
        let origin = format!("environment variable {prefix}{key}");
        let raw = raw
            .into_string()
            .map_err(|_| ConfigError::Argument(format!("{origin}: expected UTF-8, got other bytes")))?;
        settings.push(Setting::new(&key.to_ascii_lowercase().replace("__", "."), raw, origin)?);
    }
    // The environment has no order of its own; errors should not depend on it.
    settings.sort_by(|a, b| a.origin.cmp(&b.origin));
    Ok(settings)
}

/// Text as the TOML value it spells, or as text.
fn parse_value(raw: &str) -> Value {
    let parsed = format!("v = {raw}").parse::<Table>().ok();
    // More than one entry: the text broke out of its line, so it was no value.
    parsed
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("v"))
        .filter(|value| !matches!(value, Value::Datetime(_)))
        .unwrap_or_else(|| Value::String(raw.to_owned()))
}

fn insert(into: &mut Table, setting: &Setting) -> Result<(), ConfigError> {
    let Some((last, sections)) = setting.path.split_last() else {
        return Ok(());
    };
    let mut table = into;
    for section in sections {
        let entry = table
            .entry(section.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        table = match entry {
            Value::Table(table) => table,
            _ => {
                return Err(ConfigError::Argument(format!(
                    "{}: {section} is set to a value elsewhere and cannot be a section too",
                    setting.origin
                )));
            }
        };
    }
    table.insert(last.clone(), setting.value.clone());
    Ok(())
}

fn is_prefix(short: &[String], long: &[String]) -> bool {
    long.len() >= short.len() && short.iter().zip(long).all(|(a, b)| a == b)
}

/// Whether the value of a key may be shown.
fn is_secret(path: &[String]) -> bool {
    let last = path.last().map(|key| key.to_ascii_lowercase()).unwrap_or_default();
    ["password", "secret", "token", "uri"]
        .iter()
        .any(|word| last.contains(word))
}
