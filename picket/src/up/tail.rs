//! The end of a log, for the message that tells why something did not start.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

const BYTES: u64 = 32 << 10;
const LINES: usize = 12;

/// The last lines of what was written to a log after `start`, each indented.
pub(super) fn last_lines(path: &Path, start: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let from = start.max(length.saturating_sub(BYTES));
        if file.seek(SeekFrom::Start(from)).is_ok() {
            let _ = file.take(BYTES).read_to_end(&mut bytes);
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    if last.is_empty() {
        return "  (nothing)".to_owned();
    }
    last.iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn only_what_is_new_is_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old\nnew\n").unwrap();
        assert_eq!(last_lines(file.path(), 4), "  new");
        assert_eq!(last_lines(file.path(), 8), "  (nothing)");
    }
}
