//! One file of an archive: records with their checksums, and at the end what they come to. `docs/operations/archive.md`
//! describes it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 4] = b"PKTA";
const VERSION: u8 = 1;
/// Largest record, in bytes: MongoDB's documents end at 16 MiB.
const MAX_RECORD: u32 = 17 << 20;
/// Largest header or end, in bytes.
const MAX_JSON: u32 = 64 << 10;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// `blocks`, or the collection of companions.
    pub(super) kind: String,
    /// `YYYYMMDD`; empty for companions.
    pub(super) day: String,
    /// Whose; empty for companions.
    pub(super) tenant: String,
    /// Which partition; 0 for companions.
    pub(super) partition: u16,
}

/// What a file came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// Records.
    pub(super) records: u64,
    /// Events in them; 0 for companions.
    pub(super) events: u64,
    /// Batches in them; 0 for companions.
    pub(super) batches: u64,
}

/// Writes a file under a name of its own; [`Writer::finish`] gives it the right one.
pub(super) struct Writer {
    out: BufWriter<File>,
    all: blake3::Hasher,
    bytes: u64,
    pub(super) end: End,
}

impl Writer {
    pub(super) fn create(path: &Path, header: &Header) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut writer = Self {
            out: BufWriter::with_capacity(1 << 20, file),
            all: blake3::Hasher::new(),
            bytes: 0,
            end: End::default(),
        };
        writer.put(MAGIC)?;
        writer.put(&[VERSION])?;
        writer.put_sized(&serde_json::to_vec(header).context("write the header")?)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.all.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).context("write the archive")
    }

    fn put_sized(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let len = u32::try_from(bytes.len()).context("a record is too long")?;
        self.put(&len.to_le_bytes())?;
        self.put(bytes)
    }

    /// Appends a record. Never empty.
    pub(super) fn record(&mut self, bytes: &[u8], events: u64, batches: u64) -> anyhow::Result<()> {
        self.put_sized(bytes)?;
        self.put(blake3::hash(bytes).as_bytes())?;
        self.end.records += 1;
        self.end.events += events;
        self.end.batches += batches;
        Ok(())
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the end and waits until all is on the disk. Answers with the file's size and checksum.
    pub(super) fn finish(mut self) -> anyhow::Result<(u64, String, End)> {
        let end = self.end;
        self.put(&0_u32.to_le_bytes())?;
        self.put_sized(&serde_json::to_vec(&end).context("write the end")?)?;
        let checksum = *self.all.finalize().as_bytes();
        self.put(&checksum)?;
        let file = self.out.into_inner().context("write the archive")?;
        file.sync_all().context("wait for the disk")?;
        Ok((self.bytes, blake3::Hash::from(checksum).to_hex().to_string(), end))
    }
}

/// Reads a file, one record at a time, and checks all that can be checked. Errors name the file and the record.
pub(super) struct Reader {
    input: BufReader<File>,
    name: String,
    all: blake3::Hasher,
    pub(super) header: Header,
    found: End,
    bytes: u64,
    checksum: Option<String>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("open {name}"))?;
        let mut reader = Self {
            input: BufReader::with_capacity(1 << 20, file),
            name: name.clone(),
            all: blake3::Hasher::new(),
            header: Header {
                kind: String::new(),
                day: String::new(),
                tenant: String::new(),
                partition: 0,
            },
            found: End::default(),
            bytes: 0,
            checksum: None,
        };
        let start = reader.take(5).with_context(|| format!("{name}: no archive"))?;
        ensure!(start.starts_with(MAGIC), "{name}: no archive of Picket");
        let version = start.last().copied().unwrap_or_default();
        ensure!(
            version == VERSION,
            "{name}: version {version} of archives is not known here, only {VERSION}"
        );
        let header = reader
            .take_sized(MAX_JSON)
            .with_context(|| format!("{name}: header is cut off"))?;
        reader.header = serde_json::from_slice(&header).with_context(|| format!("{name}: header is not readable"))?;
        Ok(reader)
    }

    fn take(&mut self, len: u32) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(u64::from(len)).read_to_end(&mut bytes);
        ensure!(
            read.context("read the archive")? as u64 == u64::from(len),
            "the file is cut off"
        );
        self.all.update(&bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes)
    }

    fn take_len(&mut self) -> anyhow::Result<u32> {
        let bytes = self.take(4)?;
        let bytes: [u8; 4] = bytes.as_slice().try_into().context("read a length")?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn take_sized(&mut self, max: u32) -> anyhow::Result<Vec<u8>> {
        let len = self.take_len()?;
        ensure!(len <= max, "a length of {len} bytes is above {max}");
        self.take(len)
    }

    /// What a file that was read to its end came to: bytes, and the checksum it ends with.
    pub(super) fn sum(&self) -> (u64, Option<&str>) {
        (self.bytes, self.checksum.as_deref())
    }

    /// The next record; `None` at the end, when the whole file was found right.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let number = self.found.records + 1;
        let place = format!("{}: record {number}", self.name);
        let len = self.take_len().with_context(|| place.clone())?;
        if len == 0 {
            self.end()?;
            return Ok(None);
        }
        ensure!(
            len <= MAX_RECORD,
            "{place}: a length of {len} bytes is above {MAX_RECORD}"
        );
        let bytes = self.take(len).with_context(|| place.clone())?;
        let checksum = self.take(32).with_context(|| place.clone())?;
        if blake3::hash(&bytes).as_bytes() != checksum.as_slice() {
            bail!("{place}: checksum does not match, the record is corrupt");
        }
        self.found.records += 1;
        Ok(Some(bytes))
    }

    /// Counts what a record holds, to be compared with what the file says at its end.
    pub(super) fn count(&mut self, events: u64, batches: u64) {
        self.found.events += events;
        self.found.batches += batches;
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let name = self.name.clone();
        let end = self
            .take_sized(MAX_JSON)
            .with_context(|| format!("{name}: end is cut off"))?;
        let end: End = serde_json::from_slice(&end).with_context(|| format!("{name}: end is not readable"))?;
        let computed = *self.all.finalize().as_bytes();
        let checksum = self.take(32).with_context(|| format!("{name}: end is cut off"))?;
        ensure!(
            computed.as_slice() == checksum,
            "{name}: checksum of the file does not match, it is corrupt"
        );
        self.checksum = Some(blake3::Hash::from(computed).to_hex().to_string());
        let mut rest = [0];
        ensure!(self.input.read(&mut rest)? == 0, "{name}: bytes behind the end");
        let found = self.found;
        ensure!(end == found, "{name}: expected {end:?}, found {found:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: "blocks".to_owned(),
            day: "20260304".to_owned(),
            tenant: "default".to_owned(),
            partition: 3,
        }
    }

    fn read_all(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut reader = Reader::open(path)?;
        let mut records = Vec::new();
        while let Some(record) = reader.next()? {
            reader.count(record.len() as u64, 1);
            records.push(record);
        }
        Ok(records)
    }

    #[test]
    fn records_come_back_and_any_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pkta");
        let mut writer = Writer::create(&path, &header()).unwrap();
        for record in [&b"one"[..], b"another"] {
            writer.record(record, record.len() as u64, 1).unwrap();
        }
        let (size, ..) = writer.finish().unwrap();
        assert_eq!(Reader::open(&path).unwrap().header, header());
        assert_eq!(read_all(&path).unwrap(), [b"one".to_vec(), b"another".to_vec()]);
        let good = std::fs::read(&path).unwrap();
        assert_eq!(good.len() as u64, size);
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x40;
            std::fs::write(&path, &bad).unwrap();
            let error = read_all(&path).expect_err(&format!("byte {place} was changed"));
            assert!(error.to_string().contains("a.pkta"), "{error}");
            std::fs::write(&path, &good[..place]).unwrap();
            assert!(read_all(&path).is_err(), "cut off at {place}");
        }
        std::fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert!(read_all(&path).is_err());
    }

    #[test]
    fn a_corrupt_record_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pkta");
        let mut writer = Writer::create(&path, &header()).unwrap();
        for _ in 0..3 {
            writer.record(b"the same", 1, 1).unwrap();
        }
        writer.finish().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let second = bytes
            .windows(8)
            .enumerate()
            .filter(|(_, w)| *w == b"the same")
            .nth(1)
            .unwrap()
            .0;
        bytes[second] = b'T';
        std::fs::write(&path, &bytes).unwrap();
        let error = read_all(&path).unwrap_err().to_string();
        assert!(
            error.contains("a.pkta: record 2") && error.contains("corrupt"),
            "{error}"
        );
    }
}
