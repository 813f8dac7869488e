//! A block's body as BSON: its head and each of its columns by name, so that a search can fetch the columns it looks at.

use std::sync::Arc;

use block::{Block, DecodeError, Outline};
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
    /// The head, and these columns.
    Of(Vec<ColumnName>),
    /// These columns, for whoever has the head.
    Only(Vec<ColumnName>),
}

/// A column of a block, or all columns of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnName {
    /// The field's name.
    pub field: String,
    /// Which of the field's columns ([`block::ColumnPart::part`]); all when `None`.
    pub part: Option<usize>,
}

impl ColumnName {
    /// All of a field, and those that complete them.
    pub(super) fn of(field: &str) -> Vec<Self> {
        let fields = std::iter::once(field).chain(block::completing(field).iter().copied());
        let whole = fields.map(|field| Self {
            field: field.to_owned(),
            part: None,
        });
        whole.collect()
    }
}

impl Columns {
    /// The head, which has ids, times and where addresses stand.
    pub const NONE: Self = Self::Of(Vec::new());

    /// The head, all columns of some fields, and those that complete them.
    #[must_use]
    pub fn of_fields(fields: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<ColumnName> = fields.into_iter().flat_map(|field| ColumnName::of(&field)).collect();
        all.sort_unstable();
        all.dedup();
        Self::Of(all)
    }

    /// Adds what another asks for. All is fetched when one needs the head and the other does not.
    pub fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Of(names), Self::Of(more)) | (Self::Only(names), Self::Only(more)) => {
                for name in more {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
            }
            (Self::All | Self::Of(_) | Self::Only(_), _) => *self = Self::All,
        }
    }
}

/// A stored block's bytes, or some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All.
    Whole(Vec<u8>),
    /// The head, if it was fetched, and columns by their fields' names and their parts.
    Parts(Vec<u8>, Vec<((String, usize), Vec<u8>)>),
}

impl Body {
    /// The block. Of one in parts, what needs a column that was not fetched is refused with [`DecodeError::NotAtHand`].
    ///
    /// # Errors
    /// When the bytes are not a readable block.
    pub fn open(&self) -> Result<Block<'_>, DecodeError> {
        match self {
            Self::Whole(bytes) => Block::open(bytes),
            Self::Parts(head, _) => Block::of_parts(head, |name, part| self.column(name, part)),
        }
    }

    /// The block, whose head was read before.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn open_with(&self, outline: &Arc<Outline>) -> Result<Block<'_>, DecodeError> {
        match self {
            Self::Whole(bytes) => Block::open(bytes),
            Self::Parts(..) => Block::of_outline(outline.clone(), |name, part| self.column(name, part)),
        }
    }

    fn column(&self, name: &str, part: usize) -> Option<&[u8]> {
        let Self::Parts(_, columns) = self else { return None };
        let mut columns = columns.iter();
        let (_, column) = columns.find(|((of, number), _)| *number == part && of == name)?;
        Some(column)
    }

    /// Whether a column of the field was fetched.
    fn has(&self, field: &str) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Parts(_, columns) => columns.iter().any(|((of, _), _)| of == field),
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
fn key(name: &str, part: usize) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'-');
    let begins = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'@');
    (begins && name.len() <= MAX_KEY && name.bytes().all(is_plain)).then(|| {
        let mut key = name.replace('.', "|");
        if part > 0 {
            key.push_str(&format!("#{part}"));
        }
        key
    })
}

/// The field and the part that a key is of; `None` when it says neither.
fn named(key: &str) -> Option<(String, usize)> {
    if key.starts_with('|') {
        return None;
    }
    let (name, part) = match key.split_once('#') {
        None => (key, 0),
        Some((name, part)) => (name, part.parse().ok()?),
    };
    Some((name.replace('|', "."), part))
}

/// The paths of columns within a block's document.
pub(super) fn paths(column: &ColumnName) -> impl Iterator<Item = String> {
    let parts = match column.part {
        None => 0..block::MAX_PARTS,
        Some(part) => part..part + 1,
    };
    parts.filter_map(|part| key(&column.field, part).map(|key| format!("cols.{key}")))
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
    for (number, column) in parts.columns.iter().enumerate().take(MAX_KEYED) {
        let key = key(&column.field, column.part).unwrap_or_else(|| format!("|{number}"));
        let Ok(key) = bson::raw::CString::try_from(key) else {
            break;
        };
        columns.append(key, binary(column.bytes));
        written += column.bytes.len();
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
    ["head", "cols", "body"]
        .into_iter()
        .any(|name| raw.get(name).is_ok_and(|value| value.is_some()))
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

/// The bytes of a block of which some columns were fetched.
pub(super) fn some(raw: &RawDocument) -> Result<Body, Error> {
    if raw.get_binary("body").is_ok() {
        return whole(raw).map(Body::Whole);
    }
    let head = raw
        .get_binary("head")
        .map(|head| head.bytes.to_vec())
        .unwrap_or_default();
    let mut found = Vec::new();
    if raw.get("cols")?.is_some() {
        for column in columns(raw)? {
            let (key, column) = column?;
            if let Some(name) = named(key.as_str()) {
                found.push((name, bytes_of(column)?.to_vec()));
            }
        }
    }
    Ok(Body::Parts(head, found))
}

/// One field of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneColumn {
    /// No event of the block has the field.
    Absent,
    /// For `block::values_of`, each for some of the events.
    Here(Vec<Vec<u8>>),
    /// Others complete them: the head and all of these.
    Completed(Body),
    /// The block has to be read for it.
    Elsewhere,
}

/// A field's columns in a document that was fetched with `more`, the [`paths`] of [`ColumnName::of`], and `head` when these
/// are of several fields.
pub(super) fn one(raw: &RawDocument, field: &str) -> Result<OneColumn, Error> {
    // Where not all columns are there by name, some of the field's may be among the others.
    if key(field, 0).is_none() || raw.get("cols")?.is_none() || raw.get("more")?.is_some() {
        return Ok(OneColumn::Elsewhere);
    }
    if !block::completing(field).is_empty() {
        let body = some(raw)?;
        return Ok(if body.has(field) {
            OneColumn::Completed(body)
        } else {
            OneColumn::Absent
        });
    }
    let columns = columns(raw)?.iter().map(|column| Ok(bytes_of(column?.1)?.to_vec()));
    let columns: Vec<Vec<u8>> = columns.collect::<Result<_, Error>>()?;
    Ok(if columns.is_empty() {
        OneColumn::Absent
    } else {
        OneColumn::Here(columns)
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
        let path = |name: &str| {
            paths(&ColumnName {
                field: name.to_owned(),
                part: Some(0),
            })
            .next()
        };
        assert_eq!(path("source.ip").as_deref(), Some("cols.source|ip"));
        assert_eq!(path("@timestamp").as_deref(), Some("cols.@timestamp"));
        let all: Vec<String> = ColumnName::of("a.b").iter().flat_map(paths).collect();
        assert_eq!((all.len(), all[7].as_str()), (block::MAX_PARTS, "cols.a|b#7"));
        assert_eq!(named("a|b#7"), Some(("a.b".to_owned(), 7)));
        assert_eq!((named("a|b"), named("|rest")), (Some(("a.b".to_owned(), 0)), None));
        for name in [
            "",
            "$where",
            ".a",
            "a|b",
            "a#1",
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
