//! Partitions: the unit in which events are merged into blocks and detectors share the work.

use crate::id::{SourceId, Tenant};

/// How many partitions there are. It is part of every stored block, so changing it needs a migration.
pub const PARTITIONS: u16 = 16;

/// A number below [`PARTITIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// The partition all events of one source of one tenant belong to.
    #[must_use]
    pub fn of(tenant: &Tenant, source: &SourceId) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(tenant.as_str().as_bytes());
        hasher.update(&[0]);
        hasher.update(source.as_uuid().as_bytes());
        let hash = hasher.finalize();
        let word = u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
        Self(word % PARTITIONS)
    }

    /// `None` when the number is not below [`PARTITIONS`].
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// Every partition, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// Its number, below [`PARTITIONS`].
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// Which of `members` owns this partition, by rendezvous hashing: when a member leaves, only its own partitions
    /// move. `None` when there are no members. The order of `members` does not matter.
    #[must_use]
    pub fn owner<S: AsRef<str>>(self, members: &[S]) -> Option<&str> {
        members.iter().map(AsRef::as_ref).max_by_key(|member| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&self.0.to_le_bytes());
            hasher.update(member.as_bytes());
            let mut word = [0; 8];
            word.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
            (u64::from_le_bytes(word), *member)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{PARTITIONS, Partition};

    #[test]
    fn a_leaving_member_moves_only_its_own_partitions() {
        let three = ["a", "b", "c"];
        let two = ["c", "a"];
        for partition in Partition::all() {
            let before = partition.owner(&three).unwrap();
            let after = partition.owner(&two).unwrap();
            assert!(
                before == "b" || before == after,
                "partition {} moved needlessly",
                partition.number()
            );
        }
        assert_eq!(Partition::all().count(), usize::from(PARTITIONS));
        assert_eq!(Partition(3).owner::<&str>(&[]), None);
    }
}
