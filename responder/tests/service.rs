//! A responder as a whole, over a real MongoDB and real sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use bootstrap::Context;
use identity::RevocationList;
use model::node::Role;
use proto::response::v1::ListActionTypesRequest;
use proto::response::v1::response_service_client::ResponseServiceClient;
use responder::Config;
use storage::nodes;
use testkit::Authority;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_registers_answers_those_who_may_ask_and_leaves() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let authority = Authority::new();
    let mut config = Config {
        tls: authority.issue(Role::Responder, "responder-1"),
        ..Config::default()
    };
    config.mongodb.uri = database.uri().into();
    database.name().clone_into(&mut config.mongodb.database);
    let ctx = Context::new();
    let running = responder::start(config.clone(), ctx.clone()).await.unwrap();
    let node = testkit::poll_until(PATIENCE, "the responder is registered", async || {
        nodes::live(&store, Some(Role::Responder)).await.unwrap().pop()
    })
    .await;
    assert_eq!(
        (node.id.as_str(), node.addr.clone()),
        ("responder-1", running.addr.to_string())
    );

    for role in Role::ALL {
        let name = if role == Role::Agent {
            "0191d3f0-0000-7000-8000-000000000001"
        } else {
            "peer"
        };
        let identity = authority.identity(role, name);
        let revoked = RevocationList::default();
        let channel = bootstrap::grpc::connect(&node.addr, &identity, Role::Responder, &revoked)
            .await
            .unwrap();
        let asked = ResponseServiceClient::new(channel)
            .list_action_types(ListActionTypesRequest {})
            .await;
        if matches!(role, Role::Gateway | Role::Operator) {
            assert!(asked.unwrap().into_inner().action_types.is_empty());
        } else {
            assert_eq!(asked.unwrap_err().code(), tonic::Code::PermissionDenied, "{role}");
        }
    }

    ctx.shutdown.cancel();
    ctx.drain(PATIENCE).await.unwrap();
    assert!(nodes::all(&store).await.unwrap().is_empty());

    config.tls = authority.issue(Role::Detector, "responder-1");
    let refused = responder::start(config, Context::new()).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("tls.cert_file: expected the certificate of responder"),
        "{refused}"
    );
}
