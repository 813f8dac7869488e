//! Choosing and writing a column's layout.

use model::{Value, ecs};
use rustc_hash::FxHashMap;

use crate::filter::Collector;
use crate::integers;
use crate::layout::encoding;
use crate::strings;
use crate::table::RawColumn;
use crate::values;
use crate::wire::{put_len, put_planes, width_of};

/// After this many texts it is decided whether a dictionary pays.
const SAMPLE: usize = 512;

/// Appends the layout of the column's values to `out` and reports their words. Returns the layout's number.
pub(crate) fn put(out: &mut Vec<u8>, column: &RawColumn<'_>, collector: &mut Collector) -> u8 {
    let values = column.values.as_slice();
    if let Some(texts) = all(values, Value::as_str) {
        return put_strings(out, &texts, &column.rows, collector);
    }
    if let Some(numbers) = all(values, Value::as_i64) {
        integers::put(out, &numbers);
        let mut previous = None;
        for number in numbers {
            if previous.replace(number) != Some(number) {
                collector.integer(number);
            }
        }
        return encoding::INTEGERS;
    }
    put_values(out, values, &column.rows, collector)
}

fn all<'a, T>(values: &[&'a Value], as_kind: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<T>> {
    // Most columns of another kind show it at once; do not allocate for them.
    as_kind(values.first()?)?;
    values.iter().map(|value| as_kind(value)).collect()
}

fn put_strings(out: &mut Vec<u8>, texts: &[&str], rows: &[u32], collector: &mut Collector) -> u8 {
    let report = |collector: &mut Collector, texts: &[&str]| {
        for (index, text) in texts.iter().enumerate() {
            collector.at(index);
            collector.text(text);
        }
    };
    let Some((dictionary, indexes)) = string_dictionary(texts) else {
        report(collector, texts);
        collector.finish(rows, None);
        strings::put(out, texts.iter().copied());
        return encoding::STRINGS;
    };
    report(collector, &dictionary);
    collector.finish(rows, Some(&indexes));
    put_len(out, dictionary.len());
    put_indexes(out, dictionary.len(), &indexes);
    strings::put(out, dictionary.iter().copied());
    encoding::STRING_DICTIONARY
}

/// Distinct texts in order of appearance and which of them each text is; `None` when most are distinct.
fn string_dictionary<'a>(texts: &[&'a str]) -> Option<(Vec<&'a str>, Vec<u32>)> {
    let mut dictionary = Vec::new();
    let mut numbers = FxHashMap::<&str, u32>::default();
    let mut indexes = Vec::with_capacity(texts.len());
    let mut previous: Option<(&str, u32)> = None;
    for (row, text) in texts.iter().enumerate() {
        let number = match previous {
            Some((same, number)) if same == *text => number,
            _ => *numbers.entry(text).or_insert_with(|| {
                dictionary.push(*text);
                dictionary.len() as u32 - 1
            }),
        };
        previous = Some((text, number));
        indexes.push(number);
        if row == SAMPLE && dictionary.len() * 4 > SAMPLE * 3 {
            return None;
        }
    }
    (dictionary.len() * 4 <= texts.len() * 3 || texts.len() == 1).then_some((dictionary, indexes))
}

fn put_indexes(out: &mut Vec<u8>, size: usize, indexes: &[u32]) {
    let width = width_of(size.saturating_sub(1) as u64);
    put_planes(out, width, indexes.iter().map(|index| u64::from(*index)));
}

fn put_values(out: &mut Vec<u8>, values: &[&Value], rows: &[u32], collector: &mut Collector) -> u8 {
    let mut numbers = FxHashMap::<Box<[u8]>, u32>::default();
    let mut dictionary = Vec::new();
    let mut indexes = Vec::with_capacity(values.len());
    let mut scratch = Vec::new();
    let mut previous = Vec::new();
    let mut previous_number = 0;
    for value in values {
        scratch.clear();
        values::put(&mut scratch, value);
        if scratch != previous {
            previous_number = match numbers.get(scratch.as_slice()) {
                Some(number) => *number,
                None => {
                    let number = numbers.len() as u32;
                    numbers.insert(scratch.as_slice().into(), number);
                    dictionary.extend_from_slice(&scratch);
                    collector.at(number as usize);
                    collector.value(value);
                    number
                }
            };
            std::mem::swap(&mut scratch, &mut previous);
        }
        indexes.push(previous_number);
    }
    collector.finish(rows, Some(&indexes));
    if numbers.len() == values.len() && values.len() > 1 {
        out.extend_from_slice(&dictionary);
        return encoding::VALUES;
    }
    put_len(out, numbers.len());
    put_indexes(out, numbers.len(), &indexes);
    out.extend_from_slice(&dictionary);
    encoding::VALUE_DICTIONARY
}

/// Writes `column` as what stands before the text of `base`, by number, in the same event, when that saves room: a log
/// line's header beside its message. Returns false, and writes nothing, when it does not.
pub(crate) fn put_prefixes(
    out: &mut Vec<u8>,
    column: &RawColumn<'_>,
    (base_number, base): (u32, &RawColumn<'_>),
    collector: &mut Collector,
) -> bool {
    let mut base = base.cursor();
    let mut flags = Vec::with_capacity(column.rows.len());
    let mut prefixes = Vec::with_capacity(column.rows.len());
    let (mut saved, mut size) = (0_usize, 0_usize);
    for (row, value) in column.rows.iter().zip(&column.values) {
        let Some(text) = value.as_str() else { return false };
        size += text.len();
        match base.text_at(*row).and_then(|suffix| text.strip_suffix(suffix)) {
            Some(prefix) => {
                saved += text.len() - prefix.len();
                flags.push(1);
                prefixes.push(prefix);
            }
            None => {
                flags.push(0);
                prefixes.push(text);
            }
        }
    }
    // Lines are all different; of what repeats, a dictionary is better than many copies.
    let pays = match column.name {
        ecs::EVENT_ORIGINAL => saved > 0,
        _ => saved * 4 >= size * 3,
    };
    if !pays {
        return false;
    }
    for (index, ((flag, prefix), value)) in flags.iter().zip(&prefixes).zip(&column.values).enumerate() {
        collector.at(index);
        // What spans the cut, a word or an address however it is written, is in neither part.
        let is_cut = *flag == 1 && prefix.chars().next_back().is_some_and(|last| !last.is_whitespace());
        if is_cut {
            collector.value(value);
        } else {
            collector.text(prefix);
        }
    }
    collector.finish(&column.rows, None);
    put_len(out, base_number as usize);
    out.extend_from_slice(&flags);
    strings::put(out, prefixes.into_iter());
    true
}
