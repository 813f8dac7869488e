//! Reading a column's layout back.

use model::Value;

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::integers;
use crate::layout::{encoding, heap_bytes};
use crate::strings;
use crate::values;
use crate::wire::Reader;

/// A column's values in row order, without the rows that lack it.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// Each value on its own.
    Plain(Vec<Value>),
    /// Each value by its position.
    Dictionary(Vec<Value>, Vec<u32>),
}

pub(crate) const SHORT: DecodeError = DecodeError::Malformed("a column is shorter than its shapes say");

impl Data {
    /// The value at `position`, and an empty one in its place when nobody else needs it.
    pub(crate) fn take(&mut self, position: usize, budget: &mut Budget) -> Result<Value, DecodeError> {
        match self {
            Self::Plain(values) => values
                .get_mut(position)
                .map(|value| std::mem::replace(value, Value::Null))
                .ok_or(SHORT),
            Self::Dictionary(dictionary, indexes) => {
                let index = *indexes.get(position).ok_or(SHORT)?;
                let value = dictionary.get(index as usize).ok_or(SHORT)?;
                budget.take(heap_bytes(value))?;
                Ok(value.clone())
            }
        }
    }

    pub(crate) fn at(&self, position: usize) -> Option<&Value> {
        match self {
            Self::Plain(values) => values.get(position),
            Self::Dictionary(dictionary, indexes) => dictionary.get(*indexes.get(position)? as usize),
        }
    }

    /// The distinct values, or all in order when [`Self::indexes`] has none.
    pub(crate) fn values(&self) -> &[Value] {
        match self {
            Self::Plain(values) | Self::Dictionary(values, _) => values,
        }
    }

    /// For each position which of the values it has; `None` when position and value are one.
    pub(crate) fn indexes(&self) -> Option<&[u32]> {
        match self {
            Self::Plain(_) => None,
            Self::Dictionary(_, indexes) => Some(indexes),
        }
    }

    /// The values, and for each position which of them it has; `None` when position and value are one.
    pub(crate) fn into_parts(self) -> (Vec<Value>, Option<Vec<u32>>) {
        match self {
            Self::Plain(values) => (values, None),
            Self::Dictionary(dictionary, indexes) => (dictionary, Some(indexes)),
        }
    }
}

/// Which positions of a column somebody wants. In place of others there may be nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a>(Option<&'a [bool]>);

impl<'a> Wanted<'a> {
    pub(crate) const ALL: Self = Self(None);

    pub(crate) fn only(positions: &'a [bool]) -> Self {
        Self(Some(positions))
    }

    fn has(self, position: usize) -> bool {
        self.0
            .is_none_or(|wanted| wanted.get(position).copied().unwrap_or_default())
    }
}

/// Reads `count` values laid out as `kind`, which is not [`encoding::STRING_PREFIXES`].
pub(crate) fn get(
    kind: u8,
    plain: &[u8],
    count: usize,
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Data, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    let data = match kind {
        encoding::STRINGS => Data::Plain(get_strings(&mut reader, count, wanted, budget)?),
        encoding::STRING_DICTIONARY => {
            let size = reader.count()?;
            let indexes = reader.indexes(size, count, budget)?;
            Data::Dictionary(get_strings(&mut reader, size, Wanted::ALL, budget)?, indexes)
        }
        encoding::INTEGERS => {
            let numbers = integers::get(&mut reader, count, budget)?;
            budget.take_items::<Value>(count)?;
            Data::Plain(numbers.into_iter().map(Value::Int).collect())
        }
        encoding::VALUES => Data::Plain(get_values(&mut reader, count, budget)?),
        encoding::VALUE_DICTIONARY => {
            let size = reader.count()?;
            let indexes = reader.indexes(size, count, budget)?;
            Data::Dictionary(get_values(&mut reader, size, budget)?, indexes)
        }
        unknown => return Err(DecodeError::Encoding(unknown)),
    };
    if !reader.is_empty() {
        return Err(DecodeError::Malformed("a column is longer than its values"));
    }
    Ok(data)
}

fn get_strings(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Vec<Value>, DecodeError> {
    budget.take_items::<Value>(count)?;
    let mut values = Vec::with_capacity(count);
    strings::get(reader, count, |text| {
        values.push(if wanted.has(values.len()) {
            budget.take(text.len())?;
            Value::Str(text.to_owned())
        } else {
            Value::Null
        });
        Ok(())
    })?;
    Ok(values)
}

fn get_values(reader: &mut Reader<'_>, count: usize, budget: &mut Budget) -> Result<Vec<Value>, DecodeError> {
    budget.take_items::<Value>(count)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(values::get(reader, budget)?);
    }
    Ok(values)
}

/// The column whose texts complete those of this one, by number.
pub(crate) fn base_of(plain: &[u8]) -> Result<usize, DecodeError> {
    Reader::new(plain, "column").len()
}

/// Reads `count` texts laid out as [`encoding::STRING_PREFIXES`]. `bases` gives the base column's value in the same rows.
pub(crate) fn get_prefixes<'v>(
    plain: &[u8],
    count: usize,
    mut bases: impl Iterator<Item = Option<&'v Value>>,
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Data, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    reader.len()?;
    let mut flags = reader.take(count)?.iter();
    budget.take_items::<Value>(count)?;
    let mut values = Vec::with_capacity(count);
    strings::get(&mut reader, count, |prefix| {
        let base = bases.next().flatten().and_then(Value::as_str);
        let flag = flags.next();
        if !wanted.has(values.len()) {
            values.push(Value::Null);
            return Ok(());
        }
        let text = match (flag, base) {
            (Some(0), _) => {
                budget.take(prefix.len())?;
                prefix.to_owned()
            }
            (Some(1), Some(suffix)) => {
                budget.take(prefix.len() + suffix.len())?;
                let mut text = String::with_capacity(prefix.len() + suffix.len());
                text.push_str(prefix);
                text.push_str(suffix);
                text
            }
            _ => return Err(DecodeError::Malformed("a text's other half is missing")),
        };
        values.push(Value::Str(text));
        Ok(())
    })?;
    if !reader.is_empty() {
        return Err(DecodeError::Malformed("a column is longer than its values"));
    }
    Ok(Data::Plain(values))
}
