//! Values of any kind, each with a tag in front.

use model::{List, Text, Value};

use crate::budget::Budget;
use crate::error::DecodeError;
use crate::wire::{Reader, put_len, put_varint, unzigzag, zigzag};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const STR: u8 = 5;
const LIST: u8 = 6;

/// Deepest nesting of lists.
pub(crate) const MAX_NESTING: usize = 64;

/// How deep lists nest in the value; 0 when it is none.
pub(crate) fn nesting(value: &Value) -> usize {
    match value {
        Value::List(values) => 1 + values.iter().map(nesting).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => 0,
    }
}

pub(crate) fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Int(number) => {
            out.push(INT);
            put_varint(out, zigzag(*number));
        }
        Value::Float(number) => {
            out.push(FLOAT);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::Str(text) => {
            out.push(STR);
            put_len(out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        Value::List(values) => {
            out.push(LIST);
            put_len(out, values.len());
            values.iter().for_each(|inner| put(out, inner));
        }
    }
}

/// Reads one value; what it owns is taken from the budget, its own size is not. Of a shared one, copies own nothing.
pub(crate) fn get(reader: &mut Reader<'_>, is_shared: bool, budget: &mut Budget) -> Result<Value, DecodeError> {
    get_nested(reader, is_shared, budget, 0)
}

/// A text of which many copies will be made, or of which none will.
pub(crate) fn text(text: &str, is_shared: bool) -> Value {
    Value::Str(if is_shared {
        Text::shared(text)
    } else {
        Text::from(text)
    })
}

fn get_nested(
    reader: &mut Reader<'_>,
    is_shared: bool,
    budget: &mut Budget,
    depth: usize,
) -> Result<Value, DecodeError> {
    Ok(match reader.byte()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => Value::Int(unzigzag(reader.varint()?)),
        FLOAT => Value::Float(f64::from_bits(u64::from_le_bytes(reader.array()?))),
        STR => {
            let len = reader.count()?;
            budget.take(len)?;
            text(reader.text(len)?, is_shared)
        }
        LIST if depth < MAX_NESTING => {
            let count = reader.count()?;
            budget.take_items::<Value>(count)?;
            let mut values = Vec::with_capacity(count);
            for _ in 0..count {
                values.push(get_nested(reader, is_shared, budget, depth + 1)?);
            }
            Value::List(if is_shared {
                List::shared(values)
            } else {
                List::from(values)
            })
        }
        LIST => return Err(DecodeError::Malformed("lists nest too deep")),
        _ => return Err(DecodeError::Malformed("a value's kind is not known")),
    })
}

/// Passes over one value.
pub(crate) fn skip(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    skip_nested(reader, 0)
}

fn skip_nested(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    match reader.byte()? {
        NULL | FALSE | TRUE => {}
        INT => {
            reader.varint()?;
        }
        FLOAT => {
            reader.array::<8>()?;
        }
        STR => {
            let len = reader.count()?;
            reader.take(len)?;
        }
        LIST if depth < MAX_NESTING => {
            for _ in 0..reader.count()? {
                skip_nested(reader, depth + 1)?;
            }
        }
        LIST => return Err(DecodeError::Malformed("lists nest too deep")),
        _ => return Err(DecodeError::Malformed("a value's kind is not known")),
    }
    Ok(())
}
