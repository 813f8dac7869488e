//! Hunts: asking detectors for them, and reading how they stand.

use model::indicator::IndicatorType;
use model::node::Role;
use proto::intel::v1::hunt_service_client::HuntServiceClient;
use proto::intel::v1::{CancelHuntRequest, StartHuntRequest};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::hunts::{self, Hunt, Match};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::from_storage;

/// Starts a hunt and says under which id.
///
/// # Errors
/// When something in the request is wrong, or no detector is running.
pub async fn start(peers: &Peers, caller: &Caller, mut request: StartHuntRequest) -> Result<String, ServiceError> {
    request.tenant = caller.tenant.to_string();
    request.requested_by = caller.actor.to_string();
    let answer = peers
        .call(Role::Detector, "start a hunt", |channel| {
            let request = request.clone();
            async move {
                HuntServiceClient::new(channel)
                    .start_hunt(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await?;
    Ok(answer.id)
}

/// Stops a hunt; false when it was over.
///
/// # Errors
/// When there is none, or no detector is running.
pub async fn cancel(store: &Store, peers: &Peers, caller: &Caller, id: &str) -> Result<bool, ServiceError> {
    get(store, caller, id).await?;
    let request = CancelHuntRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        id: id.to_owned(),
    };
    let answer = peers
        .call(Role::Detector, "cancel a hunt", |channel| {
            let request = request.clone();
            async move {
                HuntServiceClient::new(channel)
                    .cancel_hunt(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await?;
    Ok(answer.cancelled)
}

/// One hunt.
///
/// # Errors
/// When there is none, or the database is away.
pub async fn get(store: &Store, caller: &Caller, id: &str) -> Result<Hunt, ServiceError> {
    hunts::get(store, &caller.tenant, id)
        .await
        .map_err(from_storage)?
        .ok_or_else(|| ServiceError::new(ErrorCode::NotFound, "no such hunt"))
}

/// Hunts, the latest first.
///
/// # Errors
/// When the database is away.
pub async fn list(store: &Store, caller: &Caller, limit: usize) -> Result<Vec<Hunt>, ServiceError> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    hunts::list(store, &caller.tenant, limit).await.map_err(from_storage)
}

/// A page of a hunt's matches behind the one with the id `after`.
///
/// # Errors
/// When there is no such hunt, or the database is away.
pub async fn matches(
    store: &Store,
    caller: &Caller,
    id: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Match>, ServiceError> {
    get(store, caller, id).await?;
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    hunts::list_matches(store, &caller.tenant, id, after, limit)
        .await
        .map_err(from_storage)
}

/// Reads `TYPE:VALUE`, or a value alone.
///
/// # Errors
/// Names the indicator and what is wrong with it.
pub fn read_indicator(index: usize, text: &str) -> Result<(IndicatorType, String), ServiceError> {
    IndicatorType::parse_typed(text)
        .map_err(|error| ServiceError::new(ErrorCode::InvalidArgument, format!("indicators[{index}]: {error}")))
}
