//! Which blocks are worth fetching together: those of which much the same columns are wanted. A question to the database
//! brings the same columns of all its blocks.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Arc;

use block::{ColumnAt, Outline};
use storage::blocks::{BlockId, ColumnName, Columns, Day};

use super::filter::{Key, Place};

/// Most blocks in a group.
const IN_GROUP: usize = 8;
/// Blocks that are waited for before a group is read, as long as more are looked for.
const WORTH_IT: usize = 4;
/// Smaller columns are not worth telling groups apart by, in bytes.
const LARGE: usize = 1024;
/// Bytes that are rather fetched in vain than asked for apart.
const IN_VAIN: usize = 128 * 1024;

/// What of a block some of its events are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) columns: Columns,
    /// The columns of which there is much, in order, and how much.
    large: Vec<(ColumnName, usize)>,
}

impl Wants {
    /// All of it.
    pub(super) fn all() -> Self {
        Self {
            columns: Columns::All,
            large: Vec::new(),
        }
    }

    /// Some columns, and the head unless its outline is at hand.
    pub(super) fn of(columns: &[ColumnAt<'_>], has_outline: bool) -> Self {
        let name = |column: &ColumnAt<'_>| ColumnName {
            field: column.field.to_owned(),
            part: Some(column.part),
        };
        let large = columns.iter().filter(|column| column.len >= LARGE);
        let mut large: Vec<(ColumnName, usize)> = large.map(|column| (name(column), column.len)).collect();
        large.sort_unstable();
        let names = columns.iter().map(name).collect();
        Self {
            columns: if has_outline {
                Columns::Only(names)
            } else {
                Columns::Of(names)
            },
            large,
        }
    }
}

/// Blocks of a day of which the same columns are fetched, and which of their rows are wanted.
pub(super) struct Group {
    pub(super) day: Day,
    pub(super) columns: Columns,
    large: BTreeMap<ColumnName, usize>,
    pub(super) blocks: BTreeMap<BlockId, Wanted>,
}

/// What is wanted of a block.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) outline: Option<Arc<Outline>>,
    /// Rows, and the times and ids of the events there.
    pub(super) rows: Vec<(usize, Key)>,
}

impl Group {
    /// Of these blocks, which no others join.
    pub(super) fn new(day: Day, columns: Columns, blocks: BTreeMap<BlockId, Wanted>) -> Self {
        Self {
            day,
            columns,
            large: BTreeMap::new(),
            blocks,
        }
    }

    fn of(place: &Place) -> Self {
        let mut group = Self::new(place.block.0, place.wants.columns.clone(), BTreeMap::new());
        group.add(place);
        group
    }

    fn add(&mut self, place: &Place) {
        let wanted = self.blocks.entry(place.block.1).or_default();
        if wanted.rows.is_empty() {
            // Mostly the same, and then each need not be looked for among the others.
            if self.columns != place.wants.columns {
                self.columns.add(&place.wants.columns);
            }
            self.large.extend(place.wants.large.iter().cloned());
            wanted.outline.clone_from(&place.outline);
        }
        wanted.rows.push((place.row, place.key));
    }

    /// How many bytes would be fetched in vain if the block of a place were among these.
    fn in_vain(&self, wants: &Wants) -> usize {
        let more = wants.large.iter().filter(|(name, _)| !self.large.contains_key(name));
        let more: usize = more.map(|(_, len)| len).sum();
        let is_wanted = |name: &ColumnName| wants.large.binary_search_by(|(other, _)| other.cmp(name)).is_ok();
        let less = self.large.iter().filter(|(name, _)| !is_wanted(name));
        let less: usize = less.map(|(_, len)| len).sum();
        more.saturating_mul(self.blocks.len()).saturating_add(less)
    }
}

/// Groups that wait for more blocks.
#[derive(Default)]
pub(super) struct Groups {
    waiting: Vec<Group>,
    /// Which group a block is in.
    of_block: BTreeMap<(Day, BlockId), usize>,
}

impl Groups {
    /// Adds a place to the group where it costs least.
    pub(super) fn add(&mut self, place: &Place) {
        let number = match self.of_block.get(&place.block) {
            Some(number) => Some(*number),
            None => self.best(place),
        };
        let number = number.unwrap_or(self.waiting.len());
        match self.waiting.get_mut(number) {
            Some(group) => group.add(place),
            None => self.waiting.push(Group::of(place)),
        }
        self.of_block.insert(place.block, number);
    }

    fn best(&self, place: &Place) -> Option<usize> {
        let fits = |group: &Group| {
            group.day == place.block.0
                && discriminant(&group.columns) == discriminant(&place.wants.columns)
                && group.blocks.len() < IN_GROUP
        };
        let groups = self.waiting.iter().enumerate().filter(|(_, group)| fits(group));
        let costs = groups.map(|(number, group)| (group.in_vain(&place.wants), number));
        let (_, number) = costs.min().filter(|(cost, _)| *cost <= IN_VAIN)?;
        Some(number)
    }

    /// Takes out the groups that are worth the way.
    pub(super) fn worth_it(&mut self) -> Vec<Group> {
        let is_worth_it = |group: &mut Group| group.blocks.len() >= WORTH_IT;
        let taken: Vec<Group> = self.waiting.extract_if(.., is_worth_it).collect();
        if !taken.is_empty() {
            self.number();
        }
        taken
    }

    /// Takes out the one with most blocks.
    pub(super) fn largest(&mut self) -> Option<Group> {
        let groups = self.waiting.iter().enumerate();
        let (number, _) = groups.max_by_key(|(_, group)| group.blocks.len())?;
        let largest = self.waiting.swap_remove(number);
        self.number();
        Some(largest)
    }

    /// Takes out all.
    pub(super) fn rest(&mut self) -> Vec<Group> {
        self.of_block.clear();
        std::mem::take(&mut self.waiting)
    }

    fn number(&mut self) {
        self.of_block.clear();
        for (number, group) in self.waiting.iter().enumerate() {
            let blocks = group.blocks.keys().map(|block| ((group.day, *block), number));
            self.of_block.extend(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, SourceId, Timestamp};

    use super::*;

    fn place(block: u8, columns: &[(&str, usize, usize)]) -> Place {
        let columns: Vec<ColumnAt<'_>> = columns
            .iter()
            .map(|&(field, part, len)| ColumnAt { field, part, len })
            .collect();
        let id = EventId {
            source: SourceId::from_uuid(uuid::Uuid::nil()),
            epoch: Epoch(1),
            seq: 1,
        };
        Place {
            key: (Timestamp(0), id),
            block: (
                Day::from_number(20_000).unwrap(),
                BlockId::from_slice(&[block; 12]).unwrap(),
            ),
            row: 0,
            wants: Arc::new(Wants::of(&columns, true)),
            outline: None,
        }
    }

    #[test]
    fn blocks_of_which_the_same_large_columns_are_wanted_come_together() {
        const KIB: usize = 1024;
        let mut groups = Groups::default();
        for block in 0..12 {
            let trace: &[_] = &[("message", 0, 20 * KIB), ("trace", 0, 200 * KIB), ("level", 0, 10)];
            let session: &[_] = &[("message", 0, 20 * KIB), ("session", 0, 150 * KIB), ("source", 0, 10)];
            groups.add(&place(block, if block % 2 == 0 { trace } else { session }));
        }
        // The second row of a block goes where the first is.
        groups.add(&place(3, &[("message", 0, 20 * KIB)]));
        let worth_it = groups.worth_it();
        let counts: Vec<usize> = worth_it.iter().map(|group| group.blocks.len()).collect();
        assert_eq!(counts, [6, 6]);
        assert!(groups.rest().is_empty());
    }

    #[test]
    fn small_differences_do_not_part_blocks_and_groups_have_an_end() {
        let mut groups = Groups::default();
        for block in 0..10 {
            groups.add(&place(
                block,
                &[("message", usize::from(block % 2), 3000), ("a", 0, 10)],
            ));
        }
        let [full] = groups.worth_it().try_into().ok().unwrap();
        assert_eq!(full.blocks.len(), IN_GROUP);
        let Columns::Only(columns) = &full.columns else {
            panic!()
        };
        assert_eq!(columns.len(), 3);
        let [rest] = groups.rest().try_into().ok().unwrap();
        assert_eq!(rest.blocks.len(), 2);
    }
}
