//! Lists of indicators in files.

use std::path::Path;

use anyhow::{Context as _, bail};
use model::indicator::IndicatorType;

/// Largest file that is read.
const MAX_FILE: u64 = 256 << 20;

/// Reads one indicator a line: `TYPE:VALUE` or a value whose form tells its type. Empty lines and what follows `#` at the
/// beginning of a line or after a blank are left out.
///
/// # Errors
/// Names the first line that is none.
pub(super) fn file(path: &Path) -> anyhow::Result<Vec<(IndicatorType, String)>> {
    let shown = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("read {shown}"))?.len();
    if length > MAX_FILE {
        bail!("read {shown}: expected at most {MAX_FILE} bytes");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
    let mut values = Vec::new();
    for (line, written) in (1..).zip(text.lines()) {
        // A URL may hold a `#` of its own.
        let entry = if written.trim_start().starts_with('#') {
            ""
        } else {
            written.split(" #").next().unwrap_or_default().trim()
        };
        if entry.is_empty() {
            continue;
        }
        let value = IndicatorType::parse_typed(entry).with_context(|| format!("{shown}:{line}"))?;
        values.push(value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_line_by_line_and_errors_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        std::fs::write(
            &path,
            "# ours\nevil.example # seen\n\nip:198.51.100.7\nhttp://a.example/#x\n",
        )
        .unwrap();
        let values = file(&path).unwrap();
        let texts: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(texts, ["evil.example", "198.51.100.7", "http://a.example/"]);
        std::fs::write(&path, "evil.example\nnothing\n").unwrap();
        let error = format!("{:#}", file(&path).unwrap_err());
        assert!(error.contains("list.txt:2: value: expected"), "{error}");
    }
}
