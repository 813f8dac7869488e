//! Reading a column's layout back.

use model::{Text, Value};

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
    /// Takes from the budget what all values weigh beyond those that are there once.
    pub(crate) fn take_copies(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        let Self::Dictionary(dictionary, indexes) = self else {
            return Ok(());
        };
        let weights: Vec<usize> = dictionary.iter().map(heap_bytes).collect();
        let weight_of = |index: &u32| weights.get(*index as usize).copied().unwrap_or_default();
        budget.take(indexes.iter().map(weight_of).fold(0, usize::saturating_add))
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

/// Which positions of a column somebody wants. What is read are the values there, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a>(Option<&'a [u32]>);

impl<'a> Wanted<'a> {
    pub(crate) const ALL: Self = Self(None);

    /// Positions in order.
    pub(crate) fn only(positions: &'a [u32]) -> Self {
        Self(Some(positions))
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.0.is_some_and(<[u32]>::is_empty)
    }

    /// How many of `count` values.
    fn count(self, count: usize) -> usize {
        self.0.map_or(count, <[u32]>::len)
    }

    /// Those of all values that are wanted.
    fn pick<T: Copy>(self, all: Vec<T>) -> Vec<T> {
        match self.0 {
            None => all,
            Some(positions) => positions
                .iter()
                .filter_map(|position| all.get(*position as usize).copied())
                .collect(),
        }
    }
}

/// Reads values laid out as `kind`, which is not [`encoding::STRING_PREFIXES`]: those of `count` that are wanted.
pub(crate) fn get(
    kind: u8,
    plain: &[u8],
    count: usize,
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Data, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    let data = match kind {
        encoding::STRINGS => Data::Plain(get_strings(&mut reader, count, wanted, false, budget)?),
        encoding::STRING_DICTIONARY => {
            let (size, indexes, named) = get_indexes(&mut reader, count, wanted, budget)?;
            Data::Dictionary(get_strings(&mut reader, size, named.wanted(), true, budget)?, indexes)
        }
        encoding::INTEGERS => {
            let numbers = wanted.pick(integers::get(&mut reader, count, budget)?);
            budget.take_items::<Value>(numbers.len())?;
            Data::Plain(numbers.into_iter().map(Value::Int).collect())
        }
        encoding::VALUES => Data::Plain(get_values(&mut reader, count, wanted, false, budget)?),
        encoding::VALUE_DICTIONARY => {
            let (size, indexes, named) = get_indexes(&mut reader, count, wanted, budget)?;
            Data::Dictionary(get_values(&mut reader, size, named.wanted(), true, budget)?, indexes)
        }
        unknown => return Err(DecodeError::Encoding(unknown)),
    };
    if !reader.is_empty() {
        return Err(DecodeError::Malformed("a column is longer than its values"));
    }
    Ok(data)
}

/// Which values of a dictionary are needed; all when `None`.
struct Named(Option<Vec<u32>>);

impl Named {
    fn wanted(&self) -> Wanted<'_> {
        Wanted(self.0.as_deref())
    }
}

/// Size of a dictionary, which of its values the wanted positions have, and which of its values are needed for that. The
/// positions are into the latter.
fn get_indexes(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<(usize, Vec<u32>, Named), DecodeError> {
    let size = reader.count()?;
    let Some(positions) = wanted.0 else {
        return Ok((size, reader.indexes(size, count, budget)?, Named(None)));
    };
    let mut indexes = reader.indexes_at(size, count, positions, budget)?;
    let mut named = indexes.clone();
    named.sort_unstable();
    named.dedup();
    for index in &mut indexes {
        *index = named.binary_search(index).map_err(|_| SHORT)? as u32;
    }
    Ok((size, indexes, Named(Some(named))))
}

fn get_strings(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Wanted<'_>,
    is_shared: bool,
    budget: &mut Budget,
) -> Result<Vec<Value>, DecodeError> {
    let kept = wanted.count(count);
    budget.take_items::<Value>(kept)?;
    let mut texts = Vec::with_capacity(kept);
    let each = |text: &str| {
        budget.take(text.len())?;
        texts.push(values::text(text, is_shared));
        Ok(())
    };
    match wanted.0 {
        None => strings::get(reader, count, each)?,
        Some(positions) => strings::get_at(reader, count, positions, each)?,
    }
    Ok(texts)
}

fn get_values(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Wanted<'_>,
    is_shared: bool,
    budget: &mut Budget,
) -> Result<Vec<Value>, DecodeError> {
    let kept = wanted.count(count);
    budget.take_items::<Value>(kept)?;
    let mut values = Vec::with_capacity(kept);
    let Some(positions) = wanted.0 else {
        for _ in 0..count {
            values.push(values::get(reader, is_shared, budget)?);
        }
        return Ok(values);
    };
    let mut next = 0;
    for position in positions {
        for _ in next..*position {
            values::skip(reader)?;
        }
        values.push(values::get(reader, is_shared, budget)?);
        next = position.saturating_add(1);
    }
    // What is behind the last of them is not looked at.
    reader.rest();
    Ok(values)
}

/// The column whose texts complete those of this one, by number.
pub(crate) fn base_of(plain: &[u8]) -> Result<usize, DecodeError> {
    Reader::new(plain, "column").len()
}

/// Reads texts laid out as [`encoding::STRING_PREFIXES`]: those of `count` that are wanted. `bases` gives for each of them
/// the base column's value in the same row.
pub(crate) fn get_prefixes<'v>(
    plain: &[u8],
    count: usize,
    mut bases: impl Iterator<Item = Option<&'v Value>>,
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Data, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    reader.len()?;
    let flags = reader.take(count)?;
    let kept = wanted.count(count);
    budget.take_items::<Value>(kept)?;
    let mut values = Vec::with_capacity(kept);
    let mut flags: Box<dyn Iterator<Item = Option<&u8>>> = match wanted.0 {
        None => Box::new(flags.iter().map(Some)),
        Some(positions) => Box::new(positions.iter().map(|position| flags.get(*position as usize))),
    };
    let each = |prefix: &str| {
        let flag = flags.next().flatten();
        let base = bases.next().flatten().and_then(Value::as_str);
        let text = match (flag, base) {
            (Some(0), _) => {
                budget.take(prefix.len())?;
                Text::from(prefix)
            }
            (Some(1), Some(suffix)) => {
                budget.take(prefix.len() + suffix.len())?;
                Text::joined(prefix, suffix)
            }
            _ => return Err(DecodeError::Malformed("a text's other half is missing")),
        };
        values.push(Value::Str(text));
        Ok(())
    };
    match wanted.0 {
        None => strings::get(&mut reader, count, each)?,
        Some(positions) => strings::get_at(&mut reader, count, positions, each)?,
    }
    if !reader.is_empty() {
        return Err(DecodeError::Malformed("a column is longer than its values"));
    }
    Ok(Data::Plain(values))
}
