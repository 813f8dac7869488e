//! A block stays small.

mod traffic;

use block::encode;

#[test]
fn a_full_block_of_realistic_events_is_under_100_bytes_an_event() {
    let events = traffic::events(4000, 1);
    let encoded = encode(&events).unwrap();
    let per_event = (encoded.bytes.len() + encoded.meta.token_filter.len()) as f64 / events.len() as f64;
    println!(
        "{:.1} bytes an event in the block, {:.1} in the filter",
        encoded.bytes.len() as f64 / events.len() as f64,
        encoded.meta.token_filter.len() as f64 / events.len() as f64
    );
    assert!(per_event < 100.0, "{per_event:.1} bytes an event");
}
