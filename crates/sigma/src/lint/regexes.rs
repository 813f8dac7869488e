//! Regular expressions that say what a simpler item says.

/// Whether an expression is nothing but text, with anchors or `.*` at its ends.
pub(super) fn is_literal(source: &str) -> bool {
    let middle = source.strip_prefix('^').unwrap_or(source);
    let middle = middle
        .strip_suffix('$')
        .filter(|rest| !ends_escaped(rest))
        .unwrap_or(middle);
    let middle = middle.strip_prefix(".*").unwrap_or(middle);
    let middle = middle
        .strip_suffix(".*")
        .filter(|rest| !ends_escaped(rest))
        .unwrap_or(middle);
    let mut chars = middle.chars();
    let mut length = 0;
    while let Some(c) = chars.next() {
        length += 1;
        match c {
            '\\' => match chars.next() {
                Some(escaped) if !escaped.is_alphanumeric() => {}
                _ => return false,
            },
            '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' => return false,
            _ => {}
        }
    }
    length > 0
}

/// Whether an expression begins or ends with `.*` it does not need.
pub(super) fn has_loose_end(source: &str) -> bool {
    source.starts_with(".*") || source.strip_suffix(".*").is_some_and(|rest| !ends_escaped(rest))
}

/// Whether an odd number of backslashes is at the end.
fn ends_escaped(text: &str) -> bool {
    text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_expressions() {
        for literal in ["abc", "^abc", ".*abc.*", r"a\.b", r"^C:\\x$"] {
            assert!(is_literal(literal), "{literal}");
        }
        for expression in ["a.b", "a|b", r"\d+", "[ab]", r"ab\", ""] {
            assert!(!is_literal(expression), "{expression}");
        }
        assert!(has_loose_end(".*a") && has_loose_end("a.*") && !has_loose_end(r"a\.*"));
    }
}
