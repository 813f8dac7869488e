//! Programs that log: each appends numbered lines to a file of its own, whatever happens around it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::system::append;

/// Every so many lines, one is a failed password.
pub(super) const ALERT_EVERY: u64 = 50;

/// One program and its file.
pub(super) struct Writer {
    pub(super) name: String,
    path: PathBuf,
    written: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<anyhow::Result<()>>>,
}

impl Writer {
    /// Writes `lines_per_second` until it is stopped, ten times a second.
    pub(super) fn start(name: &str, path: &Path, lines_per_second: u64) -> Self {
        let (written, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut writer = Self {
            name: name.to_owned(),
            path: path.to_owned(),
            written,
            stop,
            thread: None,
        };
        let (name, path) = (writer.name.clone(), writer.path.clone());
        let (written, stop) = (Arc::clone(&writer.written), Arc::clone(&writer.stop));
        let burst = (lines_per_second / 10).max(1);
        writer.thread = Some(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let first = written.load(Ordering::Relaxed);
                let text: String = (first..first + burst).map(|number| line(&name, number)).collect();
                append(&path, text.as_bytes())?;
                written.store(first + burst, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(100));
            }
            Ok(())
        }));
        writer
    }

    /// Stops, and says how many lines there are.
    pub(super) fn stop(&mut self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("writer {} panicked", self.name))??;
        }
        Ok(self.written.load(Ordering::Relaxed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn line(name: &str, number: u64) -> String {
    let second = number / 1000 % 60;
    let head = format!("2026-03-01T10:00:{second:02}.{:06}+00:00 {name}", number % 1000 * 1000);
    if number.is_multiple_of(ALERT_EVERY) {
        format!(
            "{head} sshd[{}]: Failed password for {name}x{number} from 203.0.113.7 port 4711 ssh2\n",
            1000 + number % 500
        )
    } else {
        format!("{head} app[7]: step {name}x{number} of the run\n")
    }
}

/// Writer and number of a line's message.
pub(super) fn read(message: &str) -> Option<(&str, u64)> {
    let rest = message
        .strip_prefix("step ")
        .or_else(|| message.strip_prefix("Failed password for "))?;
    let (name, number) = rest.split(' ').next()?.rsplit_once('x')?;
    Some((name, number.parse().ok()?))
}
