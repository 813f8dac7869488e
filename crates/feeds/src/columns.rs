//! Rows of abuse.ch's CSV: quoted fields, sometimes a blank after the comma, and a header that may be commented out.

use crate::entry::is_nothing;

/// Most fields a row may have.
const MAX_FIELDS: usize = 64;

/// Splits a row. `None` when a quote is not closed or there are too many fields.
pub(crate) fn split(row: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        if fields.len() == MAX_FIELDS {
            return None;
        }
        rest = rest.trim_start_matches([' ', '\t']);
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                (field.trim_end().to_owned(), after)
            }
        };
        fields.push(field);
        let after = after.trim_start_matches([' ', '\t', '\r']);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// The content up to the closing quote, and what comes after it. A quote within is doubled or has a backslash before it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                field.push('"');
            }
            '"' => return Some((field, text.get(at + 1..)?)),
            '\\' if chars.peek().is_some_and(|(_, next)| *next == '"') && has_more_quotes(text, at + 2) => {
                chars.next();
                field.push('"');
            }
            _ => field.push(c),
        }
    }
    None
}

/// Whether a further quote closes the field: a path may end in a backslash of its own.
fn has_more_quotes(text: &str, from: usize) -> bool {
    let rest = text.get(from..).unwrap_or_default();
    !rest.trim_start().starts_with(',') && rest.contains('"')
}

/// Where the columns of a table are.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    names: Vec<String>,
    key: &'static str,
}

impl Columns {
    /// The layout that is assumed until a header says otherwise; a row is a header when it names `key`.
    pub(crate) fn new(key: &'static str, names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            key,
        }
    }

    /// Takes the row over as the header if it is one.
    pub(crate) fn take_header(&mut self, row: &str) -> bool {
        if !row.contains(self.key) {
            return false;
        }
        let Some(fields) = split(row) else { return false };
        let names: Vec<String> = fields.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        let is_header = names.iter().any(|name| name == self.key) && names.len() > 1;
        if is_header {
            self.names = names;
        }
        is_header
    }

    /// The row's fields by name.
    pub(crate) fn row<'a>(&'a self, fields: &'a [String]) -> Row<'a> {
        Row {
            names: &self.names,
            fields,
        }
    }
}

/// A row's fields by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    names: &'a [String],
    fields: &'a [String],
}

impl<'a> Row<'a> {
    /// The field's text; nothing when there is no such column or it is empty or a stand-in for nothing.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let position = self.names.iter().position(|known| known == name)?;
        let text = self.fields.get(position)?.trim();
        (!is_nothing(text)).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_as_abuse_ch_writes_them() {
        let fields = |row: &str| split(row).map(|fields| fields.join("|"));
        assert_eq!(fields(r#""a","b,c","""d""" "#).unwrap(), r#"a|b,c|"d""#);
        assert_eq!(fields(r#""a", "b", "c""#).unwrap(), "a|b|c");
        assert_eq!(fields("a, b ,,c").unwrap(), "a|b||c");
        assert_eq!(fields(r#""C:\x\", "b""#).unwrap(), r"C:\x\|b");
        assert_eq!(fields(r#""say \"hi\" now","b""#).unwrap(), r#"say "hi" now|b"#);
        assert_eq!(fields(r#""open, never closed"#), None);
        assert_eq!(fields(r#""a" b"#), None);
        assert_eq!(fields(&",".repeat(1000)), None);
    }

    #[test]
    fn a_header_moves_the_columns() {
        let mut columns = Columns::new("dst_ip", &["first_seen_utc", "dst_ip"]);
        let fields = vec!["x".to_owned(), "203.0.113.9".to_owned()];
        assert_eq!(columns.row(&fields).get("dst_ip"), Some("203.0.113.9"));
        assert!(columns.take_header(r#""dst_ip","first_seen_utc""#));
        assert_eq!(columns.row(&fields).get("dst_ip"), Some("x"));
        assert!(!columns.take_header("# Columns: dst_ip"));
        assert_eq!(columns.row(&fields).get("nothing"), None);
    }
}
