//! Passwords and keys that this installation makes for itself, once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::write_private;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

use super::dirs::{self, Dirs};

/// By this, scanners find a key that was published by mistake.
const API_KEY_PREFIX: &str = "pk_";

/// Files with one secret each (0600). They outlive a stop: whoever was given the key can go on using it.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    pub admin_password_file: PathBuf,
    pub admin_password: String,
    pub api_key_file: PathBuf,
    pub api_key: String,
    pub jwt_key_file: PathBuf,
}

impl Secrets {
    /// Reads them, and makes those that are missing.
    pub(super) fn open(place: &Dirs) -> anyhow::Result<Self> {
        let dir = place.secrets();
        dirs::make(&dir)?;
        let admin_password_file = dir.join("admin-password");
        let api_key_file = dir.join("api-key");
        let jwt_key_file = dir.join("jwt-key");
        let admin_password = open(&admin_password_file, "", 15)?;
        let api_key = open(&api_key_file, API_KEY_PREFIX, 32)?;
        open(&jwt_key_file, "", 48)?;
        Ok(Self {
            admin_password_file,
            admin_password,
            api_key_file,
            api_key,
            jwt_key_file,
        })
    }
}

fn open(path: &Path, prefix: &str, bytes: usize) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    }
    let mut random = vec![0; bytes];
    OsRng
        .try_fill_bytes(&mut random)
        .context("get random bytes from the system")?;
    let secret = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(&random));
    write_private(path, secret.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::open;

    #[test]
    fn a_secret_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let secret = open(&path, "pk_", 32).unwrap();
        assert!(secret.starts_with("pk_") && secret.len() == 46);
        assert_eq!(open(&path, "pk_", 32).unwrap(), secret);
    }
}
