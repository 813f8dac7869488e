//! Whole numbers: either their distance to the smallest in byte planes, or the steps between neighbours.

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::wire::{Reader, put_planes, put_varint, unzigzag, varint_len, width_of, zigzag};

const PLANES: u8 = 0;
const STEPS: u8 = 1;

/// Appends the numbers; how many there are is not written.
pub(crate) fn put(out: &mut Vec<u8>, numbers: &[i64]) {
    let unit = common_unit(numbers);
    put_varint(out, unit.unsigned_abs());
    let scaled: Vec<i64> = numbers.iter().map(|number| number / unit).collect();
    let smallest = scaled.iter().copied().min().unwrap_or(0);
    let largest = scaled.iter().copied().max().unwrap_or(0);
    let width = width_of(distance(largest, smallest));
    let steps = || {
        scaled.iter().scan(0_i64, |previous, number| {
            let step = zigzag(number.wrapping_sub(*previous));
            *previous = *number;
            Some(step)
        })
    };
    let steps_len: usize = steps().map(varint_len).sum();
    if steps_len < width * scaled.len() {
        out.push(STEPS);
        steps().for_each(|step| put_varint(out, step));
    } else {
        out.push(PLANES);
        put_varint(out, zigzag(smallest));
        out.push(width as u8);
        put_planes(out, width, scaled.iter().map(|number| distance(*number, smallest)));
    }
}

fn distance(number: i64, smallest: i64) -> u64 {
    number.wrapping_sub(smallest).cast_unsigned()
}

/// Sources write times in whole seconds or milliseconds; then the zeros need no room.
fn common_unit(numbers: &[i64]) -> i64 {
    [1_000_000, 1000]
        .into_iter()
        .find(|unit| numbers.len() > 1 && numbers.iter().all(|number| number % unit == 0))
        .unwrap_or(1)
}

const UNKNOWN: DecodeError = DecodeError::Malformed("the layout of whole numbers is not known");

/// Reads `count` numbers.
pub(crate) fn get(reader: &mut Reader<'_>, count: usize, budget: &mut Budget) -> Result<Vec<i64>, DecodeError> {
    let unit = reader.varint()?.cast_signed();
    match reader.byte()? {
        PLANES => get_planes(reader, unit, count, budget),
        STEPS => {
            budget.take_items::<i64>(count)?;
            let mut numbers = Vec::with_capacity(count);
            let mut number = 0_i64;
            for _ in 0..count {
                number = number.wrapping_add(unzigzag(reader.varint()?));
                numbers.push(number.wrapping_mul(unit));
            }
            Ok(numbers)
        }
        _ => Err(UNKNOWN),
    }
}

/// Reads those of `count` numbers that are at some positions, which are in order. Positions that are not there are left
/// out, and steps behind the last of them are not looked at.
pub(crate) fn get_at(
    reader: &mut Reader<'_>,
    count: usize,
    positions: &[usize],
    budget: &mut Budget,
) -> Result<Vec<i64>, DecodeError> {
    budget.take_items::<i64>(positions.len())?;
    let mut found = Vec::with_capacity(positions.len());
    let unit = reader.varint()?.cast_signed();
    match reader.byte()? {
        PLANES => {
            let all = get_planes(reader, unit, count, budget)?;
            found.extend(positions.iter().filter_map(|position| all.get(*position).copied()));
        }
        STEPS => {
            let (mut number, mut next) = (0_i64, 0);
            for position in positions.iter().take_while(|position| **position < count) {
                while next <= *position {
                    number = number.wrapping_add(unzigzag(reader.varint()?));
                    next += 1;
                }
                found.push(number.wrapping_mul(unit));
            }
        }
        _ => return Err(UNKNOWN),
    }
    Ok(found)
}

fn get_planes(reader: &mut Reader<'_>, unit: i64, count: usize, budget: &mut Budget) -> Result<Vec<i64>, DecodeError> {
    let smallest = unzigzag(reader.varint()?);
    let width = usize::from(reader.byte()?);
    if width > 8 {
        return Err(DecodeError::Malformed("a number is wider than 64 bits"));
    }
    let planes = reader.planes(width, count, budget)?;
    Ok(planes
        .into_iter()
        .map(|distance| smallest.wrapping_add(distance.cast_signed()).wrapping_mul(unit))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for numbers in [
            vec![],
            vec![0],
            vec![i64::MIN, i64::MAX, 0, -1],
            vec![5_000_000, 7_000_000, -9_000_000],
            vec![3000, -2000],
            (0..1000).map(|n| n * n).collect(),
            (0..1000).map(|n| (n * 7919) % 64_512).collect(),
        ] {
            let mut out = Vec::new();
            put(&mut out, &numbers);
            let mut reader = Reader::new(&out, "test");
            assert_eq!(
                get(&mut reader, numbers.len(), &mut Budget::new()).as_ref(),
                Ok(&numbers)
            );
            assert!(reader.is_empty());
            let some: Vec<usize> = (0..numbers.len() + 2).step_by(3).collect();
            let wanted: Vec<i64> = some.iter().filter_map(|at| numbers.get(*at).copied()).collect();
            let found = get_at(&mut Reader::new(&out, "test"), numbers.len(), &some, &mut Budget::new());
            assert_eq!(found, Ok(wanted));
        }
    }
}
