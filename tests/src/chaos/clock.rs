//! A host whose wall clock is set wrong and right again: its processes get a library loaded (`wallclock`) that tells them
//! another time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::binaries::binary;

/// How far off a clock is set, in seconds, both ways.
const JUMPS: [i64; 4] = [2, 20, 240, 3000];

/// The clock of one host.
pub(super) struct Clock {
    file: PathBuf,
    wrong_by: i64,
}

/// The library, when it is built and does what it should here.
pub(super) fn library(scratch: &Path) -> Option<PathBuf> {
    let library = binary("libwallclock.so").ok()?;
    let mut clock = Clock::new(scratch.join("probe.clock")).ok()?;
    clock.set(100_000).ok()?;
    let told = |env: &[(&'static str, String)]| -> Option<i64> {
        let output = Command::new("date")
            .arg("+%s")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .output()
            .ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let ahead = told(&clock.env(&library))? - told(&[])?;
    (99_990..100_010).contains(&ahead).then_some(library)
}

impl Clock {
    /// One that is right.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn new(file: PathBuf) -> anyhow::Result<Self> {
        let mut clock = Self { file, wrong_by: 0 };
        clock.set(0)?;
        Ok(clock)
    }

    /// What the host's processes are started with.
    pub(super) fn env(&self, library: &Path) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("PICKET_WALLCLOCK", self.file.display().to_string()),
        ]
    }

    /// Sets it wrong, as `draw` decides, or right when it is wrong. Answers with how far it jumped, in seconds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn jump(&mut self, draw: usize) -> anyhow::Result<i64> {
        let before = self.wrong_by;
        let far = JUMPS.get(draw / 2 % JUMPS.len()).copied().unwrap_or_default();
        let next = match before {
            0 if draw.is_multiple_of(2) => far,
            0 => -far,
            _ => 0,
        };
        self.set(next)?;
        Ok(next - before)
    }

    /// Sets it right.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn put_right(&mut self) -> anyhow::Result<()> {
        self.set(0)
    }

    fn set(&mut self, wrong_by: i64) -> anyhow::Result<()> {
        // In place: processes have it mapped.
        let mut file = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.file)
            .with_context(|| format!("open {}", self.file.display()))?;
        let written = std::io::Write::write(&mut file, &wrong_by.to_le_bytes()).context("set a clock")?;
        ensure!(written == 8, "a clock was set in part");
        self.wrong_by = wrong_by;
        Ok(())
    }
}
