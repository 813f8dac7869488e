//! URLs around each `://`.

use model::indicator::{MAX_URL, canonical_url};

use super::Observable;
use super::classes::run_before;

/// Longest scheme that is looked for.
const MAX_SCHEME: usize = 16;
/// Longest run that is looked at: a URL beyond ASCII may shrink.
const MAX_RUN: usize = 3 * MAX_URL;
/// What ends a sentence or a quotation and rarely a URL.
const TRAILING: [char; 15] = [
    '.', ',', ';', ':', '!', '?', '\'', '"', ')', ']', '}', '>', '*', '_', '|',
];
/// What more often ends a URL than belongs to it.
const DELIMITERS: [char; 9] = ['\'', ')', ']', '}', ',', ';', '|', '\\', '^'];

pub(super) fn scan(text: &str, found: &mut impl FnMut(Observable<'_>)) {
    let bytes = text.as_bytes();
    let mut floor = 0;
    for mark in memchr::memmem::find_iter(bytes, b"://") {
        if mark < floor {
            // Inside the query of one that is reported; it is one too.
            floor = mark;
        }
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = run_before(bytes, floor.max(mark.saturating_sub(MAX_SCHEME)), mark, is_scheme);
        let Some(scheme) = text.get(mark - length..mark) else {
            continue;
        };
        let scheme = scheme.trim_start_matches(|char: char| !char.is_ascii_alphabetic());
        if scheme.is_empty() {
            continue;
        }
        let rest = text.get(mark..).unwrap_or_default();
        let end = rest.find(ends_url).unwrap_or(rest.len()).min(MAX_RUN);
        let Some(run) = rest.get(..rest.floor_char_boundary(end)) else {
            continue;
        };
        candidates(scheme, run, found);
        floor = mark + 3;
    }
}

/// Where a URL ends in running text cannot be known: the whole run, the run without trailing punctuation, and what comes
/// before the first delimiter.
fn candidates(scheme: &str, run: &str, found: &mut impl FnMut(Observable<'_>)) {
    let host = run.get(3..).unwrap_or_default();
    // An address in brackets is not cut in the middle.
    let skipped = if host.starts_with('[') {
        3 + host.find(']').map_or(0, |at| at + 1)
    } else {
        3
    };
    let trimmed = run.trim_end_matches(TRAILING);
    let cut = run
        .get(skipped..)
        .and_then(|tail| tail.find(DELIMITERS))
        .and_then(|at| run.get(..skipped + at))
        .map(|cut| cut.trim_end_matches(TRAILING));
    report(scheme, run, found);
    if trimmed.len() != run.len() && trimmed.len() >= skipped {
        report(scheme, trimmed, found);
    }
    if let Some(cut) = cut
        && cut.len() != trimmed.len()
        && cut.len() > 3
    {
        report(scheme, cut, found);
    }
}

fn report(scheme: &str, run: &str, found: &mut impl FnMut(Observable<'_>)) {
    let is_harmless = scheme.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("hxxp"));
    let url = if is_harmless {
        format!("http{}{run}", scheme.get(4..).unwrap_or_default())
    } else {
        format!("{scheme}{run}")
    };
    if is_plain(&url) {
        found(Observable::Url(&url));
    } else if let Some(url) = canonical_url(&url) {
        found(Observable::Url(&url));
    }
}

/// Whether the URL is certainly in canonical form: a web address without user, port, fragment, escapes or steps
/// upwards, all of it in characters that mean themselves. Most are, and this spares reading them properly.
fn is_plain(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return false;
    };
    let Some((host, path)) = rest.split_once('/') else {
        return false;
    };
    let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let top = host.rsplit('.').next().unwrap_or_default();
    let has_labels = host.len() <= 253
        && host
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(is_host) && !label.starts_with("xn--"));
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~!$&()*+,;=:@/?".contains(&byte);
    url.len() <= MAX_URL
        && has_labels
        // A last label that begins with a digit may be a number, and the host an address.
        && top.starts_with(|char: char| char.is_ascii_lowercase())
        && path
            .bytes()
            .zip(std::iter::once(b'/').chain(path.bytes()))
            // A dot after a slash may be a step upwards.
            .all(|(byte, before)| is_path(byte) || (byte == b'.' && before != b'/'))
}

/// Whether the text has a URL whose canonical form may consist of other words.
pub(super) fn may_differ(text: &str) -> bool {
    memchr::memmem::find_iter(text.as_bytes(), b"://").any(|mark| {
        let rest = text.get(mark + 3..).unwrap_or_default();
        let run = rest
            .get(..rest.find(ends_url).unwrap_or(rest.len()))
            .unwrap_or_default();
        let rest = run.trim_start_matches(['/', '\\']);
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let bare = host.split(':').next().unwrap_or_default().trim_end_matches('.');
        let top = bare.rsplit('.').next().unwrap_or_default();
        // `http://3232235777/` and `http://0x7f.1/` are addresses too, and IPv6 can be written in many ways.
        let is_odd_address =
            top.starts_with(|char: char| char.is_ascii_digit()) && bare.parse::<std::net::Ipv4Addr>().is_err();
        // What is escaped, or will be.
        is_odd_address || host.contains('[') || run.contains(['%', '{', '}', '|', '^', '\''])
    })
}

fn ends_url(char: char) -> bool {
    char.is_whitespace() || char.is_control() || matches!(char, '"' | '<' | '>' | '`')
}

#[cfg(test)]
mod tests {
    use super::{canonical_url, is_plain};

    proptest::proptest! {
        #[test]
        fn what_is_plain_is_canonical(host in "[a-z0-9.-]{1,12}", path in "[!-~]{0,20}", s in "s?") {
            let url = format!("http{s}://{host}/{path}");
            if is_plain(&url) {
                proptest::prop_assert_eq!(canonical_url(&url), Some(url));
            }
        }
    }
}
