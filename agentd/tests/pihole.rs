//! Rows of Pi-hole's query database come once each, through restarts and a database that is made anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use agentd::sensors::file::Start;
use agentd::sensors::pihole::{PiHole, Settings};
use agentd::sensors::{Body, Input, queue};
use agentd::spool::Checkpoints;
use rusqlite::Connection;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// A database as Pi-hole makes it: a view over what it stores.
fn create(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    database
        .execute_batch(
            "CREATE TABLE query_storage (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, type INTEGER NOT \
             NULL, status INTEGER NOT NULL, domain TEXT NOT NULL, client TEXT NOT NULL, forward TEXT, additional_info TEXT, \
             reply_type INTEGER, reply_time REAL, dnssec INTEGER);
             CREATE VIEW queries AS SELECT id, timestamp, type, status, domain, client, forward, additional_info, reply_type, \
             reply_time, dnssec FROM query_storage;",
        )
        .unwrap();
    database
}

fn add(database: &Connection, domains: std::ops::Range<u32>) {
    database.execute_batch("BEGIN").unwrap();
    for n in domains {
        database
            .execute(
                "INSERT INTO query_storage (timestamp, type, status, domain, client, forward, reply_type, reply_time, dnssec) \
                 VALUES (?1, 1, 2, ?2, '192.168.1.10', '9.9.9.9#53', 4, 0.01, 0)",
                (1_795_161_600 + i64::from(n), format!("d{n}.example")),
            )
            .unwrap();
    }
    database.execute_batch("COMMIT").unwrap();
}

/// Follows until `most` rows came, then ends as if killed.
fn follow(path: &Path, start: Start, checkpoints: &mut Checkpoints, most: usize) -> Vec<Value> {
    let (sink, input) = queue();
    let settings = Settings {
        database: path.to_owned(),
        start,
        poll: Duration::from_millis(10),
    };
    let sensor = PiHole::new(settings, checkpoints, sink);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || sensor.run(&stopped));
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut found = Vec::new();
    'all: loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match input.recv_timeout(left).unwrap() {
            Input::Chunk(chunk) => {
                assert_eq!(
                    (chunk.origin.kind, chunk.origin.log_type.as_str()),
                    ("file", "pihole_ftl")
                );
                let count = chunk.records.len();
                for (index, raw) in chunk.records.iter().enumerate() {
                    let Body::Json(text) = &raw.body else { panic!("no row") };
                    found.push(serde_json::from_slice(text).unwrap());
                    checkpoints.apply(&chunk.delta(&raw.after, index + 1 == count).unwrap());
                    if found.len() == most {
                        break 'all;
                    }
                }
            }
            Input::Note(steps) => {
                steps.iter().for_each(|step| checkpoints.apply(step));
                if most == 0 {
                    break;
                }
            }
            Input::Nudge => {}
        }
    }
    drop(input);
    stop.cancel();
    thread.join().unwrap();
    found
}

fn domains(rows: &[Value]) -> Vec<String> {
    rows.iter()
        .map(|row| row["domain"].as_str().unwrap().to_owned())
        .collect()
}

fn wanted(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("d{n}.example")).collect()
}

#[test]
fn every_row_comes_once_wherever_the_agent_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pihole-FTL.db");
    let database = create(&path);
    add(&database, 0..1200);
    let mut checkpoints = Checkpoints::default();
    let mut found = Vec::new();
    for most in [1, 3, 499, 600] {
        found.extend(follow(&path, Start::Beginning, &mut checkpoints, most));
    }
    add(&database, 1200..1210);
    found.extend(follow(&path, Start::Beginning, &mut checkpoints, 107));
    assert_eq!(domains(&found), wanted(0..1210));
    assert_eq!(found[0]["id"], 1);
    assert_eq!(
        (&found[0]["status"], &found[0]["forward"]),
        (&Value::from(2), &Value::from("9.9.9.9#53"))
    );
    assert_eq!(
        (&found[0]["additional_info"], &found[0]["reply_time"]),
        (&Value::Null, &Value::from(0.01))
    );
}

#[test]
fn what_is_there_already_may_be_left_out_and_a_new_database_is_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pihole-FTL.db");
    let database = create(&path);
    add(&database, 0..50);
    let mut checkpoints = Checkpoints::default();
    follow(&path, Start::End, &mut checkpoints, 0);
    add(&database, 50..55);
    assert_eq!(domains(&follow(&path, Start::End, &mut checkpoints, 5)), wanted(50..55));
    drop(database);
    for name in ["pihole-FTL.db", "pihole-FTL.db-wal", "pihole-FTL.db-shm"] {
        let _ = fs::remove_file(directory.path().join(name));
    }
    let database = create(&path);
    add(&database, 100..110);
    assert_eq!(
        domains(&follow(&path, Start::End, &mut checkpoints, 10)),
        wanted(100..110)
    );
    assert_eq!(checkpoints.files.len(), 1);
}

#[test]
fn a_file_that_is_no_database_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pihole-FTL.db");
    fs::write(&path, "this is no database, and long enough to be looked at as one").unwrap();
    let (broken, directory_path) = (path.clone(), directory.path().to_owned());
    let mender = std::thread::spawn(move || {
        let fresh = directory_path.join("fresh.db");
        let database = create(&fresh);
        add(&database, 0..3);
        database.pragma_update(None, "journal_mode", "DELETE").unwrap();
        drop(database);
        fs::rename(fresh, broken).unwrap();
    });
    let rows = follow(&path, Start::Beginning, &mut Checkpoints::default(), 3);
    mender.join().unwrap();
    assert_eq!(domains(&rows), wanted(0..3));
}
