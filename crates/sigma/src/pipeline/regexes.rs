//! Regular expressions in pipelines: Python's notation as far as the engine here has the same.

use regex::{Regex, RegexBuilder};

/// Memory one expression may take, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles an expression that is searched anywhere. The error says what was expected.
pub(super) fn anywhere(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .nest_limit(64)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
            format!(
                "expected a regular expression without look-around and back-references: {}",
                last.unwrap_or_default()
            )
        })
}

/// Compiles an expression that must fit from the start of a text, as Python's `re.match` takes it.
pub(super) fn at_start(source: &str) -> Result<Regex, String> {
    anywhere(&format!(r"\A(?:{source})"))
}

/// Python's replacement notation (`\1`, `\g<name>`) in the engine's.
pub(super) fn replacement(python: &str) -> Result<String, String> {
    let mut out = String::with_capacity(python.len());
    let mut rest = python;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '$' => out.push_str("$$"),
            '\\' => {
                if let Some(inner) = rest.strip_prefix("g<") {
                    let (name, after) = inner
                        .split_once('>')
                        .ok_or("expected `>` after `\\g<` in the replacement")?;
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                    rest = after;
                    continue;
                }
                let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
                if digits > 0 {
                    let (number, after) = rest.split_at(digits);
                    out.push_str("${");
                    out.push_str(number);
                    out.push('}');
                    rest = after;
                    continue;
                }
                let next = rest.chars().next();
                match next {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('\\') | None => out.push('\\'),
                    Some(other) => return Err(format!("expected no escape `\\{other}` in the replacement")),
                }
                rest = rest.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_name_groups_as_python_does() {
        for (python, ours) in [
            (r"\1x", "${1}x"),
            (r"\g<a>$", "${a}$$"),
            (r"a\\b", r"a\b"),
            ("plain", "plain"),
        ] {
            assert_eq!(replacement(python).unwrap(), ours);
        }
        assert!(replacement(r"\q").is_err() && replacement(r"\g<a").is_err());
    }
}
