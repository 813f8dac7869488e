//! The data directory: what lies where, and who has it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::UsageError;
use crate::data_dir::{UpFile, default_data_dir};

/// The data directory of one running `picket up`; nobody else can open it meanwhile.
#[derive(Debug)]
pub(crate) struct Dirs {
    data: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Dirs {
    /// Makes what is missing (0700), takes the lock, and removes what a run that was killed left.
    pub(super) fn open(data: Option<PathBuf>) -> anyhow::Result<Self> {
        let data = data.map_or_else(default_data_dir, Ok)?;
        let data = std::path::absolute(&data).with_context(|| format!("--data {}", data.display()))?;
        make(&data)?;
        let lock = lock(&data)?;
        let dirs = Self { data, _lock: lock };
        dirs.remove_up_file();
        let feeds = [dirs.feed_files(), dirs.feed_secrets()];
        for dir in feeds
            .into_iter()
            .chain([dirs.logs(), dirs.agent(), dirs.try_file().with_file_name("")])
        {
            make(&dir)?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(dirs.try_file())
            .with_context(|| format!("make {}", dirs.try_file().display()))?;
        Ok(dirs)
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.data.join("ca")
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.ca().join("ca.crt")
    }

    pub(crate) fn ca_key_file(&self) -> PathBuf {
        self.ca().join("ca.key")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.data.join("secrets")
    }

    /// Certificate and configuration of a node.
    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.data.join("nodes").join(name)
    }

    pub(crate) fn node_config(&self, name: &str) -> PathBuf {
        self.node(name).join("config.toml")
    }

    /// The agent's own data directory.
    pub(crate) fn agent(&self) -> PathBuf {
        self.data.join("agent")
    }

    pub(crate) fn rules(&self) -> PathBuf {
        self.data.join("rules")
    }

    /// Feeds of threat intelligence that are files.
    pub(crate) fn feed_files(&self) -> PathBuf {
        self.data.join("feeds").join("files")
    }

    /// Secrets of feeds' publishers.
    pub(crate) fn feed_secrets(&self) -> PathBuf {
        self.data.join("feeds").join("secrets")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    pub(crate) fn mongod_data(&self) -> PathBuf {
        self.data.join("mongod").join("db")
    }

    /// The file that is followed for a first alert.
    pub(crate) fn try_file(&self) -> PathBuf {
        self.data.join("try").join("auth.log")
    }

    /// Tells other programs that nothing runs here.
    pub(super) fn remove_up_file(&self) {
        let path = UpFile::path(&self.data);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("warning: cannot remove {}: {error}", path.display());
        }
    }
}

/// Makes a directory that only its owner can look into.
pub(super) fn make(dir: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("make {}", dir.display()))
}

fn lock(data: &Path) -> anyhow::Result<File> {
    let path = crate::data_dir::lock_path(data);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let who = match pid.trim() {
                "" => String::new(),
                pid => format!(" (process {pid})"),
            };
            return Err(UsageError(format!(
                "another `picket up`{who} runs with the data in {}; stop it, or choose another directory with --data",
                data.display()
            ))
            .into());
        }
        Err(fs::TryLockError::Error(error)) => return Err(error).context(format!("lock {}", path.display())),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.with_context(|| format!("write {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_directory_has_one_owner() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("data");
        let dirs = Dirs::open(Some(data.clone())).unwrap();
        let error = Dirs::open(Some(data.clone())).unwrap_err();
        assert!(error.downcast_ref::<UsageError>().is_some());
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(dirs);
        fs::write(UpFile::path(&data), "{}").unwrap();
        Dirs::open(Some(data.clone())).unwrap();
        assert!(!UpFile::path(&data).exists());
    }
}
