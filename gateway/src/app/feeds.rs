//! Feeds of threat intelligence: reading them here; changing them is what detectors do, at our request.

use model::feed::FeedSpec;
use model::node::Role;
use proto::intel::v1::feed_service_client::FeedServiceClient;
use proto::intel::v1::{DeleteFeedRequest, PutFeedOutcome, PutFeedRequest, RunFeedRequest};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::feeds::{self, Feed};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{from_storage, internal, invalid, quote};

/// The caller's feeds, by name.
///
/// # Errors
/// When the database is away.
pub async fn list(store: &Store, caller: &Caller) -> Result<Vec<Feed>, ServiceError> {
    feeds::list(store, &caller.tenant).await.map_err(from_storage)
}

/// One feed.
///
/// # Errors
/// When there is none of that name, or the database is away.
pub async fn get(store: &Store, caller: &Caller, name: &str) -> Result<Feed, ServiceError> {
    feeds::get(store, &caller.tenant, name)
        .await
        .map_err(from_storage)?
        .ok_or_else(|| ServiceError::new(ErrorCode::NotFound, format!("no feed {}", quote(name))))
}

/// Sets a feed up, or changes it.
///
/// # Errors
/// When something about it is wrong, or when no detector is running.
pub async fn put(peers: &Peers, caller: &Caller, spec: &FeedSpec) -> Result<PutFeedOutcome, ServiceError> {
    spec.check().map_err(|error| invalid(error.to_string()))?;
    let request = PutFeedRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        spec_json: serde_json::to_string(spec).map_err(|error| internal("feed", &error))?,
    };
    let answer = peers
        .call(Role::Detector, "put feed", |channel| {
            let request = request.clone();
            async move {
                let answer = FeedServiceClient::new(channel).put_feed(request).await?;
                Ok(answer.into_inner())
            }
        })
        .await?;
    Ok(answer.outcome())
}

/// Removes a feed and its indicators, and says how many these were.
///
/// # Errors
/// When there is none of that name, or when no detector is running.
pub async fn delete(peers: &Peers, caller: &Caller, name: &str, keep_indicators: bool) -> Result<u64, ServiceError> {
    let request = DeleteFeedRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        name: name.to_owned(),
        keep_indicators,
    };
    let answer = peers
        .call(Role::Detector, "delete feed", |channel| {
            let request = request.clone();
            async move {
                let answer = FeedServiceClient::new(channel).delete_feed(request).await?;
                Ok(answer.into_inner())
            }
        })
        .await?;
    Ok(answer.indicators_removed)
}

/// Makes a feed run now.
///
/// # Errors
/// When there is none of that name, it is disabled, or no detector is running.
pub async fn run(peers: &Peers, caller: &Caller, name: &str) -> Result<(), ServiceError> {
    let request = RunFeedRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        name: name.to_owned(),
    };
    peers
        .call(Role::Detector, "run feed", |channel| {
            let request = request.clone();
            async move { FeedServiceClient::new(channel).run_feed(request).await.map(drop) }
        })
        .await
}
