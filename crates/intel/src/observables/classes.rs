//! What a byte can be part of.

pub(super) const WORD: u8 = 1;
pub(super) const DOT: u8 = 2;
pub(super) const COLON: u8 = 3;
pub(super) const JOINT: u8 = 4;

/// What a byte is within a token of letters, digits and `. : - _`; 0 ends it.
pub(super) const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'.' => DOT,
            b':' => COLON,
            b'-' | b'_' => JOINT,
            letter if letter.is_ascii_alphanumeric() => WORD,
            _ => 0,
        };
        byte += 1;
    }
    table
};

pub(super) fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// How many bytes before `end` (but not before `floor`) satisfy `fits`.
pub(super) fn run_before(bytes: &[u8], floor: usize, end: usize, fits: impl Fn(u8) -> bool) -> usize {
    bytes
        .get(floor..end)
        .unwrap_or_default()
        .iter()
        .rev()
        .take_while(|byte| fits(**byte))
        .count()
}

/// How many bytes from `start` satisfy `fits`.
pub(super) fn run_from(bytes: &[u8], start: usize, fits: impl Fn(u8) -> bool) -> usize {
    bytes
        .get(start..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| fits(**byte))
        .count()
}

/// Whether the character is a letter of a script that is written with blanks between words: then a name beside it is a
/// part of a longer one.
pub(super) fn joins(char: Option<char>) -> bool {
    char.is_some_and(|char| !char.is_ascii() && char.is_alphanumeric() && u32::from(char) < 0x0590)
}
