//! Layers, errors that name their key, and secrets that stay hidden.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    node: String,
    mongodb: MongoConfig,
    log: LogConfig,
    limits: Limits,
    auth: Auth,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "collector-1".to_owned(),
            mongodb: MongoConfig::default(),
            log: LogConfig::default(),
            limits: Limits::default(),
            auth: Auth::default(),
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    window: u32,
    ratio: f64,
    strict: bool,
    addr: SocketAddr,
    names: Vec<String>,
    ports: Vec<u16>,
    file: Option<PathBuf>,
    retries: Option<u8>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 4,
            ratio: 0.5,
            strict: false,
            addr: SocketAddr::from(([127, 0, 0, 1], 9400)),
            names: vec!["a".to_owned()],
            ports: Vec::new(),
            file: None,
            retries: None,
        }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Auth {
    password: Secret,
}

fn load(file: Option<&Path>, env: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
    let set: Vec<_> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load_from(file, "PICKET_TEST", env, &set)
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn without_sources_it_is_the_defaults() {
    assert_eq!(load(None, &[], &[]).unwrap(), Config::default());
}

#[test]
fn later_layers_win_key_by_key() {
    let (_dir, path) = file("node = 'file'\n[limits]\nwindow = 5\nratio = 1\nstrict = true\n");
    let config = load(
        Some(&path),
        &[
            ("PICKET_TEST__LIMITS__WINDOW", "6"),
            ("PICKET_TEST__NODE", "env"),
            ("PICKET_OTHER__NODE", "no"),
        ],
        &[("node", "flag")],
    )
    .unwrap();
    assert_eq!(config.node, "flag");
    assert_eq!((config.limits.window, config.limits.strict), (6, true));
    assert_eq!(config.limits.addr, Limits::default().addr);
}

#[test]
fn text_from_the_environment_becomes_what_its_place_wants() {
    let config = load(
        None,
        &[
            ("PICKET_TEST__AUTH__PASSWORD", "0123456789"),
            ("PICKET_TEST__NODE", "42"),
            ("PICKET_TEST__MONGODB__DATABASE", "true"),
            ("PICKET_TEST__LIMITS__NAMES", "x, y"),
            ("PICKET_TEST__LIMITS__PORTS", "[1, 2]"),
            ("PICKET_TEST__LIMITS__FILE", "/etc/x.toml"),
            ("PICKET_TEST__LIMITS__RETRIES", "3"),
            ("PICKET_TEST__LIMITS__ADDR", "[::1]:80"),
        ],
        &[("log.level", "1e3=debug"), ("log.format", "json")],
    )
    .unwrap();
    assert_eq!(config.auth.password.expose(), "0123456789");
    assert_eq!(config.node, "42");
    assert_eq!(config.mongodb.database, "true");
    assert_eq!(config.limits.names, ["x", "y"]);
    assert_eq!(config.limits.ports, [1, 2]);
    assert_eq!(config.limits.file, Some(PathBuf::from("/etc/x.toml")));
    assert_eq!(config.limits.retries, Some(3));
    assert_eq!(config.limits.addr, "[::1]:80".parse().unwrap());
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn errors_name_the_key_what_was_expected_what_came_and_from_where() {
    let (_dir, path) = file("[limits]\nwindow = 'many'\n");
    let error = load(Some(&path), &[], &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("limits.window: expected u32, got string \"many\" (from "),
        "{error}"
    );
    assert!(error.contains("test.toml"), "{error}");

    let (_dir, path) = file("[limits]\nwindw = 1\n");
    let error = load(Some(&path), &[], &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("limits.windw: no such key, expected one of window, ratio"),
        "{error}"
    );
    assert!(error.contains("test.toml"), "{error}");

    for (env, set, parts) in [
        (
            Some(("PICKET_TEST__LIMITS__WINDOW", "-1")),
            None,
            ["limits.window", "environment variable PICKET_TEST__LIMITS__WINDOW"],
        ),
        (
            Some(("PICKET_TEST__LIMIT__WINDOW", "1")),
            None,
            ["limit: no such key", "environment variable PICKET_TEST__LIMIT__WINDOW"],
        ),
        (
            None,
            Some(("limits.strict", "yes")),
            ["limits.strict: expected a boolean", "--set limits.strict"],
        ),
        (
            None,
            Some(("limits.addr", "here")),
            ["limits.addr", "--set limits.addr"],
        ),
        (
            None,
            Some(("log.format", "xml")),
            [
                "log.format: expected one of text, json, got \"xml\"",
                "--set log.format",
            ],
        ),
        (None, Some(("limits", "1")), ["limits: expected struct", "--set limits"]),
        (
            None,
            Some(("limits..window", "1")),
            ["--set limits..window", "section.key"],
        ),
        (None, Some(("", "1")), ["--set ", "section.key"]),
    ] {
        let error = load(None, env.as_slice(), set.as_slice()).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{env:?} {set:?}: {error}");
        }
    }
}

#[test]
fn a_missing_or_broken_file_is_named_with_the_line() {
    let error = load(Some(Path::new("/nonexistent/x.toml")), &[], &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nonexistent/x.toml"), "{error}");
    let (_dir, path) = file("node = 'a'\nbroken\n");
    let error = load(Some(&path), &[], &[]).unwrap_err().to_string();
    assert!(error.contains("test.toml") && error.contains("line 2"), "{error}");
}

#[test]
fn secrets_are_shown_neither_printed_nor_in_errors() {
    let config = load(
        None,
        &[
            ("PICKET_TEST__AUTH__PASSWORD", "hunter2"),
            ("PICKET_TEST__MONGODB__URI", "mongodb://u:hunter2@h/"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(config.mongodb.uri.expose(), "mongodb://u:hunter2@h/");
    for text in [toml::to_string_pretty(&config).unwrap(), format!("{config:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let (_dir, path) = file("[auth]\npassword = ['hunter2']\n");
    let error = load(Some(&path), &[], &[]).unwrap_err().to_string();
    assert!(error.contains("auth.password") && !error.contains("hunter2"), "{error}");
}

#[test]
fn log_levels_are_checked() {
    let check = |level: &str| {
        let config = LogConfig {
            level: level.to_owned(),
            ..LogConfig::default()
        };
        config.validate()
    };
    for level in ["info", "WARN", "off", "info,collector=debug", "collector=trace"] {
        assert_eq!(check(level), Ok(()), "{level}");
    }
    for level in ["loud", "info,collector=loud", "a=b=c"] {
        assert!(
            check(level)
                .unwrap_err()
                .to_string()
                .starts_with("log.level: expected error, warn"),
            "{level}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_from_the_environment_reaches_a_text_unchanged(text in "[^\0]{0,40}") {
        let config = load(None, &[("PICKET_TEST__AUTH__PASSWORD", &text)], &[]).unwrap();
        let spelled = format!("v = {text}").parse::<toml::Table>().ok().and_then(|t| t.get("v").cloned());
        // A text in TOML quotes is what is between them.
        let expected = spelled.as_ref().and_then(toml::Value::as_str).unwrap_or(&text);
        prop_assert_eq!(config.auth.password.expose(), expected);
    }
}
