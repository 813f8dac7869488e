//! The fast path to the partition's owner.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use identity::{ClientAuth, RevocationList};
use model::node::{Node, Role};
use model::{Partition, SourceId, Tenant, Timestamp};
use proto::detection::v1::detection_service_server::{DetectionService, DetectionServiceServer};
use proto::detection::v1::{SubmitBlockRequest, SubmitBlockResponse, SubmitOutcome};
use storage::{leases, nodes};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::client::{self, numbered};
use crate::sandbox::{PATIENCE, Sandbox};

struct Detector(mpsc::UnboundedSender<SubmitBlockRequest>);

#[tonic::async_trait]
impl DetectionService for Detector {
    async fn submit_block(
        &self,
        request: Request<SubmitBlockRequest>,
    ) -> Result<Response<SubmitBlockResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Collector])?;
        let _ = self.0.send(request.into_inner());
        let outcome = SubmitOutcome::Accepted.into();
        Ok(Response::new(SubmitBlockResponse { outcome }))
    }
}

#[tokio::test]
async fn a_stored_block_reaches_the_detector_that_owns_its_partition() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let partition = Partition::of(&Tenant::default(), &SourceId::agent(agent));

    let detector = sandbox.authority.identity(Role::Detector, "detector-1");
    let tls = identity::server_config(&detector, ClientAuth::Required, &RevocationList::default()).unwrap();
    let listener = bootstrap::tls::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let node = Node {
        id: "detector-1".parse().unwrap(),
        role: Role::Detector,
        addr: listener.local_addr().unwrap().to_string(),
        version: "0".to_owned(),
        started_at: Timestamp::now(),
        heartbeat_at: Timestamp::now(),
        rules_at: None,
    };
    let (received, mut blocks) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let server = tokio::spawn(bootstrap::grpc::serve(
        listener,
        Arc::new(ArcSwap::new(tls)),
        bootstrap::grpc::routes().add_service(DetectionServiceServer::new(Detector(received))),
        bootstrap::grpc::Limits::default(),
        stop.clone(),
    ));
    nodes::beat(&sandbox.store, &node).await.unwrap();
    leases::acquire(&sandbox.store, partition, &node.id, Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let beating = tokio::spawn(nodes::register_and_beat(sandbox.store.clone(), node, stop.clone()));

    let mut stream = client::open(&sandbox, &collector, &identity).await;
    let forwarded = async {
        // The first ones may come before the collector has learnt who owns what.
        for n in 0.. {
            stream.batch(&numbered(n, 1)).await;
            stream.receipt_up_to(n + 1).await;
            if let Ok(block) = tokio::time::timeout(Duration::from_millis(100), blocks.recv()).await {
                return block;
            }
        }
        None
    };
    let block = tokio::time::timeout(PATIENCE, forwarded).await.unwrap().unwrap();
    assert_eq!(block.partition, u32::from(partition.number()));
    let day = storage::blocks::Day::from_number(block.day).unwrap();
    let id = storage::blocks::BlockId::from_slice(&block.block_id).unwrap();
    let stored = storage::blocks::get(&sandbox.store, day, id).await.unwrap().unwrap();
    assert_eq!(stored.body, block.block);
    stop.cancel();
    beating.await.unwrap();
    collector.stop().await;
    server.await.unwrap().unwrap();
}
