//! The spool's promises, under random sequences of appends, receipts and crashes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentd::spool::{self, Change, Options, Reader, Sealed, Spool, Writer};
use bytes::Bytes;
use proptest::prelude::*;
use proto::ingest::v1::{Batch, DropReason};

const OPTIONS: Options = Options {
    max_bytes: 1 << 30,
    segment_bytes: 2048,
};

#[derive(Clone, Debug)]
enum Step {
    Append {
        count: u32,
        size: usize,
    },
    CheckpointOnly,
    Sync,
    Ack {
        part: u8,
    },
    /// The process dies; `part` of what was not synced is lost.
    Crash {
        part: u8,
    },
    /// The process dies and the last segment is cut anywhere.
    Tear {
        part: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1..5u32, 0..600usize).prop_map(|(count, size)| Step::Append { count, size }),
        1 => Just(Step::CheckpointOnly),
        3 => Just(Step::Sync),
        2 => any::<u8>().prop_map(|part| Step::Ack { part }),
        2 => any::<u8>().prop_map(|part| Step::Crash { part }),
        1 => any::<u8>().prop_map(|part| Step::Tear { part }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What was appended, as the test remembers it.
#[derive(Clone, Debug)]
struct Known {
    first_seq: u64,
    count: u32,
    cursor: String,
    payload: Bytes,
}

struct Model {
    dir: tempfile::TempDir,
    spool: Arc<Spool>,
    writer: Writer,
    epochs: u64,
    /// Appended in this epoch, also frames without events (count 0).
    appended: Vec<Known>,
    synced: usize,
    acked: u64,
    serial: u64,
    synced_bytes: u64,
}

impl Model {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (spool, writer) = spool::open(dir.path(), OPTIONS, 1).unwrap();
        let synced_bytes = newest(dir.path()).1;
        Self {
            dir,
            spool,
            writer,
            epochs: 1,
            appended: Vec::new(),
            synced: 0,
            acked: 0,
            serial: 0,
            synced_bytes,
        }
    }

    fn next_seq(&self) -> u64 {
        self.appended
            .last()
            .map_or(0, |known| known.first_seq + u64::from(known.count))
    }

    fn append(&mut self, count: u32, size: usize) {
        self.serial += 1;
        let payload = Bytes::from(self.serial.to_le_bytes().repeat(size / 8 + 1));
        let known = Known {
            first_seq: self.next_seq(),
            count,
            cursor: format!("c{}", self.serial),
            payload: payload.clone(),
        };
        let sealed = Sealed {
            count,
            created_at_micros: i64::try_from(self.serial).unwrap(),
            payload,
            uncompressed_bytes: size as u64,
        };
        let delta = Change::Cursor(known.cursor.clone()).into();
        let segments = newest(self.dir.path()).0;
        self.writer.append((count > 0).then_some(&sealed), &[delta]).unwrap();
        if newest(self.dir.path()).0 != segments {
            // A new segment is started only after the one before it was synced.
            self.synced = self.appended.len();
            self.synced_bytes = 0;
        }
        self.appended.push(known);
    }

    fn sync(&mut self) {
        self.writer.sync().unwrap();
        self.synced = self.appended.len();
        self.synced_bytes = newest(self.dir.path()).1;
    }

    fn ack(&mut self, part: u8) {
        let synced = &self.appended[..self.synced];
        let ends: Vec<u64> = synced
            .iter()
            .map(|known| known.first_seq + u64::from(known.count))
            .collect();
        if let Some(end) = ends.get(usize::from(part) * ends.len() / 256).copied()
            && end > self.acked
        {
            self.spool.acknowledge(end).unwrap();
            self.spool.save_position().unwrap();
            self.acked = end;
        }
    }

    /// Cuts the newest segment to `length` and opens the spool again. Returns how many appends survived.
    fn reopen(&mut self, length: u64) -> usize {
        let (path, _) = newest(self.dir.path());
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(length)
            .unwrap();
        let (spool, writer) = spool::open(self.dir.path(), OPTIONS, self.epochs + 1).unwrap();
        (self.spool, self.writer) = (spool, writer);
        self.synced_bytes = newest(self.dir.path()).1;
        let cursor = self.writer.checkpoints().cursor.clone();
        let survived = cursor.map_or(0, |cursor| {
            // A cursor of an earlier epoch: nothing of this one is left.
            self.appended
                .iter()
                .position(|known| known.cursor == cursor)
                .map_or(0, |at| at + 1)
        });
        if self.spool.epoch() == self.epochs {
            self.appended.truncate(survived);
        } else {
            self.epochs += 1;
            assert_eq!(self.spool.epoch(), self.epochs);
            let lost = self.appended.get(survived).map(|known| known.first_seq);
            let needed = lost.is_some_and(|first| first < self.acked);
            assert!(needed || length == 0 || survived == 0, "a new epoch without need");
            self.appended.clear();
            self.acked = 0;
        }
        self.synced = self.appended.len();
        survived
    }

    fn check(&self) {
        let batches = read_all(&self.spool, self.spool.first_unacknowledged());
        let wanted: Vec<&Known> = self.appended[..self.synced]
            .iter()
            .filter(|known| known.count > 0 && known.first_seq + u64::from(known.count) > self.acked)
            .collect();
        assert_eq!(batches.len(), wanted.len());
        for (batch, known) in batches.iter().zip(&wanted) {
            assert_eq!((batch.first_seq, batch.count), (known.first_seq, known.count));
            assert_eq!(batch.payload, known.payload);
        }
        assert_chain(&batches);
        assert_eq!(self.spool.drop_report(), []);
    }
}

fn newest(dir: &Path) -> (PathBuf, u64) {
    let segments = segments(dir);
    let path = segments.last().unwrap().clone();
    let length = fs::metadata(&path).unwrap().len();
    (path, length)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

fn read_all(spool: &Arc<Spool>, from: u64) -> Vec<Batch> {
    let mut reader = Reader::new(Arc::clone(spool), from);
    std::iter::from_fn(|| reader.next_batch().unwrap()).collect()
}

fn assert_chain(batches: &[Batch]) {
    for pair in batches.windows(2) {
        assert_eq!(pair[0].first_seq + u64::from(pair[0].count), pair[1].first_seq);
        assert_eq!(pair[0].hash, pair[1].previous_hash);
    }
    if let Some(first) = batches.first().filter(|batch| batch.first_seq == 0) {
        assert_eq!(first.previous_hash, [0; 32]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_synced_survives_and_no_number_is_given_twice(steps in steps()) {
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Append { count, size } => model.append(count, size),
                Step::CheckpointOnly => model.append(0, 0),
                Step::Sync => model.sync(),
                Step::Ack { part } => model.ack(part),
                Step::Crash { part } => {
                    let (_, length) = newest(model.dir.path());
                    let kept = model.synced_bytes + (length - model.synced_bytes) * u64::from(part) / 255;
                    let kept = if model.synced_bytes == 0 { length } else { kept };
                    let synced = model.synced;
                    let survived = model.reopen(kept);
                    prop_assert!(survived >= synced, "synced {synced}, survived {survived}");
                }
                Step::Tear { part } => {
                    let (_, length) = newest(model.dir.path());
                    model.reopen(length * u64::from(part) / 255);
                }
            }
            model.check();
        }
    }
}

fn sealed(count: u32, size: usize) -> Sealed {
    Sealed {
        count,
        created_at_micros: 1,
        payload: Bytes::from(vec![7; size]),
        uncompressed_bytes: size as u64,
    }
}

#[test]
fn a_full_spool_gives_up_its_oldest_events_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        max_bytes: 16 << 10,
        segment_bytes: 4 << 10,
    };
    let (spool, mut writer) = spool::open(dir.path(), options, 1).unwrap();
    let mut reader = Reader::new(Arc::clone(&spool), 0);
    for round in 0..60_u64 {
        writer.append(Some(&sealed(10, 1000)), &[]).unwrap();
        writer.sync().unwrap();
        assert!(spool.depth().disk_bytes <= options.max_bytes, "round {round}");
        if round == 2 {
            assert_eq!(reader.next_batch().unwrap().unwrap().first_seq, 0);
        }
    }
    let report = spool.drop_report();
    assert_eq!(report.len(), 1);
    assert_eq!((report[0].reason(), report[0].first_seq), (DropReason::SpoolFull, 0));
    assert_eq!(report[0].count, report[0].total);
    let left = read_all(&spool, 0);
    assert_chain(&left);
    assert_eq!(left[0].first_seq, report[0].count);
    assert_eq!(report[0].total + left.len() as u64 * 10, 600);
    // A reader that was inside a removed segment goes on with the oldest that is left.
    assert_eq!(reader.next_batch().unwrap().unwrap().first_seq, left[0].first_seq);
    // The count survives the process, and a receipt settles it.
    drop(writer);
    let (spool, _writer) = spool::open(dir.path(), options, 2).unwrap();
    assert_eq!(spool.drop_report(), report);
    spool.acknowledge(590).unwrap();
    assert_eq!(spool.drop_report(), report, "it was not told yet");
    spool.note_reported(&report);
    spool.acknowledge(600).unwrap();
    assert_eq!(spool.drop_report(), []);
    assert_eq!(segments(dir.path()).len(), 1);
}

#[test]
fn what_was_sent_counts_as_lost_only_when_no_receipt_comes() {
    let options = Options {
        max_bytes: 16 << 10,
        segment_bytes: 4 << 10,
    };
    for receipted in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (spool, mut writer) = spool::open(dir.path(), options, 1).unwrap();
        for number in 0..40 {
            if number == 10 {
                assert!(spool.claim(90, 100));
            }
            writer.append(Some(&sealed(10, 1000)), &[]).unwrap();
            writer.sync().unwrap();
        }
        let oldest = spool.first_unacknowledged();
        assert!(!spool.claim(100, 110), "given up");
        let report = spool.drop_report();
        assert_eq!((report[0].first_seq, report[0].count), (100, oldest - 100));
        if receipted {
            spool.acknowledge(100).unwrap();
        }
        spool.note_disconnected();
        assert_eq!(
            spool.depth().drops.spool_full,
            if receipted { oldest - 100 } else { oldest }
        );
    }
}

#[test]
fn damaged_bytes_cost_only_the_frames_they_hit() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut writer) = spool::open(dir.path(), OPTIONS, 1).unwrap();
    for _ in 0..12 {
        writer.append(Some(&sealed(5, 300)), &[]).unwrap();
    }
    writer.sync().unwrap();
    let paths = segments(dir.path());
    assert!(paths.len() >= 3);
    for (path, offset) in [(&paths[0], 700), (&paths[1], 3)] {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(b"\xff\xff\xff\xff", offset).unwrap();
    }
    drop(writer);
    drop(spool);
    let (spool, mut writer) = spool::open(dir.path(), OPTIONS, 2).unwrap();
    assert_eq!(spool.epoch(), 1);
    let left = read_all(&spool, 0);
    assert_eq!(left.len(), 11);
    let report = spool.drop_report();
    assert_eq!(report.len(), 1);
    assert_eq!(
        (report[0].reason(), report[0].count, report[0].total),
        (DropReason::SpoolCorrupt, 5, 5)
    );
    writer.append(Some(&sealed(1, 1)), &[]).unwrap();
    writer.sync().unwrap();
    let (again, _writer) = spool::open(dir.path(), OPTIONS, 3).unwrap();
    assert_eq!(again.drop_report(), report);
    assert_eq!(read_all(&again, 60).len(), 1);
}

#[test]
fn a_damaged_snapshot_is_replaced_before_older_segments_go() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut writer) = spool::open(dir.path(), OPTIONS, 1).unwrap();
    for number in 0..12 {
        let cursor = Change::Cursor(format!("c{number}")).into();
        writer.append(Some(&sealed(5, 300)), &[cursor]).unwrap();
    }
    writer.sync().unwrap();
    drop((spool, writer));
    let (path, _) = newest(dir.path());
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(b"\0", 20).unwrap();
    for _ in 0..2 {
        let (spool, writer) = spool::open(dir.path(), OPTIONS, 2).unwrap();
        assert_eq!((spool.epoch(), spool.durable_next()), (1, 60));
        assert_eq!(writer.checkpoints().cursor.as_deref(), Some("c11"));
        spool.acknowledge(60).unwrap();
    }
    assert_eq!(segments(dir.path()).len(), 1);
}
