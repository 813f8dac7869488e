//! Who may call what.

use model::node::Role;
use model::{SourceId, Tenant};
use proto::agent::v1::agent_admin_service_client::AgentAdminServiceClient;
use proto::agent::v1::enrolment_service_client::EnrolmentServiceClient;
use proto::agent::v1::{CreateEnrolmentTokenRequest, RenewRequest, RevokeAgentRequest};
use proto::ingest::v1::SubmitRequest;
use proto::ingest::v1::ingest_service_client::IngestServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::client::{self, numbered};
use crate::sandbox::Sandbox;

const CALLS: [&str; 5] = ["stream", "submit", "renew", "create token", "revoke agent"];

fn allowed(call: &str) -> &'static [Role] {
    match call {
        "stream" | "renew" => &[Role::Agent],
        "submit" => &[Role::Gateway],
        _ => &[Role::Gateway, Role::Operator],
    }
}

async fn call(name: &str, channel: Channel) -> Result<(), Status> {
    match name {
        "stream" => client::call(channel).await.map(|_| ()),
        "submit" => IngestServiceClient::new(channel)
            .submit(SubmitRequest::default())
            .await
            .map(|_| ()),
        "renew" => EnrolmentServiceClient::new(channel)
            .renew(RenewRequest::default())
            .await
            .map(|_| ()),
        "create token" => AgentAdminServiceClient::new(channel)
            .create_enrolment_token(CreateEnrolmentTokenRequest::default())
            .await
            .map(|_| ()),
        _ => AgentAdminServiceClient::new(channel)
            .revoke_agent(RevokeAgentRequest::default())
            .await
            .map(|_| ()),
    }
}

#[tokio::test]
async fn every_call_needs_a_certificate_of_the_right_role() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let anonymous = identity::enrolment_client_config(&sandbox.authority.ca().fingerprint()).unwrap();
    let anonymous = bootstrap::grpc::connect_tls(&collector.addr.to_string(), anonymous)
        .await
        .unwrap();
    for name in CALLS {
        let status = call(name, anonymous.channel.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{name}: {status:?}");
    }
    for role in Role::ALL {
        let id = if role == Role::Agent {
            uuid::Uuid::new_v4().to_string()
        } else {
            "someone".to_owned()
        };
        let channel = sandbox
            .connect(&collector, &sandbox.authority.identity(role, &id))
            .await;
        for name in CALLS {
            let status = call(name, channel.clone()).await.unwrap_err();
            let refused = status.code() == Code::PermissionDenied;
            assert_eq!(refused, !allowed(name).contains(&role), "{name} as {role}: {status:?}");
        }
    }
    collector.stop().await;
}

#[tokio::test]
async fn a_gateway_submits_a_batch_and_is_told_what_became_of_it() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let gateway = sandbox.authority.identity(Role::Gateway, "gateway-1");
    let mut client = IngestServiceClient::new(sandbox.connect(&collector, &gateway).await);
    let source = SourceId::named("rest", "key-1");
    let request = SubmitRequest {
        tenant: Tenant::default().to_string(),
        source_id: source.to_string(),
        batch: Some(numbered(0, 7)),
    };
    let answer = client.submit(request.clone()).await.unwrap().into_inner();
    assert_eq!((answer.accepted, answer.duplicate), (7, false));
    assert_eq!(sandbox.events(source).await.len(), 7, "durable when answered");
    let again = client.submit(request.clone()).await.unwrap().into_inner();
    assert_eq!((again.accepted, again.duplicate), (7, true));
    assert_eq!(sandbox.events(source).await.len(), 7);

    let other = SubmitRequest {
        batch: Some(numbered(0, 8)),
        ..request.clone()
    };
    assert_eq!(client.submit(other).await.unwrap_err().code(), Code::AlreadyExists);
    for (change, field) in [
        (
            SubmitRequest {
                tenant: "No".to_owned(),
                ..request.clone()
            },
            "tenant",
        ),
        (
            SubmitRequest {
                source_id: "x".to_owned(),
                ..request.clone()
            },
            "source_id",
        ),
        (
            SubmitRequest {
                batch: None,
                ..request.clone()
            },
            "batch",
        ),
    ] {
        let status = client.submit(change).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{status:?}");
    }
    collector.stop().await;
}
