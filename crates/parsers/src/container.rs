//! What container runtimes put around each line that a container writes: Docker's `json-file`, and the form of the
//! Container Runtime Interface (`TIME stdout F line`). The line inside is read as if its program had written it to a file.

use std::borrow::Cow;

use model::Timestamp;

use crate::clock::{parse_time, take_iso};
use crate::tree::{self, Json};

/// A line without what its runtime put around it.
pub(crate) struct Unwrapped<'a> {
    pub(crate) time: Option<Timestamp>,
    /// `stdout` or `stderr`.
    pub(crate) stream: &'static str,
    pub(crate) line: Cow<'a, str>,
}

/// Takes the runtime's form off a record; `None` when it has none.
pub(crate) fn unwrap(text: &str) -> Option<Unwrapped<'_>> {
    if text.starts_with("{\"log\":\"") {
        return docker(text);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    // Times of this form have 20 bytes at least, and the stream stands right behind.
    let at = text.get(..48.min(text.len())).unwrap_or(text).find(" std")?;
    let (time, rest) = take_iso(text.get(..at)?)?;
    if !rest.is_empty() {
        return None;
    }
    let rest = text.get(at + 1..)?;
    let (stream, rest) = ["stdout", "stderr"]
        .into_iter()
        .find_map(|stream| Some((stream, rest.strip_prefix(stream)?)))?;
    // F ends a line, P leaves it open.
    let line = rest.strip_prefix(" F ").or_else(|| rest.strip_prefix(" P "))?;
    Some(Unwrapped {
        time: Some(time),
        stream,
        line: Cow::Borrowed(line),
    })
}

/// `{"log":"…\n","stream":"stdout","time":"…"}`, which is nothing but these and what the operator has added as `attrs`.
fn docker(text: &str) -> Option<Unwrapped<'_>> {
    let object = tree::object(text)?;
    if object
        .iter()
        .any(|(name, _)| !matches!(name, "log" | "stream" | "time" | "attrs"))
    {
        return None;
    }
    let member = |name: &str| object.get(name).and_then(Json::as_str);
    let stream = ["stdout", "stderr"]
        .into_iter()
        .find(|stream| member("stream") == Some(stream))?;
    let line = member("log")?.trim_end_matches(['\n', '\r']);
    Some(Unwrapped {
        time: parse_time(member("time")?),
        stream,
        line: Cow::Owned(line.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtimes_form_is_taken_off_and_nothing_else() {
        let line = |text| unwrap(text).map(|inner| (inner.stream, inner.line.into_owned()));
        assert_eq!(
            line("2026-11-21T10:00:00.123456789Z stdout F a b").unwrap(),
            ("stdout", "a b".to_owned())
        );
        assert_eq!(
            line("2026-11-21T10:00:00.123456789+00:00 stderr P a").unwrap(),
            ("stderr", "a".to_owned())
        );
        assert_eq!(
            line(r#"{"log":"a \"b\"\n","stream":"stderr","time":"2026-11-21T10:00:00Z","attrs":{"tag":"x"}}"#).unwrap(),
            ("stderr", "a \"b\"".to_owned())
        );
        for other in [
            "2026-11-21T10:00:00Z stdout x a",
            "2026-11-21T10:00:00Z host stdout F a",
            "x 2026-11-21T10:00:00Z stdout F a",
            r#"{"log":"a","stream":"other","time":"2026-11-21T10:00:00Z"}"#,
            r#"{"log":"a","stream":"stdout","time":"2026-11-21T10:00:00Z","user":"x"}"#,
            r#"{"log":"a","stream":"stdout"}"#,
            "",
        ] {
            assert!(line(other).is_none(), "{other}");
        }
    }
}
