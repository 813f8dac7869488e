//! A running `mongod`.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::child::{Child, Signal};
use crate::error::StartError;
use crate::memory;
use crate::replica;

/// How long a clean stop may take before the process is killed: a checkpoint of a full cache on a slow disk.
const STOP_GRACE: Duration = Duration::from_secs(60);
/// How often a starting server is looked at.
const POLL: Duration = Duration::from_millis(50);
/// A server that was told to stop a moment ago may hold data or port for this long.
const HANDOVER: Duration = Duration::from_secs(20);
/// How much of the log's end is looked at.
const LOG_TAIL_BYTES: u64 = 64 << 10;

/// How a `mongod` is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub binary: PathBuf,
    /// Its data directory; made when missing, continued when not.
    pub dbpath: PathBuf,
    /// Its log, appended to.
    pub log_path: PathBuf,
    /// Port on 127.0.0.1; 0 chooses a free one.
    pub port: u16,
    /// Memory for WiredTiger's cache, in gigabytes; at least 0.25.
    pub cache_gb: f64,
    /// Size of the oplog in megabytes: how far back a watcher's cursor can reach.
    pub oplog_mb: u32,
    /// How long it may take to become primary. Recovery after a crash is part of it.
    pub ready_within: Duration,
    /// What it gets when this process dies first: `SIGTERM` stops it cleanly, `SIGKILL` is for data nobody wants.
    pub on_parent_death: Signal,
}

impl Options {
    /// For data that matters: a quarter of the memory as cache, 1 GB of oplog, a free port, the log beside the data.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, dbpath: impl Into<PathBuf>) -> Self {
        let dbpath = dbpath.into();
        Self {
            binary: binary.into(),
            log_path: dbpath.with_extension("log"),
            dbpath,
            port: 0,
            cache_gb: memory::cache_gb(),
            oplog_mb: 1024,
            ready_within: Duration::from_secs(90),
            on_parent_death: Signal::SIGTERM,
        }
    }

    /// For tests: 0.5 GB of cache, a small oplog, killed at once when this process dies.
    #[must_use]
    pub fn throw_away(binary: impl Into<PathBuf>, dbpath: impl Into<PathBuf>) -> Self {
        Self {
            cache_gb: 0.5,
            oplog_mb: 256,
            on_parent_death: Signal::SIGKILL,
            ..Self::new(binary, dbpath)
        }
    }
}

/// A `mongod` that is the primary of a replica set of one. It ends when this is dropped, or with this process; call
/// [`Mongod::stop`] for a clean end that is waited for.
#[derive(Debug)]
pub struct Mongod {
    options: Options,
    port: u16,
    child: Child,
}

impl Mongod {
    /// Starts it and waits until it is primary.
    ///
    /// # Errors
    /// When it cannot be started, its data or port is in use, or it is not primary in time.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        prepare(&options)?;
        let began = Instant::now();
        loop {
            let port = if options.port == 0 {
                free_port(&options)?
            } else {
                options.port
            };
            let attempt = launch(&options, port).await;
            let may_pass = match &attempt {
                Err(StartError::DataInUse { .. }) => true,
                Err(StartError::PortTaken { .. }) => options.port == 0,
                Ok(_) | Err(_) => false,
            };
            if may_pass && began.elapsed() < HANDOVER {
                tokio::time::sleep(POLL * 10).await;
                continue;
            }
            return attempt.map(|child| Self { options, port, child });
        }
    }

    /// Connection string that works for every driver and for `mongosh`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!(
            "mongodb://127.0.0.1:{}/?replicaSet={}&directConnection=true",
            self.port,
            replica::NAME
        )
    }

    /// Port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Its log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.options.log_path
    }

    /// Waits until the process ends.
    pub async fn wait(&self) -> Option<ExitStatus> {
        self.child.wait().await
    }

    /// Stops it cleanly, or kills it when that takes over a minute. True when it was clean.
    pub async fn stop(&self) -> bool {
        self.child.stop(STOP_GRACE).await
    }

    /// Kills it on the spot, as a power cut would.
    pub async fn kill9(&self) {
        self.child.signal(Signal::SIGKILL);
        self.child.wait().await;
    }

    /// Starts it again on the same data and port, stopping it first when it runs.
    ///
    /// # Errors
    /// As [`Mongod::start`].
    pub async fn restart(&mut self) -> Result<(), StartError> {
        if self.child.exited().is_none() {
            self.stop().await;
        }
        self.child = launch(&self.options, self.port).await?;
        Ok(())
    }
}

fn prepare(options: &Options) -> Result<(), StartError> {
    let directories = [Some(options.dbpath.as_path()), options.log_path.parent()];
    for path in directories.into_iter().flatten() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| StartError::Prepare {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(())
}

fn free_port(options: &Options) -> Result<u16, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| StartError::Spawn {
            binary: options.binary.clone(),
            source,
        })
}

async fn launch(options: &Options, port: u16) -> Result<Child, StartError> {
    let log_start = std::fs::metadata(&options.log_path).map_or(0, |metadata| metadata.len());
    let child = Child::spawn(command(options, port), options.on_parent_death).map_err(|source| StartError::Spawn {
        binary: options.binary.clone(),
        source,
    })?;
    match become_primary(&child, options, port, log_start).await {
        Ok(()) => Ok(child),
        Err(error) => {
            child.stop(Duration::from_secs(5)).await;
            Err(error)
        }
    }
}

fn command(options: &Options, port: u16) -> Command {
    let mut command = Command::new(&options.binary);
    command
        .args(["--bind_ip", "127.0.0.1", "--port", &port.to_string()])
        .arg("--dbpath")
        .arg(&options.dbpath)
        .arg("--logpath")
        .arg(&options.log_path)
        .args(["--logappend", "--nounixsocket", "--replSet", replica::NAME])
        .args(["--wiredTigerCacheSizeGB", &format!("{:.2}", options.cache_gb.max(0.25))])
        .args(["--oplogSize", &options.oplog_mb.to_string()])
        // With no other member to take over, waiting for clients to leave only delays the stop.
        .args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

async fn become_primary(child: &Child, options: &Options, port: u16, log_start: u64) -> Result<(), StartError> {
    let deadline = Instant::now() + options.ready_within;
    let not_ready = |reason: String| StartError::NotReady {
        secs: options.ready_within.as_secs(),
        reason,
        log: options.log_path.clone(),
    };
    let mut client = None;
    let mut reason = "it does not accept connections".to_owned();
    loop {
        if let Some(status) = child.exited() {
            return Err(ended(options, port, log_start, status));
        }
        if Instant::now() >= deadline {
            return Err(not_ready(reason));
        }
        if client.is_none()
            && tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .is_ok()
        {
            client = replica::direct_client(port).await.ok();
        }
        if let Some(client) = &client {
            match replica::advance(client, port, child.pid()).await {
                Ok(true) => break,
                Ok(false) => "it is not primary yet".clone_into(&mut reason),
                Err(error) => reason = error.to_string(),
            }
        }
        tokio::time::sleep(POLL).await;
    }
    if let Some(client) = client {
        client.shutdown().immediate(true).await;
    }
    Ok(())
}

fn ended(options: &Options, port: u16, log_start: u64, status: ExitStatus) -> StartError {
    let log = log_since(&options.log_path, log_start);
    if log.contains("DBPathInUse") {
        return StartError::DataInUse {
            dbpath: options.dbpath.clone(),
        };
    }
    if log.contains("Address already in use") {
        return StartError::PortTaken { port };
    }
    StartError::Ended {
        status: status.to_string(),
        log: options.log_path.clone(),
        last_words: last_words(&log),
    }
}

fn log_since(path: &Path, start: u64) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut bytes = Vec::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let from = start.max(length.saturating_sub(LOG_TAIL_BYTES));
        if file.seek(SeekFrom::Start(from)).is_ok() {
            let _ = file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last errors and warnings of a log, or its last lines when it has none.
fn last_words(log: &str) -> String {
    let bad: Vec<&str> = log
        .lines()
        .filter(|line| [r#""s":"E""#, r#""s":"F""#].iter().any(|mark| line.contains(mark)))
        .collect();
    let lines = if bad.is_empty() { log.lines().collect() } else { bad };
    let mut words = String::new();
    for line in lines.iter().skip(lines.len().saturating_sub(3)) {
        let line: String = line.chars().take(400).collect();
        let _ = writeln!(words, "  {line}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[test]
    fn last_words_are_the_errors_when_there_are_any() {
        let log = "{\"s\":\"I\",\"msg\":\"a\"}\n{\"s\":\"E\",\"msg\":\"b\"}\n{\"s\":\"I\",\"msg\":\"c\"}\n";
        assert_eq!(last_words(log), "  {\"s\":\"E\",\"msg\":\"b\"}\n");
        assert_eq!(last_words("x\ny\n"), "  x\n  y\n");
    }
}
