//! Durations as people write them: `90s`, `30m`, `24h`, `7d`.

use std::time::Duration;

/// Longest time a token or certificate may be asked for: ten years.
const MAX_SECS: u64 = 10 * 366 * 86_400;

/// Reads a whole number with a unit s, m, h or d.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let error =
        || format!("expected a whole number with s, m, h or d, such as 24h, from 1s to ten years, got {text:?}");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| error())?;
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    match number.checked_mul(unit) {
        Some(secs @ 1..=MAX_SECS) => Ok(Duration::from_secs(secs)),
        Some(_) | None => Err(error()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_ttl;

    #[test]
    fn units_are_needed_and_bounds_are_kept() {
        assert_eq!(parse_ttl("24h").unwrap().as_secs(), 86_400);
        assert_eq!(parse_ttl("90s").unwrap().as_secs(), 90);
        for wrong in ["", "24", "h", "-1h", "0s", "1w", "99999999999999999999d", "9999999d"] {
            assert!(parse_ttl(wrong).unwrap_err().contains("24h"), "{wrong}");
        }
    }
}
