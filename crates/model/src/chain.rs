//! The hash chain over a source's batches.
//!
//! A batch's hash covers its place, its time, the hash of its content and the hash of the batch before it. The content
//! itself is left out, so whoever kept these few bytes can compute the hash again without it.

use crate::{Epoch, Timestamp};

/// What the first batch of an epoch follows.
pub const START: [u8; 32] = [0; 32];

/// Everything a batch's hash is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The life of the numbering.
    pub epoch: Epoch,
    /// Number of the batch's first event.
    pub first_seq: u64,
    /// Numbers in it.
    pub count: u32,
    /// When it was closed.
    pub created_at: Timestamp,
    /// The hash of the batch before it; [`START`] when there is none.
    pub previous_hash: [u8; 32],
    /// BLAKE3 of its content, compressed as it is sent.
    pub payload_hash: [u8; 32],
}

impl Link {
    /// The batch's hash: BLAKE3 over the previous hash, epoch, first number, count, time and the content's hash, integers
    /// 8 bytes each, little-endian.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        *blake3::Hasher::new()
            .update(&self.previous_hash)
            .update(&self.epoch.0.to_le_bytes())
            .update(&self.first_seq.to_le_bytes())
            .update(&u64::from(self.count).to_le_bytes())
            .update(&self.created_at.0.to_le_bytes())
            .update(&self.payload_hash)
            .finalize()
            .as_bytes()
    }

    /// One past the batch's last number.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.count))
    }
}

/// BLAKE3 of a batch's content.
#[must_use]
pub fn payload_hash(payload: &[u8]) -> [u8; 32] {
    *blake3::hash(payload).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_link_changes_its_hash() {
        let link = Link {
            epoch: Epoch(1),
            first_seq: 2,
            count: 3,
            created_at: Timestamp(4),
            previous_hash: [5; 32],
            payload_hash: payload_hash(b"content"),
        };
        let changed = [
            Link {
                epoch: Epoch(2),
                ..link
            },
            Link { first_seq: 3, ..link },
            Link { count: 4, ..link },
            Link {
                created_at: Timestamp(5),
                ..link
            },
            Link {
                previous_hash: [6; 32],
                ..link
            },
            Link {
                payload_hash: payload_hash(b"contens"),
                ..link
            },
        ];
        for other in changed {
            assert_ne!(other.hash(), link.hash(), "{other:?}");
        }
        assert_eq!(link.end(), 5);
    }
}
