//! Getting in, staying in, being put out.

use model::node::Role;
use model::{AgentId, Tenant};
use proto::agent::v1::agent_admin_service_client::AgentAdminServiceClient;
use proto::agent::v1::enrolment_service_client::EnrolmentServiceClient;
use proto::agent::v1::{
    CreateEnrolmentTokenRequest, EnrolRequest, EnrolResponse, HostInfo, RenewRequest, RevokeAgentRequest,
};
use rustls_pki_types::CertificateDer;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::sandbox::{Collector, Sandbox};

async fn administration(sandbox: &Sandbox, collector: &Collector) -> AgentAdminServiceClient<Channel> {
    let gateway = sandbox.authority.identity(Role::Gateway, "gateway-1");
    AgentAdminServiceClient::new(sandbox.connect(collector, &gateway).await)
}

fn token_request(uses: u32, ttl_secs: u64) -> CreateEnrolmentTokenRequest {
    CreateEnrolmentTokenRequest {
        tenant: "default".to_owned(),
        uses,
        ttl_secs,
        group: "web".to_owned(),
        requested_by: "user:admin".to_owned(),
    }
}

async fn token(sandbox: &Sandbox, collector: &Collector, uses: u32) -> String {
    let mut client = administration(sandbox, collector).await;
    client
        .create_enrolment_token(token_request(uses, 3600))
        .await
        .unwrap()
        .into_inner()
        .token
}

async fn enrol(
    sandbox: &Sandbox,
    collector: &Collector,
    token: &str,
    csr_der: Vec<u8>,
) -> Result<EnrolResponse, Status> {
    let tls = identity::enrolment_client_config(&sandbox.authority.ca().fingerprint()).unwrap();
    let connection = bootstrap::grpc::connect_tls(&collector.addr.to_string(), tls)
        .await
        .unwrap();
    let host = HostInfo {
        hostname: "web-1".to_owned(),
        ..HostInfo::default()
    };
    let request = EnrolRequest {
        token: token.to_owned(),
        csr_der,
        host: Some(host),
    };
    let answer = EnrolmentServiceClient::new(connection.channel).enrol(request).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn a_token_gives_an_identity_and_is_used_up() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let token = token(&sandbox, &collector, 2).await;
    assert!(token.starts_with("pke_"), "{token}");
    let (_, csr) = identity::new_key_and_csr().unwrap();
    let enrolled = enrol(&sandbox, &collector, &token, csr.clone()).await.unwrap();
    assert_eq!((enrolled.tenant.as_str(), enrolled.group.as_str()), ("default", "web"));
    let leaf = CertificateDer::from(enrolled.certificate_chain_der[0].clone());
    let peer = identity::Peer::from_certificate(&leaf).unwrap();
    assert_eq!(
        (peer.id.role, peer.id.id.as_str()),
        (Role::Agent, enrolled.agent_id.as_str())
    );

    let id: AgentId = enrolled.agent_id.parse().unwrap();
    let agent = storage::agents::get(&sandbox.store, &Tenant::default(), id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((agent.host.hostname.as_str(), agent.group.as_str()), ("web-1", "web"));
    let certificates = storage::certificates::list(&sandbox.store, &Tenant::default())
        .await
        .unwrap();
    assert!(
        certificates
            .iter()
            .any(|certificate| certificate.serial == peer.serial.to_string())
    );
    let actions: Vec<String> = storage::audit::list(&sandbox.store, &Tenant::default(), 10)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    assert_eq!(actions, ["agent.enrol", "enrolment_token.create"]);

    enrol(&sandbox, &collector, &token, csr.clone()).await.unwrap();
    for token in [token.as_str(), "pke_wrong", ""] {
        let status = enrol(&sandbox, &collector, token, csr.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(status.message(), "enrolment token is unknown, used up or expired");
    }
    collector.stop().await;
}

#[tokio::test]
async fn a_bad_request_uses_nothing_up_and_a_crowd_gets_no_more_than_its_share() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let token = token(&sandbox, &collector, 3).await;
    let status = enrol(&sandbox, &collector, &token, vec![1, 2, 3]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("csr_der"), "{status:?}");
    let (_, csr) = identity::new_key_and_csr().unwrap();
    let tries = (0..8).map(|_| enrol(&sandbox, &collector, &token, csr.clone()));
    let enrolled = futures_util::future::join_all(tries)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!(enrolled, 3);
    collector.stop().await;
}

#[tokio::test]
async fn one_address_cannot_guess_without_end() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox
        .collector_with("collector-1", |config| config.enrolment.attempts_per_minute = 3)
        .await;
    let mut last = Code::Ok;
    for _ in 0..4 {
        last = enrol(&sandbox, &collector, "pke_guess", Vec::new())
            .await
            .unwrap_err()
            .code();
    }
    assert_eq!(last, Code::ResourceExhausted);
    collector.stop().await;
}

#[tokio::test]
async fn requests_for_tokens_are_checked_field_by_field() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let mut client = administration(&sandbox, &collector).await;
    let good = token_request(1, 60);
    for (request, field) in [
        (
            CreateEnrolmentTokenRequest {
                uses: 0,
                ..good.clone()
            },
            "uses",
        ),
        (
            CreateEnrolmentTokenRequest {
                uses: 100_001,
                ..good.clone()
            },
            "uses",
        ),
        (
            CreateEnrolmentTokenRequest {
                ttl_secs: 0,
                ..good.clone()
            },
            "ttl_secs",
        ),
        (
            CreateEnrolmentTokenRequest {
                group: "Web!".to_owned(),
                ..good.clone()
            },
            "group",
        ),
        (
            CreateEnrolmentTokenRequest {
                tenant: String::new(),
                ..good.clone()
            },
            "tenant",
        ),
        (
            CreateEnrolmentTokenRequest {
                requested_by: "me".to_owned(),
                ..good.clone()
            },
            "requested_by",
        ),
    ] {
        let status = client.create_enrolment_token(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{status:?}");
    }
    collector.stop().await;
}

#[tokio::test]
async fn renewing_keeps_the_identity_and_needs_it() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (id, identity) = sandbox.agent().await;
    let mut client = EnrolmentServiceClient::new(sandbox.connect(&collector, &identity).await);
    let (_, csr_der) = identity::new_key_and_csr().unwrap();
    let renewed = client
        .renew(RenewRequest {
            csr_der: csr_der.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    let leaf = CertificateDer::from(renewed.certificate_chain_der[0].clone());
    let peer = identity::Peer::from_certificate(&leaf).unwrap();
    assert_eq!(&peer.id, identity.id());
    assert_ne!(&peer.serial, identity.serial());

    let request = RevokeAgentRequest {
        tenant: "default".to_owned(),
        agent_id: id.to_string(),
        reason: "stolen".to_owned(),
        requested_by: "key:up".to_owned(),
    };
    let mut admin = administration(&sandbox, &collector).await;
    assert!(admin.revoke_agent(request.clone()).await.unwrap().into_inner().changed);
    assert!(!admin.revoke_agent(request.clone()).await.unwrap().into_inner().changed);
    assert!(client.renew(RenewRequest { csr_der }).await.is_err());
    let revoked = storage::certificates::revoked(&sandbox.store).await.unwrap();
    assert!(revoked.contains(&peer.serial.to_string()) && revoked.contains(&identity.serial().to_string()));
    let unknown = RevokeAgentRequest {
        agent_id: uuid::Uuid::new_v4().to_string(),
        ..request
    };
    assert_eq!(admin.revoke_agent(unknown).await.unwrap_err().code(), Code::NotFound);
    collector.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_does_nothing_but_renew_is_slowed_down() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (_, identity) = sandbox.agent().await;
    let mut client = EnrolmentServiceClient::new(sandbox.connect(&collector, &identity).await);
    let (_, csr_der) = identity::new_key_and_csr().unwrap();
    let mut renewals = 0;
    let refused = loop {
        let csr_der = csr_der.clone();
        match client.renew(RenewRequest { csr_der }).await {
            Ok(_) => renewals += 1,
            Err(status) => break status,
        }
        assert!(renewals < 1000);
    };
    assert!(renewals >= 10);
    assert_eq!(refused.code(), Code::ResourceExhausted);
    collector.stop().await;
}
