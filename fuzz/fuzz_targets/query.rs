//! Any text is a query or refused; a query reads back as itself, and is planned and matched without panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Epoch, Event, EventId, Fields, SourceId, Timestamp};
use query::Query;

fuzz_target!(|input: (&str, &str)| {
    let (text, message) = input;
    let Ok(query) = Query::parse(text) else { return };
    let printed = query.to_string();
    assert_eq!(Query::parse(&printed).as_ref(), Ok(&query), "{printed}");
    let mut fields = Fields::new();
    fields.insert("message", message);
    let event = Event {
        id: EventId {
            source: SourceId::named("fuzz", "fuzz"),
            epoch: Epoch(1),
            seq: 1,
        },
        timestamp: Timestamp(0),
        fields,
    };
    let compiled = query.compile(Timestamp(0));
    let matches = compiled.matches(&event);
    let encoded = block::encode(&[event]).expect("one small event fits");
    let block = block::Block::open(&encoded.bytes).expect("what was encoded opens");
    let plan = compiled.plan();
    let found = query::scan(&compiled, plan.span, &block).expect("what was encoded is readable");
    assert_eq!(found.rows.len() == 1, matches, "{text}");
    assert!(!matches || plan.need.may_be_in(&encoded.meta.token_filter, None), "{text}");
});
