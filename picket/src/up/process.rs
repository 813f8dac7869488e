//! One child process, started again whenever it ends.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use model::Timestamp;
use mongod::child::{Child, Signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::node::Ready;
use super::stop::Stop;
use super::tail::last_lines;
use crate::data_dir::UpNode;

/// A debug build on a busy machine must fit.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Longer than a node's own grace, so that it is the node that says what it could not finish.
const STOP_GRACE: Duration = Duration::from_secs(40);

/// Pauses between starts: 1 s, doubled up to 30 s, from the beginning again after a minute without an end.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
    started: Option<Instant>,
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(30);
    const HEALTHY_AFTER: Duration = Duration::from_secs(60);

    /// The pause before the next start.
    pub(super) fn next(&mut self) -> Duration {
        if self
            .started
            .take()
            .is_some_and(|at| at.elapsed() >= Self::HEALTHY_AFTER)
        {
            self.attempts = 0;
        }
        let pause = Duration::from_secs(1 << self.attempts.min(5)).min(Self::LONGEST);
        self.attempts += 1;
        pause
    }

    /// It runs.
    pub(super) fn started(&mut self) {
        self.started = Some(Instant::now());
    }
}

/// How to start a process.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub role: String,
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub log: PathBuf,
    pub ready: Ready,
}

/// A process that is kept running.
#[derive(Debug)]
pub(super) struct Supervised {
    pub role: String,
    name: String,
    stop: CancellationToken,
    watcher: JoinHandle<()>,
}

impl Supervised {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(spec: Spec, board: Board, operator: Stop) -> anyhow::Result<Self> {
        let log_start = std::fs::metadata(&spec.log).map_or(0, |metadata| metadata.len());
        let since = Timestamp::now();
        let child = spawn(&spec)?;
        let outcome = tokio::select! {
            ready = spec.ready.wait(since) => ready,
            status = child.wait() => Err(anyhow!("it ended ({})", describe(status))),
            () = tokio::time::sleep(READY_WITHIN) => Err(anyhow!("it was not ready after {} s", READY_WITHIN.as_secs())),
        };
        let addr = match outcome {
            Ok(addr) => addr,
            Err(error) => {
                child.stop(Duration::from_secs(5)).await;
                let (name, log) = (&spec.name, spec.log.display());
                let said = last_lines(&spec.log, log_start);
                bail!("{name} did not start: {error:#}\nthe end of its log {log}:\n{said}");
            }
        };
        board.set(entry(&spec, child.pid(), &addr));
        let (role, name) = (spec.role.clone(), spec.name.clone());
        let stop = CancellationToken::new();
        let watcher = tokio::spawn(keep(spec, child, addr, board, stop.clone(), operator));
        Ok(Self {
            role,
            name,
            stop,
            watcher,
        })
    }

    /// Lets it finish what it has in hand and waits for its end. A second signal of the operator kills it.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if self.watcher.await.is_err() {
            eprintln!("! {}: watching it failed", self.name);
        }
    }
}

/// Keeps it running until it is told to stop.
async fn keep(spec: Spec, first: Child, mut addr: String, board: Board, stop: CancellationToken, operator: Stop) {
    let mut child = first;
    let mut backoff = Backoff::default();
    backoff.started();
    loop {
        tokio::select! {
            () = stop.cancelled() => return end(&spec, &child, &operator).await,
            status = child.wait() => {
                eprintln!("! {} ended ({})", spec.name, describe(status));
            }
        }
        board.set(entry(&spec, 0, &addr));
        let since = loop {
            let pause = backoff.next();
            eprintln!(
                "! starting {} again in {} s (log: {})",
                spec.name,
                pause.as_secs(),
                spec.log.display()
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let since = Timestamp::now();
            match spawn(&spec) {
                Ok(started) => {
                    child = started;
                    break since;
                }
                Err(error) => eprintln!("! {error:#}"),
            }
        };
        backoff.started();
        board.set(entry(&spec, child.pid(), &addr));
        tokio::select! {
            () = stop.cancelled() => return end(&spec, &child, &operator).await,
            ready = spec.ready.wait(since) => match ready {
                Ok(ready) => {
                    addr = ready;
                    board.set(entry(&spec, child.pid(), &addr));
                    eprintln!("✓ {} runs again", spec.name);
                }
                Err(error) => eprintln!("! {} runs again, but {error:#}", spec.name),
            },
            // Seen again at the head of the loop.
            _ = child.wait() => {}
        }
    }
}

async fn end(spec: &Spec, child: &Child, operator: &Stop) {
    let clean = tokio::select! {
        clean = child.stop(STOP_GRACE) => clean,
        () = operator.urgent() => {
            child.signal(Signal::SIGKILL);
            child.wait().await;
            return;
        }
    };
    let status = child.exited();
    if !clean {
        eprintln!(
            "! {} did not stop within {} s and was killed",
            spec.name,
            STOP_GRACE.as_secs()
        );
    } else if !status.is_some_and(|status| status.success()) {
        eprintln!(
            "! {} stopped with a failure ({}); see {}",
            spec.name,
            describe(status),
            spec.log.display()
        );
    }
}

fn spawn(spec: &Spec) -> anyhow::Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&spec.log)
        .with_context(|| format!("open the log {}", spec.log.display()))?;
    let errors = log.try_clone().context("open the log twice")?;
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).stdin(Stdio::null()).stdout(log).stderr(errors);
    Child::spawn(command, Signal::SIGTERM).with_context(|| format!("start {}", spec.name))
}

fn describe(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "in an unknown way".to_owned(), |status| status.to_string())
}

fn entry(spec: &Spec, pid: u32, addr: &str) -> UpNode {
    UpNode {
        role: spec.role.clone(),
        name: spec.name.clone(),
        pid,
        addr: addr.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_half_a_minute() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..8).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[tokio::test]
    async fn what_does_not_start_is_told_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec {
            role: "collector".to_owned(),
            name: "collector-1".to_owned(),
            program: PathBuf::from("/bin/sh"),
            args: ["-c", "echo the disk is full >&2; exit 3"].map(OsString::from).to_vec(),
            log: dir.path().join("collector-1.log"),
            ready: Ready::Connected {
                status: dir.path().join("status.json"),
            },
        };
        let board = Board::new(dir.path().to_owned());
        let error = Supervised::start(spec, board, Stop::on_signals().unwrap())
            .await
            .unwrap_err()
            .to_string();
        for part in ["collector-1", "exit status: 3", "the disk is full", "collector-1.log"] {
            assert!(error.contains(part), "{part} missing in {error}");
        }
    }
}
