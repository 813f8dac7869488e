//! How long events are kept: holds, and days by class. Each change is written to the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;
use model::retention::Keep;
use proto::{ErrorCode, ServiceError};
use serde_json::{Value as JsonValue, json};
use storage::audit::{self, NewEntry};
use storage::holds::{self, BUSY, Hold, MAX_REASON, NewHold, Placed, Scope};
use storage::keeping::{self, Setting};
use storage::{Error, Store};

use crate::auth::Caller;
use crate::problem::{from_storage, internal, invalid};

/// How long a request waits until retention has ended a pass.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds of the caller's tenant, newest first, each with how many blocks it holds.
///
/// # Errors
/// When the database is away.
pub async fn list(store: &Store, caller: &Caller, released: bool) -> Result<Vec<(Hold, u64)>, ServiceError> {
    let found = holds::list(store, &caller.tenant, released)
        .await
        .map_err(from_storage)?;
    let counts = holds::count_all(store, &caller.tenant).await.map_err(from_storage)?;
    let with_count = |hold: Hold| {
        let blocks = counts.get(&hold.id).copied().unwrap_or(0);
        (hold, blocks)
    };
    Ok(found.into_iter().map(with_count).collect())
}

/// Places a hold in the caller's name. It is finished though the caller goes away.
///
/// # Errors
/// When something in it is wrong, retention is at work, or the database is away.
pub async fn place(store: &Store, caller: &Caller, reason: String, scope: Scope) -> Result<Placed, ServiceError> {
    scope.check().map_err(from_holds)?;
    if reason.is_empty() || reason.len() > MAX_REASON {
        return Err(invalid(format!("reason: expected 1 to {MAX_REASON} bytes")));
    }
    let new = NewHold {
        tenant: caller.tenant.clone(),
        reason,
        by: caller.actor.to_string(),
        scope,
    };
    let object = new.scope.incident.clone().unwrap_or_default();
    let detail = json!({ "reason": new.reason, "scope": new.scope });
    record(store, caller, "hold.add", object, detail).await?;
    let store = store.clone();
    let placing = tokio::spawn(async move { holds::place_within(&store, new, PATIENCE).await });
    placing
        .await
        .map_err(|error| internal("holds", &error))?
        .map_err(from_holds)
}

/// Releases a hold in the caller's name. It is finished though the caller goes away.
///
/// # Errors
/// When there is none in force, retention is at work, or the database is away.
pub async fn release(store: &Store, caller: &Caller, id: &str) -> Result<Placed, ServiceError> {
    record(store, caller, "hold.release", id.to_owned(), json!({})).await?;
    let (store, tenant, by) = (store.clone(), caller.tenant.clone(), caller.actor.to_string());
    let hold = id.to_owned();
    let releasing = tokio::spawn(async move { holds::release_within(&store, &tenant, &hold, &by, PATIENCE).await });
    releasing
        .await
        .map_err(|error| internal("holds", &error))?
        .map_err(from_holds)?
        .ok_or_else(|| ServiceError::new(ErrorCode::NotFound, format!("there is no hold {id:?} in force")))
}

/// How long the caller's events are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// As it was set, or as collectors were configured at the last pass; `None` before the first pass.
    pub keep: Option<Keep>,
    /// Who set it and when; `None` when it is as configured.
    pub set: Option<(String, Timestamp)>,
    /// When the last pass ended.
    pub last_at: Option<Timestamp>,
}

/// How long the caller's events are kept.
///
/// # Errors
/// When the database is away.
pub async fn retention(store: &Store, caller: &Caller) -> Result<Retention, ServiceError> {
    let setting = keeping::setting(store, &caller.tenant).await.map_err(from_storage)?;
    let state = keeping::retention(store).await.map_err(from_storage)?;
    let last_at = state.as_ref().map(|state| state.last_at);
    if let Some(Setting { keep, by, at, .. }) = setting {
        return Ok(Retention {
            keep: Some(keep),
            set: Some((by, at)),
            last_at,
        });
    }
    Ok(Retention {
        keep: state.map(|state| state.policy.of(&caller.tenant).clone()),
        set: None,
        last_at,
    })
}

/// Sets how long the caller's events are kept, from the next pass on.
///
/// # Errors
/// When a number or a class is wrong, or the database is away.
pub async fn set_retention(
    store: &Store,
    caller: &Caller,
    days: u32,
    classes: BTreeMap<String, u32>,
) -> Result<Retention, ServiceError> {
    let keep = Keep { days, classes };
    if let Some((field, value)) = keep.mistake() {
        let expected = "expected 1 to 36500 days, and classes named with a-z, 0-9 and _";
        return Err(invalid(format!("{field}: {expected}, got {value}")));
    }
    record(store, caller, "retention.set", String::new(), json!(keep)).await?;
    keeping::set(store, &caller.tenant, keep, &caller.actor.to_string())
        .await
        .map_err(from_storage)?;
    retention(store, caller).await
}

/// Has the collectors' configuration hold again for the caller's events.
///
/// # Errors
/// When nothing was set, or the database is away.
pub async fn unset_retention(store: &Store, caller: &Caller) -> Result<(), ServiceError> {
    record(store, caller, "retention.unset", String::new(), json!({})).await?;
    match keeping::unset(store, &caller.tenant).await.map_err(from_storage)? {
        true => Ok(()),
        false => Err(ServiceError::new(ErrorCode::NotFound, "nothing was set")),
    }
}

/// First the log: a change without its line would be worse than a line without its change.
async fn record(
    store: &Store,
    caller: &Caller,
    action: &str,
    object: String,
    detail: JsonValue,
) -> Result<(), ServiceError> {
    let entry = NewEntry {
        tenant: caller.tenant.clone(),
        actor: caller.actor.to_string(),
        action: action.to_owned(),
        object,
        detail,
    };
    audit::append(store, entry).await.map_err(from_storage)
}

fn from_holds(error: Error) -> ServiceError {
    match error {
        Error::Invalid { field, expected } if field == BUSY => {
            ServiceError::new(ErrorCode::Unavailable, format!("{field} has {expected}")).with_retry_after(PATIENCE)
        }
        Error::Invalid { field, expected } => invalid(format!("{field}: expected {expected}")),
        error @ (Error::Unavailable(_) | Error::Duplicate(_) | Error::Other(_)) => from_storage(error),
    }
}
