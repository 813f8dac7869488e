//! The format of an access log as its server is told it: nginx' `log_format`, Apache's `LogFormat`. A line is matched by the
//! fixed texts between the variables, each variable only by what it can hold; no regular expression is made of it.

mod fill;
mod matching;
mod variables;

use std::borrow::Cow;

use variables::Variable;

/// Longest format, in bytes.
const MAX_FORMAT: usize = 16 << 10;
/// Most variables of one format.
const MAX_VARIABLES: usize = 128;

/// A format, ready to read lines.
#[derive(Debug)]
pub(super) struct LogFormat {
    parts: Vec<Part>,
    /// Values are escaped as in JSON.
    is_json: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// The values of a line by the names of their variables.
pub(super) struct Reading<'a> {
    values: Vec<(&'a Variable, Cow<'a, str>)>,
    /// The line has more than one reading; what is not the same in all of them is left out.
    pub(super) is_ambiguous: bool,
}

impl LogFormat {
    /// Reads a format: the text itself, or the whole directive as it stands in the server's configuration.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_FORMAT {
            return Err(format!("text.log_format: expected at most {MAX_FORMAT} bytes"));
        }
        let (format, is_json) = plain(text.trim())?;
        let is_nginx = format
            .split('$')
            .skip(1)
            .any(|rest| rest.starts_with(|c: char| c == '{' || c.is_ascii_alphabetic()));
        let parts = if is_nginx { nginx(&format)? } else { apache(&format)? };
        let count = parts.iter().filter(|part| matches!(part, Part::Variable(_))).count();
        if count == 0 || count > MAX_VARIABLES {
            return Err(format!(
                "text.log_format: expected 1 to {MAX_VARIABLES} variables such as $remote_addr or %h"
            ));
        }
        for pair in parts.windows(2) {
            if let [Part::Variable(first), Part::Variable(next)] = pair
                && !next.begins_with_slash()
            {
                return Err(format!(
                    "text.log_format: expected a fixed text between {} and {}",
                    first.name, next.name
                ));
            }
        }
        Ok(Self { parts, is_json })
    }
}

/// The format in a directive, and whether its values are escaped as in JSON.
fn plain(text: &str) -> Result<(String, bool), String> {
    let directive = ["log_format", "LogFormat"].into_iter().find_map(|name| {
        let rest = text.strip_prefix(name)?;
        rest.starts_with(|c: char| c.is_ascii_whitespace())
            .then(|| (name, rest.trim().trim_end_matches(';').trim_end()))
    });
    let Some((name, mut rest)) = directive else {
        return Ok((text.to_owned(), false));
    };
    let broken = || format!("text.log_format: expected {name} with the format in quotes");
    let mut is_json = false;
    if name == "log_format" {
        let (_, after) = rest.split_once(|c: char| c.is_ascii_whitespace()).ok_or_else(broken)?;
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix("escape=") {
            let (kind, after) = after.split_once(|c: char| c.is_ascii_whitespace()).ok_or_else(broken)?;
            is_json = kind == "json";
            rest = after.trim_start();
        }
    }
    let mut format = String::new();
    let mut pieces = 0;
    while let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
        let mut escaped = false;
        let mut end = None;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => {
                    // Other escapes are the format's own, such as Apache's `\t`.
                    if c != quote && c != '\\' {
                        format.push('\\');
                    }
                    format.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                _ if c == quote => {
                    end = Some(at + 1);
                    break;
                }
                _ => format.push(c),
            }
        }
        rest = rest.get(end.ok_or_else(broken)?..).unwrap_or("").trim_start();
        pieces += 1;
        if name == "LogFormat" {
            break;
        }
    }
    if pieces == 0 {
        return Err(broken());
    }
    Ok((format, is_json))
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

fn nginx(format: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        push_text(&mut parts, before);
        let after = after.get(1..).unwrap_or("");
        let (name, tail) = match after.strip_prefix('{') {
            Some(inner) => inner
                .split_once('}')
                .ok_or_else(|| "text.log_format: expected } after ${".to_owned())?,
            None => {
                let end = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if name.is_empty() || name.len() > 128 {
            return Err("text.log_format: expected the name of a variable after $".to_owned());
        }
        parts.push(Part::Variable(Variable::nginx(name)));
        rest = tail;
    }
    push_text(&mut parts, rest);
    Ok(parts)
}

fn apache(format: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        let (before, after) = rest.split_at(at);
        push_text(&mut parts, before);
        if let Some(escaped) = after.strip_prefix('\\') {
            let (text, length) = match escaped.chars().next() {
                Some('t') => ("\t", 1),
                Some('n') => ("\n", 1),
                Some(c) => (escaped.get(..c.len_utf8()).unwrap_or(""), c.len_utf8()),
                None => ("\\", 0),
            };
            push_text(&mut parts, text);
            rest = escaped.get(length..).unwrap_or("");
            continue;
        }
        let after = after.get(1..).unwrap_or("");
        if let Some(tail) = after.strip_prefix('%') {
            push_text(&mut parts, "%");
            rest = tail;
            continue;
        }
        // `%400,!200>{Referer}i`: only for some statuses, of the last request, of what, which.
        let after = after.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '!' | ',' | '<' | '>'));
        let (argument, after) = match after.strip_prefix('{') {
            Some(inner) => inner
                .split_once('}')
                .ok_or_else(|| "text.log_format: expected } after %{".to_owned())?,
            None => ("", after),
        };
        let after = after.trim_start_matches(['<', '>']);
        let (letters, tail) = match after.strip_prefix('^') {
            Some(_) => after.split_at(after.len().min(3)),
            None => after.split_at(after.chars().next().map_or(0, char::len_utf8)),
        };
        let Some(variable) = Variable::apache(letters, argument) else {
            return Err(format!(
                "text.log_format: %{letters} is no directive of Apache's LogFormat"
            ));
        };
        let bracketed = letters == "t" && argument.is_empty();
        push_text(&mut parts, if bracketed { "[" } else { "" });
        parts.push(Part::Variable(variable));
        push_text(&mut parts, if bracketed { "]" } else { "" });
        rest = tail;
    }
    push_text(&mut parts, rest);
    Ok(parts)
}

#[cfg(test)]
mod tests;
