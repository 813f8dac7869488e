//! Wakes the sensor when files change. A missed notification only delays: everything is looked at regularly as well.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

/// Notifications that may wait. When there are more, everything is looked at.
const QUEUE: usize = 1024;
/// Most directories that are watched; files elsewhere are polled.
const MAX_WATCHES: usize = 1024;
/// For how long further notifications are collected, so that a busy file is not looked at for each line.
const GATHER: Duration = Duration::from_millis(2);

/// What changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Content of these.
    pub(super) paths: HashSet<PathBuf>,
    /// Names: files came, went or were renamed.
    pub(super) names: bool,
    /// Too much to say what.
    pub(super) everything: bool,
}

struct Notice {
    path: PathBuf,
    names: bool,
}

/// Notifications of the operating system, where there are any.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    notices: Receiver<Notice>,
    /// Keeps the channel open when there is no watcher.
    _sender: SyncSender<Notice>,
    overflow: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let (sender, notices) = sync_channel(QUEUE);
        let overflow = Arc::new(AtomicBool::new(false));
        let handler = handler(sender.clone(), Arc::clone(&overflow));
        let watcher = notify::recommended_watcher(handler)
            .inspect_err(|error| tracing::info!(%error, "file notifications are not available, files are polled"))
            .ok();
        Self {
            watcher,
            watched: HashSet::new(),
            notices,
            _sender: sender,
            overflow,
        }
    }

    /// Watches a directory; one that cannot be watched is left to polling and tried again.
    pub(super) fn add(&mut self, dir: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if self.watched.len() < MAX_WATCHES
            && !self.watched.contains(dir)
            && watcher.watch(dir, RecursiveMode::NonRecursive).is_ok()
        {
            self.watched.insert(dir.to_path_buf());
        }
    }

    /// Forgets directories that are gone, so that they are watched again when they come back.
    pub(super) fn forget_missing(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        self.watched.retain(|dir| {
            let there = dir.is_dir();
            if !there {
                // Fails when the system has dropped the watch along with the directory.
                let _ = watcher.unwatch(dir);
            }
            there
        });
    }

    /// Waits until something changes, at most until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> Changes {
        let mut changes = Changes::default();
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        match self.notices.recv_timeout(left(deadline)) {
            Ok(notice) => changes.add(notice),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let gathered = deadline.min(Instant::now() + GATHER);
        if !changes.paths.is_empty() {
            while let Ok(notice) = self.notices.recv_timeout(left(gathered)) {
                changes.add(notice);
            }
        }
        changes.everything = self.overflow.swap(false, Ordering::Relaxed);
        changes
    }
}

impl Changes {
    fn add(&mut self, notice: Notice) {
        self.names |= notice.names;
        self.paths.insert(notice.path);
    }
}

fn handler(sender: SyncSender<Notice>, overflow: Arc<AtomicBool>) -> impl Fn(notify::Result<notify::Event>) {
    move |event| {
        let Ok(event) = event else {
            overflow.store(true, Ordering::Relaxed);
            return;
        };
        if event.need_rescan() {
            overflow.store(true, Ordering::Relaxed);
        }
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        let content = matches!(
            event.kind,
            EventKind::Modify(ModifyKind::Any | ModifyKind::Data(_) | ModifyKind::Metadata(_))
        );
        for path in event.paths {
            let notice = Notice { path, names: !content };
            if sender.try_send(notice).is_err() {
                overflow.store(true, Ordering::Relaxed);
            }
        }
    }
}
