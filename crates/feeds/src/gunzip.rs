//! Compressed bodies, unpacked as they arrive.

use std::io::Write as _;

use flate2::write::GzDecoder;

/// Bytes unpacked at a time: what one step can grow to is at most about a thousand times that.
const STEP: usize = 1024;
const MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// Passes bytes through, unpacking them when they begin as gzip does.
#[derive(Debug, Default)]
pub struct Gunzip {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    Short(Vec<u8>),
    Plain,
    Packed(Box<GzDecoder<Vec<u8>>>),
}

/// The body cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum GunzipError {
    /// Not what gzip writes, or cut off.
    #[error("body: expected intact gzip")]
    Broken(#[source] std::io::Error),
    /// A zip archive.
    #[error("body: expected text or gzip, got a zip archive; name the uncompressed download")]
    Zip,
}

impl Gunzip {
    /// Gives what `bytes` unpack to, in pieces, to `each`, until it answers false.
    ///
    /// # Errors
    /// When the body is not what it began as, or is a zip archive.
    pub fn push(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8]) -> bool) -> Result<(), GunzipError> {
        let start = match std::mem::take(&mut self.state) {
            State::Start => Vec::new(),
            State::Short(start) => start,
            State::Plain => {
                self.state = State::Plain;
                each(bytes);
                return Ok(());
            }
            State::Packed(decoder) => {
                self.state = State::Packed(decoder);
                return self.unpack(bytes, each);
            }
        };
        let mut start = start;
        start.extend_from_slice(bytes);
        if start.len() < ZIP.len() {
            self.state = State::Short(start);
            return Ok(());
        }
        if start.starts_with(&ZIP) {
            return Err(GunzipError::Zip);
        }
        if start.starts_with(&MAGIC) {
            self.state = State::Packed(Box::new(GzDecoder::new(Vec::new())));
            return self.unpack(&start, each);
        }
        self.state = State::Plain;
        each(&start);
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn finish(&mut self, each: &mut impl FnMut(&[u8]) -> bool) -> Result<(), GunzipError> {
        match std::mem::take(&mut self.state) {
            State::Start | State::Plain => {}
            State::Short(start) => {
                each(&start);
            }
            State::Packed(mut decoder) => {
                decoder.try_finish().map_err(GunzipError::Broken)?;
                each(decoder.get_ref());
            }
        }
        Ok(())
    }

    fn unpack(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8]) -> bool) -> Result<(), GunzipError> {
        let State::Packed(decoder) = &mut self.state else {
            return Ok(());
        };
        for step in bytes.chunks(STEP) {
            decoder.write_all(step).map_err(GunzipError::Broken)?;
            let unpacked = std::mem::take(decoder.get_mut());
            if !unpacked.is_empty() && !each(&unpacked) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn through(body: &[u8], piece: usize) -> Result<Vec<u8>, GunzipError> {
        let mut gunzip = Gunzip::default();
        let mut out = Vec::new();
        let mut each = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            true
        };
        for bytes in body.chunks(piece) {
            gunzip.push(bytes, &mut each)?;
        }
        gunzip.finish(&mut each)?;
        Ok(out)
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_unpacked_whatever_the_pieces() {
        let text = b"203.0.113.9\n".repeat(5000);
        for piece in [1, 7, 100_000] {
            assert_eq!(through(&packed(&text), piece).unwrap(), text);
            assert_eq!(through(&text, piece).unwrap(), text);
            assert_eq!(through(b"ab", piece).unwrap(), b"ab");
            assert_eq!(through(b"", piece).unwrap(), b"");
        }
    }

    #[test]
    fn what_is_cut_off_or_not_gzip_is_told() {
        let body = packed(&b"203.0.113.9\n".repeat(5000));
        assert!(matches!(
            through(&body[..body.len() - 9], 64),
            Err(GunzipError::Broken(_))
        ));
        assert!(matches!(
            through(b"\x1f\x8bnonsense, really", 64),
            Err(GunzipError::Broken(_))
        ));
        assert!(matches!(through(b"PK\x03\x04....", 64), Err(GunzipError::Zip)));
    }

    #[test]
    fn a_bomb_can_be_stopped_early() {
        let body = packed(&vec![0; 50_000_000]);
        let mut gunzip = Gunzip::default();
        let mut seen = 0;
        let mut each = |bytes: &[u8]| {
            seen += bytes.len();
            seen < 2_000_000
        };
        gunzip.push(&body, &mut each).unwrap();
        assert!((2_000_000..4_000_000).contains(&seen), "{seen}");
    }
}
