//! Files that are compressed: gzip and zstd, known by how they begin. What is in them is read as if it stood there.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// Largest window of a zstd file, as a power of two: 128 MiB, what `zstd` itself takes without being told.
const MAX_WINDOW_LOG: u32 = 27;
/// Bytes by which a kind is known.
pub(crate) const MAGIC_BYTES: usize = 4;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// What the first bytes of a file say.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What is in a file, from where it stands. All members of a file with several are read, as logrotate's and S3's have.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub(crate) fn unpack(self, file: File) -> io::Result<Box<dyn Read + Send>> {
        let file = BufReader::new(file);
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(file)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_packed_comes_out_again_with_all_its_members() {
        let text = b"one\ntwo\n".repeat(10_000);
        let several = [gzip(&text), gzip(b"more\n")].concat();
        let frames = [
            zstd::encode_all(&text[..], 1).unwrap(),
            zstd::encode_all(&b"more\n"[..], 1).unwrap(),
        ]
        .concat();
        for (packed, packing) in [(several, Packing::Gzip), (frames, Packing::Zstd)] {
            assert_eq!(Packing::of(&packed), Some(packing));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&packed).unwrap();
            file.rewind().unwrap();
            let mut found = Vec::new();
            packing.unpack(file).unwrap().read_to_end(&mut found).unwrap();
            assert_eq!(found.len(), text.len() + 5);
            assert!(found.ends_with(b"two\nmore\n"));
        }
        assert_eq!(Packing::of(b"Nov 21"), None);
    }
}
