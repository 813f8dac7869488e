//! What tunes rules: exceptions and suppressions. Listed here, changed by detectors at our request.

use std::time::Duration;

use model::exception::{Exception, Suppression};
use proto::rules::v1::rule_service_client::RuleServiceClient;
use proto::rules::v1::{
    DeleteExceptionRequest, DeleteSuppressionRequest, Exception as WireException, PutExceptionRequest,
    PutSuppressionRequest, Suppression as WireSuppression,
};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use tonic::transport::Channel;

use super::peers::Peers;
use super::rules::ask;
use crate::auth::Caller;
use crate::problem::{from_storage, quote};

/// How long one detector may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Exceptions, of one rule or all.
///
/// # Errors
/// When the database is away.
pub async fn exceptions(store: &Store, caller: &Caller, rule_id: Option<&str>) -> Result<Vec<Exception>, ServiceError> {
    storage::exceptions::list(store, &caller.tenant, rule_id)
        .await
        .map_err(from_storage)
}

/// Suppressions.
///
/// # Errors
/// When the database is away.
pub async fn suppressions(store: &Store, caller: &Caller) -> Result<Vec<Suppression>, ServiceError> {
    storage::suppressions::list(store, &caller.tenant)
        .await
        .map_err(from_storage)
}

/// Adds an exception, or replaces the one of its id.
///
/// # Errors
/// When something in it is wrong, or no detector is running.
pub async fn put_exception(
    peers: &Peers,
    caller: &Caller,
    exception: WireException,
) -> Result<WireException, ServiceError> {
    let request = PutExceptionRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        exception: Some(exception),
    };
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.put_exception(request).await };
    let answer = ask(peers, "put an exception", request, TIMEOUT, call).await?;
    answer.exception.ok_or_else(incomplete)
}

/// Removes an exception; false when there was none.
///
/// # Errors
/// When no detector is running.
pub async fn delete_exception(peers: &Peers, caller: &Caller, id: &str) -> Result<bool, ServiceError> {
    let request = DeleteExceptionRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        id: id.to_owned(),
    };
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.delete_exception(request).await };
    ask(peers, "delete an exception", request, TIMEOUT, call)
        .await
        .map(|answer| answer.deleted)
}

/// Sets the suppression of a rule.
///
/// # Errors
/// When something in it is wrong, or no detector is running.
pub async fn put_suppression(
    peers: &Peers,
    caller: &Caller,
    suppression: WireSuppression,
) -> Result<WireSuppression, ServiceError> {
    let request = PutSuppressionRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        suppression: Some(suppression),
    };
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.put_suppression(request).await };
    let answer = ask(peers, "put a suppression", request, TIMEOUT, call).await?;
    answer.suppression.ok_or_else(incomplete)
}

/// Removes the suppression of a rule; false when there was none.
///
/// # Errors
/// When no detector is running.
pub async fn delete_suppression(peers: &Peers, caller: &Caller, rule_id: &str) -> Result<bool, ServiceError> {
    let request = DeleteSuppressionRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        rule_id: rule_id.to_owned(),
    };
    let call =
        |mut client: RuleServiceClient<Channel>, request| async move { client.delete_suppression(request).await };
    ask(peers, "delete a suppression", request, TIMEOUT, call)
        .await
        .map(|answer| answer.deleted)
}

/// That something to be removed was not there.
#[must_use]
pub fn nothing(what: &str, id: &str) -> ServiceError {
    ServiceError::new(ErrorCode::NotFound, format!("no {what} {}", quote(id)))
}

fn incomplete() -> ServiceError {
    ServiceError::new(ErrorCode::Internal, "the detector's answer is incomplete")
}
