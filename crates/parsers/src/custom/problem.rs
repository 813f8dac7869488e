//! Why a parser was refused, and where in its text.

/// Why a parser was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{reason}", place(*line, *column), name(field))]
pub struct CustomError {
    /// From 1; `None` when the whole is meant.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// The member it is about, such as `step.fields`; empty when the whole is meant.
    pub field: String,
    /// What was expected.
    pub reason: String,
}

fn place(line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        _ => String::new(),
    }
}

fn name(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}

impl CustomError {
    /// About the whole.
    pub(super) fn whole(reason: impl Into<String>) -> Self {
        Self {
            line: None,
            column: None,
            field: String::new(),
            reason: reason.into(),
        }
    }

    /// At a place of `text`, in bytes; else where the first text that the reason quotes stands, or the member it begins with.
    pub(super) fn of(text: &str, at: Option<usize>, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let Some(at) = at.or_else(|| mentioned(text, &reason)) else {
            return Self::whole(reason);
        };
        let before = text.get(..at.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let field = member(text, before.len());
        let reason = match reason
            .strip_prefix(field.as_str())
            .and_then(|rest| rest.strip_prefix(':'))
        {
            Some(rest) if !field.is_empty() => rest.trim_start().to_owned(),
            _ => reason,
        };
        Self {
            line: Some(before.matches('\n').count() + 1),
            column: before.get(line_start..).map(|head| head.chars().count() + 1),
            field,
            reason,
        }
    }
}

/// Where what a reason speaks of stands.
fn mentioned(text: &str, reason: &str) -> Option<usize> {
    let quoted = reason.split_once('"').and_then(|(_, rest)| {
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        rest.get(..end)
    });
    if let Some(quoted) = quoted.filter(|quoted| !quoted.is_empty()) {
        let plain = quoted.replace("\\\"", "\"").replace("\\\\", "\\");
        if let Some(at) = text.find(&plain).or_else(|| text.find(quoted)) {
            return Some(at);
        }
    }
    let (named, _) = reason.split_once(':')?;
    let named = named.split(' ').next().unwrap_or(named);
    let last = named.rsplit('.').next().filter(|last| !last.is_empty())?;
    line_of(text, last).or_else(|| line_of(text, &format!("[{named}]")))
}

/// The first line that begins with a key or header.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if let Some(rest) = line.trim_start().strip_prefix(key)
            && (key.starts_with('[') || rest.trim_start().starts_with('='))
        {
            return Some(at + indent);
        }
        at += line.len();
    }
    None
}

/// The member that a place belongs to: the table's header and the key before it.
fn member(text: &str, at: usize) -> String {
    let line_end = text
        .get(at..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |end| at + end);
    let (mut table, mut key) = (String::new(), String::new());
    for line in text.get(..line_end).unwrap_or(text).lines() {
        let line = line.trim();
        let header = line.trim_start_matches('[').split(']').next().unwrap_or("");
        if line.starts_with('[') && line.contains(']') && is_name(header) {
            header.clone_into(&mut table);
            key.clear();
        } else if let Some((name, _)) = line.split_once('=')
            && is_name(name.trim().trim_matches('"'))
        {
            name.trim().trim_matches('"').clone_into(&mut key);
        }
    }
    match (table.is_empty(), key.is_empty()) {
        (false, false) => format!("{table}.{key}"),
        _ => table + &key,
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    !text.is_empty() && text.bytes().all(fits)
}
