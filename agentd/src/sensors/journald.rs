//! Follows the systemd journal through `journalctl`, which knows every format the journal ever had.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::gap::Lost;
use super::{Body, Chunk, Closed, Input, Origin, Position, Raw, Sink};
use crate::spool::{Change, Spool};

/// Units whose names are remembered; beyond that the memory of them starts over.
const MAX_UNITS: usize = 1024;
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The journal on the status page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Whether `journalctl` runs.
    pub running: bool,
    /// Entries read since the agent started.
    pub entries: u64,
    /// Entries that were longer than the limit and left out.
    pub oversized: u64,
    /// Why it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Only these units; all when empty.
    pub units: Vec<String>,
    /// Longer entries are left out and counted.
    pub max_entry_bytes: usize,
    /// Program to run; found on `PATH`.
    pub program: String,
}

/// The sensor.
pub struct Journal {
    settings: Settings,
    cursor: Option<String>,
    sink: Sink,
    spool: Arc<Spool>,
    publish: Box<dyn Fn(JournalStatus) + Send>,
    status: JournalStatus,
    origins: HashMap<String, Arc<Origin>>,
}

/// Ends a running `journalctl` from another thread.
#[derive(Clone, Debug, Default)]
pub struct Leash(Arc<Mutex<Option<Child>>>);

impl Leash {
    /// Kills the child, if there is one.
    pub fn pull(&self) {
        if let Some(child) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }

    fn hold(&self, child: Child) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    }

    fn reap(&self) {
        if let Some(mut child) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.status.running = false;
        (self.publish)(self.status.clone());
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    unit: serde_json::Value,
}

impl Journal {
    /// Goes on behind `cursor`, or with what comes next when there is none.
    #[must_use]
    pub fn new(
        settings: Settings,
        cursor: Option<String>,
        sink: Sink,
        spool: Arc<Spool>,
        publish: Box<dyn Fn(JournalStatus) + Send>,
    ) -> Self {
        Self {
            settings,
            cursor,
            sink,
            spool,
            publish,
            status: JournalStatus::default(),
            origins: HashMap::new(),
        }
    }

    /// Follows until told to stop, on the calling thread; `leash` must be pulled as well then.
    pub fn run(mut self, stop: &CancellationToken, leash: &Leash) {
        let mut wait = BACKOFF.0;
        let mut said = None;
        while !stop.is_cancelled() {
            let started = Instant::now();
            let result = self.follow(stop, leash);
            leash.reap();
            let error = match result {
                Ok(Err(Closed)) => return,
                Ok(Ok(())) => String::from("journalctl has ended"),
                Err(error) => error.to_string(),
            };
            if stop.is_cancelled() {
                return;
            }
            if said.as_ref() != Some(&error) {
                tracing::warn!(error, "journal cannot be followed, it is tried again");
                said = Some(error.clone());
            }
            self.status.running = false;
            self.status.error = Some(error);
            (self.publish)(self.status.clone());
            if started.elapsed() > BACKOFF.1 {
                wait = BACKOFF.0;
            }
            let until = Instant::now() + wait;
            while !stop.is_cancelled() && Instant::now() < until {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            wait = (wait * 2).min(BACKOFF.1);
        }
    }

    /// The outer error is journalctl's, the inner one the pipeline's.
    fn follow(&mut self, stop: &CancellationToken, leash: &Leash) -> io::Result<Result<(), Closed>> {
        if self.cursor.is_none()
            && let Some(cursor) = self.newest_cursor()?
        {
            let note = Input::Note(vec![Change::Cursor(cursor.clone()).into()]);
            if self.sink.send(note).is_err() {
                return Ok(Err(Closed));
            }
            self.cursor = Some(cursor);
        }
        let mut command = self.command();
        command.args(["--follow", "--no-tail"]);
        if let Some(cursor) = &self.cursor {
            command.arg(format!("--after-cursor={cursor}"));
        }
        let mut child = command.spawn().map_err(|error| self.name(&error))?;
        let output = child.stdout.take();
        leash.hold(child);
        if stop.is_cancelled() {
            leash.pull();
        }
        self.status.running = true;
        self.status.error = None;
        (self.publish)(self.status.clone());
        match output {
            Some(output) => self.read(output),
            None => Ok(Ok(())),
        }
    }

    fn read(&mut self, output: ChildStdout) -> io::Result<Result<(), Closed>> {
        let limit = self.settings.max_entry_bytes;
        let mut output = BufReader::with_capacity(super::CHUNK_BYTES, output);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = output.by_ref().take(limit as u64 + 1).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(Ok(()));
            }
            if line.last() != Some(&b'\n') && line.len() > limit {
                skip_line(&mut output)?;
                self.status.oversized += 1;
                self.spool.sensor_lost(1);
                if self.tell_lost("journal_entry_too_long").is_err() {
                    return Ok(Err(Closed));
                }
                continue;
            }
            let text = line.trim_ascii_end();
            let Ok(head) = serde_json::from_slice::<Head>(text) else {
                if !text.is_empty() {
                    tracing::debug!("journalctl printed a line that is no entry");
                    self.spool.sensor_lost(1);
                    if self.tell_lost("journal_entry_unreadable").is_err() {
                        return Ok(Err(Closed));
                    }
                }
                continue;
            };
            let chunk = Chunk {
                origin: self.origin(head.unit.as_str().unwrap_or_default()),
                observed_at_micros: Timestamp::now().0,
                records: vec![Raw {
                    body: Body::Json(Bytes::copy_from_slice(text)),
                    truncated_bytes: 0,
                    after: Position::Cursor(head.cursor.clone()),
                }],
                mark: None,
            };
            if self.sink.send(Input::Chunk(chunk)).is_err() {
                return Ok(Err(Closed));
            }
            self.cursor = Some(head.cursor);
            self.status.entries += 1;
            // On a quiet host at once, on a busy one now and then.
            if output.buffer().is_empty() || self.status.entries % 64 == 1 {
                (self.publish)(self.status.clone());
            }
        }
    }

    /// The entry behind the last one is gone.
    fn tell_lost(&self, reason: &'static str) -> Result<(), Closed> {
        let lost = Lost {
            reason,
            name: "journal".to_owned(),
            events: Some(1),
            bytes: None,
        };
        self.sink.send(Input::Chunk(lost.chunk(None, self.cursor.clone())))
    }

    fn newest_cursor(&self) -> io::Result<Option<String>> {
        let output = self
            .command()
            .arg("--lines=1")
            .output()
            .map_err(|error| self.name(&error))?;
        let line = output
            .stdout
            .split(|byte| *byte == b'\n')
            .rfind(|line| !line.is_empty());
        Ok(line
            .and_then(|line| serde_json::from_slice::<Head>(line).ok())
            .map(|head| head.cursor))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.settings.program);
        command.args(["--output=json", "--quiet", "--no-pager"]);
        for unit in &self.settings.units {
            command.arg(format!("--unit={unit}"));
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    fn name(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("run {}: {error}", self.settings.program))
    }

    fn origin(&mut self, unit: &str) -> Arc<Origin> {
        if let Some(origin) = self.origins.get(unit) {
            return Arc::clone(origin);
        }
        if self.origins.len() >= MAX_UNITS {
            self.origins.clear();
        }
        let origin = Arc::new(Origin {
            kind: "journald",
            name: unit.to_owned(),
            log_type: String::new(),
            header: None,
        });
        self.origins.insert(unit.to_owned(), Arc::clone(&origin));
        origin
    }
}

fn skip_line(input: &mut impl io::BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}
