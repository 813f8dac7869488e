//! Checks that hold for a batch as a whole. What fails here can never be taken, however often it is sent.

use model::chain::{self, Link};
use model::{Epoch, Timestamp};
use proto::ingest::v1::Batch;

use super::records::{Malformed, Records};

/// Largest payload, compressed, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 4 << 20;
/// Largest payload, uncompressed, in bytes.
pub(crate) const MAX_UNCOMPRESSED: usize = 16 << 20;
/// Most records in a batch.
pub(crate) const MAX_RECORDS: u32 = 10_000;

/// Why a batch can never be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("count: expected 1 to {MAX_RECORDS} records, got {0}")]
    Count(u32),
    #[error("first_seq: expected at most 2^63 - 1 together with count, got {0}")]
    Sequence(u64),
    #[error("payload: expected at most {MAX_PAYLOAD} bytes, got {0}")]
    Payload(usize),
    #[error("uncompressed_bytes: expected at most {MAX_UNCOMPRESSED}, got {0}")]
    Uncompressed(u64),
    #[error("{0}: expected 32 bytes, got {1}")]
    HashLength(&'static str, usize),
    #[error("hash: does not match the batch's content")]
    Hash,
    #[error("payload: expected zstd data of exactly {0} bytes uncompressed")]
    Compression(u64),
    #[error("payload: expected a Records message: {0}")]
    Malformed(#[from] Malformed),
    #[error("payload: expected {expected} records as count says, got {got}")]
    Records { expected: u32, got: usize },
}

impl Refusal {
    /// For metrics: one of a fixed few.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Count(_) | Self::Sequence(_) | Self::Records { .. } => "batch_count",
            Self::Payload(_) | Self::Uncompressed(_) => "batch_too_large",
            Self::HashLength(..) | Self::Hash => "batch_hash",
            Self::Compression(_) => "batch_compression",
            Self::Malformed(_) => "batch_malformed",
        }
    }
}

/// A batch whose every statement about itself was found true.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) hash: [u8; 32],
    /// What the hash was computed from.
    pub(crate) link: Link,
    /// The uncompressed Records message; [`Records::parse`] has accepted it.
    pub(crate) plain: Vec<u8>,
}

/// Checks a batch and uncompresses it. Takes time in proportion to its size: for a blocking thread.
pub(crate) fn verify(batch: &Batch) -> Result<Verified, Refusal> {
    if !(1..=MAX_RECORDS).contains(&batch.count) {
        return Err(Refusal::Count(batch.count));
    }
    // Numbers are stored as 64-bit signed integers.
    if batch.first_seq > i64::MAX.unsigned_abs() - u64::from(batch.count) {
        return Err(Refusal::Sequence(batch.first_seq));
    }
    if batch.payload.len() > MAX_PAYLOAD {
        return Err(Refusal::Payload(batch.payload.len()));
    }
    let size = usize::try_from(batch.uncompressed_bytes)
        .ok()
        .filter(|size| *size <= MAX_UNCOMPRESSED)
        .ok_or(Refusal::Uncompressed(batch.uncompressed_bytes))?;
    let previous = hash_of("previous_hash", &batch.previous_hash)?;
    let hash = hash_of("hash", &batch.hash)?;
    let link = link(previous, batch);
    if link.hash() != hash {
        return Err(Refusal::Hash);
    }
    let plain = zstd::bulk::decompress(&batch.payload, size)
        .ok()
        .filter(|plain| plain.len() == size)
        .ok_or(Refusal::Compression(batch.uncompressed_bytes))?;
    let found = Records::parse(&plain)?.records.len();
    if usize::try_from(batch.count) != Ok(found) {
        return Err(Refusal::Records {
            expected: batch.count,
            got: found,
        });
    }
    Ok(Verified { hash, link, plain })
}

fn hash_of(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], Refusal> {
    bytes.try_into().map_err(|_| Refusal::HashLength(field, bytes.len()))
}

/// What the hash of a batch is computed from, given that of the batch before it.
fn link(previous_hash: [u8; 32], batch: &Batch) -> Link {
    Link {
        epoch: Epoch(batch.epoch),
        first_seq: batch.first_seq,
        count: batch.count,
        created_at: Timestamp(batch.created_at_micros),
        previous_hash,
        payload_hash: chain::payload_hash(&batch.payload),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use proto::ingest::v1::{self as wire, record};

    use super::*;

    fn batch(records: &wire::Records) -> Batch {
        let plain = records.encode_to_vec();
        let mut batch = Batch {
            epoch: 7,
            first_seq: 40,
            count: u32::try_from(records.records.len()).unwrap(),
            created_at_micros: 1_700_000_000_000_000,
            previous_hash: vec![0; 32],
            hash: Vec::new(),
            payload: zstd::bulk::compress(&plain, 1).unwrap().into(),
            uncompressed_bytes: plain.len() as u64,
        };
        batch.hash = link([0; 32], &batch).hash().to_vec();
        batch
    }

    fn rehash(mut batch: Batch) -> Batch {
        batch.hash = link([0; 32], &batch).hash().to_vec();
        batch
    }

    fn records(lines: &[&str]) -> wire::Records {
        wire::Records {
            origins: vec![wire::Origin {
                kind: "file".to_owned(),
                name: "/var/log/auth.log".to_owned(),
                log_type: String::new(),
                header: String::new(),
            }],
            records: lines
                .iter()
                .map(|line| wire::Record {
                    origin: 0,
                    observed_at_micros: 5,
                    truncated_bytes: 0,
                    body: Some(record::Body::Line(line.as_bytes().to_vec().into())),
                })
                .collect(),
        }
    }

    #[test]
    fn a_true_batch_is_taken_and_gives_its_records_back() {
        let verified = verify(&batch(&records(&["a", "b"]))).unwrap();
        let found = Records::parse(&verified.plain).unwrap();
        assert_eq!(found.origins[0].name, "/var/log/auth.log");
        assert_eq!(found.records.len(), 2);
    }

    #[test]
    fn every_untrue_statement_is_refused_by_name() {
        let good = batch(&records(&["a", "b"]));
        let changed = |change: &dyn Fn(&mut Batch)| {
            let mut batch = good.clone();
            change(&mut batch);
            batch
        };
        for (batch, start) in [
            (changed(&|b| b.count = 0), "count"),
            (changed(&|b| b.count = 10_001), "count"),
            (changed(&|b| b.first_seq = u64::MAX), "first_seq"),
            (changed(&|b| b.payload = vec![0; MAX_PAYLOAD + 1].into()), "payload"),
            (changed(&|b| b.uncompressed_bytes = 1 << 40), "uncompressed_bytes"),
            (changed(&|b| b.hash.truncate(31)), "hash"),
            (changed(&|b| b.previous_hash.clear()), "previous_hash"),
            (changed(&|b| b.created_at_micros += 1), "hash"),
            (changed(&|b| b.epoch += 1), "hash"),
            (rehash(changed(&|b| b.uncompressed_bytes -= 1)), "payload"),
            (rehash(changed(&|b| b.uncompressed_bytes += 1)), "payload"),
            (rehash(changed(&|b| b.payload = vec![1, 2, 3].into())), "payload"),
            (rehash(changed(&|b| b.count = 3)), "payload: expected 3 records"),
        ] {
            let error = verify(&batch).unwrap_err().to_string();
            assert!(error.starts_with(start), "{error} should start with {start}");
        }
    }

    #[test]
    fn a_compression_bomb_stops_at_the_stated_size() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
        let mut bad = batch(&records(&["a"]));
        bad.payload = bomb.into();
        bad.uncompressed_bytes = 1000;
        let error = verify(&rehash(bad)).unwrap_err();
        assert_eq!(error, Refusal::Compression(1000));
    }
}
