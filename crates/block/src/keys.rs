//! The events' ids and times.

use model::{Epoch, EventId, SourceId, Timestamp};

use crate::budget::Budget;
use crate::encode::NUMBERING_BYTES;
use crate::error::DecodeError;
use crate::frame;
use crate::integers;
use crate::wire::Reader;

const WRONG: DecodeError = DecodeError::Malformed("the ids do not fit the events");

/// Reads the ids of `count` events.
pub(crate) fn ids(section: &[u8], count: usize, budget: &mut Budget) -> Result<Vec<EventId>, DecodeError> {
    budget.take_items::<EventId>(count)?;
    let mut ids = Vec::with_capacity(count);
    each_run(section, count, budget, |first, _, len| {
        let first = first.get()?;
        ids.extend((0..len as u64).map(|offset| EventId {
            seq: first.seq + offset,
            ..first
        }));
        Ok(true)
    })?;
    Ok(ids)
}

/// Reads those of `count` ids that are at some rows, which are in order. Rows that are not there are left out, and what is
/// behind the last of them is not looked at.
pub(crate) fn ids_at(
    section: &[u8],
    count: usize,
    rows: &[usize],
    budget: &mut Budget,
) -> Result<Vec<EventId>, DecodeError> {
    let mut ids = Vec::with_capacity(rows.len().min(count));
    let mut rows = rows.iter().copied().peekable();
    each_run(section, count, budget, |first, start, len| {
        while let Some(row) = rows.next_if(|row| *row < start + len) {
            let first = first.get()?;
            ids.push(EventId {
                seq: first.seq + row.saturating_sub(start) as u64,
                ..first
            });
        }
        Ok(rows.peek().is_some())
    })?;
    Ok(ids)
}

/// The first id of a run, as it is written.
#[derive(Clone, Copy)]
struct First<'p> {
    numbering: &'p [u8],
    seq: u64,
}

impl First<'_> {
    fn get(self) -> Result<EventId, DecodeError> {
        let mut numbering = Reader::new(self.numbering, "ids");
        Ok(EventId {
            source: SourceId::from_uuid(uuid::Uuid::from_bytes(numbering.array()?)),
            epoch: Epoch(u64::from_le_bytes(numbering.array()?)),
            seq: self.seq,
        })
    }
}

/// Gives each run of consecutive ids in order: its first id, the row that has it, and how many there are. Together they
/// cover all rows. Ends when `each` says that it has enough.
fn each_run(
    section: &[u8],
    count: usize,
    budget: &mut Budget,
    mut each: impl FnMut(First<'_>, usize, usize) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    let plain = frame::get(section, budget)?;
    let mut reader = Reader::new(&plain, "ids");
    let numberings = reader.count()?;
    let table = reader.take(numberings.checked_mul(NUMBERING_BYTES).ok_or(WRONG)?)?;
    let mut start = 0_usize;
    for _ in 0..reader.count()? {
        let number = reader.len()?;
        let seq = reader.varint()?;
        let len = reader.len()?;
        let numbering = table.chunks_exact(NUMBERING_BYTES).nth(number).ok_or(WRONG)?;
        if len == 0 || len > count - start || seq.checked_add(len as u64 - 1).is_none() {
            return Err(WRONG);
        }
        if !each(First { numbering, seq }, start, len)? {
            return Ok(());
        }
        start += len;
    }
    if start == count { Ok(()) } else { Err(WRONG) }
}

/// Reads the times of `count` events.
pub(crate) fn times(section: &[u8], count: usize, budget: &mut Budget) -> Result<Vec<Timestamp>, DecodeError> {
    let plain = frame::get(section, budget)?;
    let times = integers::get(&mut Reader::new(&plain, "times"), count, budget)?;
    Ok(times.into_iter().map(Timestamp).collect())
}

/// Reads those of `count` times that are at some rows, which are in order. Rows that are not there are left out.
pub(crate) fn times_at(
    section: &[u8],
    count: usize,
    rows: &[usize],
    budget: &mut Budget,
) -> Result<Vec<Timestamp>, DecodeError> {
    let plain = frame::get(section, budget)?;
    let times = integers::get_at(&mut Reader::new(&plain, "times"), count, rows, budget)?;
    Ok(times.into_iter().map(Timestamp).collect())
}
