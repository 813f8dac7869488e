//! The journal is followed from where it was left, entry by entry, through a stand-in for `journalctl`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use agentd::sensors::journald::{Journal, JournalStatus, Leash, Settings};
use agentd::sensors::{Body, Input, Position, queue};
use agentd::spool::{self, Change, Options};
use proto::ingest::v1::DropReason;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);
const OPTIONS: Options = Options {
    max_bytes: 1 << 30,
    segment_bytes: 1 << 20,
};

/// Says its arguments, answers with `newest` when asked for one line, and else with the file `entries`, and stays.
fn stand_in(dir: &Path, newest: &str, entries: &str) -> String {
    let program = dir.join("journalctl");
    fs::write(dir.join("newest"), newest).unwrap();
    fs::write(dir.join("entries"), entries).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {0}/args\ncase \"$*\" in\n*--lines=1*) cat {0}/newest ;;\n*) cat {0}/entries; exec sleep 600 ;;\nesac\n",
        dir.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

fn entry(cursor: &str, message: &str) -> String {
    format!("{{\"__CURSOR\":\"{cursor}\",\"_SYSTEMD_UNIT\":\"ssh.service\",\"MESSAGE\":\"{message}\"}}\n")
}

fn status_of(statuses: &Receiver<JournalStatus>, is: impl Fn(&JournalStatus) -> bool) -> JournalStatus {
    loop {
        let status = statuses.recv_timeout(PATIENCE).unwrap();
        if is(&status) {
            return status;
        }
    }
}

#[test]
fn entries_come_with_their_cursors_and_what_is_left_out_is_counted_and_shown_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        entry("c1", "one"),
        entry("c2", &"x".repeat(5000)),
        "no entry\n".to_owned(),
        entry("c3", "three"),
    ];
    let program = stand_in(dir.path(), &entry("c0", "before"), &entries.concat());
    let (spool, _writer) = spool::open(&dir.path().join("spool"), OPTIONS, 1).unwrap();
    let (sink, inputs) = queue();
    let (publish, statuses) = channel();
    let settings = Settings {
        units: vec!["ssh.service".to_owned()],
        max_entry_bytes: 1000,
        program,
    };
    let publish = Box::new(move |status| publish.send(status).unwrap_or_default());
    let journal = Journal::new(settings, None, sink, spool.clone(), publish);
    let (stop, leash) = (CancellationToken::new(), Leash::default());
    let (stopping, pulled) = (stop.clone(), leash.clone());
    let thread = std::thread::spawn(move || journal.run(&stopping, &pulled));

    let mut got = Vec::new();
    let mut losses = Vec::new();
    for _ in 0..5 {
        match inputs.recv_timeout(PATIENCE).unwrap() {
            Input::Note(deltas) => got.push((format!("{deltas:?}"), String::new())),
            Input::Chunk(chunk) => {
                let origin = (chunk.origin.kind, chunk.origin.name.as_str());
                assert!(
                    [("journald", "ssh.service"), ("agentd", "journal")].contains(&origin),
                    "{origin:?}"
                );
                let [record] = chunk.records.as_slice() else {
                    panic!("expected one record, got {:?}", chunk.records)
                };
                let (Body::Json(json), Position::Cursor(cursor)) = (&record.body, &record.after) else {
                    panic!("expected JSON and a cursor, got {record:?}")
                };
                if chunk.origin.kind == "agentd" {
                    let loss: serde_json::Value = serde_json::from_slice(json).unwrap();
                    losses.push((
                        cursor.clone(),
                        loss["event.reason"].clone(),
                        loss["lost.events"].clone(),
                    ));
                    continue;
                }
                got.push((cursor.clone(), String::from_utf8_lossy(json).into_owned()));
            }
            Input::Nudge => panic!("nobody nudges here"),
        }
    }
    let note: spool::Delta = Change::Cursor("c0".to_owned()).into();
    assert_eq!(
        got[0].0,
        format!("{:?}", [note]),
        "what was there before is not sent, and where it ends is kept"
    );
    assert_eq!((got[1].0.as_str(), got[2].0.as_str()), ("c1", "c3"));
    assert!(got[2].1.contains("three"));

    // Told where they were, with the place of the last entry that could be read.
    let told =
        ["journal_entry_too_long", "journal_entry_unreadable"].map(|reason| ("c1".to_owned(), reason.into(), 1.into()));
    assert_eq!(losses, told);

    let status = status_of(&statuses, |status| status.entries == 2);
    assert!(status.running && status.oversized == 1, "{status:?}");
    let drops = spool.drop_report();
    assert_eq!(drops.len(), 1);
    assert_eq!((drops[0].reason(), drops[0].total), (DropReason::SensorOverflow, 2));

    stop.cancel();
    leash.pull();
    thread.join().unwrap();
    let args = fs::read_to_string(dir.path().join("args")).unwrap();
    let follow = args.lines().last().unwrap();
    assert!(
        follow.contains("--after-cursor=c0") && follow.contains("--unit=ssh.service"),
        "{follow}"
    );
}
