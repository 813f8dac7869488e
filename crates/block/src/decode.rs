//! Bytes to events, or to one column of them.

use std::net::IpAddr;
use std::sync::Arc;

use model::event::FieldName;
use model::{Event, EventId, Fields, Timestamp};

use crate::addresses;
use crate::budget::Budget;
use crate::by_column::ByColumn;
use crate::column::Column;
use crate::column_decoding::{self, Data, Wanted};
use crate::error::DecodeError;
use crate::events::{Events, Feed};
use crate::frame::{self};
use crate::head::{ColumnAt, Head};
use crate::keys;
use crate::layout::{FIELD_BYTES, encoding, section};
use crate::outline::{Outline, Outlined, WRONG_COUNT};
use crate::piece::Piece;
use crate::reading::Values;
use crate::shapes::Shapes;
use crate::table::OVERFLOW;
use crate::view::Views;
use crate::wire::Reader;

/// An opened block. Opening checks the checksum and reads the directory; columns are decompressed when asked for.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    outline: Arc<Outline>,
    /// `None` where the head is not at hand, as of the times.
    ids: Option<&'a [u8]>,
    times: Option<&'a [u8]>,
    addresses: Option<&'a [u8]>,
    /// Of each column; `None` where only a part of the block is at hand, without it.
    pieces: Vec<Option<Piece<'a>>>,
    /// Names and values of the fields without a column.
    overflow: Option<[Piece<'a>; 2]>,
}

/// A column's bytes, or those of the fields without one.
fn piece_of(bytes: &[u8], count: usize) -> Result<Piece<'_>, DecodeError> {
    let piece = Piece::get(bytes)?;
    if piece.count == count {
        Ok(piece)
    } else {
        Err(WRONG_COUNT)
    }
}

pub(crate) const MISSING: DecodeError = DecodeError::Malformed("there is no such column");

impl<'a> Block<'a> {
    /// Checks the bytes and reads what events there are.
    ///
    /// # Errors
    /// When the bytes are not a block, not one of this version, changed, cut off or contradictory.
    pub fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (head, rest) = Head::get(bytes)?;
        let outline = Arc::new(Outline::get(&head)?);
        let mut data = Reader::new(rest, "columns");
        let mut lens = outline.columns.iter().map(|column| column.len);
        let pieces: Vec<&[u8]> = lens.try_fold(Vec::new(), |mut pieces, len| {
            pieces.push(data.take(len)?);
            Ok::<_, DecodeError>(pieces)
        })?;
        let overflow = match outline.overflow {
            Some((count, [names, values])) => Some([
                piece_of(data.take(names)?, count)?,
                piece_of(data.take(values)?, count)?,
            ]),
            None => None,
        };
        if !data.is_empty() {
            return Err(DecodeError::Malformed("something follows the columns"));
        }
        let mut pieces = pieces.into_iter();
        let mut block = Self::of_outline(outline, |_, _| pieces.next())?.with_head(&head)?;
        block.overflow = overflow;
        Ok(block)
    }

    /// Checks the head of a block, and what columns of it are at hand ([`crate::split`] says what these are): those that
    /// `column` has by their field's name and [`crate::ColumnPart::part`]. Whatever needs another one is refused with
    /// [`DecodeError::NotAtHand`].
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn of_parts(head: &'a [u8], column: impl FnMut(&str, usize) -> Option<&'a [u8]>) -> Result<Self, DecodeError> {
        let (head, rest) = Head::get(head)?;
        if !rest.is_empty() {
            return Err(DecodeError::Malformed("something follows the head"));
        }
        Self::of_outline(Arc::new(Outline::get(&head)?), column)?.with_head(&head)
    }

    /// A block whose head was read before: as [`Self::of_parts`], but without ids, times and places of addresses.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn of_outline(
        outline: Arc<Outline>,
        mut column: impl FnMut(&str, usize) -> Option<&'a [u8]>,
    ) -> Result<Self, DecodeError> {
        let piece = |listed: &Outlined| {
            let bytes = column(&listed.name, listed.part);
            bytes.map(|bytes| piece_of(bytes, listed.count)).transpose()
        };
        let pieces: Result<Vec<_>, DecodeError> = outline.columns.iter().map(piece).collect();
        Ok(Self {
            pieces: pieces?,
            outline,
            ids: None,
            times: None,
            addresses: None,
            overflow: None,
        })
    }

    fn with_head(mut self, head: &Head<'a>) -> Result<Self, DecodeError> {
        self.ids = Some(head.section(section::IDS)?);
        self.times = Some(head.section(section::TIMES)?);
        self.addresses = head.optional(section::ADDRESSES);
        Ok(self)
    }

    /// What it is made of, for [`Self::of_outline`].
    #[must_use]
    pub fn outline(&self) -> &Arc<Outline> {
        &self.outline
    }

    /// The rows in which an address stands for which `wanted` holds, in any text; `None` when the block does not say
    /// where addresses stand, so that its columns have to be looked at.
    ///
    /// # Errors
    /// When that part of the block is malformed.
    pub fn rows_with_address(&self, wanted: impl Fn(IpAddr) -> bool) -> Result<Option<Vec<u32>>, DecodeError> {
        let Some(addresses) = self.addresses else {
            return Ok(None);
        };
        let mut budget = self.outline.budget.clone();
        let plain = frame::get(addresses, &mut budget)?;
        addresses::rows(&plain, self.outline.count, wanted, &mut budget).map(Some)
    }

    /// How many events, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outline.count
    }

    /// Never: a block has events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outline.count == 0
    }

    /// The earliest event's time.
    #[must_use]
    pub fn min_time(&self) -> Timestamp {
        self.outline.min_time
    }

    /// The latest event's time.
    #[must_use]
    pub fn max_time(&self) -> Timestamp {
        self.outline.max_time
    }

    /// The names of the fields that have a column, in the order they first occurred. A block of very many different
    /// fields has more than these; [`Self::column`] finds them too.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        let firsts = self.outline.columns.iter().filter(|column| column.part == 0);
        firsts.map(|column| column.name.as_ref())
    }

    /// The events' ids in order.
    ///
    /// # Errors
    /// When that part of the block is malformed.
    pub fn ids(&self) -> Result<Vec<EventId>, DecodeError> {
        self.read_ids(&mut self.outline.budget.clone())
    }

    /// The ids of the events at some rows, which are in order. Rows that are not there are left out.
    ///
    /// # Errors
    /// As of [`Self::ids`].
    pub fn ids_at(&self, rows: &[usize]) -> Result<Vec<EventId>, DecodeError> {
        keys::ids_at(
            self.ids.ok_or(DecodeError::NotAtHand)?,
            self.outline.count,
            rows,
            &mut self.outline.budget.clone(),
        )
    }

    /// The columns that have the values of the events at some rows, each once; `None` when some values may be in no
    /// column. They are mostly all that [`Self::events_at`] needs of the block.
    #[must_use]
    pub fn columns_at(&self, rows: &[usize]) -> Option<Vec<ColumnAt<'_>>> {
        if !self.has_all_columns() {
            return None;
        }
        let mut shapes: Vec<u32> = rows
            .iter()
            .filter_map(|row| self.outline.shapes.of_row().get(*row).copied())
            .collect();
        shapes.sort_unstable();
        shapes.dedup();
        let mut numbers: Vec<u32> = shapes
            .iter()
            .flat_map(|shape| self.outline.shapes.shape(*shape as usize))
            .copied()
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        Some(
            numbers
                .iter()
                .filter_map(|number| self.outline.columns.get(*number as usize))
                .map(|column| ColumnAt {
                    field: column.name.as_ref(),
                    part: column.part,
                    len: column.len,
                })
                .collect(),
        )
    }

    /// The events' times in order.
    ///
    /// # Errors
    /// When that part of the block is malformed.
    pub fn timestamps(&self) -> Result<Vec<Timestamp>, DecodeError> {
        self.read_times(&mut self.outline.budget.clone())
    }

    /// The times of the events at some rows, which are in order. Rows that are not there are left out.
    ///
    /// # Errors
    /// As of [`Self::timestamps`].
    pub fn timestamps_at(&self, rows: &[usize]) -> Result<Vec<Timestamp>, DecodeError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let times = self.times.ok_or(DecodeError::NotAtHand)?;
        keys::times_at(times, self.outline.count, rows, &mut self.outline.budget.clone())
    }

    /// Whether every field has a column, so that [`Self::field_names`] tells all.
    #[must_use]
    pub fn has_all_columns(&self) -> bool {
        self.outline.overflow.is_none()
    }

    /// One field of all events; `None` when no event has it.
    ///
    /// # Errors
    /// When the column is malformed, its layout is not known, or it would take too much memory.
    pub fn column(&self, field: &str) -> Result<Option<Column>, DecodeError> {
        let mut budget = self.outline.budget.clone();
        let mut all: Option<Column> = None;
        for number in self.numbers_of(field) {
            let column = self.whole_column(number, &mut budget)?;
            match &mut all {
                None => all = Some(column),
                Some(all) => all.add(column),
            }
        }
        match all {
            None => self.overflow_column(field, &mut budget),
            all => Ok(all),
        }
    }

    /// Names and values of all fields that have a column, to be decoded when asked for.
    ///
    /// # Errors
    /// When the events' times are malformed.
    pub fn by_column(&self) -> Result<ByColumn<'_, 'a>, DecodeError> {
        let mut budget = self.outline.budget.clone();
        let times = self.read_times(&mut budget)?;
        Ok(ByColumn::new(self, self.outline.columns.len(), times, budget))
    }

    /// All fields that have a column, to be looked through when asked for.
    #[must_use]
    pub fn views(&self) -> Views<'_, 'a> {
        Views::new(self, self.outline.columns.len(), self.outline.budget.clone())
    }

    /// The columns of a field.
    pub(crate) fn numbers_of(&self, field: &str) -> std::ops::Range<usize> {
        let is_of_field = |column: &Outlined| column.name == field;
        let first = self
            .outline
            .columns
            .iter()
            .position(is_of_field)
            .unwrap_or(self.outline.columns.len());
        let rest = self.outline.columns.iter().skip(first + 1);
        let others = rest.take_while(|column| column.part > 0).count();
        first..(first + 1 + others).min(self.outline.columns.len())
    }

    pub(crate) fn name_of(&self, number: usize) -> Option<&str> {
        self.outline.columns.get(number).map(|column| column.name.as_ref())
    }

    pub(crate) fn may_have_texts(&self, number: usize) -> bool {
        self.piece(number)
            .map_or(true, |piece| piece.encoding != encoding::INTEGERS)
    }

    /// Which fields each event has.
    pub(crate) fn shapes(&self) -> &Shapes {
        &self.outline.shapes
    }

    pub(crate) fn piece(&self, number: usize) -> Result<&Piece<'a>, DecodeError> {
        let piece = self.pieces.get(number).ok_or(MISSING)?;
        piece.as_ref().ok_or(DecodeError::NotAtHand)
    }

    /// All events in order, with their fields in the order they had.
    ///
    /// # Errors
    /// When any part is malformed, a layout is not known, or they would take too much memory.
    pub fn events(&self) -> Result<Vec<Event>, DecodeError> {
        self.read_events(None, &[], self.outline.budget.clone())?
            .all(self.outline.count)
    }

    /// The events at some rows, in order of rows. Costs far less than [`Self::events`] when they are few. Rows that are
    /// not there are left out.
    ///
    /// # Errors
    /// As of [`Self::events`].
    pub fn events_at(&self, rows: &[usize]) -> Result<Vec<Event>, DecodeError> {
        self.events_beside(rows, &[], self.outline.budget.clone())
    }

    /// The fields of the events at some rows, in order of rows: what [`Self::events_at`] gives for whoever knows their
    /// times and ids. Rows that are not there are left out.
    ///
    /// # Errors
    /// As of [`Self::events`].
    pub fn fields_of(&self, rows: &[usize]) -> Result<Vec<Fields>, DecodeError> {
        let wanted = self.in_order(rows);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let events = self.with_keys(Vec::new(), Vec::new(), Some(&wanted), &[], self.outline.budget.clone())?;
        events.fields_at(&wanted)
    }

    /// Rows that are there, each once.
    fn in_order(&self, rows: &[usize]) -> Vec<usize> {
        let mut rows: Vec<usize> = rows.iter().copied().filter(|row| *row < self.outline.count).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// [`Self::events_at`], where some columns were read before, by number.
    pub(crate) fn events_beside(
        &self,
        rows: &[usize],
        known: &[Option<&Data>],
        budget: Budget,
    ) -> Result<Vec<Event>, DecodeError> {
        let wanted = self.in_order(rows);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.read_events(Some(&wanted), known, budget)?.all(wanted.len())
    }

    /// The events one by one, as [`Self::events`] has them: for whoever needs each for a moment only. After an error there
    /// are no more.
    ///
    /// # Errors
    /// As of [`Self::events`].
    pub fn each_event(&self) -> Result<impl Iterator<Item = Result<Event, DecodeError>>, DecodeError> {
        self.read_events(None, &[], self.outline.budget.clone())
    }

    fn read_events<'s>(
        &'s self,
        wanted: Option<&'s [usize]>,
        known: &[Option<&'s Data>],
        mut budget: Budget,
    ) -> Result<Events<'s>, DecodeError> {
        let ids = self.read_ids(&mut budget)?;
        let times = self.read_times(&mut budget)?;
        self.with_keys(ids, times, wanted, known, budget)
    }

    /// [`Self::read_events`] with these ids and times, of all events or of none.
    fn with_keys<'s>(
        &'s self,
        ids: Vec<EventId>,
        times: Vec<Timestamp>,
        wanted: Option<&'s [usize]>,
        known: &[Option<&'s Data>],
        mut budget: Budget,
    ) -> Result<Events<'s>, DecodeError> {
        let positions = match wanted {
            Some(rows) => Some(self.positions(rows, &mut budget)?),
            None => None,
        };
        let columns = self.read_all_columns(wanted, positions.as_deref(), known, &mut budget)?;
        let mut feeds = Vec::with_capacity(columns.len());
        for (number, (values, entry)) in columns.into_iter().zip(&self.outline.columns).enumerate() {
            let feed = match values {
                Values::Read(data) => {
                    data.take_copies(&mut budget)?;
                    Feed::read(data)
                }
                Values::Known(data) => {
                    let of_column = |positions: &Vec<Vec<u32>>| positions.get(number).cloned().unwrap_or_default();
                    Feed::known(data, positions.as_ref().map(of_column))
                }
            };
            feeds.push((entry.name.clone(), feed));
        }
        Ok(Events {
            rows: ids.into_iter().zip(times).zip(self.outline.shapes.of_row()).enumerate(),
            wanted: wanted.map(|rows| rows.iter().peekable()),
            shapes: &self.outline.shapes,
            feeds,
            overflow: self.read_overflow_values(&mut budget)?.into_iter(),
            budget,
        })
    }

    fn read_ids(&self, budget: &mut Budget) -> Result<Vec<EventId>, DecodeError> {
        keys::ids(self.ids.ok_or(DecodeError::NotAtHand)?, self.outline.count, budget)
    }

    fn read_times(&self, budget: &mut Budget) -> Result<Vec<Timestamp>, DecodeError> {
        keys::times(self.times.ok_or(DecodeError::NotAtHand)?, self.outline.count, budget)
    }

    fn read_overflow_values(&self, budget: &mut Budget) -> Result<Vec<(FieldName, model::Value)>, DecodeError> {
        if self.has_all_columns() {
            return Ok(Vec::new());
        }
        let [names, values] = self.overflow.as_ref().ok_or(DecodeError::NotAtHand)?;
        let mut read = |piece: &Piece<'_>| {
            let plain = piece.unpack(budget)?;
            column_decoding::get(piece.encoding, &plain, piece.count, Wanted::ALL, budget).map(|data| data.into_parts())
        };
        let ((names, None), (values, None)) = (read(names)?, read(values)?) else {
            return Err(DecodeError::Malformed(
                "fields without a column are laid out as a dictionary",
            ));
        };
        budget.take(names.len() * FIELD_BYTES)?;
        names
            .into_iter()
            .zip(values)
            .map(|(name, value)| {
                if let model::Value::Str(name) = name {
                    Ok((FieldName::from(name), value))
                } else {
                    Err(DecodeError::Malformed("a field's name is not text"))
                }
            })
            .collect()
    }

    fn overflow_column(&self, field: &str, budget: &mut Budget) -> Result<Option<Column>, DecodeError> {
        let mut overflow = self.read_overflow_values(budget)?.into_iter();
        let mut dictionary = Vec::new();
        budget.take_items::<Option<u32>>(self.outline.count)?;
        let mut rows = Vec::with_capacity(self.outline.count);
        for shape in self.outline.shapes.rows() {
            let mut row = None;
            for _ in shape.iter().filter(|number| **number == OVERFLOW) {
                if let Some((name, value)) = overflow.next()
                    && name == field
                {
                    row = Some(dictionary.len() as u32);
                    dictionary.push(value);
                }
            }
            rows.push(row);
        }
        if dictionary.is_empty() {
            return Ok(None);
        }
        Ok(Some(Column::new(dictionary, rows.into_iter())))
    }
}
