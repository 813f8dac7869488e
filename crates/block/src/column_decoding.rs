//! Reading a column's layout back.

use model::{Text, Value};

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::integers;
use crate::layout::{encoding, heap_bytes};
use crate::lists;
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
pub(crate) const LONG: DecodeError = DecodeError::Malformed("a column is longer than its values");
/// What completes a value is not there.
pub(crate) const HALF: DecodeError = DecodeError::Malformed("a value's other half is missing");

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
        self.values().get(self.index(position)? as usize)
    }

    /// Which of [`Self::values`] is at the position.
    fn index(&self, position: usize) -> Option<u32> {
        match self {
            Self::Plain(_) => u32::try_from(position).ok(),
            Self::Dictionary(_, indexes) => indexes.get(position).copied(),
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

/// A column while it completes another.
#[derive(Debug)]
pub(crate) struct Base<'d> {
    data: &'d Data,
    /// For each value that is wanted of the other, where in the data this one's of the same row is; [`Self::NONE`] in a row
    /// without one.
    positions: Vec<u32>,
}

impl<'d> Base<'d> {
    const NONE: u32 = u32::MAX;

    pub(crate) fn new(data: &'d Data, positions: impl Iterator<Item = Option<u32>>) -> Self {
        Self {
            data,
            positions: positions.map(|position| position.unwrap_or(Self::NONE)).collect(),
        }
    }

    /// Which value is beside the one wanted `nth`, for [`Self::value`].
    pub(crate) fn index(&self, nth: usize) -> Option<u32> {
        let position = *self.positions.get(nth)?;
        (position != Self::NONE).then(|| self.data.index(position as usize))?
    }

    /// How many values it has.
    pub(crate) fn values(&self) -> usize {
        self.data.values().len()
    }

    pub(crate) fn value(&self, index: u32) -> Option<&'d Value> {
        self.data.values().get(index as usize)
    }

    /// The text beside each value.
    fn texts(&self) -> impl Iterator<Item = Option<&'d str>> {
        (0..self.positions.len()).map(|nth| self.value(self.index(nth)?)?.as_str())
    }

    /// The values beside the others, each once.
    fn same(&self, budget: &mut Budget) -> Result<Data, DecodeError> {
        budget.take_items::<u32>(self.data.values().len() + self.positions.len())?;
        let mut places = vec![Self::NONE; self.data.values().len()];
        let mut values = Vec::new();
        let mut indexes = Vec::with_capacity(self.positions.len());
        for nth in 0..self.positions.len() {
            let index = self.index(nth).ok_or(HALF)?;
            let place = places.get_mut(index as usize).ok_or(HALF)?;
            if *place == Self::NONE {
                let text = self.value(index).and_then(Value::as_str).ok_or(HALF)?;
                budget.take(size_of::<Value>() + text.len())?;
                *place = values.len() as u32;
                values.push(values::text(text, true));
            }
            indexes.push(*place);
        }
        Ok(Data::Dictionary(values, indexes))
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

    pub(crate) fn is_all(self) -> bool {
        self.0.is_none()
    }

    /// Of the value wanted `nth`, from 0.
    pub(crate) fn position(self, nth: usize) -> usize {
        match self.0 {
            None => nth,
            Some(positions) => positions.get(nth).map_or(usize::MAX, |position| *position as usize),
        }
    }

    /// How many of `count` values.
    pub(crate) fn count(self, count: usize) -> usize {
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

/// Reads values laid out as `kind`, which no others complete: those of `count` that are wanted.
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
        return Err(LONG);
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

/// The columns that complete one laid out as `kind`, by number.
pub(crate) fn bases_of(kind: u8, plain: &[u8]) -> Result<Vec<usize>, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    match kind {
        encoding::STRING_PREFIXES => Ok(vec![reader.len()?]),
        encoding::LISTS => lists::bases_of(&mut reader),
        _ => Ok(Vec::new()),
    }
}

/// Reads values laid out as `kind` that `bases` complete: those of `count` that are wanted.
pub(crate) fn get_completed(
    kind: u8,
    plain: &[u8],
    count: usize,
    bases: &[Base<'_>],
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Data, DecodeError> {
    match bases.first() {
        Some(base) if kind == encoding::STRING_PREFIXES => get_prefixes(plain, count, base, wanted, budget),
        _ => lists::get(plain, count, bases, wanted, budget),
    }
}

/// Whether texts laid out as [`encoding::STRING_PREFIXES`] are those that complete them, and nothing else.
pub(crate) fn is_same(plain: &[u8], count: usize) -> Result<bool, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    reader.len()?;
    let flags = reader.take(count)?;
    let lengths = reader.len()?;
    let rest = reader.rest();
    Ok(lengths == count
        && rest.len() == count
        && flags.iter().all(|flag| *flag == 1)
        && rest.iter().all(|len| *len == 0))
}

fn get_prefixes(
    plain: &[u8],
    count: usize,
    base: &Base<'_>,
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Data, DecodeError> {
    if wanted.is_all() && is_same(plain, count)? {
        return base.same(budget);
    }
    let mut reader = Reader::new(plain, "column");
    reader.len()?;
    let flags = reader.take(count)?;
    let kept = wanted.count(count);
    budget.take_items::<Value>(kept)?;
    let mut values = Vec::with_capacity(kept);
    let mut flags = (0..kept).map(|nth| flags.get(wanted.position(nth)));
    let mut bases = base.texts();
    let each = |prefix: &str| {
        let text = match (flags.next().flatten(), bases.next().flatten()) {
            (Some(0), _) => {
                budget.take(prefix.len())?;
                Text::from(prefix)
            }
            (Some(1), Some(suffix)) => {
                budget.take(prefix.len() + suffix.len())?;
                Text::joined(prefix, suffix)
            }
            _ => return Err(HALF),
        };
        values.push(Value::Str(text));
        Ok(())
    };
    match wanted.0 {
        None => strings::get(&mut reader, count, each)?,
        Some(positions) => strings::get_at(&mut reader, count, positions, each)?,
    }
    if !reader.is_empty() {
        return Err(LONG);
    }
    Ok(Data::Plain(values))
}
