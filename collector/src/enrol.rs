//! `EnrolmentService`: how endpoints get and keep a certificate.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use identity::{CertInfo, CertificateAuthority, SpiffeId};
use model::AgentId;
use model::agent::{Agent, HostInfo};
use model::node::Role;
use proto::agent::v1::enrolment_service_server::EnrolmentService;
use proto::agent::v1::{self as wire, EnrolRequest, EnrolResponse, RenewRequest, RenewResponse};
use proto::{ErrorCode, ServiceError};
use serde_json::json;
use storage::certificates::Certificate;
use storage::enrolment_tokens::Token;
use storage::{Store, agents, audit, certificates, enrolment_tokens};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::clock::Clock;
use crate::limits::EnrolmentLimits;
use crate::stream::unavailable;
use crate::tokens;

/// Longest text taken of what an endpoint says about itself, in characters.
const MAX_HOST_TEXT: usize = 255;
/// The one answer to every token that does not let in: which of the three it is would help only a guesser.
const BAD_TOKEN: &str = "enrolment token is unknown, used up or expired";

/// What enrolling needs.
pub(crate) struct Shared {
    /// The database's time: what is issued is valid from it on.
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    /// `None` when this collector was not given the authority's key.
    pub(crate) authority: Option<CertificateAuthority>,
    pub(crate) ttl: Duration,
    pub(crate) limits: Arc<EnrolmentLimits>,
}

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl EnrolmentService for Service {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let addr = request.remote_addr().map(|addr| addr.ip().to_canonical());
        if let Some(addr) = addr {
            self.limit(addr)?;
        }
        let request = request.into_inner();
        let service = self.clone();
        // On a task of its own: a client that hangs up half-way must not leave half an enrolment behind.
        let result = tokio::spawn(async move { service.trade(request, addr).await })
            .await
            .unwrap_or_else(|_| Err(Status::internal("enrolment failed")));
        let outcome = if result.is_ok() { "enrolled" } else { "refused" };
        metrics::counter!("picket_collector_enrolments_total", "outcome" => outcome).increment(1);
        result.map(Response::new)
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let peer = bootstrap::grpc::require_role(&request, &[Role::Agent])?;
        let id: AgentId = peer
            .id
            .id
            .parse()
            .map_err(|error| Status::unauthenticated(format!("certificate names no agent: {error}")))?;
        self.0.limits.take_renewal(id).map_err(|wait| {
            tracing::warn!(agent.id = %id, "agent renews its certificate too often");
            Status::from(ServiceError::new(ErrorCode::RateLimited, "too many renewals").with_retry_after(wait))
        })?;
        let known = agents::get(&self.0.store, &peer.id.tenant, id)
            .await
            .map_err(|error| unavailable(&error))?;
        let reason = match known {
            Some(agent) if agent.revoked_at.is_none() => None,
            Some(_) => Some("agent is revoked"),
            None => Some("agent is not enrolled here"),
        };
        if let Some(reason) = reason {
            tracing::warn!(agent.id = %id, reason, "renewal refused");
            return Err(Status::unauthenticated(reason));
        }
        let (chain, info) = self.sign(&request.get_ref().csr_der, &peer.id)?;
        self.record(&info).await?;
        tracing::info!(agent.id = %id, certificate.serial = %info.serial, certificate.not_after = %info.not_after,
            "certificate renewed");
        metrics::counter!("picket_collector_renewals_total").increment(1);
        Ok(Response::new(RenewResponse {
            certificate_chain_der: chain,
        }))
    }
}

impl Service {
    fn limit(&self, addr: IpAddr) -> Result<(), Status> {
        self.0.limits.take(addr).map_err(|wait| {
            metrics::counter!("picket_collector_enrolments_total", "outcome" => "limited").increment(1);
            tracing::warn!(client.ip = %addr, "too many enrolments from one address");
            ServiceError::new(ErrorCode::RateLimited, "too many enrolments from this address")
                .with_retry_after(wait)
                .into()
        })
    }

    async fn trade(&self, request: EnrolRequest, addr: Option<IpAddr>) -> Result<EnrolResponse, Status> {
        let store = &self.0.store;
        let host = host_info(request.host.unwrap_or_default(), MAX_HOST_TEXT);
        let hash = tokens::hash(&request.token);
        let token = enrolment_tokens::peek(store, &hash)
            .await
            .map_err(|error| unavailable(&error))?
            .ok_or_else(|| refuse(&host, addr))?;
        let id = AgentId(Uuid::new_v4());
        let name = SpiffeId::new(token.tenant.clone(), Role::Agent, id.to_string())
            .map_err(|error| Status::internal(error.to_string()))?;
        // Everything that can be wrong with the request is found before a use is taken.
        let (chain, info) = self.sign(&request.csr_der, &name)?;
        let redeemed = enrolment_tokens::redeem(store, &hash)
            .await
            .map_err(|error| unavailable(&error))?;
        if !redeemed {
            return Err(refuse(&host, addr));
        }
        let agent = Agent {
            id,
            tenant: token.tenant.clone(),
            group: token.group.clone(),
            host,
            enrolled_at: self.0.clock.now(),
            last_seen_at: None,
            revoked_at: None,
            duplicate_seen_at: None,
            dropped: BTreeMap::new(),
            backlog: None,
        };
        if let Err(status) = self.remember(&agent, &info, &token, addr).await {
            self.give_back(&hash).await;
            return Err(status);
        }
        tracing::info!(agent.id = %id, agent.name = agent.host.hostname, agent.group = agent.group, "agent enrolled");
        Ok(EnrolResponse {
            agent_id: id.to_string(),
            certificate_chain_der: chain,
            tenant: token.tenant.to_string(),
            group: token.group,
        })
    }

    fn sign(&self, csr_der: &[u8], name: &SpiffeId) -> Result<(Vec<Vec<u8>>, CertInfo), Status> {
        let authority = self.0.authority.as_ref().ok_or_else(|| {
            Status::failed_precondition("this collector issues no certificates: enrolment.ca_key_file is not set")
        })?;
        let (chain, info) = authority
            .sign_csr(csr_der, name, self.0.ttl, self.0.clock.now())
            .map_err(|error| {
                if let identity::Error::Request { .. } = error {
                    return Status::invalid_argument(format!("csr_der: {error}"));
                }
                tracing::error!(error = &error as &dyn std::error::Error, "cannot sign a certificate");
                Status::internal("cannot sign the certificate")
            })?;
        Ok((
            chain.into_iter().map(|certificate| certificate.to_vec()).collect(),
            info,
        ))
    }

    /// Nobody was enrolled, so the use the token lost is free again.
    async fn give_back(&self, hash: &str) {
        if let Err(error) = enrolment_tokens::restore(&self.0.store, hash).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                token = hash.get(..12),
                "a use of an enrolment token is lost"
            );
        }
    }

    async fn remember(
        &self,
        agent: &Agent,
        info: &CertInfo,
        token: &Token,
        addr: Option<IpAddr>,
    ) -> Result<(), Status> {
        let entry = audit::NewEntry {
            tenant: agent.tenant.clone(),
            actor: format!("agent:{}", agent.id),
            action: "agent.enrol".to_owned(),
            object: agent.id.to_string(),
            detail: json!({
                "hostname": agent.host.hostname,
                "group": agent.group,
                "address": addr.map(|addr| addr.to_string()),
                "certificate": info.serial.to_string(),
                // Enough to tell which token it was, too little to use it.
                "token": token.hash.get(..12),
            }),
        };
        let store = &self.0.store;
        let failed = |error: storage::Error| unavailable(&error);
        // Last what makes it visible: a certificate nobody got hurts nobody, an agent nobody is would look like a silent one.
        self.record(info).await?;
        agents::insert(store, agent).await.map_err(failed)?;
        audit::append(store, entry).await.map_err(failed)
    }

    async fn record(&self, info: &CertInfo) -> Result<(), Status> {
        let certificate = Certificate {
            serial: info.serial.to_string(),
            tenant: info.id.tenant.clone(),
            spiffe: info.id.to_string(),
            role: info.id.role,
            subject: info.id.id.clone(),
            not_before: info.not_before,
            not_after: info.not_after,
            issued_at: self.0.clock.now(),
            revoked_at: None,
            reason: None,
        };
        certificates::record(&self.0.store, &certificate)
            .await
            .map_err(|error| unavailable(&error))
    }
}

fn refuse(host: &HostInfo, addr: Option<IpAddr>) -> Status {
    tracing::warn!(
        client.ip = addr.map(tracing::field::display),
        agent.name = host.hostname,
        reason = BAD_TOKEN,
        "enrolment refused"
    );
    Status::permission_denied(BAD_TOKEN)
}

/// What an endpoint says about itself, each text cut to `max` characters and without control characters.
pub(crate) fn host_info(host: wire::HostInfo, max: usize) -> HostInfo {
    let clean = |text: String| -> String { text.chars().filter(|c| !c.is_control()).take(max).collect() };
    HostInfo {
        hostname: clean(host.hostname),
        os_type: clean(host.os_type),
        os_name: clean(host.os_name),
        agent_version: clean(host.agent_version),
    }
}
