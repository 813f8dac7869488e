//! A file system that can be full: a tmpfs with a file in it that takes all the room. Mounting takes root.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// A mounted file system. Unmounted when dropped.
pub(super) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Whether file systems can be mounted here.
    #[must_use]
    pub(super) fn is_possible() -> bool {
        nix::unistd::geteuid().is_root() && {
            let probe = tempfile::tempdir();
            probe.is_ok_and(|dir| Self::mount(dir.path(), 1).is_ok())
        }
    }

    /// Mounts one of `mib` MiB at a directory, which is made.
    ///
    /// # Errors
    /// When this is not allowed.
    pub(super) fn mount(at: &Path, mib: u32) -> anyhow::Result<Self> {
        fs::create_dir_all(at).with_context(|| format!("make {}", at.display()))?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0700"), "tmpfs"])
            .arg(at)
            .output()
            .context("run mount")?;
        ensure!(
            output.status.success(),
            "mount: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Self { at: at.to_owned() })
    }

    /// Takes all the room there is.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut file = fs::File::create(self.ballast()).context("make the ballast")?;
        let piece = vec![0; 256 << 10];
        loop {
            match file.write(&piece) {
                Ok(written) if written > 0 => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("write the ballast"),
            }
        }
    }

    /// Gives the room back.
    pub(super) fn free(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever has files open there may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
