//! Which events an address stands in: kept in a block's head, so that a search for an address looks at no column.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::wire::{Reader, put_len, put_planes, put_varint, width_of};

/// With more pairs of address and event than this, the columns are looked at instead.
const MAX_PAIRS: usize = 1 << 18;
const V6_BYTES: usize = 16;

/// Collects pairs of an address and an event.
#[derive(Debug, Default)]
pub(crate) struct Places {
    numbers: FxHashMap<IpAddr, u32>,
    addresses: Vec<IpAddr>,
    /// Of the column at hand: which value has which address.
    of_value: Vec<(u32, u32)>,
    value: u32,
    /// Address and row.
    pairs: Vec<(u32, u32)>,
    is_unclear: bool,
}

impl Places {
    /// What is found from here on stands in the column's value at `index`. Indexes only grow within a column.
    pub(crate) fn at(&mut self, index: usize) {
        self.value = index as u32;
    }

    pub(crate) fn found(&mut self, ip: IpAddr) {
        if self.is_unclear {
            return;
        }
        let number = *self.numbers.entry(ip).or_insert_with(|| {
            self.addresses.push(ip);
            self.addresses.len() as u32 - 1
        });
        if self.of_value.last() != Some(&(self.value, number)) {
            self.of_value.push((self.value, number));
        }
        self.is_unclear = self.of_value.len() > MAX_PAIRS;
    }

    /// What was found stands in rows nobody knows.
    pub(crate) fn give_up(&mut self) {
        self.is_unclear = self.is_unclear || !self.of_value.is_empty();
        self.of_value.clear();
    }

    /// The column at hand is done: `rows` have its values in order, or those at `indexes`.
    pub(crate) fn finish(&mut self, rows: &[u32], indexes: Option<&[u32]>) {
        let found = std::mem::take(&mut self.of_value);
        if found.is_empty() || self.is_unclear {
            return;
        }
        match indexes {
            None => {
                for (value, address) in &found {
                    if let Some(row) = rows.get(*value as usize) {
                        self.pairs.push((*address, *row));
                    }
                }
            }
            Some(indexes) => {
                for (row, index) in rows.iter().zip(indexes) {
                    let first = found.partition_point(|(value, _)| value < index);
                    let of_value = found.iter().skip(first).take_while(|(value, _)| value == index);
                    self.pairs.extend(of_value.map(|(_, address)| (*address, *row)));
                }
            }
        }
        self.is_unclear = self.pairs.len() > 4 * MAX_PAIRS;
        self.of_value = found;
        self.of_value.clear();
    }

    /// The section's plain bytes; `None` when it is not known where all addresses stand.
    pub(crate) fn put(mut self) -> Option<Vec<u8>> {
        if self.is_unclear {
            return None;
        }
        let mut order: Vec<u32> = (0..self.addresses.len() as u32).collect();
        let address = |number: u32| self.addresses.get(number as usize).copied();
        order.sort_unstable_by_key(|number| address(*number));
        let mut rank = vec![0_u32; order.len()];
        for (place, number) in order.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*number as usize) {
                *rank = place as u32;
            }
        }
        for (number, _) in &mut self.pairs {
            *number = rank.get(*number as usize).copied().unwrap_or_default();
        }
        self.pairs.sort_unstable();
        self.pairs.dedup();
        if self.pairs.len() > MAX_PAIRS {
            return None;
        }
        let sorted: Vec<IpAddr> = order.iter().filter_map(|number| address(*number)).collect();
        Some(put(&sorted, &self.pairs))
    }
}

fn put(sorted: &[IpAddr], pairs: &[(u32, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    let v4: Vec<u32> = sorted
        .iter()
        .filter_map(|ip| match ip {
            IpAddr::V4(v4) => Some(v4.to_bits()),
            IpAddr::V6(_) => None,
        })
        .collect();
    put_len(&mut out, v4.len());
    put_len(&mut out, sorted.len() - v4.len());
    let mut previous = 0;
    for bits in v4 {
        put_varint(&mut out, u64::from(bits - previous));
        previous = bits;
    }
    for ip in sorted {
        if let IpAddr::V6(v6) = ip {
            out.extend_from_slice(&v6.octets());
        }
    }
    for run in pairs.chunk_by(|(a, _), (b, _)| a == b) {
        put_len(&mut out, run.len());
    }
    let rows = || pairs.iter().map(|(_, row)| u64::from(*row));
    let width = width_of(rows().max().unwrap_or_default());
    out.push(width as u8);
    put_planes(&mut out, width, rows());
    out
}

/// The rows in which an address stands for which `wanted` holds, in order.
pub(crate) fn rows(
    plain: &[u8],
    events: usize,
    wanted: impl Fn(IpAddr) -> bool,
    budget: &mut Budget,
) -> Result<Vec<u32>, DecodeError> {
    const WRONG: DecodeError = DecodeError::Malformed("an address stands in an event that is not there");
    let mut reader = Reader::new(plain, "addresses");
    let (v4, v6) = (reader.count()?, reader.count()?);
    let addresses = v4.checked_add(v6).ok_or(DecodeError::TooLarge)?;
    budget.take(addresses)?;
    let mut is_wanted = Vec::with_capacity(addresses);
    let mut bits = 0_u32;
    for _ in 0..v4 {
        let step = u32::try_from(reader.varint()?).map_err(|_| WRONG)?;
        bits = bits.checked_add(step).ok_or(WRONG)?;
        is_wanted.push(wanted(IpAddr::V4(Ipv4Addr::from_bits(bits))));
    }
    for _ in 0..v6 {
        is_wanted.push(wanted(IpAddr::V6(Ipv6Addr::from(reader.array::<V6_BYTES>()?))));
    }
    let mut runs = Vec::new();
    let mut pairs = 0_usize;
    for is_wanted in is_wanted {
        let len = reader.len()?;
        if is_wanted {
            runs.push((pairs, len));
        }
        pairs = pairs.checked_add(len).ok_or(DecodeError::TooLarge)?;
    }
    let width = usize::from(reader.byte()?);
    let planes = reader.take(width.checked_mul(pairs).ok_or(DecodeError::TooLarge)?)?;
    if !reader.is_empty() || width > 4 {
        return Err(DecodeError::Malformed("the addresses are not as long as they say"));
    }
    let mut rows = Vec::new();
    for (first, len) in runs {
        budget.take_items::<u32>(len)?;
        for pair in first..first.saturating_add(len) {
            let row = (0..width).fold(0, |row, plane| {
                row | planes
                    .get(plane * pairs + pair)
                    .map_or(0, |byte| u32::from(*byte) << (8 * plane))
            });
            if row as usize >= events {
                return Err(WRONG);
            }
            rows.push(row);
        }
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_found_where_they_stand() {
        let mut places = Places::default();
        for (value, found) in [(0, "10.0.0.5"), (0, "fe80::1"), (2, "10.0.0.4"), (2, "10.0.0.4")] {
            places.at(value);
            places.found(ip(found));
        }
        places.finish(&[1, 4, 7, 300], Some(&[2, 0, 1, 0]));
        places.at(1);
        places.found(ip("10.0.0.5"));
        places.finish(&[0, 2], None);
        let plain = places.put().unwrap();
        let at = |wanted: &str| rows(&plain, 301, |found| found == ip(wanted), &mut Budget::new()).unwrap();
        assert_eq!(at("10.0.0.5"), [2, 4, 300]);
        assert_eq!(at("10.0.0.4"), [1]);
        assert_eq!(at("fe80::1"), [4, 300]);
        assert_eq!(at("10.0.0.6"), [] as [u32; 0]);
        let all = rows(&plain, 301, |_| true, &mut Budget::new()).unwrap();
        assert_eq!(all, [1, 2, 4, 300]);
        assert!(rows(&plain, 300, |_| true, &mut Budget::new()).is_err());
    }

    #[test]
    fn a_block_without_addresses_says_so_and_unclear_ones_say_nothing() {
        let plain = Places::default().put().unwrap();
        assert_eq!(rows(&plain, 1, |_| true, &mut Budget::new()), Ok(vec![]));
        let mut places = Places::default();
        places.found(ip("::1"));
        places.give_up();
        assert_eq!(places.put(), None);
    }

    #[test]
    fn noise_is_survived() {
        for noise in [&[0xff_u8; 40][..], &[], &[1, 0, 5, 200, 4, 1], &[1, 0, 5, 1, 200]] {
            let _ = rows(noise, 10, |_| true, &mut Budget::new());
        }
    }
}
