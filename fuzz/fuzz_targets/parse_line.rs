//! Any line, read by itself and as any log type, becomes an event that holds it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Timestamp, ecs};
use parsers::{Body, LOG_TYPES, RawRecord, parse};

fuzz_target!(|data: &[u8]| {
    let Some((first, line)) = data.split_first() else { return };
    let log_type = LOG_TYPES.get(usize::from(*first)).copied();
    for body in [Body::Line(line), Body::Json(line)] {
        let parsed = parse(&RawRecord {
            body,
            origin_kind: "file",
            origin_name: "/var/log/fuzz.log",
            log_type,
            observed: Timestamp(1_763_719_200_000_000),
            truncated_bytes: 0,
            header: None,
        });
        assert!(parsed.fields.get(ecs::MESSAGE).is_some());
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.trim_start().starts_with('{') {
            assert_eq!(parsed.fields.str(ecs::EVENT_ORIGINAL), Some(text));
        }
    }
});
