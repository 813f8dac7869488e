//! Events that people and programs send in.
//!
//! A request becomes one run of consecutively numbered events with an epoch of its own, cut into batches, and goes to a
//! collector exactly as an agent's would. An epoch of its own means that requests need no common counter and that one
//! that fails half-way leaves no gap behind. Every try sends the same batches, so a try whose answer was lost is
//! recognized. With an `Idempotency-Key` the epoch is derived from the key, and the time from when the key was first
//! seen, so that this also holds for the caller's own retries, on any gateway.

use std::fmt;

use axum::body::Bytes;
use model::node::Role;
use model::{Epoch, Timestamp, chain};
use prost::Message as _;
use proto::ingest::v1::ingest_service_client::IngestServiceClient;
use proto::ingest::v1::{Batch, Origin, Record, Records, SubmitRequest, SubmitResponse, record};
use proto::{ErrorCode, ServiceError};
use rand::RngCore as _;
use serde::Deserializer;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use storage::Store;
use storage::idempotency::{self, First};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{from_storage, internal, invalid, quote};

/// Most events in one request.
pub const MAX_EVENTS: usize = 10_000;
/// Largest event, in bytes.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// Errors that are listed; further ones are only counted.
const MAX_LISTED_ERRORS: usize = 100;
/// Uncompressed size at which a batch is closed. Even incompressible, it stays below the limit of 4 MiB.
const BATCH_BYTES: usize = 3 * 1024 * 1024;
/// Largest gRPC message.
const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Nesting beyond which JSON is refused: readers further on stop there.
const MAX_NESTING: usize = 100;
const ZSTD_LEVEL: i32 = 1;

/// How the body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object, an array of them, or `{"events": […]}`.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// One event a line, as text.
    Lines,
}

/// What to send in.
#[derive(Clone, Debug)]
pub struct Request {
    /// How to read `body`.
    pub format: Format,
    /// As received.
    pub body: Bytes,
    /// Where the events come from, in the sender's words, such as the path of a file; may be empty.
    pub origin: String,
    /// Parser to use; empty to detect it.
    pub log_type: String,
    /// The caller's name for this request.
    pub idempotency_key: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events that are stored.
    pub accepted: u64,
    /// Events that were refused.
    pub rejected: u64,
    /// Why, for the first hundred.
    pub errors: Vec<ElementError>,
    /// The request had been stored before.
    pub duplicate: bool,
}

/// Why one event was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementError {
    /// Its position in the request, from 0.
    pub index: usize,
    /// Names what was expected.
    pub error: String,
}

/// Stores the events of a request; when it returns, they are durable.
///
/// # Errors
/// When the body is not readable, holds nothing that can be taken, or no collector takes it.
pub async fn ingest(store: &Store, peers: &Peers, caller: &Caller, request: Request) -> Result<Outcome, ServiceError> {
    let (epoch, at) = numbering(store, caller, &request).await?;
    let read = move || -> Result<(Vec<Batch>, Outcome), ServiceError> {
        let (records, outcome) = read_records(&request, at)?;
        let batches = make_batches(records, &request, epoch, at)?;
        Ok((batches, outcome))
    };
    let (batches, mut outcome) = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| internal("ingest", &error))??;
    if let (true, Some(first)) = (batches.is_empty(), outcome.errors.first()) {
        return Err(invalid(format!("event {}: {}", first.index, first.error)));
    }
    let mut duplicates = 0;
    let count = batches.len();
    for batch in batches {
        let sent = u64::from(batch.count);
        let answer = submit(peers, caller, batch).await?;
        // What is stored already was taken then.
        let accepted = if answer.duplicate {
            sent
        } else {
            u64::from(answer.accepted).min(sent)
        };
        outcome.accepted += accepted;
        outcome.rejected += sent - accepted;
        duplicates += usize::from(answer.duplicate);
    }
    outcome.duplicate = count > 0 && duplicates == count;
    metrics::counter!("picket_gateway_events_ingested_total").increment(outcome.accepted);
    if outcome.rejected > 0 {
        metrics::counter!("picket_gateway_events_dropped_total", "reason" => "refused").increment(outcome.rejected);
    }
    Ok(outcome)
}

async fn submit(peers: &Peers, caller: &Caller, batch: Batch) -> Result<SubmitResponse, ServiceError> {
    let request = SubmitRequest {
        tenant: caller.tenant.to_string(),
        source_id: caller.source().to_string(),
        batch: Some(batch),
    };
    peers
        .call(Role::Collector, "submit events", |channel| {
            let request = request.clone();
            async move {
                let mut client = IngestServiceClient::new(channel).max_encoding_message_size(MAX_MESSAGE_BYTES);
                client.submit(request).await.map(tonic::Response::into_inner)
            }
        })
        .await
}

async fn numbering(store: &Store, caller: &Caller, request: &Request) -> Result<(Epoch, Timestamp), ServiceError> {
    let now = Timestamp::from_millis(Timestamp::now().as_millis());
    let Some(key) = &request.idempotency_key else {
        return Ok((Epoch(rand::rng().next_u64()), now));
    };
    if !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid(
            "idempotency-key: expected 1 to 255 printable ASCII characters without spaces",
        ));
    }
    let source = caller.source();
    let epoch = digest(&[b"picket-idempotency-v1", source.as_uuid().as_bytes(), key.as_bytes()]);
    let mut word = [0; 8];
    word.copy_from_slice(&epoch[..8]);
    let epoch = Epoch(u64::from_le_bytes(word));
    let format = [request.format as u8];
    let content = digest(&[
        &format,
        request.origin.as_bytes(),
        request.log_type.as_bytes(),
        &request.body,
    ]);
    let given = First {
        at: now,
        request: content,
    };
    let first = idempotency::first(store, &caller.tenant, &source, epoch, &given)
        .await
        .map_err(from_storage)?;
    if first.request != content {
        return Err(ServiceError::new(
            ErrorCode::Conflict,
            format!("idempotency-key: {} was used for another request", quote(key)),
        ));
    }
    Ok((epoch, first.at))
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn read_records(request: &Request, at: Timestamp) -> Result<(Vec<Record>, Outcome), ServiceError> {
    let mut records = Vec::new();
    let mut outcome = Outcome::default();
    let mut take = |index: usize, read: Result<record::Body, String>| match read {
        Ok(body) => records.push(Record {
            origin: 0,
            observed_at_micros: at.0,
            body: Some(body),
            truncated_bytes: 0,
        }),
        Err(error) => {
            outcome.rejected += 1;
            if outcome.errors.len() < MAX_LISTED_ERRORS {
                outcome.errors.push(ElementError { index, error });
            }
        }
    };
    match request.format {
        Format::Lines => {
            for (index, line) in lines(&request.body)?.into_iter().enumerate() {
                take(
                    index,
                    check_size(line.len()).map(|()| record::Body::Line(request.body.slice_ref(line))),
                );
            }
        }
        Format::JsonLines => {
            for (index, line) in lines(&request.body)?.into_iter().enumerate() {
                let text = String::from_utf8_lossy(line);
                let element = serde_json::from_str::<&RawValue>(&text)
                    .map_err(|error| format!("expected a JSON object: {error}"))
                    .and_then(check_element);
                take(index, element.map(record::Body::Json));
            }
        }
        Format::Json => {
            let text = String::from_utf8_lossy(&request.body);
            for (index, element) in elements(&text)?.into_iter().enumerate() {
                take(index, check_element(element).map(record::Body::Json));
            }
        }
    }
    if records.is_empty() && outcome.rejected == 0 {
        return Err(invalid("body: expected at least one event"));
    }
    Ok((records, outcome))
}

/// Lines that are not empty, without their ends.
fn lines(body: &[u8]) -> Result<Vec<&[u8]>, ServiceError> {
    let mut lines = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            if lines.len() == MAX_EVENTS {
                return Err(too_many());
            }
            lines.push(line);
        }
    }
    Ok(lines)
}

fn too_many() -> ServiceError {
    ServiceError::new(
        ErrorCode::TooLarge,
        format!("body: expected at most {MAX_EVENTS} events in one request"),
    )
}

fn check_size(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_EVENT_BYTES {
        Ok(())
    } else {
        Err(format!("expected at most {MAX_EVENT_BYTES} bytes, got {bytes}"))
    }
}

/// The events in a JSON body, unread.
fn elements(text: &str) -> Result<Vec<&RawValue>, ServiceError> {
    let malformed = |error: serde_json::Error| {
        let detail = error.to_string();
        if detail.starts_with(TOO_MANY) {
            too_many()
        } else {
            invalid(format!("body: expected JSON: {detail}"))
        }
    };
    let whole: &RawValue = serde_json::from_str(text).map_err(malformed)?;
    if whole.get().starts_with('[') {
        return bounded_list(whole.get()).map_err(malformed);
    }
    if whole.get().starts_with('{') {
        let mut members = serde_json::Deserializer::from_str(whole.get());
        if let Some(list) = members.deserialize_map(OnlyEvents).map_err(malformed)? {
            return bounded_list(list.get()).map_err(malformed);
        }
    }
    Ok(vec![whole])
}

const TOO_MANY: &str = "too many events";

fn bounded_list(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::Deserializer::from_str(text).deserialize_seq(BoundedList)
}

struct BoundedList;

impl<'de> Visitor<'de> for BoundedList {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            if elements.len() == MAX_EVENTS {
                return Err(serde::de::Error::custom(TOO_MANY));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

/// Finds the list in an object that has the member `events`, a list, and no other.
struct OnlyEvents;

impl<'de> Visitor<'de> for OnlyEvents {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut others = false;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if name == "events" {
                found = Some(map.next_value::<&RawValue>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                others = true;
            }
        }
        Ok(found.filter(|list| !others && list.get().starts_with('[')))
    }
}

fn check_element(element: &RawValue) -> Result<Bytes, String> {
    let text = element.get();
    check_size(text.len())?;
    if !text.starts_with('{') {
        let kind = match text.bytes().next() {
            Some(b'[') => "an array",
            Some(b'"') => "text",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        };
        return Err(format!("expected an object, got {kind}"));
    }
    if text.trim_start_matches('{').trim_start().starts_with('}') && text.matches('{').count() == 1 {
        return Err("message: expected it, or any other field".to_owned());
    }
    if nesting(text) > MAX_NESTING {
        return Err(format!("expected objects and arrays nested at most {MAX_NESTING} deep"));
    }
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

/// Deepest nesting of objects and arrays in well-formed JSON.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut in_text = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn make_batches(
    records: Vec<Record>,
    request: &Request,
    epoch: Epoch,
    at: Timestamp,
) -> Result<Vec<Batch>, ServiceError> {
    let origin = Origin {
        kind: "rest".to_owned(),
        name: request.origin.clone(),
        log_type: request.log_type.clone(),
        header: String::new(),
    };
    let mut batches = Vec::new();
    let mut previous = [0; 32];
    let mut next_seq = 0;
    let mut pending: Vec<Record> = Vec::new();
    let mut pending_bytes = 0;
    let mut records = records.into_iter().peekable();
    while let Some(record) = records.next() {
        pending_bytes += record.encoded_len() + 8;
        pending.push(record);
        let full = records
            .peek()
            .is_none_or(|next| pending_bytes + next.encoded_len() + 8 > BATCH_BYTES);
        if full {
            let content = Records {
                origins: vec![origin.clone()],
                records: std::mem::take(&mut pending),
            };
            pending_bytes = 0;
            let batch = make_batch(&content, epoch, next_seq, at, previous)?;
            next_seq += u64::from(batch.count);
            previous.copy_from_slice(&batch.hash);
            batches.push(batch);
        }
    }
    Ok(batches)
}

fn make_batch(
    content: &Records,
    epoch: Epoch,
    first_seq: u64,
    at: Timestamp,
    previous: [u8; 32],
) -> Result<Batch, ServiceError> {
    let plain = content.encode_to_vec();
    let payload = zstd::bulk::compress(&plain, ZSTD_LEVEL).map_err(|error| internal("zstd", &error))?;
    let count = content.records.len();
    let link = chain::Link {
        epoch,
        first_seq,
        count: u32::try_from(count).map_err(|error| internal("ingest", &error))?,
        created_at: at,
        previous_hash: previous,
        payload_hash: chain::payload_hash(&payload),
    };
    Ok(Batch {
        epoch: epoch.0,
        first_seq,
        count: link.count,
        created_at_micros: at.0,
        previous_hash: previous.to_vec(),
        hash: link.hash().to_vec(),
        payload: payload.into(),
        uncompressed_bytes: plain.len() as u64,
    })
}

#[cfg(test)]
mod tests;
