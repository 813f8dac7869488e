//! Texts with fixed words between free parts: `Deny {transport} src {_}:{source.ip}/{source.port}`.

use crate::scan::Marks as _;

/// What the parts are named; `_` is dropped.
pub(crate) type Parts<'p, 't> = Vec<(&'p str, &'t str)>;

/// Most parts of one pattern.
const MAX_PARTS: usize = 32;

/// Matches a whole text: every `{name}` takes what stands before the words that follow it, the last one the rest but for
/// the words that end the pattern. Each word is looked for once, from left to right, so the time is linear.
pub(crate) fn dissect<'p, 't>(pattern: &'p str, text: &'t str) -> Option<Parts<'p, 't>> {
    let mut parts = Vec::with_capacity(MAX_PARTS / 2);
    let (head, mut pattern) = pattern.cut_at(b'{').unwrap_or((pattern, ""));
    let mut text = text.strip_prefix(head)?;
    if pattern.is_empty() {
        return text.is_empty().then_some(parts);
    }
    while parts.len() < MAX_PARTS {
        let (name, after) = pattern.cut_at(b'}')?;
        let (words, next) = after.cut_at(b'{').unwrap_or((after, ""));
        let value = if words.is_empty() {
            std::mem::take(&mut text)
        } else if next.is_empty() {
            std::mem::take(&mut text).strip_suffix(words)?
        } else {
            let (value, rest) = text.cut(words)?;
            text = rest;
            value
        };
        if name != "_" {
            parts.push((name, value));
        }
        if next.is_empty() {
            return text.is_empty().then_some(parts);
        }
        pattern = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_stands_between_the_words() {
        let parts = dissect("Deny {p} src {_}:{ip}/{port} by", "Deny tcp src in:10.0.0.1/80 by").unwrap();
        assert_eq!(parts, [("p", "tcp"), ("ip", "10.0.0.1"), ("port", "80")]);
        assert_eq!(dissect("a {x}", "a b c").unwrap(), [("x", "b c")]);
        assert_eq!(dissect("a \"{x}\"", "a \"b\" c\"").unwrap(), [("x", "b\" c")]);
        for (pattern, text) in [
            ("a {x} b", "a c"),
            ("a", "a b"),
            ("a {x} b", "a x b more"),
            ("b{x}", "a"),
        ] {
            assert_eq!(dissect(pattern, text), None);
        }
    }
}
