//! Reading a block's columns, and what of others completes them.

use crate::budget::Budget;
use crate::column::Column;
use crate::column_decoding::{self, Base, Data, Wanted};
use crate::decode::{Block, MISSING};
use crate::error::DecodeError;
use crate::frame::Plain;
use crate::layout::encoding;
use crate::view::{OfRow, View};
use crate::view_decoding;

/// A column unpacked.
#[derive(Debug)]
pub(crate) struct Opened {
    encoding: u8,
    plain: Plain,
    /// The columns that complete this one, by number: none of most, and none that is completed itself.
    pub(crate) bases: Vec<usize>,
}

/// A column's values while events are put together.
#[derive(Debug)]
pub(crate) enum Values<'c> {
    Read(Data),
    /// Read before, whole.
    Known(&'c Data),
}

impl Values<'_> {
    fn data(&self) -> &Data {
        match self {
            Self::Read(data) => data,
            Self::Known(data) => data,
        }
    }
}

impl Block<'_> {
    /// Unpacks a column.
    pub(crate) fn open_column(&self, number: usize, budget: &mut Budget) -> Result<Opened, DecodeError> {
        const NO_BASE: DecodeError = DecodeError::Malformed("a value's other half is in no column of its own");
        let piece = self.piece(number)?;
        let plain = piece.unpack(budget)?;
        let bases = column_decoding::bases_of(piece.encoding, &plain)?;
        for base in &bases {
            match self.piece(*base) {
                Ok(base) if !encoding::is_completed(base.encoding) => {}
                // Perhaps no value that is wanted needs it.
                Err(DecodeError::NotAtHand) => {}
                Ok(_) | Err(_) => return Err(NO_BASE),
            }
        }
        Ok(Opened {
            encoding: piece.encoding,
            plain,
            bases,
        })
    }

    pub(crate) fn whole_column(&self, number: usize, budget: &mut Budget) -> Result<Column, DecodeError> {
        let data = self.read_whole(number, budget)?;
        budget.take_items::<u32>(self.len())?;
        let (dictionary, indexes) = data.into_parts();
        let mut position = 0_usize;
        let rows = self.shapes().presence(number as u32).map(|present| {
            present.then(|| {
                position += 1;
                match &indexes {
                    Some(indexes) => indexes.get(position - 1).copied(),
                    None => u32::try_from(position - 1).ok(),
                }
            })?
        });
        Ok(Column::new(dictionary, rows))
    }

    pub(crate) fn read_view(&self, number: usize, budget: &mut Budget) -> Result<View, DecodeError> {
        let count = self.count_of(number)?;
        let present = || self.shapes().presence(number as u32);
        let opened = self.open_column(number, budget)?;
        budget.take_items::<u32>(self.len())?;
        match opened.bases.first() {
            None if !encoding::is_completed(opened.encoding) => {
                view_decoding::get(opened.encoding, &opened.plain, count, present(), budget)
            }
            Some(base) if opened.encoding == encoding::STRING_PREFIXES => {
                let mut view = self.read_view(*base, budget)?;
                let mut beside = self.shapes().beside(number as u32, *base as u32);
                if let View::Texts { of_row, .. } = &mut view
                    && column_decoding::is_same(&opened.plain, count)?
                    && beside.all(|position| position.is_some())
                {
                    of_row.keep(present());
                    return Ok(view);
                }
                let rows = present().enumerate().filter(|(_, present)| *present);
                let bases = rows.map(|(row, _)| view.text(row));
                Ok(View::Texts {
                    texts: view_decoding::get_prefixes(&opened.plain, count, bases, budget)?,
                    of_row: OfRow::of_present(present(), None),
                })
            }
            _ => {
                let (values, indexes) = self.read_completed(number, &opened, budget)?.into_parts();
                Ok(View::Values {
                    values,
                    of_row: OfRow::of_present(present(), indexes.as_deref()),
                })
            }
        }
    }

    fn count_of(&self, number: usize) -> Result<usize, DecodeError> {
        let column = self.outline().columns.get(number).ok_or(MISSING)?;
        Ok(column.count)
    }

    fn read_whole(&self, number: usize, budget: &mut Budget) -> Result<Data, DecodeError> {
        let opened = self.open_column(number, budget)?;
        if encoding::is_completed(opened.encoding) {
            self.read_completed(number, &opened, budget)
        } else {
            self.read_own(number, &opened, Wanted::ALL, budget)
        }
    }

    fn read_completed(&self, number: usize, opened: &Opened, budget: &mut Budget) -> Result<Data, DecodeError> {
        let bases = opened.bases.iter();
        let bases: Result<Vec<Data>, DecodeError> = bases.map(|base| self.read_whole(*base, budget)).collect();
        let bases = bases?;
        self.complete(number, opened, &bases.iter().collect::<Vec<_>>(), budget)
    }

    /// Values of a column that no others complete: those that are wanted.
    fn read_own(
        &self,
        number: usize,
        opened: &Opened,
        wanted: Wanted<'_>,
        budget: &mut Budget,
    ) -> Result<Data, DecodeError> {
        column_decoding::get(opened.encoding, &opened.plain, self.count_of(number)?, wanted, budget)
    }

    /// All values of a column. `bases` are the whole columns that complete it.
    pub(crate) fn complete<'d>(
        &self,
        number: usize,
        opened: &Opened,
        bases: &[&'d Data],
        budget: &mut Budget,
    ) -> Result<Data, DecodeError> {
        if !encoding::is_completed(opened.encoding) {
            return self.read_own(number, opened, Wanted::ALL, budget);
        }
        let count = self.count_of(number)?;
        budget.take_items::<u32>(count.saturating_mul(bases.len()))?;
        let bases = bases.iter().zip(&opened.bases);
        let beside = |(data, base): (&&'d Data, &usize)| {
            let positions = self.shapes().beside(number as u32, *base as u32);
            Base::new(data, positions)
        };
        let bases: Vec<Base<'d>> = bases.map(beside).collect();
        column_decoding::get_completed(opened.encoding, &opened.plain, count, &bases, Wanted::ALL, budget)
    }

    /// Of each column that is not known, the values of all rows, or of these, in their order.
    pub(crate) fn read_all_columns<'c>(
        &self,
        rows: Option<&[usize]>,
        positions: Option<&[Vec<u32>]>,
        known: &[Option<&'c Data>],
        budget: &mut Budget,
    ) -> Result<Vec<Values<'c>>, DecodeError> {
        let wanted = |number: usize| match positions {
            Some(positions) => Wanted::only(positions.get(number).map(Vec::as_slice).unwrap_or_default()),
            None => Wanted::ALL,
        };
        let mut columns = Vec::with_capacity(self.outline().columns.len());
        let mut halves = Vec::new();
        for number in 0..self.outline().columns.len() {
            if let Some(data) = known.get(number).copied().flatten() {
                columns.push(Values::Known(data));
                continue;
            }
            let mut data = Data::Plain(Vec::new());
            if !wanted(number).is_nothing() {
                let opened = self.open_column(number, budget)?;
                if encoding::is_completed(opened.encoding) {
                    halves.push((number, opened));
                } else {
                    data = self.read_own(number, &opened, wanted(number), budget)?;
                }
            }
            columns.push(Values::Read(data));
        }
        for (number, opened) in halves {
            let bases = opened.bases.iter().map(|base| columns.get(*base).ok_or(MISSING));
            let bases: Vec<&Values<'_>> = bases.collect::<Result<_, _>>()?;
            let data = match rows.zip(positions) {
                Some((rows, positions)) => {
                    budget.take_items::<u32>(rows.len().saturating_mul(bases.len()))?;
                    let bases = bases.iter().zip(&opened.bases);
                    let bases = bases.map(|(values, base)| self.base_at(rows, number, *base, values, positions));
                    let (bases, count): (Vec<_>, _) = (bases.collect(), self.count_of(number)?);
                    let (kind, plain) = (opened.encoding, &opened.plain);
                    column_decoding::get_completed(kind, plain, count, &bases, wanted(number), budget)?
                }
                None => {
                    let bases: Vec<&Data> = bases.into_iter().map(Values::data).collect();
                    self.complete(number, &opened, &bases, budget)?
                }
            };
            if let Some(place) = columns.get_mut(number) {
                *place = Values::Read(data);
            }
        }
        Ok(columns)
    }

    /// What completes the column's values in these rows.
    fn base_at<'v>(
        &self,
        rows: &[usize],
        number: usize,
        base: usize,
        values: &'v Values<'_>,
        positions: &[Vec<u32>],
    ) -> Base<'v> {
        let (column, base_column) = (number as u32, base as u32);
        let mut given = 0;
        let shapes = rows.iter().filter_map(|row| self.shapes().of_row().get(*row));
        let beside = shapes.filter_map(|shape| {
            let shape = self.shapes().shape(*shape as usize);
            let mut position = None;
            if shape.contains(&base_column) {
                position = match values {
                    Values::Read(_) => Some(given),
                    Values::Known(_) => positions.get(base).and_then(|all| all.get(given as usize)).copied(),
                };
                given += 1;
            }
            shape.contains(&column).then_some(position)
        });
        Base::new(values.data(), beside)
    }

    /// For each column, at which of its positions the values of these rows are, which are in order.
    pub(crate) fn positions(&self, rows: &[usize], budget: &mut Budget) -> Result<Vec<Vec<u32>>, DecodeError> {
        let of_row = self.shapes().of_row();
        let fields = rows
            .iter()
            .filter_map(|row| of_row.get(*row))
            .map(|shape| self.shapes().shape(*shape as usize).len());
        budget.take_items::<u32>(fields.sum())?;
        let mut positions = vec![Vec::new(); self.outline().columns.len()];
        let mut wanted = rows.iter().peekable();
        if rows.len().saturating_mul(self.shapes().len()) > self.len().saturating_mul(4) {
            let mut before = vec![0_u32; self.outline().columns.len()];
            for (row, shape) in self.shapes().rows().enumerate() {
                let is_wanted = wanted.next_if(|wanted| **wanted == row).is_some();
                for number in shape {
                    let number = *number as usize;
                    let (Some(before), Some(positions)) = (before.get_mut(number), positions.get_mut(number)) else {
                        continue;
                    };
                    if is_wanted {
                        positions.push(*before);
                    }
                    *before += 1;
                }
            }
            return Ok(positions);
        }
        // Of few rows it costs less to sum up how many rows of which shape were before.
        let mut seen = vec![0_u32; self.shapes().len()];
        let mut before = vec![0_u32; self.outline().columns.len()];
        for (row, shape) in of_row.iter().enumerate() {
            if wanted.next_if(|wanted| **wanted == row).is_some() {
                before.fill(0);
                for (shape, seen) in seen.iter().enumerate().filter(|(_, seen)| **seen > 0) {
                    for number in self.shapes().shape(shape) {
                        if let Some(before) = before.get_mut(*number as usize) {
                            *before += seen;
                        }
                    }
                }
                for number in self.shapes().shape(*shape as usize) {
                    let number = *number as usize;
                    if let (Some(positions), Some(before)) = (positions.get_mut(number), before.get(number)) {
                        positions.push(*before);
                    }
                }
                if wanted.peek().is_none() {
                    break;
                }
            }
            if let Some(seen) = seen.get_mut(*shape as usize) {
                *seen += 1;
            }
        }
        Ok(positions)
    }
}
