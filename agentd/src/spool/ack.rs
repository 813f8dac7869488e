//! The acknowledged position on disk: one line of text with a checksum, replaced by renaming.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

const NAME: &str = "acknowledged";

/// Writes the position; `durable` waits until it would survive a power cut.
pub(super) fn write(dir: &Path, epoch: u64, next_seq: u64, durable: bool) -> io::Result<()> {
    let body = format!("{epoch:016x} {next_seq:016x}");
    let crc = crc32fast::hash(body.as_bytes());
    let temporary = dir.join("acknowledged.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(format!("{body} {crc:08x}\n").as_bytes())?;
    if durable {
        file.sync_data()?;
    }
    fs::rename(&temporary, dir.join(NAME))?;
    if durable { super::sync_dir(dir) } else { Ok(()) }
}

/// Epoch and position; `None` when the file is not there or not whole.
pub(super) fn read(dir: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(dir.join(NAME)).ok()?;
    let (body, crc) = text.trim_end().rsplit_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let (epoch, next_seq) = body.split_once(' ')?;
    Some((
        u64::from_str_radix(epoch, 16).ok()?,
        u64::from_str_radix(next_seq, 16).ok()?,
    ))
}
