//! Which classes of events a block holds: what decides how long it is kept.

use std::collections::BTreeSet;

use model::{Event, ecs, retention};

/// Most classes listed of one block. What holds more is kept as long as anything of its tenant.
const MAX_CLASSES: usize = 32;

/// The classes in an encoded block, in order and separated by spaces; `None` when they are too many, or not readable.
pub(super) fn of_body(body: &[u8]) -> Option<String> {
    let block = block::Block::open(body).ok()?;
    let categories = block.column(ecs::EVENT_CATEGORY).ok()?;
    let log_types = block.column(ecs::PICKET_LOG_TYPE).ok()?;
    // Rows with the same two values are of the same class, and these are few.
    let mut pairs = BTreeSet::new();
    for row in 0..block.len() {
        let of = |column: &Option<block::Column>| column.as_ref().and_then(|column| column.index(row));
        pairs.insert((of(&categories), of(&log_types)));
    }
    let value = |column: &'_ Option<block::Column>, index: Option<usize>| {
        let column = column.as_ref()?;
        column.dictionary().get(index?).cloned()
    };
    let classes = pairs.into_iter().map(|(category, log_type)| {
        let (category, log_type) = (value(&categories, category), value(&log_types, log_type));
        retention::class_of(category.as_ref(), log_type.as_ref()).to_owned()
    });
    join(classes.collect())
}

/// [`of_body`] of events that are not encoded.
#[cfg(test)]
fn of_events(events: &[Event]) -> Option<String> {
    join(events.iter().map(|event| class_of(event).to_owned()).collect())
}

/// The class of an event.
pub(super) fn class_of(event: &Event) -> &str {
    retention::class_of_fields(&event.fields)
}

fn join(classes: BTreeSet<String>) -> Option<String> {
    if classes.len() > MAX_CLASSES {
        return None;
    }
    Some(classes.into_iter().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields, SourceId, Timestamp, Value};

    use super::*;

    #[test]
    fn a_block_names_each_class_once() {
        let kinds: [(&[&str], &str); 4] = [
            (&["authentication", "session"], "sshd"),
            (&[], "sshd"),
            (&["web"], "json"),
            (&["authentication"], "pam"),
        ];
        let events: Vec<Event> = (0..40)
            .map(|seq| {
                let (categories, log_type) = kinds[usize::try_from(seq).unwrap() % 4];
                let mut fields = Fields::new();
                if !categories.is_empty() {
                    let list: Vec<Value> = categories.iter().map(|category| (*category).into()).collect();
                    fields.insert(ecs::EVENT_CATEGORY, list);
                }
                fields.insert(ecs::PICKET_LOG_TYPE, log_type);
                let id = EventId {
                    source: SourceId::named("test", "a"),
                    epoch: Epoch(1),
                    seq,
                };
                Event {
                    id,
                    timestamp: Timestamp(5),
                    fields,
                }
            })
            .collect();
        let body = block::encode(&events).unwrap().bytes;
        assert_eq!(of_body(&body).as_deref(), Some("authentication sshd web"));
        assert_eq!(of_body(&body), of_events(&events));
        assert_eq!(of_body(b"no block"), None);
    }
}
