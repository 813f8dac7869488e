//! What stands at a place of a file: lines, or the elements of an array; and which lines of the audit daemon wait for others.

use std::sync::Arc;
use std::time::Duration;

use records::array::{Found, Scanner};
use records::audit::{Done, Joined, Joiner, Piece};

use crate::sensors::{Body, Position, Raw};
use crate::spool::FileMark;
use crate::spool::checkpoint::DoneMark;

/// What the bytes behind the offset are.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Lines,
    /// Elements of an array; the scanner stands where the tail has looked to.
    Inside(Scanner),
    /// What is left of the object and the line that an array was in.
    Rest,
}

impl Shape {
    pub(super) fn of(mark: &FileMark) -> Self {
        match mark.within {
            1 => Self::Inside(Scanner::default()),
            2 => Self::Rest,
            _ => Self::Lines,
        }
    }

    /// As it is in a mark.
    pub(super) fn within(&self) -> u32 {
        match self {
            Self::Lines => 0,
            Self::Inside(_) => 1,
            Self::Rest => 2,
        }
    }
}

/// Goes on joining where a mark says.
pub(super) fn joiner(mark: &FileMark, max_bytes: usize) -> Joiner {
    let done = mark.done.iter().map(|done| Done {
        key: done.key.clone(),
        end: done.end,
    });
    Joiner::resume(max_bytes, done.collect())
}

/// What a mark keeps of events that are joined.
pub(super) fn done(events: Vec<Done>) -> Vec<DoneMark> {
    let mark = |done: Done| DoneMark {
        key: done.key,
        end: done.end,
    };
    events.into_iter().map(mark).collect()
}

/// Passes lines through the joiner. `from` is where the first begins, `mark` a mark of the same file.
pub(super) fn join(joiner: &mut Joiner, lines: Vec<Raw>, from: u64, now: Duration, mark: &FileMark) -> Vec<Raw> {
    let is_audit =
        |raw: &Raw| matches!(&raw.body, Body::Line(line) if line.starts_with(b"type=") || line.starts_with(b"node="));
    if joiner.is_empty() && !lines.iter().any(is_audit) {
        return lines;
    }
    let mut joined = Vec::new();
    let mut start = from;
    for raw in lines {
        let (Body::Line(line) | Body::Json(line)) = raw.body;
        let end = match raw.after {
            Position::Offset(end) | Position::Element(end) => end,
            Position::Mark(mark) => mark.offset,
            Position::Cursor(_) => start,
        };
        let piece = Piece {
            line,
            cut_bytes: raw.truncated_bytes,
            start,
            end,
        };
        joiner.push(piece, now, &mut joined);
        start = end;
    }
    raws(joined, mark)
}

/// Joined events as records that know where to go on.
pub(super) fn raws(joined: Vec<Joined>, mark: &FileMark) -> Vec<Raw> {
    let raw = |event: Joined| Raw {
        body: Body::Line(event.body),
        truncated_bytes: event.cut_bytes,
        after: Position::Mark(Arc::new(FileMark {
            offset: event.resume.at,
            tail_bytes: 0,
            tail_hash: 0,
            within: 0,
            done: done(event.resume.done),
            ..mark.clone()
        })),
    };
    joined.into_iter().map(raw).collect()
}

/// What a piece of an array's inside holds.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Where each whole element, with what separates it from the one before, begins and ends, from the piece's beginning.
    pub(super) ends: Vec<usize>,
    /// Where the array ends.
    pub(super) end: Option<usize>,
    /// It is not JSON.
    pub(super) broken: bool,
}

/// Looks through a piece for at most `most` elements.
pub(super) fn elements(scanner: &mut Scanner, piece: &[u8], most: usize) -> Elements {
    let mut found = Elements::default();
    let mut at = 0;
    while found.ends.len() < most {
        match scanner.scan(piece.get(at..).unwrap_or_default()) {
            Found::Nothing => break,
            Found::Element(end) => {
                at += end;
                found.ends.push(at);
            }
            Found::End(end) => {
                found.end = Some(at + end);
                break;
            }
            Found::Broken(_) => {
                found.broken = true;
                break;
            }
        }
    }
    found
}
