//! The Linux audit daemon writes one event as several lines with one time and serial number: SYSCALL, EXECVE, CWD, PATH,
//! PROCTITLE. [`Joiner`] puts them together, whatever their order and however events are mixed.
//!
//! When an event is whole is not written down: the closing EOE is left out of files, and PROCTITLE, which the kernel
//! writes last, is missing where the kernel had none. So an event is given away when
//! - EOE was seen, or SYSCALL, PROCTITLE and as many PATHs as SYSCALL says, and then [`SPAN`] more lines or the end of
//!   what there is to read;
//! - or a line two seconds later by its own time was seen, as `libauparse` does it, and [`SPAN`] lines since its last;
//! - or nothing came for half a second of the clock;
//! - or there is no room for more.
//!
//! A line that comes after its event was given away is an event of its own, with the same serial number. No line is
//! ever dropped. What user space reports in one record (`USER_LOGIN`, `SERVICE_START`, ..) does not wait.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// Most events that are open at once.
pub const MAX_OPEN: usize = 128;
/// Most lines of one event; further ones begin another with the same serial number.
pub const MAX_LINES: usize = 512;
/// Lines read after one that closes an event, in which stragglers of it may still be.
pub const SPAN: u64 = 256;
/// Events whose lines are later than this by their own time are over, in milliseconds.
const LATER_MILLIS: i64 = 2000;
/// Events of which nothing came for so long are over.
const IDLE: Duration = Duration::from_millis(500);
/// Most events that are remembered as given away while older ones are open.
const MAX_DONE: usize = 256;
/// Where in a line its stamp has to be.
const MAX_HEAD: usize = 400;

/// A line as read.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Without its end.
    pub line: Bytes,
    /// How many bytes were cut off its end.
    pub cut_bytes: u64,
    /// Where it begins, in whatever measure the reader uses; never less than the end of the one before.
    pub start: u64,
    /// The place behind it.
    pub end: u64,
}

/// One event: its lines, each ended by a line feed but for the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The lines, in the order they came.
    pub body: Bytes,
    /// How many bytes were cut off.
    pub cut_bytes: u64,
    /// Where to go on once it is safe.
    pub resume: Resume,
}

/// Where a reader that starts again goes on: behind all that was given away, without giving any of it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The first line that is to be read again begins here.
    pub at: u64,
    /// Events given away some of whose lines are behind `at`.
    pub done: Vec<Done>,
}

/// An event that was given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its node, time and serial number.
    pub key: Vec<u8>,
    /// All its lines before this place were in it.
    pub end: u64,
}

/// What a line says of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp<'a> {
    node: &'a [u8],
    kind: &'a [u8],
    /// `1764000000.123:4567`
    id: &'a [u8],
    millis: i64,
}

impl Stamp<'_> {
    fn key(&self) -> Vec<u8> {
        [self.node, b" ", self.id].concat()
    }

    fn has_key(&self, key: &[u8]) -> bool {
        key.strip_prefix(self.node).and_then(|rest| rest.strip_prefix(b" ")) == Some(self.id)
    }
}

/// `node=a type=SYSCALL msg=audit(1764000000.123:4567): …`
fn stamp(line: &[u8]) -> Option<Stamp<'_>> {
    let mut rest = line.get(..MAX_HEAD).unwrap_or(line);
    let mut node: &[u8] = &[];
    if let Some(named) = rest.strip_prefix(b"node=") {
        let end = named.iter().position(|byte| *byte == b' ')?;
        node = named.get(..end)?;
        rest = named.get(end + 1..)?;
    }
    let typed = rest.strip_prefix(b"type=")?;
    let end = typed.iter().position(|byte| *byte == b' ')?;
    let kind = typed.get(..end)?;
    let rest = typed.get(end + 1..)?.strip_prefix(b"msg=audit(")?;
    let id = rest.get(..rest.iter().position(|byte| *byte == b')')?)?;
    let text = std::str::from_utf8(id).ok()?;
    let (time, serial) = text.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    let digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (digits(serial, 20) && digits(seconds, 15) && digits(millis, 3)).then_some(())?;
    Some(Stamp {
        node,
        kind,
        id,
        millis: seconds.parse::<i64>().ok()? * 1000 + millis.parse::<i64>().ok()?,
    })
}

/// Whether a line is a record of the audit daemon.
#[must_use]
pub fn is_record(line: &[u8]) -> bool {
    stamp(line).is_some()
}

/// Whether records of a kind are an event by themselves: user space reports them, one record each.
fn stands_alone(kind: &[u8]) -> bool {
    const BEGINNINGS: &[&[u8]] = &[
        b"USER_",
        b"CRED_",
        b"SERVICE_",
        b"DAEMON_",
        b"ADD_",
        b"DEL_",
        b"GRP_",
        b"SYSTEM_",
        b"ACCT_",
        b"CRYPTO_",
        b"VIRT_",
        b"ROLE_",
        b"RESP_",
        b"SOFTWARE_",
        b"CHGRP_ID",
        b"CHUSER_ID",
        b"LABEL_",
        b"DEV_",
        b"KERNEL",
    ];
    BEGINNINGS.iter().any(|beginning| kind.starts_with(beginning))
}

#[derive(Debug)]
struct Open {
    key: Vec<u8>,
    millis: i64,
    lines: Vec<Bytes>,
    bytes: usize,
    cut_bytes: u64,
    start: u64,
    end: u64,
    /// When the last line came, by the clock and by the lines taken until then.
    touched: Duration,
    count: u64,
    has_syscall: bool,
    has_title: bool,
    paths: u64,
    /// As SYSCALL says.
    items: u64,
    has_end: bool,
    /// How many lines had been taken when it was closed.
    closed_at: Option<u64>,
}

impl Open {
    fn new(stamp: &Stamp<'_>, start: u64) -> Self {
        Self {
            key: stamp.key(),
            millis: stamp.millis,
            lines: Vec::with_capacity(6),
            bytes: 0,
            cut_bytes: 0,
            start,
            end: start,
            touched: Duration::ZERO,
            count: 0,
            has_syscall: false,
            has_title: false,
            paths: 0,
            items: 0,
            has_end: false,
            closed_at: None,
        }
    }

    fn add(&mut self, kind: &[u8], piece: Piece, now: Duration, count: u64) {
        match kind {
            b"SYSCALL" => {
                self.has_syscall = true;
                self.items = items(&piece.line);
            }
            b"PROCTITLE" => self.has_title = true,
            b"PATH" => self.paths += 1,
            b"EOE" => self.has_end = true,
            _ => {}
        }
        self.bytes += piece.line.len() + 1;
        self.cut_bytes += piece.cut_bytes;
        self.end = piece.end;
        self.touched = now;
        self.count = count;
        self.lines.push(piece.line);
        if self.has_end || (self.has_syscall && self.has_title && self.paths >= self.items) {
            self.closed_at.get_or_insert(count);
        }
    }

    fn into_body(self) -> (Bytes, u64) {
        let mut lines = self.lines;
        if lines.len() == 1 {
            return (lines.pop().unwrap_or_default(), self.cut_bytes);
        }
        let mut body = BytesMut::with_capacity(self.bytes);
        for line in &lines {
            if !body.is_empty() {
                body.extend_from_slice(b"\n");
            }
            body.extend_from_slice(line);
        }
        (body.freeze(), self.cut_bytes)
    }
}

/// `items=2` of a SYSCALL record.
fn items(line: &[u8]) -> u64 {
    const NAME: &[u8] = b" items=";
    let at = line.windows(NAME.len()).position(|window| window == NAME);
    let digits = at.and_then(|at| line.get(at + NAME.len()..)).unwrap_or_default();
    digits
        .iter()
        .map_while(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')))
        .take(6)
        .fold(0, |number, digit| number * 10 + digit)
}

/// Puts lines of one event together.
#[derive(Debug, Default)]
pub struct Joiner {
    max_bytes: usize,
    /// In the order of their first lines.
    open: VecDeque<Open>,
    done: Vec<Done>,
    /// Lines of these that are before their places were given away in another life.
    resumed: Vec<Done>,
    /// Lines taken.
    count: u64,
}

impl Joiner {
    /// Events are at most `max_bytes` long, or one line.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            ..Self::default()
        }
    }

    /// Goes on where [`Joined::resume`] said; the next line is the one at `resume.at`.
    #[must_use]
    pub fn resume(max_bytes: usize, done: Vec<Done>) -> Self {
        Self {
            max_bytes,
            resumed: done.clone(),
            done,
            ..Self::default()
        }
    }

    /// Whether no event is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Where to go on if nothing more were given away, when everything before `read` was taken.
    #[must_use]
    pub fn place(&self, read: u64) -> Resume {
        let at = self.open.iter().map(|open| open.start).min().unwrap_or(read).min(read);
        let done = self.done.iter().filter(|done| done.end > at).cloned().collect();
        Resume { at, done }
    }

    /// Takes a line; `now` is any clock that never goes back. Gives away what is over.
    pub fn push(&mut self, piece: Piece, now: Duration, into: &mut Vec<Joined>) {
        self.count += 1;
        let Some(found) = stamp(&piece.line) else {
            // A stranger in the daemon's file; what is open is not held up by it.
            self.flush(piece.start, into);
            return self.pass(piece, into);
        };
        if self
            .resumed
            .iter()
            .any(|done| piece.start < done.end && found.has_key(&done.key))
        {
            return;
        }
        let (millis, at) = (found.millis, piece.start);
        while let Some(index) = self.over(millis) {
            self.give(index, at, into);
        }
        let known = self.open.iter().position(|open| found.has_key(&open.key));
        match known {
            Some(index) => {
                let room = self.open.get(index).is_some_and(|open| {
                    open.lines.len() < MAX_LINES && open.bytes + piece.line.len() <= self.max_bytes
                });
                if !room {
                    self.give(index, at, into);
                    self.open.push_back(Open::new(&found, at));
                }
            }
            None if stands_alone(found.kind) => {
                let key = found.key();
                let end = piece.end;
                self.remember(key, end);
                self.pass(piece, into);
                return self.make_room(end, into);
            }
            None => self.open.push_back(Open::new(&found, at)),
        }
        let kind = Bytes::copy_from_slice(found.kind);
        let id = found.key();
        let (count, end) = (self.count, piece.end);
        if let Some(open) = self.open.iter_mut().find(|open| open.key == id) {
            open.add(&kind, piece, now, count);
        }
        while let Some(index) = self
            .open
            .iter()
            .position(|open| open.closed_at.is_some_and(|at| at + SPAN < count))
        {
            self.give(index, end, into);
        }
        self.make_room(end, into);
    }

    /// Gives away what is over by the clock and, when there is nothing more to read at present, what is closed.
    /// Everything before `read` was taken.
    pub fn settle(&mut self, now: Duration, at_end: bool, read: u64, into: &mut Vec<Joined>) {
        let over = |open: &Open| (at_end && open.closed_at.is_some()) || now.saturating_sub(open.touched) >= IDLE;
        while let Some(index) = self.open.iter().position(over) {
            self.give(index, read, into);
        }
    }

    /// Gives everything away. Everything before `read` was taken.
    pub fn flush(&mut self, read: u64, into: &mut Vec<Joined>) {
        while !self.open.is_empty() {
            self.give(0, read, into);
        }
    }

    /// An open event that is over by the time of a line.
    fn over(&self, millis: i64) -> Option<usize> {
        let over = |open: &Open| millis.saturating_sub(open.millis) >= LATER_MILLIS && open.count + SPAN < self.count;
        self.open.iter().position(over)
    }

    fn make_room(&mut self, read: u64, into: &mut Vec<Joined>) {
        let held: usize = self.open.iter().map(|open| open.bytes).sum();
        let full = held > self.max_bytes.saturating_mul(4);
        if self.open.len() > MAX_OPEN || (full && self.open.len() > 1) || self.done.len() > MAX_DONE {
            self.give(0, read, into);
        }
    }

    fn pass(&mut self, piece: Piece, into: &mut Vec<Joined>) {
        let resume = self.settled(piece.end);
        into.push(Joined {
            body: piece.line,
            cut_bytes: piece.cut_bytes,
            resume,
        });
    }

    /// Gives an open event away; everything before `read` was taken.
    fn give(&mut self, index: usize, read: u64, into: &mut Vec<Joined>) {
        let Some(open) = self.open.remove(index) else { return };
        self.remember(open.key.clone(), open.end);
        let (body, cut_bytes) = open.into_body();
        let resume = self.settled(read);
        into.push(Joined {
            body,
            cut_bytes,
            resume,
        });
    }

    fn remember(&mut self, key: Vec<u8>, end: u64) {
        match self.done.iter_mut().find(|done| done.key == key) {
            Some(done) => done.end = done.end.max(end),
            None => self.done.push(Done { key, end }),
        }
    }

    /// The place, with what is behind it forgotten.
    fn settled(&mut self, read: u64) -> Resume {
        let resume = self.place(read);
        self.done.retain(|done| done.end > resume.at);
        self.resumed.retain(|done| done.end > resume.at);
        resume
    }
}

#[cfg(test)]
mod tests;
