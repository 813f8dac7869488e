//! Events as comma-separated values (RFC 4180).

use std::borrow::Cow;

use model::{Event, Value, ecs};
use proto::ServiceError;

use crate::problem::invalid;

/// Columns when nobody says which.
pub const DEFAULT_COLUMNS: [&str; 12] = [
    ecs::TIMESTAMP,
    ecs::EVENT_ID,
    ecs::HOST_NAME,
    ecs::AGENT_NAME,
    ecs::EVENT_ACTION,
    ecs::EVENT_OUTCOME,
    ecs::USER_NAME,
    ecs::SOURCE_IP,
    ecs::SOURCE_PORT,
    ecs::PROCESS_NAME,
    ecs::PICKET_LOG_TYPE,
    ecs::MESSAGE,
];
/// Most columns.
const MAX_COLUMNS: usize = 100;

/// Names of fields, separated by commas.
pub(super) fn columns(names: Option<&str>) -> Result<Vec<String>, ServiceError> {
    let Some(names) = names else {
        return Ok(DEFAULT_COLUMNS.iter().map(|name| (*name).to_owned()).collect());
    };
    let columns: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    if columns.len() > MAX_COLUMNS
        || columns
            .iter()
            .any(|name| name.is_empty() || name.len() > model::event::MAX_NAME)
    {
        return Err(invalid(format!(
            "fields: expected 1 to {MAX_COLUMNS} names of fields, separated by commas"
        )));
    }
    Ok(columns)
}

pub(super) fn head(out: &mut Vec<u8>, columns: &[String]) {
    write(out, columns.iter().map(|name| Cow::Borrowed(name.as_str())));
}

pub(super) fn line(out: &mut Vec<u8>, event: &Event, columns: &[String]) {
    write(
        out,
        columns.iter().map(|name| match name.as_str() {
            ecs::TIMESTAMP => Cow::Owned(event.timestamp.to_string()),
            ecs::EVENT_ID => Cow::Owned(event.id.to_string()),
            name => match event.fields.get(name) {
                None => Cow::Borrowed(""),
                Some(value) => harmless(value),
            },
        }),
    );
}

/// Spreadsheets take text that begins like a formula for one, and what logs say is an attacker's to choose.
fn harmless(value: &Value) -> Cow<'_, str> {
    let text = value.to_text();
    let is_number = matches!(value, Value::Int(_) | Value::Float(_)) || text.parse::<f64>().is_ok();
    if !is_number && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return Cow::Owned(format!("'{text}"));
    }
    text
}

fn write<'t>(out: &mut Vec<u8>, cells: impl Iterator<Item = Cow<'t, str>>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields, SourceId, Timestamp};

    use super::*;

    #[test]
    fn cells_are_quoted_where_needed_and_are_no_formulas() {
        let mut fields = Fields::new();
        fields.insert("message", "say \"hi\", twice");
        fields.insert("a", "=cmd()");
        fields.insert("b", -5);
        fields.insert("c", Value::from(vec!["x".into(), "y".into()]));
        fields.insert("d", "-1.5");
        let event = Event {
            id: EventId {
                source: SourceId::named("t", "t"),
                epoch: Epoch(1),
                seq: 1,
            },
            timestamp: Timestamp(0),
            fields,
        };
        let columns = columns(Some("@timestamp, message,a,b,c,d,none")).unwrap();
        let mut out = Vec::new();
        head(&mut out, &columns);
        line(&mut out, &event, &columns);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "@timestamp,message,a,b,c,d,none\r\n1970-01-01T00:00:00.000000Z,\"say \"\"hi\"\", twice\",'=cmd(),-5,\"x,y\",-1.5,\r\n"
        );
    }

    #[test]
    fn columns_are_named_and_few() {
        assert_eq!(columns(None).unwrap().len(), DEFAULT_COLUMNS.len());
        let many = vec!["a"; MAX_COLUMNS + 1].join(",");
        for bad in ["", "a,,b", many.as_str()] {
            assert!(columns(Some(bad)).unwrap_err().detail.starts_with("fields: "));
        }
    }
}
