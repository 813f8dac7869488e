//! Names with letters beyond ASCII; reported in punycode.

use model::indicator::{MAX_DOMAIN, canonical_domain};

use super::Observable;

pub(super) fn scan(text: &str, found: &mut impl FnMut(Observable<'_>)) {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_') || is_dot(char);
    for run in text.split(|char: char| !is_part(char)) {
        let name = run.trim_matches(is_dot);
        if name.is_ascii() || name.len() > 4 * MAX_DOMAIN || !name.contains(is_dot) {
            continue;
        }
        if let Some(domain) = canonical_domain(name) {
            found(Observable::Domain(&domain));
        }
    }
}

/// What separates labels, in any script.
fn is_dot(char: char) -> bool {
    matches!(char, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}
