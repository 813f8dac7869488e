//! Where `picket up` keeps everything, and the file that tells other programs how to reach it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

/// The data directory of `picket up` when none is named: `$XDG_DATA_HOME/picket`, else `~/.local/share/picket`.
pub(crate) fn default_data_dir() -> anyhow::Result<PathBuf> {
    let from_env = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(base) = from_env("XDG_DATA_HOME").filter(|base| base.is_absolute()) {
        return Ok(base.join("picket"));
    }
    match from_env("HOME") {
        Some(home) => Ok(home.join(".local/share/picket")),
        None => bail!("no place for data: HOME is not set; give --data DIR"),
    }
}

/// `up.json`: how to reach a system that `picket up` started. Holds secrets, so its mode is 0600; removed on stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpFile {
    /// `https://HOST:PORT` of REST, `/docs` included.
    pub rest_url: String,
    /// `HOST:PORT` of gRPC over TLS.
    pub grpc_addr: String,
    /// Certificate authority of both.
    pub ca_file: PathBuf,
    /// For `x-api-key`; role admin.
    pub api_key: String,
    /// For Basic authentication.
    pub admin_user: String,
    /// For Basic authentication.
    pub admin_password: String,
    /// Where everything is stored.
    pub mongodb_uri: String,
    /// Every process that was started.
    pub nodes: Vec<UpNode>,
}

/// One process of a running system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpNode {
    /// `collector`, `detector`, `responder`, `gateway`, `agent` or `mongod`.
    pub role: String,
    /// Unique name.
    pub name: String,
    /// Process id; the one of `picket up` itself with `--in-process`.
    pub pid: u32,
    /// `HOST:PORT` where it is reached; empty for an agent.
    pub addr: String,
}

/// Held by `picket up` as long as it lives, and by nothing that outlives it.
pub(crate) fn lock_path(data: &Path) -> PathBuf {
    data.join("up.lock")
}

/// A directory whose lock cannot be looked at counts as in use.
fn is_abandoned(data: &Path) -> bool {
    fs::File::open(lock_path(data)).is_ok_and(|lock| lock.try_lock_shared().is_ok())
}

impl UpFile {
    /// Where it lies in a data directory.
    pub(crate) fn path(data: &Path) -> PathBuf {
        data.join("up.json")
    }

    /// Reads the file of a running system.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let path = Self::path(data);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if is_abandoned(data) {
            bail!("the `picket up` that left {} there was killed", path.display());
        }
        serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))
    }

    /// Writes the file so that readers see either the old one or the new one.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let path = Self::path(data);
        let text = serde_json::to_string_pretty(self).context("write up.json")?;
        identity::write_private(&path, text.as_bytes()).with_context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_not_taken_for_a_running_system() {
        let dir = tempfile::tempdir().unwrap();
        let up = UpFile {
            rest_url: "https://127.0.0.1:9443".to_owned(),
            grpc_addr: "127.0.0.1:9443".to_owned(),
            ca_file: PathBuf::from("ca.crt"),
            api_key: "pk_0".to_owned(),
            admin_user: "admin".to_owned(),
            admin_password: "secret".to_owned(),
            mongodb_uri: "mongodb://127.0.0.1:1".to_owned(),
            nodes: Vec::new(),
        };
        up.write(dir.path()).unwrap();
        let lock = fs::File::create(lock_path(dir.path())).unwrap();
        let left = UpFile::read(dir.path()).unwrap_err().to_string();
        assert!(left.contains("was killed"), "{left}");
        lock.lock().unwrap();
        assert_eq!(UpFile::read(dir.path()).unwrap(), up);
    }
}
