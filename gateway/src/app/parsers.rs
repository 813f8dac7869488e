//! Log formats that operators describe. Listed here; changed by collectors, which read lines with them, at our request.

use std::time::Duration;

use model::node::Role;
use proto::formats::v1::parser_service_client::ParserServiceClient;
use proto::formats::v1::{DeleteParserRequest, ParserMistake, PutParserRequest, PutParserResponse};
use proto::{ErrorCode, ServiceError};
use storage::parsers::StoredParser;
use storage::{Store, parsers};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{Place, from_storage, invalid, quote};

/// Largest parser, in bytes.
pub const MAX_TEXT: usize = 256 << 10;
/// How long one collector may take to compile patterns and try lines.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A tenant's parsers by name.
///
/// # Errors
/// When the database is away.
pub async fn list(store: &Store, caller: &Caller) -> Result<Vec<StoredParser>, ServiceError> {
    parsers::list(store, &caller.tenant).await.map_err(from_storage)
}

/// One parser.
///
/// # Errors
/// When there is none of that name, or the database is away.
pub async fn get(store: &Store, caller: &Caller, name: &str) -> Result<StoredParser, ServiceError> {
    let found = parsers::get(store, &caller.tenant, name).await.map_err(from_storage)?;
    found.ok_or_else(|| nothing(name))
}

/// Every text a parser has had, the newest first; also of one that was removed.
///
/// # Errors
/// When there never was one of that name, or the database is away.
pub async fn versions(store: &Store, caller: &Caller, name: &str) -> Result<Vec<StoredParser>, ServiceError> {
    let found = parsers::versions(store, &caller.tenant, name)
        .await
        .map_err(from_storage)?;
    if found.is_empty() {
        Err(nothing(name))
    } else {
        Ok(found)
    }
}

/// Stores a parser, or only says what would come of it. `name` is what the text must call it; empty: whatever it does.
///
/// # Errors
/// When it is too long, or no collector is running. What is wrong with the text is in the answer.
pub async fn put(
    peers: &Peers,
    caller: &Caller,
    name: &str,
    text: String,
    dry_run: bool,
) -> Result<PutParserResponse, ServiceError> {
    if text.len() > MAX_TEXT {
        return Err(invalid(format!("text: expected at most {MAX_TEXT} bytes")));
    }
    let request = PutParserRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        text,
        dry_run,
        name: name.to_owned(),
    };
    peers
        .call_within(Role::Collector, "put a parser", TIMEOUT, |channel| {
            let request = request.clone();
            async move {
                ParserServiceClient::new(channel)
                    .put_parser(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await
}

/// Removes a parser; false when there was none.
///
/// # Errors
/// When no collector is running.
pub async fn delete(peers: &Peers, caller: &Caller, name: &str) -> Result<bool, ServiceError> {
    let request = DeleteParserRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        name: name.to_owned(),
    };
    let answer = peers
        .call(Role::Collector, "remove a parser", |channel| {
            let request = request.clone();
            async move {
                ParserServiceClient::new(channel)
                    .delete_parser(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await?;
    Ok(answer.deleted)
}

/// That there is no parser of a name.
#[must_use]
pub fn nothing(name: &str) -> ServiceError {
    ServiceError::new(ErrorCode::NotFound, format!("no parser {}", quote(name)))
}

/// Where a text is wrong.
#[must_use]
pub fn places(mistakes: Vec<ParserMistake>) -> Vec<Place> {
    let known = |number: u32| (number > 0).then_some(number);
    mistakes
        .into_iter()
        .map(|mistake| Place {
            path: None,
            line: known(mistake.line),
            column: known(mistake.column),
            field: mistake.field,
            reason: mistake.reason,
        })
        .collect()
}
