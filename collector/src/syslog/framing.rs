//! Messages in a TCP stream, in both framings of RFC 6587, told apart message by message: one that begins with a digit
//! other than 0 is counted (`57 <34>1 ...`), any other ends with its line.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// Longest message that is taken whole, in bytes.
pub(crate) const MAX_MESSAGE: usize = 64 << 10;
/// Most digits of a count.
const MAX_DIGITS: usize = 9;

/// One message without its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) message: Bytes,
    /// Bytes that were cut off its end.
    pub(crate) truncated: u64,
}

/// Where in the stream it is.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    /// A counted message of which so many bytes are missing.
    Counted(usize),
    /// A line, of which so many bytes are known not to hold its end.
    Line(usize),
    /// The rest of a message that is too long; the first part is kept.
    Skipping { kept: Bytes, skipped: u64, rest: Rest },
}

#[derive(Debug)]
enum Rest {
    Bytes(usize),
    Line,
}

enum Count {
    Is { length: usize, digits: usize },
    NotYet,
    No,
}

fn count(bytes: &[u8]) -> Count {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match bytes.get(digits) {
        _ if digits == 0 || digits > MAX_DIGITS || bytes.first() == Some(&b'0') => Count::No,
        None => Count::NotYet,
        Some(b' ') => std::str::from_utf8(&bytes[..digits])
            .ok()
            .and_then(|text| text.parse().ok())
            .map_or(Count::No, |length| Count::Is { length, digits }),
        Some(_) => Count::No,
    }
}

impl Decoder for Framing {
    type Item = Frame;
    type Error = std::io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Self::Error> {
        loop {
            let state = std::mem::take(&mut self.state);
            let (state, step) = self::step(state, buffer);
            self.state = state;
            match step {
                Step::Frame(frame) if frame.message.is_empty() => {}
                Step::Frame(frame) => return Ok(Some(frame)),
                Step::Again => {}
                Step::More => return Ok(None),
            }
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Self::Error> {
        if let Some(frame) = self.decode(buffer)? {
            return Ok(Some(frame));
        }
        // A last line without its end, and what arrived of a counted message, are better than nothing.
        let frame = match std::mem::take(&mut self.state) {
            State::Skipping { kept, skipped, .. } => Frame {
                message: kept,
                truncated: skipped,
            },
            State::Between | State::Counted(_) | State::Line(_) => Frame {
                message: trim(buffer.split().freeze()),
                truncated: 0,
            },
        };
        Ok((!frame.message.is_empty()).then_some(frame))
    }
}

enum Step {
    Frame(Frame),
    Again,
    More,
}

fn step(state: State, buffer: &mut BytesMut) -> (State, Step) {
    match state {
        State::Between => between(buffer),
        State::Counted(length) => counted(length, buffer),
        State::Line(searched) => line(searched, buffer),
        State::Skipping { kept, skipped, rest } => skip(kept, skipped, rest, buffer),
    }
}

fn between(buffer: &mut BytesMut) -> (State, Step) {
    let blank = buffer
        .iter()
        .take_while(|byte| matches!(byte, b'\n' | b'\r' | 0))
        .count();
    buffer.advance(blank);
    if buffer.is_empty() {
        return (State::Between, Step::More);
    }
    match count(buffer) {
        Count::Is { length, digits } => {
            buffer.advance(digits + 1);
            (State::Counted(length), Step::Again)
        }
        Count::No => (State::Line(0), Step::Again),
        Count::NotYet => (State::Between, Step::More),
    }
}

fn counted(length: usize, buffer: &mut BytesMut) -> (State, Step) {
    if length > MAX_MESSAGE {
        if buffer.len() < MAX_MESSAGE {
            return (State::Counted(length), Step::More);
        }
        let kept = buffer.split_to(MAX_MESSAGE).freeze();
        let rest = Rest::Bytes(length - MAX_MESSAGE);
        return (State::Skipping { kept, skipped: 0, rest }, Step::Again);
    }
    if buffer.len() < length {
        return (State::Counted(length), Step::More);
    }
    let message = trim(buffer.split_to(length).freeze());
    (State::Between, Step::Frame(Frame { message, truncated: 0 }))
}

fn line(searched: usize, buffer: &mut BytesMut) -> (State, Step) {
    let window = buffer.len().min(MAX_MESSAGE + 1);
    let end = buffer
        .iter()
        .take(window)
        .skip(searched)
        .position(|byte| matches!(byte, b'\n' | 0));
    match end {
        Some(end) => {
            let message = trim(buffer.split_to(searched + end).freeze());
            buffer.advance(1);
            (State::Between, Step::Frame(Frame { message, truncated: 0 }))
        }
        None if window > MAX_MESSAGE => {
            let kept = buffer.split_to(MAX_MESSAGE).freeze();
            let rest = Rest::Line;
            (State::Skipping { kept, skipped: 0, rest }, Step::Again)
        }
        None => (State::Line(window), Step::More),
    }
}

fn skip(kept: Bytes, skipped: u64, rest: Rest, buffer: &mut BytesMut) -> (State, Step) {
    let (here, done, rest) = match rest {
        Rest::Bytes(left) => {
            let here = left.min(buffer.len());
            (here, here == left, Rest::Bytes(left - here))
        }
        Rest::Line => match buffer.iter().position(|byte| matches!(byte, b'\n' | 0)) {
            Some(end) => (end, true, Rest::Line),
            None => (buffer.len(), false, Rest::Line),
        },
    };
    buffer.advance(here);
    let skipped = skipped + here as u64;
    if done {
        let frame = Frame {
            message: kept,
            truncated: skipped,
        };
        return (State::Between, Step::Frame(frame));
    }
    (State::Skipping { kept, skipped, rest }, Step::More)
}

/// Without line ends and NULs at its end.
pub(crate) fn trim(message: Bytes) -> Bytes {
    let end = message
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0))
        .map_or(0, |last| last + 1);
    message.slice(..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything in `stream`, given in pieces of `piece` bytes.
    fn frames(stream: &[u8], piece: usize) -> Vec<(Vec<u8>, u64)> {
        let mut framing = Framing::default();
        let mut buffer = BytesMut::new();
        let mut found = Vec::new();
        for piece in stream.chunks(piece.max(1)) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = framing.decode(&mut buffer).unwrap() {
                found.push((frame.message.to_vec(), frame.truncated));
            }
            assert!(buffer.len() <= MAX_MESSAGE + piece.len(), "buffers at most one message");
        }
        while let Some(frame) = framing.decode_eof(&mut buffer).unwrap() {
            found.push((frame.message.to_vec(), frame.truncated));
        }
        found
    }

    fn texts(stream: &[u8]) -> Vec<String> {
        frames(stream, 7)
            .into_iter()
            .map(|(message, _)| String::from_utf8(message).unwrap())
            .collect()
    }

    #[test]
    fn both_framings_are_told_apart_message_by_message() {
        assert_eq!(
            texts(b"<34>one\n5 <1>\na<34>two\r\n\n\0<34>three\x008 <2>line\n"),
            ["<34>one", "<1>\na", "<34>two", "<34>three", "<2>line"]
        );
        assert_eq!(
            texts(b"12abc\n0 x\n123456789012 y\nlast"),
            ["12abc", "0 x", "123456789012 y", "last"]
        );
        assert_eq!(
            texts(b"10 <1>cut"),
            ["<1>cut"],
            "what arrived of a message that was cut off"
        );
    }

    #[test]
    fn messages_that_are_too_long_are_cut_and_the_next_one_is_found() {
        for piece in [1000, 70_000, 1 << 20] {
            let mut stream = vec![b'x'; MAX_MESSAGE + 5];
            stream.extend_from_slice(b"\n<1>next\n");
            stream.extend_from_slice(format!("{} ", MAX_MESSAGE + 3).as_bytes());
            stream.extend(vec![b'y'; MAX_MESSAGE + 3]);
            stream.extend_from_slice(b"<1>after\n");
            let found = frames(&stream, piece);
            let shape: Vec<(usize, u64)> = found.iter().map(|(message, cut)| (message.len(), *cut)).collect();
            assert_eq!(
                shape,
                [(MAX_MESSAGE, 5), (7, 0), (MAX_MESSAGE, 3), (8, 0)],
                "pieces of {piece}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_messages(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b'5'), Just(b'<'), any::<u8>()], 0..200),
            piece in 1_usize..50,
        ) {
            prop_assert_eq!(frames(&stream, piece), frames(&stream, stream.len().max(1)));
        }

        #[test]
        fn counted_messages_round_trip(messages in proptest::collection::vec("[a-z<>\n ]{1,40}[a-z]", 1..10)) {
            let stream: String = messages.iter().map(|message| format!("{} {message}", message.len())).collect();
            prop_assert_eq!(texts(stream.as_bytes()), messages);
        }
    }
}
