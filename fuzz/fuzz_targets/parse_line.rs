//! Any line, read by itself, under any header and as any log type, becomes an event that holds it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Timestamp, ecs};
use parsers::{Body, LOG_TYPES, RawRecord, parse};

fuzz_target!(|data: &[u8]| {
    let Some((first, line)) = data.split_first() else { return };
    let log_type = LOG_TYPES.get(usize::from(*first)).copied();
    // What stands before a zero byte is the header of the file.
    let zero = line.iter().position(|byte| *byte == 0);
    let (header, line) = match zero.and_then(|at| line.split_at_checked(at)) {
        Some((header, line)) => (std::str::from_utf8(header).ok(), line.get(1..).unwrap_or_default()),
        None => (None, line),
    };
    for body in [Body::Line(line), Body::Json(line)] {
        let parsed = parse(&RawRecord {
            body,
            origin_kind: "file",
            origin_name: "/var/log/fuzz.log",
            log_type,
            observed: Timestamp(1_763_719_200_000_000),
            truncated_bytes: 0,
            header,
        });
        assert!(parsed.fields.get(ecs::MESSAGE).is_some());
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
            assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL), Some(text));
        }
    }
});
