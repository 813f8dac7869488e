//! The long-running tasks of a process.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use futures_util::FutureExt as _;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long aborted tasks get to be dropped.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Spawns named tasks and watches them: one that fails or panics stops the whole process.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, (&'static str, Option<AbortHandle>)>,
    failure: Option<String>,
}

impl Tasks {
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            tracker: TaskTracker::new(),
            shutdown,
            state: Mutex::default(),
        }))
    }

    /// Spawns a task on the current runtime. It should end soon after the context's `shutdown` is cancelled.
    ///
    /// When it fails or panics, that is logged once as ERROR, `shutdown` is cancelled, and the process ends with a
    /// non-zero exit code. Ending with `Ok` is fine at any time.
    pub fn spawn(&self, name: &'static str, fut: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let id = {
            let mut state = self.state();
            let id = state.next;
            state.next += 1;
            state.running.insert(id, (name, None));
            id
        };
        // Dropped with the future, so an aborted task leaves the list as well.
        let entry = Entry {
            tasks: self.clone(),
            id,
        };
        let handle = self.0.tracker.spawn(async move {
            let result = AssertUnwindSafe(fut).catch_unwind().await;
            match result {
                Ok(Ok(())) => tracing::debug!(task = name, "task ended"),
                Ok(Err(error)) => {
                    tracing::error!(task = name, error = %format_args!("{error:#}"), "task failed");
                    entry.tasks.fail(format!("task {name} failed: {error:#}"));
                }
                // The panic hook has logged where and why.
                Err(_) => entry.tasks.fail(format!("task {name} panicked")),
            }
            drop(entry);
        });
        if let Some(running) = self.state().running.get_mut(&id) {
            running.1 = Some(handle.abort_handle());
        }
    }

    /// Names of the tasks that run.
    #[must_use]
    pub fn running(&self) -> Vec<&'static str> {
        self.state().running.values().map(|(name, _)| *name).collect()
    }

    fn fail(&self, reason: String) {
        self.state().failure.get_or_insert(reason);
        self.0.shutdown.cancel();
    }

    /// Waits for all tasks; aborts those that still run after `grace`.
    pub(crate) async fn finish(&self, grace: Duration) -> anyhow::Result<()> {
        self.0.tracker.close();
        if tokio::time::timeout(grace, self.0.tracker.wait()).await.is_err() {
            let names = self.running();
            let handles: Vec<_> = self
                .state()
                .running
                .values()
                .filter_map(|(_, handle)| handle.clone())
                .collect();
            tracing::error!(tasks = ?names, grace_secs = grace.as_secs(), "tasks did not stop in time, aborting them");
            self.state()
                .failure
                .get_or_insert(format!("tasks did not stop in time: {}", names.join(", ")));
            for handle in handles {
                handle.abort();
            }
            let _ = tokio::time::timeout(ABORT_GRACE, self.0.tracker.wait()).await;
        }
        match self.state().failure.clone() {
            None => Ok(()),
            Some(reason) => Err(anyhow!(reason)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Entry {
    tasks: Tasks,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tasks.state().running.remove(&self.id);
    }
}
