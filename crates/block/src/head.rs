//! The head of a block: all but the columns' values.

use model::ecs;
use model::event::FieldName;

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::frame;
use crate::layout::{MAGIC, MAX_COLUMNS, MAX_PARTS, PREAMBLE, SECTIONS, VERSIONS, section};
use crate::wire::Reader;

const TWICE: DecodeError = DecodeError::Malformed("a section occurs twice");
const MISSING: DecodeError = DecodeError::Malformed("a section is missing");

/// The sections of a head whose checksum fits.
#[derive(Clone, Debug)]
pub(crate) struct Head<'a> {
    known: [Option<&'a [u8]>; SECTIONS],
}

/// What the directory says.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    /// Each column.
    pub(crate) columns: Vec<Listed>,
    /// How many fields have no column, and how long their names and values are.
    pub(crate) overflow: Option<(usize, [usize; 2])>,
}

/// A column in the directory.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: FieldName,
    /// Which of the field's columns it is, from 0.
    pub(crate) part: usize,
    /// Bytes.
    pub(crate) len: usize,
}

impl<'a> Head<'a> {
    /// Reads the head of a block, and gives back what follows it.
    pub(crate) fn get(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(DecodeError::Magic);
        }
        match bytes.get(MAGIC.len()) {
            Some(version) if VERSIONS.contains(version) => {}
            Some(&version) => return Err(DecodeError::Version(version)),
            None => return Err(DecodeError::Truncated("preamble")),
        }
        let mut sections = Reader::new(bytes.get(PREAMBLE..).unwrap_or_default(), "sections");
        let mut known = [None; SECTIONS];
        loop {
            let summed = bytes.len() - sections.remaining_len();
            let kind = sections.byte()?;
            let len = sections.len()?;
            let content = sections.take(len)?;
            if kind == section::END {
                let sum = crc32fast::hash(bytes.get(..summed).unwrap_or_default());
                if content != sum.to_le_bytes() {
                    return Err(DecodeError::Checksum);
                }
                return Ok((Self { known }, sections.rest()));
            }
            if let Some(slot) = known.get_mut(usize::from(kind))
                && slot.replace(content).is_some()
            {
                return Err(TWICE);
            }
        }
    }

    /// A section that every block has.
    pub(crate) fn section(&self, kind: u8) -> Result<&'a [u8], DecodeError> {
        self.optional(kind).ok_or(MISSING)
    }

    /// A section that a block may have.
    pub(crate) fn optional(&self, kind: u8) -> Option<&'a [u8]> {
        self.known.get(usize::from(kind)).copied().flatten()
    }

    pub(crate) fn directory(&self, budget: &mut Budget) -> Result<Directory, DecodeError> {
        let plain = frame::get(self.section(section::COLUMNS)?, budget)?;
        let mut reader = Reader::new(&plain, "directory");
        let count = reader.count()?;
        if count > MAX_COLUMNS {
            return Err(DecodeError::Malformed("there are too many columns"));
        }
        budget.take_items::<Listed>(count)?;
        let mut columns: Vec<Listed> = Vec::with_capacity(count);
        for _ in 0..count {
            let len = reader.len()?;
            let name = reader.text(len)?;
            budget.take(len)?;
            let part = match columns.last() {
                Some(before) if before.name == name => before.part + 1,
                _ => 0,
            };
            if part >= MAX_PARTS {
                return Err(DecodeError::Malformed("a field has too many columns"));
            }
            columns.push(Listed {
                name: ecs::field_name(name),
                part,
                len: reader.len()?,
            });
        }
        let overflow = match reader.len()? {
            0 => None,
            fields => Some((fields, [reader.len()?, reader.len()?])),
        };
        Ok(Directory { columns, overflow })
    }
}

/// A block in parts of which each can be stored and read for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What [`crate::Block::of_parts`] always needs.
    pub head: &'a [u8],
    /// The columns, in the order in which they follow the head.
    pub columns: Vec<ColumnPart<'a>>,
    /// The fields without a column; empty when there are none. Follows the columns.
    pub overflow: &'a [u8],
}

/// A column of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnPart<'a> {
    /// The field's name.
    pub field: FieldName,
    /// Which of the field's columns it is, from 0, below [`crate::MAX_PARTS`]. A field of much text has several, each for
    /// some rows.
    pub part: usize,
    /// The column.
    pub bytes: &'a [u8],
}

/// A column that events of a block have values in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnAt<'a> {
    /// The field's name.
    pub field: &'a str,
    /// [`ColumnPart::part`].
    pub part: usize,
    /// Bytes of the whole column, packed.
    pub len: usize,
}

/// Takes a block apart. Its parts in order, one after the other, are the block again.
///
/// # Errors
/// When the bytes are not a block of this version, or their head changed or was cut off.
pub fn split(bytes: &[u8]) -> Result<Parts<'_>, DecodeError> {
    let (head, rest) = Head::get(bytes)?;
    let mut data = Reader::new(rest, "columns");
    let directory = head.directory(&mut Budget::new())?;
    let mut columns = Vec::with_capacity(directory.columns.len());
    for Listed { name, part, len } in directory.columns {
        columns.push(ColumnPart {
            field: name,
            part,
            bytes: data.take(len)?,
        });
    }
    Ok(Parts {
        head: bytes.get(..bytes.len() - rest.len()).unwrap_or_default(),
        columns,
        overflow: data.rest(),
    })
}
