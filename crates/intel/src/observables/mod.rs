//! Finding addresses, names, URLs, hashes and mail addresses in text.
//!
//! Everything is reported in the form indicators have (see [`model::indicator::canonical_value`]), wherever logs put it:
//! between quotes, before ports, at the end of sentences, in harmless spelling (`hxxp://evil[.]example`), names beyond
//! ASCII in punycode. A text is looked at once; bytes that cannot be part of anything are skipped quickly. Whatever the
//! text, the work is linear in its length: what a candidate can be is bounded in length before it is looked at closely.

mod ascii;
mod classes;
mod hashes;
mod mail;
mod names;
mod urls;

use std::borrow::Cow;
use std::net::IpAddr;

use model::indicator::{IndicatorType, refang};

/// Which kinds are looked for: what nobody asks about costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses.
    pub ips: bool,
    /// Domain names.
    pub domains: bool,
    /// URLs.
    pub urls: bool,
    /// Hashes of any length.
    pub hashes: bool,
    /// Addresses of electronic mail.
    pub emails: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self {
        ips: true,
        domains: true,
        urls: true,
        hashes: true,
        emails: true,
    };
    /// Addresses only.
    pub const IPS: Self = Self {
        ips: true,
        domains: false,
        urls: false,
        hashes: false,
        emails: false,
    };

    /// Adds what finding indicators of this type takes.
    #[must_use]
    pub fn and(mut self, kind: IndicatorType) -> Self {
        match kind {
            IndicatorType::Ip => self.ips = true,
            IndicatorType::Domain => self.domains = true,
            IndicatorType::Url => self.urls = true,
            IndicatorType::Md5 | IndicatorType::Sha1 | IndicatorType::Sha256 => self.hashes = true,
            IndicatorType::Email => self.emails = true,
        }
        self
    }
}

/// Something found in text, in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observable<'a> {
    /// An address; IPv4-mapped IPv6 appears as IPv4.
    Ip(IpAddr),
    /// A name with at least one dot, lower-case, not longer than a domain name can be. Names of files and packages are
    /// among them: only a list of indicators can tell.
    Domain(&'a str),
    /// A URL.
    Url(&'a str),
    /// 32, 40 or 64 hex digits in any case.
    Hash(&'a str),
    /// An address of electronic mail.
    Email(&'a str),
}

/// What is looked for, with memory that is used again for every text.
#[derive(Clone, Debug, Default)]
pub struct Extractor {
    lower: String,
}

impl Extractor {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `found` for everything of the wanted kinds in `text`; for what occurs more than once, as often.
    pub fn scan(&mut self, text: &str, wanted: Wanted, found: &mut impl FnMut(Observable<'_>)) {
        if wanted == Wanted::default() {
            return;
        }
        let text = restored(text);
        let bytes = text.as_bytes();
        if (wanted.ips || wanted.domains) && memchr::memchr2(b'.', b':', bytes).is_some() {
            ascii::scan(&text, wanted, &mut self.lower, found);
        }
        if wanted.hashes {
            hashes::scan(&text, found);
        }
        if wanted.emails {
            mail::scan(&text, found);
        }
        if wanted.urls {
            urls::scan(&text, found);
        }
        if wanted.domains && !text.is_ascii() {
            names::scan(&text, found);
        }
    }
}

/// Whether something in `text` may be written in other words than its canonical form: harmless spelling, letters beyond
/// ASCII, a URL with escapes or with an address as its host. For who indexes texts by their words.
#[must_use]
pub fn may_differ(text: &str) -> bool {
    !text.is_ascii() || has_brackets(text) || urls::may_differ(text)
}

fn has_brackets(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3_iter(b'[', b'(', b'{', bytes)
        .any(|at| matches!(bytes.get(at + 1), Some(b'.' | b':' | b'@' | b'd' | b'D' | b'a' | b'A')))
}

/// The text with what was made harmless restored.
fn restored(text: &str) -> Cow<'_, str> {
    if has_brackets(text) {
        refang(text)
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests;
