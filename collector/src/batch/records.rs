//! Reading a Records message in place. The generated type would copy every line, and a few hostile bytes could make it
//! allocate a thousand times their size.

use super::verify::MAX_RECORDS;

/// Most origins in a batch.
const MAX_ORIGINS: usize = 1024;

/// The bytes are not a Records message, or one larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("cut off")]
    Truncated,
    #[error("invalid field")]
    Field,
    #[error("more than {MAX_RECORDS} records")]
    TooManyRecords,
    #[error("more than {MAX_ORIGINS} origins")]
    TooManyOrigins,
}

/// Borrowed from a batch's payload.
#[derive(Debug, Default)]
pub(crate) struct Records<'a> {
    pub(crate) origins: Vec<Origin>,
    pub(crate) records: Vec<Record<'a>>,
}

/// Where records come from. Bytes that are not UTF-8 are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) log_type: String,
    /// The lines by which the file names the columns of its records; may be empty.
    pub(crate) header: String,
}

/// One record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record<'a> {
    pub(crate) origin: u32,
    pub(crate) observed_at_micros: i64,
    /// `None` for kinds of records that this version does not know.
    pub(crate) body: Option<parsers::Body<'a>>,
    pub(crate) truncated_bytes: u64,
}

impl<'a> Records<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut records = Self::default();
        let mut message = Message(bytes);
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (1, Field::Bytes(origin)) => {
                    if records.origins.len() >= MAX_ORIGINS {
                        return Err(Malformed::TooManyOrigins);
                    }
                    records.origins.push(Origin::parse(origin)?);
                }
                (2, Field::Bytes(record)) => {
                    if records.records.len() >= MAX_RECORDS as usize {
                        return Err(Malformed::TooManyRecords);
                    }
                    records.records.push(Record::parse(record)?);
                }
                (1 | 2, Field::Number(_) | Field::Skipped) => return Err(Malformed::Field),
                _ => {}
            }
        }
        Ok(records)
    }
}

impl Origin {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        /// Longest text that is kept of each, in bytes.
        const MAX_TEXT: usize = 4096;
        const MAX_HEADER: usize = 8 << 10;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..MAX_TEXT).unwrap_or(bytes)).into_owned();
        let mut origin = Self::default();
        let mut message = Message(bytes);
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (1, Field::Bytes(value)) => origin.kind = text(value),
                (2, Field::Bytes(value)) => origin.name = text(value),
                (3, Field::Bytes(value)) => origin.log_type = text(value),
                // Of one that is cut nothing can be said.
                (4, Field::Bytes(value)) if value.len() > MAX_HEADER => {}
                (4, Field::Bytes(value)) => origin.header = String::from_utf8_lossy(value).into_owned(),
                (1..=4, Field::Number(_) | Field::Skipped) => return Err(Malformed::Field),
                _ => {}
            }
        }
        Ok(origin)
    }
}

impl<'a> Record<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut record = Self::default();
        let mut message = Message(bytes);
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (1, Field::Number(value)) => record.origin = u32::try_from(value).unwrap_or(u32::MAX),
                (2, Field::Number(value)) => record.observed_at_micros = unzigzag(value),
                (3, Field::Bytes(value)) => record.body = Some(parsers::Body::Line(value)),
                (4, Field::Bytes(value)) => record.body = Some(parsers::Body::Json(value)),
                (5, Field::Number(value)) => record.truncated_bytes = value,
                (1..=5, _) => return Err(Malformed::Field),
                _ => {}
            }
        }
        Ok(record)
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// What is left of a protobuf message.
struct Message<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

impl<'a> Message<'a> {
    fn field(&mut self) -> Result<Option<(u64, Field<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Skipped
            }
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
                Field::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Field::Skipped
            }
            _ => return Err(Malformed::Field),
        };
        match tag >> 3 {
            0 => Err(Malformed::Field),
            number => Ok(Some((number, value))),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed::Truncated)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Field)
    }
}

#[cfg(test)]
mod tests {
    use parsers::Body;
    use proptest::prelude::*;
    use prost::Message as _;
    use proto::ingest::v1::{self as wire, record};

    use super::*;

    fn body() -> impl Strategy<Value = Option<record::Body>> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..50);
        (bytes, 0..3).prop_map(|(bytes, kind)| match kind {
            0 => None,
            1 => Some(record::Body::Line(bytes.into())),
            _ => Some(record::Body::Json(bytes.into())),
        })
    }

    fn records() -> impl Strategy<Value = wire::Records> {
        let record =
            (any::<u32>(), any::<i64>(), body(), any::<u64>()).prop_map(|(origin, at, body, cut)| wire::Record {
                origin,
                observed_at_micros: at,
                body,
                truncated_bytes: cut,
            });
        let origin = (".{0,9}", ".{0,9}", ".{0,9}", ".{0,9}").prop_map(|(kind, name, log_type, header)| wire::Origin {
            kind,
            name,
            log_type,
            header,
        });
        (
            proptest::collection::vec(origin, 0..4),
            proptest::collection::vec(record, 0..20),
        )
            .prop_map(|(origins, records)| wire::Records { origins, records })
    }

    proptest! {
        #[test]
        fn reads_what_the_generated_code_writes(sent in records()) {
            let bytes = sent.encode_to_vec();
            let read = Records::parse(&bytes).unwrap();
            prop_assert_eq!(read.origins.len(), sent.origins.len());
            for (read, sent) in read.origins.iter().zip(&sent.origins) {
                prop_assert_eq!((&read.kind, &read.name, &read.log_type), (&sent.kind, &sent.name, &sent.log_type));
                prop_assert_eq!(&read.header, &sent.header);
            }
            prop_assert_eq!(read.records.len(), sent.records.len());
            for (read, sent) in read.records.iter().zip(&sent.records) {
                prop_assert_eq!(read.origin, sent.origin);
                prop_assert_eq!(read.observed_at_micros, sent.observed_at_micros);
                prop_assert_eq!(read.truncated_bytes, sent.truncated_bytes);
                match (&read.body, &sent.body) {
                    (None, None) => {}
                    (Some(Body::Line(read)), Some(record::Body::Line(sent))) => prop_assert_eq!(read, &sent.as_ref()),
                    (Some(Body::Json(read)), Some(record::Body::Json(sent))) => prop_assert_eq!(read, &sent.as_ref()),
                    _ => prop_assert!(false, "another kind of body"),
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Records::parse(&bytes);
        }

        #[test]
        fn a_cut_message_never_panics(sent in records(), cut in any::<prop::sample::Index>()) {
            let bytes = sent.encode_to_vec();
            let _ = Records::parse(&bytes[..cut.index(bytes.len() + 1)]);
        }
    }

    #[test]
    fn counts_are_bounded_before_memory_is_taken() {
        let many = [0x12, 0].repeat(10_001);
        assert_eq!(Records::parse(&many).unwrap_err(), Malformed::TooManyRecords);
        let many = [0x0a, 0].repeat(1025);
        assert_eq!(Records::parse(&many).unwrap_err(), Malformed::TooManyOrigins);
    }

    #[test]
    fn fields_of_later_versions_are_skipped() {
        let record = [0x18_u8, 0];
        assert!(Record::parse(&record).is_err(), "a line must be bytes");
        assert!(Record::parse(&[0x32, 1, 9]).unwrap().body.is_none());
    }
}
