//! What stands for what in a JSON string (RFC 8259, section 7).

/// Appends the text that `raw`, the inside of a JSON string, stands for. False, and an undefined part appended, when an
/// escape is not one of JSON's.
pub(crate) fn unescape_into(raw: &str, out: &mut String) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (Some(plain), Some(escape)) = (rest.get(..at), rest.get(at + 1..)) else {
            return false;
        };
        out.push_str(plain);
        let Some((kind, after)) = escape.split_at_checked(1) else {
            return false;
        };
        rest = after;
        out.push(match kind {
            "\"" => '"',
            "\\" => '\\',
            "/" => '/',
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => match code_point(&mut rest) {
                Some(character) => character,
                None => return false,
            },
            _ => return false,
        });
    }
    out.push_str(rest);
    true
}

/// Takes four hex digits, or a pair of surrogates, off the front.
fn code_point(rest: &mut &str) -> Option<char> {
    let first = unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    *rest = rest.strip_prefix("\\u")?;
    let second = unit(rest)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)
}

fn unit(rest: &mut &str) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    *rest = after;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_are_read_as_serde_json_reads_them(raw in r#"([a-zä😀]|\\["\\/bfnrtu]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00|\\x){0,12}"#) {
            let mut ours = String::from("before");
            let is_fine = unescape_into(&raw, &mut ours);
            match serde_json::from_str::<String>(&format!("\"{raw}\"")) {
                Ok(theirs) => prop_assert_eq!((is_fine, ours), (true, format!("before{theirs}"))),
                Err(_) => prop_assert!(!is_fine),
            }
        }
    }
}
