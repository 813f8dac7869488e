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
    // Who reads the column reads all that it names.
    let used = masks.iter().fold(0, |used, mask| used | mask);
    let bits = bases.iter().enumerate();
    let needed: Vec<_> = bits
        .filter(|(bit, _)| used & (1 << bit) != 0)
        .map(|(_, base)| *base)
        .collect();
    if needed.len() < bases.len() {
        return put(out, column, &needed, collector);
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

/// Which columns have the list's values in that row, in their order; 0 when it has others, too.
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
    budget.take_items::<u32>(kept)?;
    let mut lists = Lists::new(bases);
    let mut indexes = Vec::with_capacity(kept);
    let mut next = 0;
    for nth in 0..kept {
        let position = wanted.position(nth);
        let passed = masks.get(next..position).ok_or(SHORT)?;
        for _ in passed.iter().filter(|mask| **mask == 0) {
            values::skip(&mut reader)?;
        }
        next = position + 1;
        indexes.push(match *masks.get(position).ok_or(SHORT)? {
            0 => lists.add(values::get(&mut reader, true, budget)?, budget)?,
            mask => lists.number_of(mask, nth, budget)?,
        });
    }
    if wanted.is_all() && !reader.is_empty() {
        return Err(LONG);
    }
    Ok(Data::Dictionary(lists.lists, indexes))
}

/// Of each column that completes a list, which of its values; [`NONE`] of the others.
type Key = [u32; MAX_BASES];
const NONE: u32 = u32::MAX;

/// Lists that were put together, each once.
struct Lists<'b, 'd> {
    bases: &'b [Base<'d>],
    lists: Vec<Value>,
    /// For each column and value of it, the list with this alone, which most are; [`NONE`] when there is none so far.
    of_one: [Vec<u32>; MAX_BASES],
    of_more: FxHashMap<Key, u32>,
}

impl<'b, 'd> Lists<'b, 'd> {
    fn new(bases: &'b [Base<'d>]) -> Self {
        Self {
            bases,
            lists: Vec::new(),
            of_one: Default::default(),
            of_more: FxHashMap::default(),
        }
    }

    fn add(&mut self, value: Value, budget: &mut Budget) -> Result<u32, DecodeError> {
        budget.take_items::<Value>(1)?;
        self.lists.push(value);
        Ok(self.lists.len() as u32 - 1)
    }

    /// The list of what the columns of a mask have beside the `nth` one that is wanted.
    fn number_of(&mut self, mask: u8, nth: usize, budget: &mut Budget) -> Result<u32, DecodeError> {
        let beside = |bit: usize| Some((bit, self.bases.get(bit)?.index(nth)?));
        if mask.is_power_of_two() {
            let (bit, index) = beside(mask.trailing_zeros() as usize).ok_or(HALF)?;
            if self.of_one[bit].is_empty() {
                let values = self.bases[bit].values();
                budget.take_items::<u32>(values)?;
                self.of_one[bit] = vec![NONE; values];
            }
            let known = self.of_one[bit].get(index as usize).copied().ok_or(HALF)?;
            if known != NONE {
                return Ok(known);
            }
            let number = self.put_together(&[(bit, index)], budget)?;
            self.of_one[bit][index as usize] = number;
            return Ok(number);
        }
        let bits = (0..MAX_BASES).filter(|bit| mask & (1 << bit) != 0);
        let mut key = [NONE; MAX_BASES];
        for bit in bits.clone() {
            key[bit] = beside(bit).ok_or(HALF)?.1;
        }
        if let Some(known) = self.of_more.get(&key) {
            return Ok(*known);
        }
        let texts: Vec<(usize, u32)> = bits.map(|bit| (bit, key[bit])).collect();
        let number = self.put_together(&texts, budget)?;
        budget.take_items::<(Key, u32)>(1)?;
        self.of_more.insert(key, number);
        Ok(number)
    }

    fn put_together(&mut self, texts: &[(usize, u32)], budget: &mut Budget) -> Result<u32, DecodeError> {
        budget.take_items::<Value>(texts.len())?;
        let mut values = Vec::with_capacity(texts.len());
        for (bit, index) in texts {
            let value = self.bases.get(*bit).and_then(|base| base.value(*index)).ok_or(HALF)?;
            budget.take(value.as_str().ok_or(HALF)?.len())?;
            values.push(value.clone());
        }
        self.add(Value::List(List::shared(values)), budget)
    }
}
