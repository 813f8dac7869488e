//! Any text is a query or refused.

use proptest::prelude::*;
use query::Query;

use crate::events::{now, sshd};

/// Text made of what means something.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "é",
        "\"",
        "\\",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        "=",
        "!=",
        "<",
        ">=",
        "*",
        "?",
        "/",
        " ",
        " ",
        "AND",
        "OR",
        "NOT",
        "TO",
        "!",
        "&&",
        "||",
        "now-1h",
        "/d",
        "10.0.0.5",
        "/8",
        "::1",
        "1.5",
        "@timestamp",
        "x.y",
        "2026-01-31",
        "i",
        "\u{301}",
        "\u{0}",
        "http",
        "//",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn text_is_a_query_or_refused_and_a_query_reads_back(text in prop_oneof![soup(), any::<String>()]) {
        match Query::parse(&text) {
            Ok(query) => {
                let printed = query.to_string();
                let again = Query::parse(&printed).map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
                prop_assert_eq!(&again, &query, "{}", printed);
                let _ = query.compile(now()).matches(&sshd());
            }
            Err(error) => {
                prop_assert!(error.position() <= text.chars().count() + 1);
                prop_assert!(text.is_char_boundary(error.offset()));
                prop_assert!(error.caret(&text).ends_with('^'));
            }
        }
    }
}

#[test]
fn only_a_letter_and_a_colon_begin_a_drive() {
    for text in ["*::1*", "*:\\:1*", "C:\\Windows"] {
        let query = Query::parse(text).unwrap();
        assert_eq!(Query::parse(&query.to_string()).unwrap(), query, "{text}");
    }
}
