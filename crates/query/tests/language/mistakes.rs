//! Where mistakes are, and what is said about them.

use query::{MAX_BYTES, MAX_DEPTH, MAX_TESTS, Query};

#[test]
fn an_error_names_the_character_and_what_was_expected() {
    for (text, position, said) in [
        ("\"open", 1, "a closing quote"),
        ("failed \"open", 8, "a closing quote"),
        ("user.name:", 11, "a value right behind the colon"),
        ("error: refused", 7, "a value right behind the colon"),
        ("user.name= ", 12, "a value"),
        ("(a OR b", 8, "a closing parenthesis for the one at character 1"),
        ("a)", 2, "AND, OR or the end"),
        ("a OR", 5, "a word, a \"phrase\""),
        ("OR a", 1, "a word, a \"phrase\""),
        ("a AND AND b", 7, "a word, a \"phrase\""),
        ("NOT", 4, "a word, a \"phrase\""),
        ("!!!", 4, "a word, a \"phrase\""),
        ("()", 2, "a word, a \"phrase\""),
        ("source.ip:10.0.0.0/33", 20, "the bits of the network, 0 to 32"),
        ("2001:db8::/200", 12, "the bits of the network, 0 to 128"),
        ("a.b:[1 5]", 8, "TO between"),
        ("a.b:[1 TO 5", 12, "] or } at the end"),
        ("a.b:[x TO 5]", 6, "a number, a time"),
        ("a.b:[1 TO 10.0.0.1]", 11, "both ends"),
        ("a.b:[10.0.0.1 TO ::1]", 18, "both ends"),
        ("a.b>high", 5, "a number, a time"),
        ("@timestamp:yesterday", 12, "a time such as now-1h"),
        ("@timestamp>5", 12, "a time such as now-1h"),
        ("mü AND /a(b/", 10, "a regular expression (unclosed group)"),
        ("/(?=x)/", 2, "a regular expression (look-around"),
        ("/\\w{1000}{1000}/", 2, "a regular expression (smaller"),
        ("\"\"", 1, "text between the quotes"),
        ("a.b:\"\"", 5, "text between the quotes"),
        ("\"\":x", 1, "a field's name"),
    ] {
        let error = Query::parse(text).expect_err(text);
        assert_eq!(error.position(), position, "{text}: {error}");
        assert!(error.expected().starts_with(said), "{text}: {error}");
        let caret = error.caret(text);
        let (_, under) = caret.split_once('\n').unwrap();
        assert_eq!(under.chars().count(), position, "{text}");
    }
}

#[test]
fn limits_are_named() {
    let long = "a".repeat(MAX_BYTES + 1);
    let many = "a ".repeat(MAX_TESTS + 1);
    let deep = format!("{}a{}", "(".repeat(MAX_DEPTH + 1), ")".repeat(MAX_DEPTH + 1));
    let negated = format!("{}a", "NOT ".repeat(MAX_DEPTH + 1));
    let wild = "a* ".repeat(17);
    let regex = format!("/{}/", "a".repeat(600));
    let pattern = format!("x {}*", "a".repeat(512));
    let times = "a.b:2026-01-31 ".repeat(MAX_TESTS / 2 + 1);
    for text in [long, many, deep, negated, wild, regex, pattern, times] {
        let error = Query::parse(&text).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
    }
    let deep = format!("{}a{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    assert!(Query::parse(&deep).is_ok());
}

#[test]
fn a_pattern_that_is_read_is_looked_for_and_one_that_is_not_says_where() {
    // The largest there are: any character, letters in any case, at both edges of words.
    for part in ["?", "ä?", "a?", "?*", "ſ", "k*"] {
        let mut pattern = part.repeat(512 / part.len());
        pattern.push_str("*".get(..512 - pattern.len()).unwrap_or(""));
        for query in [
            format!("x{pattern}"),
            format!("message:{pattern}"),
            format!("message={pattern}"),
        ] {
            match Query::parse(&query) {
                Ok(query) => {
                    let negated = Query::parse(&format!("NOT message:{pattern}")).unwrap();
                    let negated = negated.compile(crate::events::now());
                    let mut event = crate::events::sshd();
                    event.fields.insert("message", "a".repeat(2000));
                    let found = query.compile(crate::events::now()).matches(&event);
                    assert!(!(found && query.to_string().starts_with("message:") && negated.matches(&event)));
                }
                Err(error) => assert!(error.position() <= "message:".len() + 1, "{error}"),
            }
        }
    }
    let error = Query::parse(&format!("NOT (message:{}*)", "ab".repeat(300))).unwrap_err();
    assert_eq!(error.position(), 14, "{error}");
}
