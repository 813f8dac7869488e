//! `AgentAdminService`: what gateways and operators change about endpoints.

use std::time::Duration;

use model::node::Role;
use model::{AgentId, Tenant, Timestamp};
use proto::agent::v1::agent_admin_service_server::AgentAdminService;
use proto::agent::v1::{
    CreateEnrolmentTokenRequest, CreateEnrolmentTokenResponse, RevokeAgentRequest, RevokeAgentResponse,
};
use serde_json::json;
use storage::agents::Revoked;
use storage::enrolment_tokens::Token;
use storage::{Store, agents, audit, certificates, enrolment_tokens};
use tonic::{Request, Response, Status};

use crate::clock::Clock;
use crate::stream::unavailable;
use crate::tokens;

const ALLOWED: [Role; 2] = [Role::Gateway, Role::Operator];
const MAX_USES: u32 = 100_000;
const MAX_TTL: Duration = Duration::from_secs(31_536_000);
const MAX_REASON: usize = 500;

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

#[tonic::async_trait]
impl AgentAdminService for Service {
    async fn create_enrolment_token(
        &self,
        request: Request<CreateEnrolmentTokenRequest>,
    ) -> Result<Response<CreateEnrolmentTokenResponse>, Status> {
        bootstrap::grpc::require_role(&request, &ALLOWED)?;
        let request = request.into_inner();
        let tenant = tenant(&request.tenant)?;
        let actor = actor(request.requested_by)?;
        if !(1..=MAX_USES).contains(&request.uses) {
            return Err(invalid(format!("uses: expected 1 to {MAX_USES}, got {}", request.uses)));
        }
        if !(1..=MAX_TTL.as_secs()).contains(&request.ttl_secs) {
            let max = MAX_TTL.as_secs();
            return Err(invalid(format!(
                "ttl_secs: expected 1 to {max}, got {}",
                request.ttl_secs
            )));
        }
        if !is_group(&request.group) {
            return Err(invalid(
                "group: expected 1-63 characters a-z, 0-9, '-' or '_'".to_owned(),
            ));
        }
        let text = tokens::generate().map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot make an enrolment token"
            );
            Status::internal("cannot make a token")
        })?;
        let now = self.clock.now();
        let ttl_micros = i64::try_from(request.ttl_secs).unwrap_or(0).saturating_mul(1_000_000);
        let token = Token {
            hash: tokens::hash(&text),
            tenant: tenant.clone(),
            group: request.group,
            uses_left: request.uses,
            expires_at: Timestamp(now.0.saturating_add(ttl_micros)),
            created_at: now,
            created_by: actor.clone(),
        };
        let entry = audit::NewEntry {
            tenant,
            actor,
            action: "enrolment_token.create".to_owned(),
            object: token.hash.chars().take(12).collect(),
            detail: json!({ "uses": request.uses, "ttl_secs": request.ttl_secs, "group": token.group }),
        };
        // First the log: a change without its line would be worse than a line without its change.
        audit::append(&self.store, entry)
            .await
            .map_err(|error| unavailable(&error))?;
        enrolment_tokens::insert(&self.store, &token)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(Response::new(CreateEnrolmentTokenResponse {
            token: text,
            expires_at_micros: token.expires_at.0,
        }))
    }

    async fn revoke_agent(
        &self,
        request: Request<RevokeAgentRequest>,
    ) -> Result<Response<RevokeAgentResponse>, Status> {
        bootstrap::grpc::require_role(&request, &ALLOWED)?;
        let request = request.into_inner();
        let tenant = tenant(&request.tenant)?;
        let actor = actor(request.requested_by)?;
        let agent: AgentId = request
            .agent_id
            .parse()
            .map_err(|error| invalid(format!("agent_id: {error}")))?;
        let reason: String = request.reason.chars().take(MAX_REASON).collect();
        let failed = |error: storage::Error| unavailable(&error);
        let revoked = agents::revoke(&self.store, &tenant, agent, &reason)
            .await
            .map_err(failed)?;
        if revoked == Revoked::Unknown {
            return Err(Status::not_found(format!("agent_id: there is no agent {agent}")));
        }
        // Also when it was revoked before: an earlier call may have stopped half-way.
        let subject = agent.to_string();
        let certificates = certificates::revoke_subject(&self.store, &tenant, Role::Agent, &subject, &reason)
            .await
            .map_err(failed)?;
        let changed = revoked == Revoked::Changed || certificates > 0;
        if changed {
            tracing::info!(agent.id = %agent, certificates, requested_by = actor, "agent revoked");
            let entry = audit::NewEntry {
                tenant,
                actor,
                action: "agent.revoke".to_owned(),
                object: subject,
                detail: json!({ "reason": reason, "certificates": certificates }),
            };
            audit::append(&self.store, entry).await.map_err(failed)?;
        }
        Ok(Response::new(RevokeAgentResponse { changed }))
    }
}

pub(crate) fn invalid(message: String) -> Status {
    Status::invalid_argument(message)
}

pub(crate) fn tenant(text: &str) -> Result<Tenant, Status> {
    text.parse().map_err(|error| invalid(format!("tenant: {error}")))
}

pub(crate) fn actor(text: String) -> Result<String, Status> {
    let named = text
        .split_once(':')
        .is_some_and(|(kind, name)| matches!(kind, "user" | "key") && !name.is_empty());
    if named && text.len() <= 200 && !text.contains(char::is_control) {
        Ok(text)
    } else {
        Err(invalid("requested_by: expected user:NAME or key:NAME".to_owned()))
    }
}

fn is_group(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}
