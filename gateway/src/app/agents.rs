//! Endpoints: listing them here; changing them is what collectors do, at our request.

use model::agent::Agent;
use model::node::Role;
use model::{AgentId, Timestamp};
use proof::{Depth, Report};
use proto::agent::v1::agent_admin_service_client::AgentAdminServiceClient;
use proto::agent::v1::{CreateEnrolmentTokenRequest, RevokeAgentRequest};
use proto::{ErrorCode, ServiceError};
use secrecy::SecretString;
use storage::{Store, agents};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{from_storage, invalid};
use crate::state::App;

/// Most endpoints one token may enrol.
const MAX_USES: u32 = 100_000;
/// Longest life of a token, in seconds: a year.
const MAX_TTL_SECS: u64 = 31_536_000;
/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// A new enrolment token: the only time it is shown.
#[derive(Debug)]
pub struct EnrolmentToken {
    /// What `agentd enrol --token` takes.
    pub token: SecretString,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Endpoints, those heard from last first.
///
/// # Errors
/// When the database is away.
pub async fn list(store: &Store, caller: &Caller, limit: usize) -> Result<Vec<Agent>, ServiceError> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    agents::list(store, &caller.tenant, limit).await.map_err(from_storage)
}

/// What became of everything an endpoint has sent, by what is stored beside the blocks.
///
/// # Errors
/// When the id is none, there is no such endpoint, or the database is away.
pub(crate) async fn delivery(app: &App, caller: &Caller, id: &str) -> Result<Report, ServiceError> {
    let id: AgentId = id.parse().map_err(|error| invalid(format!("id: {error}")))?;
    let (store, authorities) = (&app.store, &app.authorities);
    let report = proof::delivery(store, authorities, &caller.tenant, id, Depth::Records, |_| ())
        .await
        .map_err(from_storage)?;
    report.ok_or_else(|| ServiceError::new(ErrorCode::NotFound, format!("there is no agent {id}")))
}

/// Makes an enrolment token.
///
/// # Errors
/// When a number or the group does not fit, or no collector is running.
pub async fn create_enrolment_token(
    peers: &Peers,
    caller: &Caller,
    uses: u32,
    ttl_secs: u64,
    group: &str,
) -> Result<EnrolmentToken, ServiceError> {
    if !(1..=MAX_USES).contains(&uses) {
        return Err(invalid(format!(
            "uses: expected a number from 1 to {MAX_USES}, got {uses}"
        )));
    }
    if !(1..=MAX_TTL_SECS).contains(&ttl_secs) {
        return Err(invalid(format!(
            "ttl_secs: expected a number from 1 to {MAX_TTL_SECS}, got {ttl_secs}"
        )));
    }
    let request = CreateEnrolmentTokenRequest {
        tenant: caller.tenant.to_string(),
        uses,
        ttl_secs,
        group: group.to_owned(),
        requested_by: caller.actor.to_string(),
    };
    let answer = peers
        .call(Role::Collector, "create enrolment token", |channel| {
            let request = request.clone();
            async move {
                AgentAdminServiceClient::new(channel)
                    .create_enrolment_token(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await?;
    Ok(EnrolmentToken {
        token: answer.token.into(),
        expires_at: Timestamp(answer.expires_at_micros),
    })
}

/// Refuses an endpoint from now on. False when it was revoked before.
///
/// # Errors
/// When the id is none, there is no such endpoint, or no collector is running.
pub async fn revoke(peers: &Peers, caller: &Caller, id: &str, reason: &str) -> Result<bool, ServiceError> {
    let id: AgentId = id.parse().map_err(|error| invalid(format!("id: {error}")))?;
    if reason.chars().count() > MAX_REASON {
        return Err(invalid(format!("reason: expected at most {MAX_REASON} characters")));
    }
    let request = RevokeAgentRequest {
        tenant: caller.tenant.to_string(),
        agent_id: id.to_string(),
        reason: reason.to_owned(),
        requested_by: caller.actor.to_string(),
    };
    let answer = peers
        .call(Role::Collector, "revoke agent", |channel| {
            let request = request.clone();
            async move {
                AgentAdminServiceClient::new(channel)
                    .revoke_agent(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await?;
    Ok(answer.changed)
}
