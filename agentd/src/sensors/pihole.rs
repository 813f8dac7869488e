//! Follows Pi-hole's query database, `pihole-FTL.db`: each row of its `queries`, once, by its number.
//!
//! Rows are sent as JSON objects with the names of the columns, whichever the version of Pi-hole has. Where reading goes on
//! is the number of the last row, kept as the offset of the database's mark. A database that was made anew numbers from 1
//! again, and is read from its beginning.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::file::Start;
use super::{Body, Chunk, Closed, Input, Origin, Position, Raw, Sink};
use crate::spool::checkpoint::FileKey;
use crate::spool::{Change, Checkpoints, FileMark};

/// Rows read at once.
const ROWS: usize = 500;
/// Most columns of a row, and longest text of one, in bytes.
const MAX_COLUMNS: usize = 64;
const MAX_TEXT: usize = 4096;
/// How long a query waits for a writer.
const BUSY: Duration = Duration::from_secs(2);
const LAST: &str = "SELECT max(id) FROM queries";
const NEXT: &str = "SELECT * FROM queries WHERE id > ?1 ORDER BY id LIMIT ?2";

/// What to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database.
    pub database: PathBuf,
    /// Where to start in a database that was not followed before.
    pub start: Start,
    /// How often it is looked at; Pi-hole writes once a minute.
    pub poll: Duration,
}

/// The sensor.
pub struct PiHole {
    settings: Settings,
    /// The mark of the last row that was sent.
    mark: Option<FileMark>,
    sink: Sink,
    origin: Arc<Origin>,
}

/// Why a look brought nothing.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl PiHole {
    /// Goes on from `checkpoints`.
    #[must_use]
    pub fn new(settings: Settings, checkpoints: &Checkpoints, sink: Sink) -> Self {
        let path = settings.database.as_os_str().as_bytes();
        let mark = checkpoints.files.values().find(|mark| mark.path == path).cloned();
        let origin = Arc::new(Origin {
            kind: "file",
            name: settings.database.to_string_lossy().into_owned(),
            log_type: "pihole_ftl".to_owned(),
            header: None,
        });
        Self {
            settings,
            mark,
            sink,
            origin,
        }
    }

    /// Follows until told to stop, on the calling thread.
    pub fn run(mut self, stop: &CancellationToken) {
        let mut said = None;
        while !stop.is_cancelled() {
            let more = match self.look() {
                Ok(more) => {
                    if said.take().is_some() {
                        tracing::info!(path = self.origin.name, "database can be read again");
                    }
                    more
                }
                Err(Error::Closed(_)) => return,
                Err(error) => {
                    let error = error.to_string();
                    if said.as_ref() != Some(&error) {
                        tracing::warn!(
                            path = self.origin.name,
                            error,
                            "database cannot be read, it is tried again"
                        );
                        said = Some(error);
                    }
                    false
                }
            };
            let until = Instant::now() + if more { Duration::ZERO } else { self.settings.poll };
            while !stop.is_cancelled() && Instant::now() < until {
                std::thread::park_timeout(Duration::from_millis(100).min(self.settings.poll));
            }
        }
    }

    /// Sends the next rows. True when there may be more.
    fn look(&mut self) -> Result<bool, Error> {
        let path = self.settings.database.clone();
        let metadata = fs::metadata(&path)?;
        let key: FileKey = (metadata.dev(), metadata.ino());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(&path, flags)?;
        database.busy_timeout(BUSY)?;
        let last: Option<i64> = database.query_row(LAST, [], |row| row.get(0))?;
        let last = u64::try_from(last.unwrap_or(0)).unwrap_or(0);
        let from = match &self.mark {
            Some(mark) if mark.offset <= last => mark.offset,
            Some(_) => {
                tracing::info!(
                    path = self.origin.name,
                    "database was made anew, reading it from its beginning"
                );
                0
            }
            None if self.settings.start == Start::End => last,
            None => 0,
        };
        let moved = self
            .mark
            .as_ref()
            .is_none_or(|mark| mark.key() != key || mark.offset != from);
        if moved {
            let mut steps = Vec::new();
            if let Some(before) = self.mark.take().filter(|mark| mark.key() != key) {
                steps.push(Change::Forget(before).into());
            }
            let mark = mark(&path, key, from);
            steps.push(Change::File(mark.clone()).into());
            self.sink.send(Input::Note(steps))?;
            self.mark = Some(mark);
        }
        let records = rows(&database, from)?;
        let Some(Position::Offset(end)) = records.last().map(|raw| raw.after.clone()) else {
            return Ok(false);
        };
        let (count, mark) = (records.len(), mark(&path, key, end));
        self.sink.send(Input::Chunk(Chunk {
            origin: Arc::clone(&self.origin),
            observed_at_micros: Timestamp::now().0,
            records,
            mark: Some(mark.clone()),
        }))?;
        self.mark = Some(mark);
        Ok(count == ROWS)
    }
}

fn mark(path: &Path, (device, inode): FileKey, offset: u64) -> FileMark {
    FileMark {
        device,
        inode,
        path: path.as_os_str().as_bytes().to_vec(),
        offset,
        ..FileMark::default()
    }
}

fn rows(database: &Connection, from: u64) -> Result<Vec<Raw>, rusqlite::Error> {
    let mut statement = database.prepare(NEXT)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let number = i64::try_from(from).unwrap_or(i64::MAX);
    let limit = i64::try_from(ROWS).unwrap_or(i64::MAX);
    let mut rows = statement.query([number, limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get("id")?;
        let mut object = Map::new();
        for (index, name) in names.iter().enumerate().take(MAX_COLUMNS) {
            object.insert(name.clone(), value(row.get_ref(index)?));
        }
        records.push(Raw {
            body: Body::Json(Bytes::from(Value::Object(object).to_string())),
            truncated_bytes: 0,
            after: Position::Offset(u64::try_from(id).unwrap_or(from)),
        });
    }
    Ok(records)
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            json!(String::from_utf8_lossy(text.get(..MAX_TEXT).unwrap_or(text)))
        }
    }
}
