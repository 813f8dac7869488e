//! Files are followed through everything that happens to log files, each line once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agentd::sensors::file::{FileStatus, Follower, Group, Limits, Start};
use agentd::sensors::{Body, Input, queue};
use agentd::spool::Checkpoints;
use tokio_util::sync::CancellationToken;

const LIMITS: Limits = Limits {
    max_open_files: 8,
    rotated_grace: Duration::from_millis(60),
    poll: Duration::from_millis(15),
    rescan: Duration::from_millis(20),
};

#[derive(Default)]
struct Seen {
    lines: Vec<(Vec<u8>, u64)>,
    losses: Vec<serde_json::Value>,
    checkpoints: Checkpoints,
    files: Vec<FileStatus>,
}

/// A directory with logs, and a sensor over it that can be stopped and started like the agent.
struct Rig {
    dir: tempfile::TempDir,
    patterns: Vec<String>,
    start: Start,
    seen: Arc<Mutex<Seen>>,
    running: Option<(CancellationToken, Vec<JoinHandle<()>>)>,
}

impl Rig {
    fn new(patterns: &[&str]) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            start: Start::End,
            seen: Arc::default(),
            running: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        append(&self.path(name), text.as_ref());
    }

    fn start(&mut self) {
        let (sink, input) = queue();
        let group = Group {
            patterns: self.patterns.iter().map(|name| pattern(&self.path(name))).collect(),
            exclude: vec![pattern(&self.path("*.gz"))],
            log_type: String::new(),
            start: self.start,
            max_line_bytes: 1000,
            each_line: false,
        };
        let stop = CancellationToken::new();
        let checkpoints = self.seen.lock().unwrap().checkpoints.clone();
        let seen = Arc::clone(&self.seen);
        let publish = Box::new(move |files| seen.lock().unwrap().files = files);
        let follower = Follower::new(vec![group], LIMITS, &checkpoints, sink, publish);
        let stopped = stop.clone();
        let sensor = std::thread::spawn(move || follower.run(&stopped));
        let seen = Arc::clone(&self.seen);
        let reader = std::thread::spawn(move || {
            loop {
                match input.recv_timeout(Duration::from_secs(60)) {
                    Ok(input) => seen.lock().unwrap().take(input),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => panic!("the sensor is stuck"),
                }
            }
        });
        self.running = Some((stop, vec![sensor, reader]));
    }

    /// Starts and waits until the first look around is over.
    fn start_and_settle(&mut self) {
        self.start();
        self.until("the first look around", |seen| {
            seen.checkpoints.patterns.len() == self.patterns.len()
        });
    }

    fn stop(&mut self) {
        let (stop, threads) = self.running.take().unwrap();
        stop.cancel();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    fn until(&self, what: &str, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(&self.seen.lock().unwrap()) {
            let lines = self.lines();
            let last = &lines[lines.len().saturating_sub(5)..];
            assert!(
                Instant::now() < deadline,
                "{what} did not happen; {} lines: {last:?}",
                lines.len()
            );
            std::thread::yield_now();
        }
    }

    fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.lines
            .iter()
            .map(|(line, _)| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// Waits for as many lines as expected, then for a while of silence, and compares.
    fn expect(&self, wanted: &[&str]) {
        self.until("all lines", |seen| seen.lines.len() >= wanted.len());
        self.quiet();
        assert_eq!(self.lines(), wanted);
    }

    /// Waits for two further rounds over all files.
    fn quiet(&self) {
        for _ in 0..2 {
            self.seen.lock().unwrap().files.clear();
            self.until("a round", |seen| !seen.files.is_empty());
        }
    }
}

impl Seen {
    fn take(&mut self, input: Input) {
        match input {
            Input::Chunk(chunk) => {
                for raw in &chunk.records {
                    match &raw.body {
                        Body::Line(line) => self.lines.push((line.to_vec(), raw.truncated_bytes)),
                        Body::Json(loss) => self.losses.push(serde_json::from_slice(loss).unwrap()),
                    }
                }
                let last = chunk.records.last().unwrap();
                self.checkpoints.apply(&chunk.delta(&last.after, true).unwrap());
            }
            Input::Note(deltas) => deltas.iter().for_each(|delta| self.checkpoints.apply(delta)),
            Input::Nudge => {}
        }
    }
}

fn pattern(path: &Path) -> glob::Pattern {
    glob::Pattern::new(path.to_str().unwrap()).unwrap()
}

fn append(path: &Path, text: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text).unwrap();
}

/// What `logrotate` does with `copytruncate`.
fn copy_truncate(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    OpenOptions::new().write(true).open(from).unwrap().set_len(0).unwrap();
}

#[test]
fn existing_files_start_at_their_end_and_later_ones_at_their_beginning() {
    let mut rig = Rig::new(&["*.log"]);
    rig.append("a.log", "old\nhalf");
    rig.append("a.log.gz", "no\n");
    rig.start_and_settle();
    rig.append("a.log", " a line\n");
    rig.expect(&["half a line"]);
    rig.append("b.log", "first\n");
    rig.expect(&["half a line", "first"]);
    rig.stop();
    rig.append("c.log", "while stopped\n");
    rig.start();
    rig.expect(&["half a line", "first", "while stopped"]);
    rig.stop();
}

#[test]
fn the_beginning_may_be_asked_for() {
    let mut rig = Rig::new(&["*.log"]);
    rig.start = Start::Beginning;
    rig.append("a.log", "one\ntwo\n");
    rig.start();
    rig.expect(&["one", "two"]);
    rig.stop();
}

#[test]
fn hostile_lines_come_through_as_they_are() {
    let mut rig = Rig::new(&["*.log"]);
    rig.start_and_settle();
    rig.append("a.log", b"crlf\r\n\n\r\n\xff\xfe\x00bytes\n");
    let long = "x".repeat(5_000_000);
    rig.append(
        "a.log",
        format!("{long}\r\n{}\n{}\nlast\n", "y".repeat(1001), "z".repeat(1000)),
    );
    rig.until("all lines", |seen| seen.lines.len() >= 6);
    rig.quiet();
    rig.stop();
    let seen = rig.seen.lock().unwrap();
    let short: Vec<(usize, u64)> = seen.lines.iter().map(|(line, cut)| (line.len(), *cut)).collect();
    assert_eq!(short, [(4, 0), (8, 0), (1000, 4_999_001), (1000, 1), (1000, 0), (4, 0)]);
    assert_eq!(seen.lines[1].0, b"\xff\xfe\x00bytes");
    let size = fs::metadata(rig.path("a.log")).unwrap().len();
    assert_eq!(seen.checkpoints.files.values().next().unwrap().offset, size);
}

#[test]
fn a_line_without_end_waits_for_it() {
    let mut rig = Rig::new(&["*.log"]);
    rig.start_and_settle();
    rig.append("a.log", "one\npart");
    rig.expect(&["one"]);
    rig.stop();
    rig.start();
    rig.append("a.log", "ial");
    rig.quiet();
    rig.append("a.log", " line\n");
    rig.expect(&["one", "partial line"]);
    rig.stop();
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_successor_from_the_beginning() {
    let mut rig = Rig::new(&["a.log"]);
    rig.start_and_settle();
    rig.append("a.log", "one\n");
    rig.expect(&["one"]);
    let mut writer = OpenOptions::new().append(true).open(rig.path("a.log")).unwrap();
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    writer.write_all(b"two, after the renaming\n").unwrap();
    rig.expect(&["one", "two, after the renaming"]);
    rig.append("a.log", "three\n");
    writer.write_all(b"and a last one without end").unwrap();
    rig.until("the last line", |seen| seen.lines.len() == 4);
    let mut lines = rig.lines();
    lines.sort();
    assert_eq!(lines[0], "and a last one without end");
    rig.until("the end of the old file", |seen| seen.checkpoints.files.len() == 1);
    rig.stop();
}

#[test]
fn a_removed_file_is_read_to_its_end() {
    let mut rig = Rig::new(&["a.log"]);
    rig.start_and_settle();
    rig.append("a.log", "one\n");
    rig.expect(&["one"]);
    let mut writer = OpenOptions::new().append(true).open(rig.path("a.log")).unwrap();
    fs::remove_file(rig.path("a.log")).unwrap();
    writer.write_all(b"two\n").unwrap();
    rig.expect(&["one", "two"]);
    rig.until("the file to be forgotten", |seen| seen.checkpoints.files.is_empty());
    rig.append("a.log", "three\n");
    rig.expect(&["one", "two", "three"]);
    rig.stop();
}

#[test]
fn rotation_while_the_agent_is_down_loses_nothing() {
    let mut rig = Rig::new(&["a.log"]);
    rig.start_and_settle();
    rig.append("a.log", "one\n");
    rig.expect(&["one"]);
    rig.stop();
    rig.append("a.log", "two\n");
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.append("a.log", "three\n");
    rig.start();
    rig.until("all lines", |seen| seen.lines.len() >= 3);
    rig.quiet();
    rig.stop();
    let mut lines = rig.lines();
    lines.sort();
    assert_eq!(lines, ["one", "three", "two"]);
}

#[test]
fn files_that_came_and_went_while_the_agent_was_down_are_found() {
    let mut rig = Rig::new(&["a.log"]);
    rig.start_and_settle();
    rig.append("a.log", "one\n");
    rig.expect(&["one"]);
    rig.stop();
    fs::rename(rig.path("a.log"), rig.path("a.log.3")).unwrap();
    for (name, text) in [
        ("a.log.2", "two\n"),
        ("a.log.1", "three\n"),
        ("a.log.old", "no\n"),
        ("a.log", "four\n"),
    ] {
        rig.append(name, text);
    }
    rig.append("a.log.0", b"\x1f\x8bpacked\n");
    rig.start();
    rig.until("all lines", |seen| seen.lines.len() >= 4);
    rig.quiet();
    rig.until("the end of the old files", |seen| seen.checkpoints.files.len() == 1);
    rig.stop();
    rig.start();
    rig.quiet();
    rig.stop();
    let mut lines = rig.lines();
    lines.sort();
    assert_eq!(lines, ["four", "one", "three", "two"]);
}

#[test]
fn what_is_cut_off_unread_is_told_once_with_its_size() {
    let mut rig = Rig::new(&["a.log"]);
    rig.start_and_settle();
    rig.append("a.log", "one\nhalf a line");
    rig.expect(&["one"]);
    rig.until("the half line is seen", |seen| {
        seen.files.iter().any(|file| file.lag_bytes == 11)
    });
    rig.quiet();
    OpenOptions::new()
        .write(true)
        .open(rig.path("a.log"))
        .unwrap()
        .set_len(0)
        .unwrap();
    rig.append("a.log", "two\n");
    rig.until("the line behind it", |seen| seen.lines.len() >= 2);
    rig.stop();
    rig.start();
    rig.append("a.log", "three\n");
    rig.expect(&["one", "two", "three"]);
    rig.stop();
    let seen = rig.seen.lock().unwrap();
    assert_eq!(seen.losses.len(), 1, "{:?}", seen.losses);
    assert_eq!(seen.losses[0]["event.kind"], "pipeline_error");
    assert_eq!(seen.losses[0]["event.reason"], "file_truncated");
    assert_eq!(seen.losses[0]["lost.bytes"], 11);
}

#[test]
fn truncation_starts_over_and_the_copy_is_read_to_its_end() {
    for pattern in ["a.log", "a.log*"] {
        let mut rig = Rig::new(&[pattern]);
        rig.start_and_settle();
        rig.append("a.log", "one, long enough to be recognised in a copy\n");
        rig.expect(&["one, long enough to be recognised in a copy"]);
        rig.stop();
        rig.append("a.log", "two\n");
        copy_truncate(&rig.path("a.log"), &rig.path("a.log.1"));
        rig.append(
            "a.log",
            "three, longer than everything that was there before, so that the size tells nothing\n",
        );
        rig.start();
        rig.until("all lines", |seen| seen.lines.len() >= 3);
        copy_truncate(&rig.path("a.log"), &rig.path("a.log.2"));
        rig.append("a.log", "four\n");
        rig.until("the line after another truncation", |seen| seen.lines.len() >= 4);
        rig.quiet();
        rig.stop();
        let lines: HashSet<String> = rig.lines().into_iter().collect();
        assert_eq!((rig.lines().len(), lines.len()), (4, 4), "{pattern}: {:?}", rig.lines());
    }
}

#[test]
fn what_is_no_regular_file_is_left_alone() {
    let mut rig = Rig::new(&["*"]);
    fs::create_dir(rig.path("dir.log")).unwrap();
    nix::unistd::mkfifo(&rig.path("pipe.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/zero", rig.path("zero.log")).unwrap();
    rig.start_and_settle();
    rig.append("a.log", "one\n");
    rig.expect(&["one"]);
    assert_eq!(rig.seen.lock().unwrap().files.len(), 1);
    rig.stop();
}

#[test]
fn more_files_than_may_be_open_are_all_read() {
    let mut rig = Rig::new(&["*.log"]);
    rig.start_and_settle();
    let names: Vec<String> = (0..30).map(|number| format!("{number:02}.log")).collect();
    for round in 0..3 {
        for name in &names {
            rig.append(name, format!("{name} {round}\n"));
        }
        rig.until("all files", |seen| seen.lines.len() >= names.len() * (round + 1));
    }
    rig.quiet();
    rig.stop();
    let lines: HashSet<String> = rig.lines().into_iter().collect();
    assert_eq!((lines.len(), rig.lines().len()), (90, 90));
}

#[test]
fn restarts_and_rotations_under_load_neither_skip_nor_repeat_a_line() {
    const LINES: usize = 12_000;
    let mut rig = Rig::new(&["a.log"]);
    rig.start_and_settle();
    let (path, seen) = (rig.path("a.log"), Arc::clone(&rig.seen));
    let writer = std::thread::spawn(move || {
        let mut file = File::create(&path).unwrap();
        for number in 0..LINES {
            if number % 1500 == 1499 {
                // A file that came and went between two looks has never been seen.
                let inode = file.metadata().unwrap().ino();
                while !seen.lock().unwrap().checkpoints.files.keys().any(|key| key.1 == inode) {
                    std::thread::yield_now();
                }
                fs::rename(&path, path.with_extension(format!("{number}"))).unwrap();
                // The program does not notice at once.
                writeln!(file, "late {number}").unwrap();
                file = File::create(&path).unwrap();
            }
            write!(file, "line {number}").unwrap();
            writeln!(file).unwrap();
        }
    });
    for _ in 0..6 {
        let so_far = rig.lines().len();
        rig.until("progress", |seen| seen.lines.len() > so_far || writer.is_finished());
        rig.stop();
        rig.start();
    }
    writer.join().unwrap();
    let wanted = LINES + LINES / 1500;
    rig.until("all lines", |seen| seen.lines.len() >= wanted);
    rig.quiet();
    rig.stop();
    let lines = rig.lines();
    let distinct: HashSet<&String> = lines.iter().collect();
    assert_eq!((lines.len(), distinct.len()), (wanted, wanted));
}
