//! Configuration in layers: defaults < TOML file < environment < `--set`.
//!
//! A service's `Config` must be `#[serde(default, deny_unknown_fields)]`, and so must its sections: that is what makes
//! a misspelt key an error.

mod error;
mod layers;
mod secret;
mod sections;

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::ConfigError;
pub use secret::{Secret, SecretUri};
pub use sections::{AdminConfig, GrpcConfig, LogConfig, LogFormat, MongoConfig, validate_node};

/// Where configuration comes from besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file. It must exist when it is named.
    pub file: Option<PathBuf>,
    /// Start of the names of environment variables: with `PICKET_COLLECTOR`, the variable
    /// `PICKET_COLLECTOR__SECTION__KEY` sets `section.key`.
    pub env_prefix: &'static str,
    /// Keys and values of `--set section.key=value`.
    pub overrides: Vec<(String, String)>,
}

/// Loads a configuration.
///
/// Values from the environment and from `--set` are read as TOML values where they are ones (`5`, `true`, `["a"]`) and
/// as text otherwise; where a text is expected, `12345` is text too, and where a list is expected, `a,b` is one.
///
/// # Errors
/// Names the key, what was expected, what was found and where it came from. Unknown keys are errors.
pub fn load<C: Serialize + DeserializeOwned + Default>(sources: &Sources) -> Result<C, ConfigError> {
    load_from(
        sources.file.as_deref(),
        sources.env_prefix,
        std::env::vars_os(),
        &sources.overrides,
    )
}

pub(crate) use layers::{Layers, load_from};

#[cfg(test)]
mod tests;
