//! Events to bytes.

use model::{Event, EventId, Timestamp, Value};
use rustc_hash::FxHashMap;

use crate::column_encoding;
use crate::completing::completing;
use crate::cut;
use crate::error::EncodeError;
use crate::filter::Collector;
use crate::frame;
use crate::integers;
use crate::layout::{MAGIC, MAX_EVENTS, VERSION, encoding, section};
use crate::lists;
use crate::minutes;
use crate::piece;
use crate::shapes;
use crate::strings;
use crate::table::{RawColumn, Table};
use crate::values;
use crate::wire::{put_len, put_varint, zigzag};

/// A block and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// What [`crate::Block::open`] reads.
    pub bytes: Vec<u8>,
    /// What a search needs to skip it.
    pub meta: Meta,
}

/// What is kept beside a block so that a search can skip it without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// How many events, at least 1.
    pub count: u32,
    /// The earliest event's time.
    pub min_time: Timestamp,
    /// The latest event's time.
    pub max_time: Timestamp,
    /// For [`crate::may_contain`]. Covers the words of every value, numbers as written in decimal.
    pub token_filter: Vec<u8>,
    /// Every IP address that stands in any text, in canonical form and in order; `None` when there are more than
    /// [`crate::MAX_IPS`].
    pub ips: Option<Vec<String>>,
    /// How many events each minute has, for [`crate::minutes()`]; `None` when they are of too many minutes.
    pub minutes: Option<Vec<u8>>,
}

/// Packs the events, in their order, into one block. They may be of several sources; ids need not be consecutive.
///
/// # Errors
/// When there are none or too many, when they weigh more than [`crate::MAX_WEIGHT`] together, or when one of them cannot
/// be stored: a field twice, or lists nested deeper than 64.
pub fn encode(events: &[Event]) -> Result<Encoded, EncodeError> {
    if events.is_empty() {
        return Err(EncodeError::Empty);
    }
    if events.len() > MAX_EVENTS {
        return Err(EncodeError::TooManyEvents(events.len()));
    }
    let mut table = Table::new(events)?;
    cut::cut(&mut table);
    let mut collector = Collector::with_capacity(events.len());
    let (directory, data) = put_columns(&table, &mut collector)?;
    let times: Vec<i64> = events.iter().map(|event| event.timestamp.0).collect();
    let addresses = collector.places();
    let meta = Meta {
        count: events.len() as u32,
        min_time: Timestamp(times.iter().copied().min().unwrap_or_default()),
        max_time: Timestamp(times.iter().copied().max().unwrap_or_default()),
        token_filter: collector.filter(),
        ips: collector.ips(),
        minutes: minutes::put(&times),
    };

    let mut bytes = Vec::with_capacity(data.len() + 16 * 1024);
    bytes.extend_from_slice(&MAGIC);
    bytes.push(VERSION);
    let mut plain = Vec::new();
    put_header(&mut plain, &meta);
    put_section(&mut bytes, section::HEADER, &plain);
    put_framed(&mut bytes, section::IDS, |plain| put_ids(plain, events))?;
    put_framed(&mut bytes, section::TIMES, |plain| integers::put(plain, &times))?;
    put_framed(&mut bytes, section::COLUMNS, |plain| {
        plain.extend_from_slice(&directory)
    })?;
    put_framed(&mut bytes, section::SHAPES, |plain| shapes::put(plain, &table))?;
    if let Some(addresses) = addresses {
        put_framed(&mut bytes, section::ADDRESSES, |plain| {
            plain.extend_from_slice(&addresses)
        })?;
    }
    let checksum = crc32fast::hash(&bytes);
    put_section(&mut bytes, section::END, &checksum.to_le_bytes());
    bytes.extend_from_slice(&data);
    Ok(Encoded { bytes, meta })
}

fn put_section(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    out.push(kind);
    put_len(out, content.len());
    out.extend_from_slice(content);
}

fn put_framed(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), EncodeError> {
    let mut plain = Vec::new();
    write(&mut plain);
    let mut framed = Vec::new();
    frame::put(&mut framed, &plain)?;
    put_section(out, kind, &framed);
    Ok(())
}

fn put_header(out: &mut Vec<u8>, meta: &Meta) {
    put_varint(out, u64::from(meta.count));
    put_varint(out, zigzag(meta.min_time.0));
    put_varint(out, zigzag(meta.max_time.0));
}

/// The numberings (source and epoch), then runs of consecutive ids: numbering, first sequence number, length.
fn put_ids(out: &mut Vec<u8>, events: &[Event]) {
    let mut numberings = FxHashMap::default();
    let mut table = Vec::new();
    let mut runs = Vec::new();
    let mut run_count = 0;
    let mut rest = events;
    while let Some(first) = rest.first().map(|event| event.id) {
        let len = rest
            .iter()
            .zip(0_u64..)
            .take_while(|(event, offset)| follows(&first, &event.id, *offset))
            .count();
        let number = *numberings.entry((first.source, first.epoch)).or_insert_with(|| {
            table.extend_from_slice(first.source.as_uuid().as_bytes());
            table.extend_from_slice(&first.epoch.0.to_le_bytes());
            table.len() / NUMBERING_BYTES - 1
        });
        put_len(&mut runs, number);
        put_varint(&mut runs, first.seq);
        put_len(&mut runs, len);
        run_count += 1;
        rest = &rest[len..];
    }
    put_len(out, table.len() / NUMBERING_BYTES);
    out.extend_from_slice(&table);
    put_len(out, run_count);
    out.extend_from_slice(&runs);
}

/// Bytes of a source and an epoch.
pub(crate) const NUMBERING_BYTES: usize = 16 + 8;

fn follows(first: &EventId, id: &EventId, offset: u64) -> bool {
    id.source == first.source && id.epoch == first.epoch && first.seq.checked_add(offset) == Some(id.seq)
}

/// The directory of columns, and their pieces one after the other.
fn put_columns(table: &Table<'_>, collector: &mut Collector) -> Result<(Vec<u8>, Vec<u8>), EncodeError> {
    let mut directory = Vec::new();
    let mut data = Vec::new();
    let mut plain = Vec::new();
    put_len(&mut directory, table.columns.len());
    for column in &table.columns {
        plain.clear();
        let kind = match put_completed(&mut plain, column, table, collector) {
            Some(kind) => kind,
            None => column_encoding::put(&mut plain, column, collector),
        };
        put_len(&mut directory, column.name.len());
        directory.extend_from_slice(column.name.as_bytes());
        let len = piece::put(&mut data, kind, column.values.len(), &plain)?;
        put_len(&mut directory, len);
    }
    let overflow = table.overflow.len();
    put_len(&mut directory, overflow);
    if overflow > 0 {
        plain.clear();
        strings::put(&mut plain, table.overflow.iter().map(|(name, _)| *name));
        let names = piece::put(&mut data, encoding::STRINGS, overflow, &plain)?;
        plain.clear();
        for (_, value) in &table.overflow {
            values::put(&mut plain, value);
            collector.value(value);
        }
        collector.finish_elsewhere();
        let values = piece::put(&mut data, encoding::VALUES, overflow, &plain)?;
        put_len(&mut directory, names);
        put_len(&mut directory, values);
    }
    Ok((directory, data))
}

/// Writes what the column has beyond others of the same events, such as a line beyond its message, where that pays.
/// Returns the layout's number.
fn put_completed(
    out: &mut Vec<u8>,
    column: &RawColumn<'_>,
    table: &Table<'_>,
    collector: &mut Collector,
) -> Option<u8> {
    let fields = completing(column.name);
    let first = column.values.first().filter(|_| !fields.is_empty())?;
    let find = |field: &&str, fits: &dyn Fn(&RawColumn<'_>) -> bool| {
        let mut columns = table.columns.iter().zip(0..);
        let (base, number) = columns.find(|(base, _)| base.name == *field && fits(base))?;
        Some((number, base))
    };
    match first {
        Value::Str(_) => {
            let base = find(fields.first()?, &|base| base.part.is_none() || base.part == column.part)?;
            column_encoding::put_prefixes(out, column, base, collector).then_some(encoding::STRING_PREFIXES)
        }
        Value::List(_) => {
            let bases = fields
                .iter()
                .filter_map(|field| find(field, &|base| base.part.is_none()));
            let bases: Vec<(u32, &RawColumn<'_>)> = bases.collect();
            lists::put(out, column, &bases, collector).then_some(encoding::LISTS)
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => None,
    }
}
