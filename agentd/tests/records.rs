//! What is one record when it is not a line: elements of arrays and events of the audit daemon, each once, wherever the
//! agent ends in between.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use agentd::sensors::file::{Follower, Group, Limits, Start};
use agentd::sensors::{Body, Input, queue};
use agentd::spool::Checkpoints;
use tokio_util::sync::CancellationToken;

const LIMITS: Limits = Limits {
    max_open_files: 8,
    rotated_grace: Duration::from_millis(60),
    poll: Duration::from_millis(15),
    rescan: Duration::from_millis(20),
};
const MAX: usize = 1000;

/// Follows until `most` records came, then ends as if killed: what was in the sensor's hands is not in `checkpoints`.
fn follow(dir: &Path, checkpoints: &mut Checkpoints, most: usize, each_line: bool) -> Vec<String> {
    let (sink, input) = queue();
    let group = Group {
        patterns: vec![glob::Pattern::new(dir.join("*.log").to_str().unwrap()).unwrap()],
        exclude: Vec::new(),
        log_type: String::new(),
        start: Start::Beginning,
        max_line_bytes: MAX,
        each_line,
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let follower = Follower::new(vec![group], LIMITS, checkpoints, sink, Box::new(|_| ()));
    let sensor = std::thread::spawn(move || follower.run(&stopped));
    let mut records = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    'all: while records.len() < most {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(input) = input.recv_timeout(left) else {
            panic!("only {} of {most} records: {:?}", records.len(), records.last());
        };
        match input {
            Input::Chunk(chunk) => {
                let count = chunk.records.len();
                for (index, raw) in chunk.records.iter().enumerate() {
                    let Body::Line(line) = &raw.body else { panic!("a loss") };
                    let mut text = String::from_utf8_lossy(line).into_owned();
                    if raw.truncated_bytes > 0 {
                        text.push_str(&format!(" -{}", raw.truncated_bytes));
                    }
                    records.push(text);
                    let last = index + 1 == count;
                    checkpoints.apply(&chunk.delta(&raw.after, last).unwrap());
                    if records.len() == most {
                        break 'all;
                    }
                }
            }
            Input::Note(deltas) => deltas.iter().for_each(|delta| checkpoints.apply(delta)),
            Input::Nudge => {}
        }
    }
    drop(input);
    stop.cancel();
    sensor.join().unwrap();
    records
}

fn all(dir: &Path, count: usize) -> Vec<String> {
    follow(dir, &mut Checkpoints::default(), count, false)
}

/// The same records come, in the same order, when the agent ends after every `step` of them.
fn killed_every(dir: &Path, step: usize, wanted: &[String]) {
    let mut checkpoints = Checkpoints::default();
    let mut found = Vec::new();
    while found.len() < wanted.len() {
        let most = step.min(wanted.len() - found.len());
        found.extend(follow(dir, &mut checkpoints, most, false));
    }
    let (mut found, mut wanted) = (found, wanted.to_vec());
    // Events that are open at the same time may change places.
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "killed after every {step}");
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_file_that_is_one_line_of_many_records_is_many_events() {
    let dir = tempfile::tempdir().unwrap();
    let elements: Vec<String> = (0..3000)
        .map(|n| format!(r#"{{"eventID":"{n}","text":"}}],\"{{"}}"#))
        .collect();
    let long = format!(r#"{{"eventID":"long","text":"{}"}}"#, "x".repeat(150_000));
    let mut text = format!(
        "before\n{{\"Records\":[{}, {long},\n{{\"a\":1}} ]}}",
        elements.join(",")
    );
    fs::write(dir.path().join("trail.log"), &text).unwrap();
    let found = all(dir.path(), 3003);
    assert_eq!(found[0], "before");
    assert_eq!(found[1..3001], elements);
    assert_eq!(found[3001], format!("{} -{}", &long[..MAX], long.len() - MAX));
    assert_eq!(found[3002], r#"{"a":1}"#);
    text.push_str("\nafter\n[{\"b\":2}]\nlast\n");
    fs::write(dir.path().join("trail.log"), &text).unwrap();
    let found = all(dir.path(), 3006);
    assert_eq!(found[3003..], ["after", r#"{"b":2}"#, "last"]);
    killed_every(dir.path(), 700, &found);
    let mut checkpoints = Checkpoints::default();
    let lines = follow(dir.path(), &mut checkpoints, 5, true);
    assert_eq!((lines[0].as_str(), lines[4].as_str()), ("before", "[{\"b\":2}]"));
}

#[test]
fn an_array_may_be_written_piece_by_piece_and_a_restart_may_come_at_any_element() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trail.log");
    let mut checkpoints = Checkpoints::default();
    append(&path, "{\"rec");
    let mut found = Vec::new();
    for (piece, count) in [
        ("ords\":[{\"a\":1},{\"b\"", 1),
        (":2}", 1),
        (",  {\"c\":3}", 1),
        ("]", 0),
        ("}\nplain\n", 1),
        ("[{\"d\":4},{\"e\n", 2),
        ("plain again\n", 1),
    ] {
        append(&path, piece);
        found.extend(follow(dir.path(), &mut checkpoints, count, false));
    }
    assert_eq!(
        found,
        [
            "{\"a\":1}",
            "{\"b\":2}",
            "{\"c\":3}",
            "plain",
            "{\"d\":4}",
            "{\"e",
            "plain again"
        ]
    );
}

fn audit(serial: u32, records: &[&str]) -> Vec<String> {
    records
        .iter()
        .map(|record| format!("type={record} msg=audit(1764000000.100:{serial}): x=\"{serial}\""))
        .collect()
}

#[test]
fn audit_records_of_one_event_are_one_wherever_the_agent_ends() {
    let dir = tempfile::tempdir().unwrap();
    let whole = ["SYSCALL", "EXECVE", "CWD", "PROCTITLE"];
    let (a, b) = (audit(1, &whole), audit(2, &whole));
    // Two events mixed, one of user space between them, one without an end, and many one after the other.
    let mut lines = vec![a[0].clone(), b[0].clone(), a[1].clone(), b[1].clone(), a[2].clone()];
    lines.push("type=USER_LOGIN msg=audit(1764000000.100:3): pid=1".to_owned());
    lines.extend([a[3].clone(), b[2].clone(), b[3].clone()]);
    lines.extend(audit(4, &["SYSCALL", "CWD"]));
    for serial in 5..60 {
        lines.extend(audit(serial, &whole));
    }
    fs::write(dir.path().join("audit.log"), lines.join("\n") + "\n").unwrap();
    let found = all(dir.path(), 4 + 55);
    assert!(found.contains(&a.join("\n")) && found.contains(&b.join("\n")));
    assert!(found.contains(&audit(4, &["SYSCALL", "CWD"]).join("\n")));
    let mut out: Vec<&str> = found.iter().flat_map(|text| text.lines()).collect();
    let mut wanted: Vec<&str> = lines.iter().map(String::as_str).collect();
    out.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(out, wanted);
    for step in [1, 2, 3, 7] {
        killed_every(dir.path(), step, &found);
    }
}

#[test]
fn an_audit_event_is_kept_whole_through_rotation_and_what_waits_is_not_lost_when_the_file_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    append(&path, &(audit(1, &["SYSCALL", "CWD"]).join("\n") + "\n"));
    let mut checkpoints = Checkpoints::default();
    assert_eq!(
        follow(dir.path(), &mut checkpoints, 1, false),
        [audit(1, &["SYSCALL", "CWD"]).join("\n")]
    );
    append(
        &path,
        &(audit(2, &["SYSCALL", "CWD"]).join("\n") + "\n" + &audit(2, &["PROCTITLE"])[0]),
    );
    fs::rename(&path, dir.path().join("audit.log.1")).unwrap();
    fs::write(&path, audit(3, &["SYSCALL", "PROCTITLE"]).join("\n") + "\n").unwrap();
    let mut found = follow(dir.path(), &mut checkpoints, 2, false);
    found.sort();
    assert_eq!(
        found,
        [
            audit(2, &["SYSCALL", "CWD", "PROCTITLE"]).join("\n"),
            audit(3, &["SYSCALL", "PROCTITLE"]).join("\n")
        ]
    );
}

/// The header that came with each record: its last word.
fn governed(dir: &Path, checkpoints: &mut Checkpoints, most: usize, start: Start) -> Vec<(String, String)> {
    let (sink, input) = queue();
    let group = Group {
        patterns: vec![glob::Pattern::new(dir.join("*.log").to_str().unwrap()).unwrap()],
        exclude: Vec::new(),
        log_type: String::new(),
        start,
        max_line_bytes: MAX,
        each_line: false,
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let follower = Follower::new(vec![group], LIMITS, checkpoints, sink, Box::new(|_| ()));
    let sensor = std::thread::spawn(move || follower.run(&stopped));
    let mut records = Vec::new();
    'all: while records.len() < most || most == 0 {
        match input.recv_timeout(Duration::from_secs(30)).unwrap() {
            Input::Chunk(chunk) => {
                let header = chunk.origin.header.as_deref().unwrap_or("");
                let last_word = header.split_ascii_whitespace().next_back().unwrap_or("");
                let count = chunk.records.len();
                for (index, raw) in chunk.records.iter().enumerate() {
                    let Body::Line(line) = &raw.body else { panic!("a loss") };
                    let text = String::from_utf8_lossy(line).into_owned();
                    checkpoints.apply(&chunk.delta(&raw.after, index + 1 == count).unwrap());
                    if !text.starts_with('#') {
                        records.push((text, last_word.to_owned()));
                    }
                    if records.len() == most {
                        break 'all;
                    }
                }
            }
            Input::Note(deltas) => {
                deltas.iter().for_each(|delta| checkpoints.apply(delta));
                if most == 0 {
                    break;
                }
            }
            Input::Nudge => {}
        }
    }
    drop(input);
    stop.cancel();
    sensor.join().unwrap();
    records
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted
        .iter()
        .map(|(line, header)| ((*line).to_owned(), (*header).to_owned()))
        .collect()
}

#[test]
fn a_header_governs_the_lines_behind_it_through_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let text = "one\n#Software: IIS\n#Fields: date time a\ntwo\nthree\n#Fields: date time b\nfour\n\nfive\n#Software: IIS\n#Fields: \
                date time c\nsix\n";
    append(&dir.path().join("iis.log"), text);
    let wanted = pairs(&[
        ("one", ""),
        ("two", "a"),
        ("three", "a"),
        ("four", "b"),
        ("five", "b"),
        ("six", "c"),
    ]);
    for step in 1..=6 {
        let mut checkpoints = Checkpoints::default();
        let mut found = Vec::new();
        while found.len() < wanted.len() {
            let most = step.min(wanted.len() - found.len());
            found.extend(governed(dir.path(), &mut checkpoints, most, Start::Beginning));
        }
        assert_eq!(found, wanted, "ended after every {step}");
    }
}

#[test]
fn a_header_is_found_by_a_reader_that_starts_behind_it_and_outlives_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conn.log");
    append(&path, "#separator \\x09\n#fields\tts\tuid\nbefore\n");
    let mut checkpoints = Checkpoints::default();
    governed(dir.path(), &mut checkpoints, 0, Start::End);
    append(&path, "one\n");
    assert_eq!(
        governed(dir.path(), &mut checkpoints, 1, Start::End),
        pairs(&[("one", "uid")])
    );
    // The new file's writer does not say it again.
    fs::rename(&path, dir.path().join("conn.log.1")).unwrap();
    append(&path, "two\n");
    assert_eq!(
        governed(dir.path(), &mut checkpoints, 1, Start::End),
        pairs(&[("two", "uid")])
    );
    append(&path, "three\n");
    assert_eq!(
        governed(dir.path(), &mut checkpoints, 1, Start::End),
        pairs(&[("three", "uid")])
    );
    fs::write(&path, "x\n").unwrap();
    assert_eq!(
        governed(dir.path(), &mut checkpoints, 1, Start::End),
        pairs(&[("x", "uid")])
    );
}
