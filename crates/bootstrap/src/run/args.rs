//! The command line of a service.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::ConfigError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Run,
    CheckConfig,
    PrintConfig,
    Help,
    Version,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Args {
    pub(super) command: Command,
    pub(super) config: Option<PathBuf>,
    pub(super) overrides: Vec<(String, String)>,
}

pub(super) fn help(name: &str) -> String {
    let prefix = name.to_ascii_uppercase().replace('-', "_");
    format!(
        "{name}: a node of Picket

Usage: {name} [--config FILE] [--set SECTION.KEY=VALUE]... [--check-config | --print-config]

  --config FILE             read the configuration from FILE (TOML)
  --set SECTION.KEY=VALUE   set one key; repeatable, has the last word
  --check-config            check the configuration and exit
  --print-config            print the configuration in effect, secrets masked, and exit
  --help                    print this and exit
  --version                 print the version and exit

The environment sets keys too: PICKET_{prefix}__SECTION__KEY=VALUE.
Exit codes: 0 stopped in order, 1 failed, 64 unusable configuration or arguments, 130 stopped by a second signal."
    )
}

impl Args {
    pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, ConfigError> {
        let mut parsed = Self {
            command: Command::Run,
            config: None,
            overrides: Vec::new(),
        };
        let mut args = args;
        while let Some(arg) = args.next() {
            // Only the value of --config may be anything but UTF-8, and only as an argument of its own.
            let text = arg.to_str().ok_or_else(|| unexpected(&arg.to_string_lossy()))?;
            let (flag, attached) = match text.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
                _ => (text, None),
            };
            let takes_value = matches!(flag, "--config" | "--set");
            if attached.is_some() && !takes_value {
                return Err(ConfigError::Argument(format!("{flag} takes no value")));
            }
            let mut value = || {
                attached
                    .clone()
                    .or_else(|| args.next())
                    .ok_or_else(|| ConfigError::Argument(format!("{flag}: expected a value")))
            };
            match flag {
                "--config" => parsed.config = Some(value()?.into()),
                "--set" => parsed.overrides.push(parse_set(&value()?)?),
                "--check-config" => parsed.command = Command::CheckConfig,
                "--print-config" => parsed.command = Command::PrintConfig,
                "--help" | "-h" => parsed.command = Command::Help,
                "--version" | "-V" => parsed.command = Command::Version,
                other => return Err(unexpected(other)),
            }
        }
        Ok(parsed)
    }
}

fn parse_set(value: &OsString) -> Result<(String, String), ConfigError> {
    value
        .to_str()
        .and_then(|text| text.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| {
            ConfigError::Argument(format!(
                "--set: expected SECTION.KEY=VALUE, got {:?}",
                value.to_string_lossy()
            ))
        })
}

fn unexpected(arg: &str) -> ConfigError {
    ConfigError::Argument(format!("unexpected argument {arg:?}, --help lists what there is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::parse(args.iter().map(OsString::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_are_taken_in_both_spellings() {
        let expected = Args {
            command: Command::CheckConfig,
            config: Some("a.toml".into()),
            overrides: vec![("s.k".to_owned(), "v=w".to_owned())],
        };
        assert_eq!(
            parse(&["--config", "a.toml", "--set", "s.k=v=w", "--check-config"]).unwrap(),
            expected
        );
        assert_eq!(
            parse(&["--config=a.toml", "--set=s.k=v=w", "--check-config"]).unwrap(),
            expected
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (args, part) in [
            (&["--config"][..], "--config: expected a value"),
            (&["--set", "key"][..], "expected SECTION.KEY=VALUE, got \"key\""),
            (&["--check-config=yes"][..], "--check-config takes no value"),
            (&["run"][..], "unexpected argument \"run\""),
            (&["-x"][..], "unexpected argument \"-x\""),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(part), "{args:?}: {error}");
        }
    }
}
