//! Records of archived Windows event logs come once each, through restarts, renames and damage.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../crates/records/tests/encode/mod.rs"]
mod encode;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use agentd::sensors::event_log::{EventLogs, Settings};
use agentd::sensors::{Body, Input, queue};
use agentd::spool::Checkpoints;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// A file with a chunk for each first and last record.
fn log(chunks: &[(u64, u64)]) -> Vec<u8> {
    let event = |number| {
        let (provider, channel) = ("Microsoft-Windows-Security-Auditing", "Security");
        let user = format!("user{number}");
        encode::event(number, provider, channel, 4625, &[("TargetUserName", &user)])
    };
    let chunks: Vec<_> = chunks
        .iter()
        .map(|(first, last)| (*first..=*last).map(event).collect())
        .collect();
    encode::file(&chunks)
}

/// Reads until `most` records came and, with `whole`, a file was read to its end; then ends as if killed.
fn read(dir: &Path, checkpoints: &mut Checkpoints, most: usize, whole: bool) -> Vec<Value> {
    let (sink, input) = queue();
    let settings = Settings {
        patterns: vec![glob::Pattern::new(dir.join("*.evtx").to_str().unwrap()).unwrap()],
        settle: Duration::ZERO,
        poll: Duration::from_millis(10),
    };
    let sensor = EventLogs::new(settings, checkpoints, sink);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || sensor.run(&stopped));
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut found = Vec::new();
    'all: loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match input.recv_timeout(left).unwrap() {
            Input::Chunk(chunk) => {
                let count = chunk.records.len();
                for (index, raw) in chunk.records.iter().enumerate() {
                    let (Body::Line(text) | Body::Json(text)) = &raw.body;
                    found.push(serde_json::from_slice(text).unwrap());
                    checkpoints.apply(&chunk.delta(&raw.after, index + 1 == count).unwrap());
                    if found.len() == most && !whole {
                        break 'all;
                    }
                }
            }
            Input::Note(steps) => {
                steps.iter().for_each(|step| checkpoints.apply(step));
                if whole && found.len() >= most {
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

fn users(found: &[Value]) -> Vec<String> {
    let user = |event: &Value| {
        event["Event"]["EventData"]["TargetUserName"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    found.iter().map(user).collect()
}

#[test]
fn each_record_comes_once_wherever_the_agent_ends_in_between() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Security.evtx"), log(&[(1, 30), (31, 50)])).unwrap();
    fs::write(dir.path().join("notes.txt"), "no event log").unwrap();
    let all: Vec<String> = (1..51).map(|number| format!("user{number}")).collect();
    for step in [1, 7, 30, 50] {
        let mut checkpoints = Checkpoints::default();
        let mut found = Vec::new();
        while found.len() < all.len() {
            let most = step.min(all.len() - found.len());
            found.extend(users(&read(dir.path(), &mut checkpoints, most, false)));
        }
        assert_eq!(found, all, "killed after every {step}");
    }
}

#[test]
fn a_file_is_read_once_whatever_it_is_called_and_anew_when_it_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::default();
    let first = dir.path().join("Archive-1.evtx");
    fs::write(&first, log(&[(1, 3)])).unwrap();
    assert_eq!(users(&read(dir.path(), &mut checkpoints, 3, true)).len(), 3);
    fs::rename(&first, dir.path().join("Old.evtx")).unwrap();
    fs::write(dir.path().join("Archive-2.evtx"), log(&[(4, 5)])).unwrap();
    let found = read(dir.path(), &mut checkpoints, 2, true);
    assert_eq!(users(&found), ["user4", "user5"]);
    fs::write(dir.path().join("Old.evtx"), log(&[(10, 11)])).unwrap();
    let found = read(dir.path(), &mut checkpoints, 2, true);
    assert_eq!(users(&found), ["user10", "user11"]);
    fs::remove_file(dir.path().join("Archive-2.evtx")).unwrap();
    read(dir.path(), &mut checkpoints, 0, true);
    assert_eq!(checkpoints.files.len(), 1, "a removed file is forgotten");
}

#[test]
fn what_is_damaged_is_told_and_costs_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = log(&[(1, 30), (31, 50)]);
    // The second chunk's header is gone.
    let second = 4096 + 65_536;
    bytes[second..second + 8].fill(0);
    fs::write(dir.path().join("Security.evtx"), bytes).unwrap();
    let found = read(dir.path(), &mut Checkpoints::default(), 31, true);
    let told: Vec<_> = found
        .iter()
        .filter(|event| event.get("event.reason").is_some())
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["event.reason"], "event_log_damaged");
    assert_eq!(found.len(), 31);
}
