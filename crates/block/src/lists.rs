//! Lists of texts that other columns have in the same events, such as `related.ip` beside `source.ip`.

use model::{List, Value};
use rustc_hash::FxHashMap;

use crate::budget::Budget;
use crate::column_decoding::{Base, Data, HALF, LONG, SHORT, Wanted};
use crate::error::DecodeError;
use crate::filter::Collector;
use crate::table::{Cursor, RawColumn};
use crate::values;
use crate::wire::{Reader, put_len};

/// Most columns that complete one of lists: each has a bit.
pub(crate) const MAX_BASES: usize = 8;

/// Writes the column's lists as which of `bases`, by number, have their values in the same event, when that is so of most.
/// Returns false, and writes nothing, when it is not.
pub(crate) fn put(
    out: &mut Vec<u8>,
    column: &RawColumn<'_>,
    bases: &[(u32, &RawColumn<'_>)],
    collector: &mut Collector,
) -> bool {
    let mut cursors: Vec<Cursor<'_, '_>> = bases.iter().map(|(_, base)| base.cursor()).collect();
    let masks = column.rows.iter().zip(&column.values);
    let masks: Vec<u8> = masks.map(|(row, value)| mask_of(value, &mut cursors, *row)).collect();
    let completed = masks.iter().filter(|mask| **mask != 0).count();
    if completed * 4 < masks.len() * 3 {
        return false;
    }
    // Words and addresses of the others are those of the columns that complete them.
    let own = || {
        masks
            .iter()
            .zip(&column.values)
            .zip(0..)
            .filter(|((mask, _), _)| **mask == 0)
    };
    for ((_, value), index) in own() {
        collector.at(index);
        collector.value(value);
    }
    collector.finish(&column.rows, None);
    put_len(out, bases.len());
    bases.iter().for_each(|(number, _)| put_len(out, *number as usize));
    out.extend_from_slice(&masks);
    own().for_each(|((_, value), _)| values::put(out, value));
    true
}

/// Which columns have the list's values in that row, in their order; 0 when that are not all of them.
fn mask_of(value: &Value, cursors: &mut [Cursor<'_, '_>], row: u32) -> u8 {
    let Value::List(values) = value else { return 0 };
    let mut left = values.iter().peekable();
    let mut mask = 0;
    for (bit, cursor) in cursors.iter_mut().enumerate() {
        let text = cursor.text_at(row);
        if text.is_some() && left.next_if(|next| next.as_str() == text).is_some() {
            mask |= 1 << bit;
        }
    }
    if left.peek().is_none() { mask } else { 0 }
}

/// The numbers of the columns that complete one.
pub(crate) fn bases_of(reader: &mut Reader<'_>) -> Result<Vec<usize>, DecodeError> {
    let count = reader.count()?;
    if count > MAX_BASES {
        return Err(DecodeError::Malformed("a column is completed by too many others"));
    }
    (0..count).map(|_| reader.len()).collect()
}

/// Reads those lists of `count` that are wanted, for each of which `bases` have the values in the same row.
pub(crate) fn get(
    plain: &[u8],
    count: usize,
    bases: &[Base<'_>],
    wanted: Wanted<'_>,
    budget: &mut Budget,
) -> Result<Data, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    bases_of(&mut reader)?;
    let masks = reader.take(count)?;
    let kept = wanted.count(count);
    budget.take_items::<(Key, u32)>(kept)?;
    budget.take_items::<u32>(kept)?;
    let mut lists = Vec::new();
    let mut indexes = Vec::with_capacity(kept);
    let mut known = FxHashMap::<Key, u32>::default();
    let mut next = 0;
    for nth in 0..kept {
        let position = wanted.position(nth);
        let passed = masks.get(next..position).ok_or(SHORT)?;
        for _ in passed.iter().filter(|mask| **mask == 0) {
            values::skip(&mut reader)?;
        }
        next = position + 1;
        let mask = *masks.get(position).ok_or(SHORT)?;
        if mask == 0 {
            budget.take_items::<Value>(1)?;
            indexes.push(lists.len() as u32);
            lists.push(values::get(&mut reader, true, budget)?);
            continue;
        }
        let key = key(mask, bases, nth)?;
        let index = match known.get(&key) {
            Some(index) => *index,
            None => {
                let index = lists.len() as u32;
                lists.push(list(&key, bases, budget)?);
                known.insert(key, index);
                index
            }
        };
        indexes.push(index);
    }
    if wanted.is_all() && !reader.is_empty() {
        return Err(LONG);
    }
    Ok(Data::Dictionary(lists, indexes))
}

/// Of each column that completes a list, which of its values; [`NOT_IN_IT`] of the others.
type Key = [u32; MAX_BASES];
const NOT_IN_IT: u32 = u32::MAX;

fn key(mask: u8, bases: &[Base<'_>], nth: usize) -> Result<Key, DecodeError> {
    let mut key = [NOT_IN_IT; MAX_BASES];
    for (bit, index) in key.iter_mut().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0) {
        *index = bases.get(bit).and_then(|base| base.index(nth)).ok_or(HALF)?;
    }
    Ok(key)
}

fn list(key: &Key, bases: &[Base<'_>], budget: &mut Budget) -> Result<Value, DecodeError> {
    let in_it = key.iter().zip(bases).filter(|(index, _)| **index != NOT_IN_IT);
    let mut values = Vec::with_capacity(in_it.clone().count());
    budget.take_items::<Value>(values.capacity() + 1)?;
    for (index, base) in in_it {
        let value = base
            .value(*index)
            .filter(|value| value.as_str().is_some())
            .ok_or(HALF)?;
        budget.take(value.as_str().map_or(0, str::len))?;
        values.push(value.clone());
    }
    Ok(Value::List(List::shared(values)))
}
