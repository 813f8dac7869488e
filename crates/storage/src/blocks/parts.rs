//! A block's body as BSON: its head and each of its columns by name, so that a search can fetch the columns it looks at.

use block::{Block, DecodeError};
use bson::{RawDocument, RawDocumentBuf, cstr};

use super::document::binary;
use crate::Error;

/// Columns with a field of their own; further ones share one.
const MAX_KEYED: usize = 512;
/// Longest name of a field that is a key, in bytes.
const MAX_KEY: usize = 64;

/// What of each block is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// All of it.
    #[default]
    All,
    /// The head, and the columns of these fields.
    Of(Vec<String>),
}

impl Columns {
    /// The head, which has ids, times and where addresses stand.
    pub const NONE: Self = Self::Of(Vec::new());

    /// Adds what another asks for.
    pub fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Of(fields), Self::Of(more)) => {
                for field in more {
                    if !fields.contains(field) {
                        fields.push(field.clone());
                    }
                }
            }
            (Self::All, _) | (_, Self::All) => *self = Self::All,
        }
    }
}

/// A stored block's bytes, or some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All.
    Whole(Vec<u8>),
    /// The head, and columns by the names of their fields.
    Parts(Vec<u8>, Vec<(String, Vec<u8>)>),
}

impl Body {
    /// The block. Of one in parts, what needs a column that was not fetched is refused with [`DecodeError::NotAtHand`].
    ///
    /// # Errors
    /// When the bytes are not a readable block.
    pub fn open(&self) -> Result<Block<'_>, DecodeError> {
        match self {
            Self::Whole(bytes) => Block::open(bytes),
            Self::Parts(head, columns) => Block::of_parts(head, |name| {
                let (_, column) = columns.iter().find(|(other, _)| other == name)?;
                Some(column.as_slice())
            }),
        }
    }

    /// How many bytes were fetched.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Parts(head, columns) => columns.iter().fold(head.len(), |sum, (_, column)| sum + column.len()),
        }
    }
}

/// The key of a field's column; `None` when its name cannot be one.
fn key(name: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'-');
    let begins = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'@');
    (begins && name.len() <= MAX_KEY && name.bytes().all(is_plain)).then(|| name.replace('.', "|"))
}

/// The path of a field's column within a block's document.
pub(super) fn path(field: &str) -> Option<String> {
    key(field).map(|key| format!("cols.{key}"))
}

/// Appends the block's bytes: `head` and `cols`, in which the columns follow each other as in the block; `more`, when some
/// are not there by name though they could be. What is not a block goes into `body` as it is.
pub(super) fn write(document: &mut RawDocumentBuf, body: &[u8]) {
    let Ok(parts) = block::split(body) else {
        document.append(cstr!("body"), binary(body));
        return;
    };
    let mut columns = RawDocumentBuf::new();
    let mut written = parts.head.len();
    for (number, (name, column)) in parts.columns.iter().enumerate().take(MAX_KEYED) {
        let key = key(name).unwrap_or_else(|| format!("|{number}"));
        let Ok(key) = bson::raw::CString::try_from(key) else {
            break;
        };
        columns.append(key, binary(column));
        written += column.len();
    }
    let rest = body.get(written..).unwrap_or_default();
    if !rest.is_empty() {
        columns.append(cstr!("|rest"), binary(rest));
        document.append(cstr!("more"), true);
    }
    document.append(cstr!("head"), binary(parts.head));
    document.append(cstr!("cols"), columns);
}

/// Whether the document has a block's bytes.
pub(super) fn are_in(raw: &RawDocument) -> bool {
    raw.get_binary("head").is_ok() || raw.get_binary("body").is_ok()
}

/// The bytes of a block that was fetched whole; empty when they were not fetched.
pub(super) fn whole(raw: &RawDocument) -> Result<Vec<u8>, Error> {
    if let Ok(body) = raw.get_binary("body") {
        return Ok(body.bytes.to_vec());
    }
    let Ok(head) = raw.get_binary("head") else {
        return Ok(Vec::new());
    };
    let columns = columns(raw)?;
    let mut bytes = Vec::with_capacity(head.bytes.len() + columns.as_bytes().len());
    bytes.extend_from_slice(head.bytes);
    for column in columns {
        bytes.extend_from_slice(bytes_of(column?.1)?);
    }
    Ok(bytes)
}

/// The bytes of a block of which these columns were fetched.
pub(super) fn some(raw: &RawDocument, fields: &[String]) -> Result<Body, Error> {
    let Ok(head) = raw.get_binary("head") else {
        return whole(raw).map(Body::Whole);
    };
    let mut found = Vec::new();
    if !fields.is_empty() && raw.get("cols")?.is_some() {
        let columns = columns(raw)?;
        for field in fields {
            let Some(key) = key(field) else { continue };
            if let Some(column) = columns.get(key)? {
                found.push((field.clone(), bytes_of(column)?.to_vec()));
            }
        }
    }
    Ok(Body::Parts(head.bytes.to_vec(), found))
}

/// One column of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneColumn {
    /// No event of the block has the field.
    Absent,
    /// For `block::values_of`.
    Here(Vec<u8>),
    /// The block has to be read for it.
    Elsewhere,
}

/// A field's column in a document that was fetched with `more`, `head` left out, and [`path`].
pub(super) fn one(raw: &RawDocument, field: &str) -> Result<OneColumn, Error> {
    let Some(key) = key(field) else {
        return Ok(OneColumn::Elsewhere);
    };
    if raw.get("cols")?.is_some()
        && let Some(column) = columns(raw)?.get(key)?
    {
        return Ok(OneColumn::Here(bytes_of(column)?.to_vec()));
    }
    let is_split = raw.get("cols")?.is_some();
    let has_more = raw.get("more")?.is_some();
    Ok(if is_split && !has_more {
        OneColumn::Absent
    } else {
        OneColumn::Elsewhere
    })
}

fn columns(raw: &RawDocument) -> Result<&RawDocument, Error> {
    raw.get_document("cols")
        .map_err(|_| Error::invalid("blocks.cols", "columns by name"))
}

fn bytes_of(value: bson::RawBsonRef<'_>) -> Result<&[u8], Error> {
    value
        .as_binary()
        .map(|binary| binary.bytes)
        .ok_or_else(|| Error::invalid("blocks.cols", "bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_taken_for_others_are_no_keys() {
        assert_eq!(path("source.ip").as_deref(), Some("cols.source|ip"));
        assert_eq!(path("@timestamp").as_deref(), Some("cols.@timestamp"));
        for name in [
            "",
            "$where",
            ".a",
            "a|b",
            "|rest",
            "with space",
            "nul\0",
            "é",
            &"x".repeat(65),
        ] {
            assert_eq!(path(name), None, "{name:?}");
        }
    }
}
