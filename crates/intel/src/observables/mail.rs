//! Addresses of electronic mail around each `@`.

use model::indicator::{IndicatorType, MAX_DOMAIN, canonical_value};

use super::Observable;
use super::classes::run_from;

/// Longest part before the `@`.
const MAX_LOCAL: usize = 64;
/// What may stand there, besides letters and digits.
const LOCAL: &[u8] = b"!#$%&'*+-/=?^_`{|}~.";
/// Of these, what more often ends a word before the address than belongs to it: `to=a@b`, `x?mail=a@b&c`.
const ENDS: [char; 15] = [
    '=', '/', '&', '?', '|', '\'', '`', '{', '}', '#', '!', '$', '%', '*', '^',
];

pub(super) fn scan(text: &str, found: &mut impl FnMut(Observable<'_>)) {
    let bytes = text.as_bytes();
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || LOCAL.contains(&byte);
    for at in memchr::memchr_iter(b'@', bytes) {
        let floor = at.saturating_sub(MAX_LOCAL);
        let length = super::classes::run_before(bytes, floor, at, is_local);
        let Some(mut local) = text.get(at - length..at).filter(|local| !local.is_empty()) else {
            continue;
        };
        // A longer run is no address, but its end after a delimiter may be one.
        let is_cut = length == MAX_LOCAL && floor > 0 && bytes.get(floor - 1).is_some_and(|byte| is_local(*byte));
        let Some(domain) = domain(text, at + 1) else { continue };
        if !is_cut {
            report(local, domain, found);
        }
        if let Some((_, end)) = local.rsplit_once(ENDS).filter(|(_, end)| !end.is_empty()) {
            local = end;
            report(local, domain, found);
        }
    }
}

fn report(local: &str, domain: &str, found: &mut impl FnMut(Observable<'_>)) {
    let local = local.trim_start_matches('.');
    if let Ok(email) = canonical_value(IndicatorType::Email, &format!("{local}@{domain}")) {
        found(Observable::Email(&email));
    }
}

/// The name that begins at `start`, without the dots and dashes of what follows it.
fn domain(text: &str, start: usize) -> Option<&str> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') || !byte.is_ascii();
    let length = run_from(text.as_bytes(), start, is_part);
    let end = text.floor_char_boundary(start + length.min(4 * MAX_DOMAIN));
    let run = text.get(start..end)?;
    // Characters beyond ASCII that are no letters end a name too.
    let end = run
        .find(|char: char| !char.is_ascii() && !char.is_alphanumeric())
        .unwrap_or(run.len());
    let name = run.get(..end)?.trim_end_matches(['.', '-', '_']);
    name.contains('.').then_some(name)
}
