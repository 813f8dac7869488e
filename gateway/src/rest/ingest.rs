//! `POST /ingest`: events from people and programs.

use axum::Json;
use axum::extract::{Request, State};
use proto::ServiceError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{is_json, media_type, read, unsupported};
use super::params::Params;
use crate::app::ingest::{self, Format};
use crate::auth::Caller;
use crate::problem::{Problem, invalid};
use crate::state::App;

/// Longest `origin`, in bytes.
const MAX_ORIGIN_BYTES: usize = 1024;

/// Parameters of `POST /ingest`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct IngestParams {
    /// Where the events come from, such as the path of a file.
    #[param(example = "/var/log/auth.log", max_length = 1024)]
    origin: Option<String>,
    /// Parser to use; detected when absent.
    #[param(example = "sshd", max_length = 63)]
    log_type: Option<String>,
}

/// An event as any JSON object. ECS field names are understood as they are, so are those of the seed projects
/// (`message` or `raw_message`, `timestamp`, `source_host`, `source_ip`, `user`, `event_type`, `severity`, `fields`…).
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "source": "syslog",
    "host": "demo-host",
    "message": "Failed password for invalid user admin from 10.0.0.5 port 53422 ssh2",
    "fields": {"program": "sshd"}
}))]
pub(super) struct AnyEvent {
    /// The log line.
    message: Option<String>,
}

/// Several events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventList {
    events: Vec<AnyEvent>,
}

/// What `POST /ingest` takes as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body; it is read without building this")]
pub(super) enum IngestBody {
    /// One event.
    One(AnyEvent),
    /// Several.
    Many(Vec<AnyEvent>),
    /// Several, in an object.
    Wrapped(EventList),
}

/// What became of the events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IngestAnswer {
    /// Events that are stored.
    #[schema(example = 1)]
    accepted: u64,
    /// Events that were refused.
    #[schema(example = 0)]
    rejected: u64,
    /// Why, for the first hundred.
    errors: Vec<IngestError>,
    /// The same request (see `Idempotency-Key`) had been stored before; nothing was stored again.
    duplicate: bool,
}

/// Why one event was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IngestError {
    /// Its position in the request, from 0.
    #[schema(example = 3)]
    index: usize,
    /// What was expected.
    #[schema(example = "expected an object, got a number")]
    error: String,
}

/// Stores events. When it answers, they are durable; alerts follow within a second.
///
/// The body is one JSON object, an array of them, or `{"events": […]}`; with `text/plain` one event a line; with
/// `application/x-ndjson` one JSON object a line. At most 10,000 events of 256 KiB. A bad event costs only itself. With
/// the header `Idempotency-Key`, repeating a request within 48 hours stores nothing twice.
#[utoipa::path(
    post,
    path = "/ingest",
    tag = "events",
    params(
        IngestParams,
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this request",
            pattern = "^[!-~]{1,255}$"),
    ),
    request_body(content(
        (IngestBody = "application/json"),
        (String = "text/plain", example = json!("Nov 21 05:00:00 web1 sshd[7]: Failed password for root from 10.0.0.5 port 1 ssh2")),
        (String = "application/x-ndjson", example = json!("{\"message\": \"one\"}\n{\"message\": \"two\"}")),
    )),
    responses((status = 200, description = "What became of the events", body = IngestAnswer))
)]
pub(super) async fn ingest(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<Json<IngestAnswer>, Problem> {
    let (parts, body) = request.into_parts();
    let mut params = Params::parse(&parts.uri, &["origin", "log_type"])?;
    let origin = params.text("origin").unwrap_or_default();
    if origin.len() > MAX_ORIGIN_BYTES {
        return Err(invalid(format!("origin: expected at most {MAX_ORIGIN_BYTES} bytes")).into());
    }
    let log_type = params.text("log_type").unwrap_or_default();
    if log_type.len() > 63 {
        return Err(invalid("log_type: expected at most 63 bytes").into());
    }
    let format = format(&media_type(&parts.headers)?)?;
    let idempotency_key = match parts.headers.get("idempotency-key") {
        None => None,
        Some(key) => Some(
            key.to_str()
                .map_err(|_| invalid("idempotency-key: expected ASCII text"))?
                .to_owned(),
        ),
    };
    let body = read(&parts.headers, body, app.http.max_ingest_bytes).await?;
    let request = ingest::Request {
        format,
        body,
        origin,
        log_type,
        idempotency_key,
    };
    let outcome = ingest::ingest(&app.store, &app.peers, &caller, request).await?;
    Ok(Json(IngestAnswer {
        accepted: outcome.accepted,
        rejected: outcome.rejected,
        errors: outcome
            .errors
            .into_iter()
            .map(|error| IngestError {
                index: error.index,
                error: error.error,
            })
            .collect(),
        duplicate: outcome.duplicate,
    }))
}

fn format(kind: &str) -> Result<Format, ServiceError> {
    match kind {
        "text/plain" => Ok(Format::Lines),
        "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => Ok(Format::JsonLines),
        kind if is_json(kind) => Ok(Format::Json),
        _ => Err(unsupported(
            kind,
            "application/json, application/x-ndjson or text/plain",
        )),
    }
}
