//! Servers and clients over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bootstrap::{Context, grpc, tls};
use identity::{CertificateAuthority, ClientAuth, Identity, RevocationList, SpiffeId, TlsFiles, write_private};
use model::node::Role;
use model::{Tenant, Timestamp};
use proto::detection::v1::detection_service_client::DetectionServiceClient;
use proto::detection::v1::detection_service_server::{DetectionService, DetectionServiceServer};
use proto::detection::v1::{SubmitBlockRequest, SubmitBlockResponse, SubmitOutcome};
use rustls::ServerConfig;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

const SERVICE: &str = "picket.detection.v1.DetectionService";
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers collectors. A block `hang` is never answered, a block `hold` when released.
#[derive(Clone, Default)]
struct Detector {
    held: CancellationToken,
    release: CancellationToken,
}

#[tonic::async_trait]
impl DetectionService for Detector {
    async fn submit_block(
        &self,
        request: Request<SubmitBlockRequest>,
    ) -> Result<Response<SubmitBlockResponse>, Status> {
        let peer = grpc::require_role(&request, &[Role::Collector, Role::Gateway])?;
        assert_eq!(peer.id.tenant, Tenant::default());
        assert!(request.remote_addr().is_some());
        assert!(grpc::connection(&request).unwrap().certificate.is_some());
        match request.get_ref().block.as_ref() {
            b"hang" => std::future::pending::<()>().await,
            b"hold" => {
                self.held.cancel();
                self.release.cancelled().await;
            }
            _ => {}
        }
        Ok(Response::new(SubmitBlockResponse {
            outcome: SubmitOutcome::Accepted.into(),
        }))
    }
}

struct World {
    dir: tempfile::TempDir,
    ca: CertificateAuthority,
    revoked: RevocationList,
    ctx: Context,
    detector: Detector,
}

struct Server {
    addr: SocketAddr,
    tls: Arc<ArcSwap<ServerConfig>>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::init(&dir.path().join("ca")).unwrap();
        Self {
            dir,
            ca,
            revoked: RevocationList::default(),
            ctx: Context::new(),
            detector: Detector::default(),
        }
    }

    fn files(&self, role: Role, id: &str) -> TlsFiles {
        let id = SpiffeId::new(Tenant::default(), role, id).unwrap();
        let issued = self
            .ca
            .issue(&id, &[], Duration::from_secs(3600), Timestamp::now())
            .unwrap();
        let path = |end: &str| self.dir.path().join(format!("{}.{end}", id.id));
        let files = TlsFiles {
            cert_file: path("crt"),
            key_file: path("key"),
            ca_file: self.dir.path().join(Path::new("ca/ca.crt")),
        };
        write_private(&files.key_file, issued.key_pem.as_bytes()).unwrap();
        write_private(&files.cert_file, issued.chain_pem.as_bytes()).unwrap();
        files
    }

    fn identity(&self, role: Role, id: &str) -> Identity {
        Identity::load(&self.files(role, id)).unwrap()
    }

    async fn serve(&self, auth: ClientAuth, limits: grpc::Limits) -> Server {
        let identity = self.identity(Role::Detector, "detector-1");
        let config = identity::server_config(&identity, auth, &self.revoked).unwrap();
        let tls = Arc::new(ArcSwap::new(config));
        let listener = tls::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let services = grpc::routes().add_service(DetectionServiceServer::new(self.detector.clone()));
        let serve = grpc::serve(listener, Arc::clone(&tls), services, limits, self.ctx.shutdown.clone());
        self.ctx.tasks.spawn("grpc", serve);
        Server { addr, tls }
    }

    async fn connect(&self, server: &Server, identity: &Identity) -> anyhow::Result<tonic::transport::Channel> {
        grpc::connect(&server.addr.to_string(), identity, Role::Detector, &self.revoked).await
    }
}

fn block(name: &'static str) -> SubmitBlockRequest {
    SubmitBlockRequest {
        block: name.as_bytes().into(),
        ..SubmitBlockRequest::default()
    }
}

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn the_caller_is_its_certificate_and_its_role_decides() {
    let world = World::new();
    let server = world.serve(ClientAuth::Optional, grpc::Limits::default()).await;
    let collector = world.identity(Role::Collector, "collector-1");
    let channel = world.connect(&server, &collector).await.unwrap();
    let answer = DetectionServiceClient::new(channel)
        .submit_block(block("a"))
        .await
        .unwrap();
    assert_eq!(answer.get_ref().outcome(), SubmitOutcome::Accepted);

    let agent = world.identity(Role::Agent, "agent-1");
    let channel = world.connect(&server, &agent).await.unwrap();
    let status = DetectionServiceClient::new(channel)
        .submit_block(block("a"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("collector or gateway"), "{status}");
    assert!(status.message().contains("the role agent"), "{status}");
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_refused_certificate_is_a_clear_error_of_the_connection() {
    let world = World::new();
    let server = world.serve(ClientAuth::Required, grpc::Limits::default()).await;
    let collector = world.identity(Role::Collector, "collector-1");
    world.connect(&server, &collector).await.unwrap();
    world.revoked.set(HashSet::from([collector.serial().clone()]));
    let error = format!("{:#}", world.connect(&server, &collector).await.unwrap_err());
    assert!(
        error.contains("the peer refused this certificate: it is revoked"),
        "{error}"
    );
    assert!(error.contains(&server.addr.to_string()), "{error}");

    let wrong = grpc::connect(&server.addr.to_string(), &collector, Role::Responder, &world.revoked).await;
    let error = format!("{:#}", wrong.unwrap_err());
    assert!(error.contains("expected the role responder"), "{error}");

    let channel = grpc::connect_lazy(&server.addr.to_string(), &collector, Role::Detector, &world.revoked);
    let status = DetectionServiceClient::new(channel)
        .submit_block(block("a"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn who_enrols_has_no_certificate_and_sees_the_servers() {
    let world = World::new();
    let server = world.serve(ClientAuth::Optional, grpc::Limits::default()).await;
    let collector = world.identity(Role::Collector, "collector-1");
    let tls = identity::client_config(&collector, Role::Detector, &world.revoked).unwrap();
    let connection = grpc::connect_tls(&server.addr.to_string(), tls).await.unwrap();
    let certificate = connection.peer.get().unwrap();
    assert_eq!(
        identity::Peer::from_certificate(&certificate).unwrap().id.id,
        "detector-1"
    );

    // The pin is right but the server is no collector.
    let pin = identity::enrolment_client_config(&world.ca.fingerprint()).unwrap();
    let error = grpc::connect_tls(&server.addr.to_string(), pin)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected the role collector"), "{error}");
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_slow_handshake_delays_nobody_and_is_ended() {
    let world = World::new();
    let limits = grpc::Limits {
        handshake_timeout: Duration::from_millis(300),
        ..grpc::Limits::default()
    };
    let server = world.serve(ClientAuth::Required, limits).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.addr).await.unwrap());
    }
    let collector = world.identity(Role::Collector, "collector-1");
    let channel = world.connect(&server, &collector).await.unwrap();
    DetectionServiceClient::new(channel)
        .submit_block(block("a"))
        .await
        .unwrap();
    for mut tcp in silent {
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, tcp.read(&mut byte))
            .await
            .expect("a silent client is kept");
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_places_come_back() {
    let world = World::new();
    let limits = grpc::Limits {
        max_connections: 1,
        ..grpc::Limits::default()
    };
    let server = world.serve(ClientAuth::Required, limits).await;
    let collector = world.identity(Role::Collector, "collector-1");
    let first = world.connect(&server, &collector).await.unwrap();
    assert!(world.connect(&server, &collector).await.is_err());
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while world.connect(&server, &collector).await.is_err() {
        assert!(
            Instant::now() < deadline,
            "the place of a closed connection stays taken"
        );
        tokio::task::yield_now().await;
    }
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_call_has_a_time_limit_that_streams_outlive_until_the_server_stops() {
    let world = World::new();
    let limits = grpc::Limits {
        request_timeout: Duration::from_millis(300),
        drain_grace: Duration::from_millis(300),
        ..grpc::Limits::default()
    };
    let server = world.serve(ClientAuth::Required, limits).await;
    let channel = world
        .connect(&server, &world.identity(Role::Collector, "collector-1"))
        .await
        .unwrap();
    let mut health = HealthClient::new(channel.clone());
    let mut watch = health.watch(check(SERVICE)).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    // Two calls that are cut off one after the other: the stream is older than the limit then.
    for _ in 0..2 {
        let status = DetectionServiceClient::new(channel.clone())
            .submit_block(block("hang"))
            .await
            .unwrap_err();
        assert!(
            matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded),
            "{status}"
        );
    }
    world.ctx.shutdown.cancel();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    // The stream is still open, so the server has to break it.
    world.ctx.drain(PATIENCE).await.unwrap();
    assert!(!matches!(watch.next().await, Some(Ok(_))));
}

#[tokio::test]
async fn a_running_call_is_finished_after_the_socket_is_closed() {
    let world = World::new();
    let server = world.serve(ClientAuth::Required, grpc::Limits::default()).await;
    let collector = world.identity(Role::Collector, "collector-1");
    let channel = world.connect(&server, &collector).await.unwrap();
    let mut client = DetectionServiceClient::new(channel);
    let detector = world.detector.clone();
    let call = tokio::spawn(async move { client.submit_block(block("hold")).await });
    detector.held.cancelled().await;
    world.ctx.shutdown.cancel();
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(server.addr).await.is_ok() {
        assert!(Instant::now() < deadline, "the socket stays open");
        tokio::task::yield_now().await;
    }
    detector.release.cancel();
    call.await.unwrap().unwrap();
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_without_a_restart() {
    let world = World::new();
    let server = world.serve(ClientAuth::Required, grpc::Limits::default()).await;
    let collector = world.identity(Role::Collector, "collector-1");
    let tls = identity::client_config(&collector, Role::Detector, &world.revoked).unwrap();
    let files = world.files(Role::Detector, "detector-1");
    let renewed = Identity::load(&files).unwrap();
    let follow = tls::follow_files(
        files,
        Arc::clone(&server.tls),
        ClientAuth::Required,
        world.revoked.clone(),
        world.ctx.shutdown.clone(),
    );
    world.ctx.tasks.spawn("follow-certificate", follow);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let connection = grpc::connect_tls(&server.addr.to_string(), Arc::clone(&tls))
            .await
            .unwrap();
        let certificate = connection.peer.get().unwrap();
        if &identity::Peer::from_certificate(&certificate).unwrap().serial == renewed.serial() {
            break;
        }
        assert!(Instant::now() < deadline, "the old certificate is still presented");
    }
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn reflection_lists_what_is_served_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};

    let world = World::new();
    let server = world.serve(ClientAuth::Required, grpc::Limits::default()).await;
    let channel = world
        .connect(&server, &world.identity(Role::Operator, "cli"))
        .await
        .unwrap();
    let request = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = format!("{:?}", answers.next().await.unwrap().unwrap());
    assert!(
        answer.contains(SERVICE) && answer.contains("grpc.health.v1.Health"),
        "{answer}"
    );
    assert!(!answer.contains("picket.ingest.v1"), "{answer}");

    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(SERVICE.into())),
        ..Default::default()
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = format!("{:?}", answers.next().await.unwrap().unwrap());
    assert!(answer.contains("FileDescriptorResponse"), "{answer}");
    world.ctx.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_setting_to_change() {
    let taken = tls::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = taken.local_addr().unwrap();
    let error = tls::bind_for(addr, "grpc.addr").await.unwrap_err().to_string();
    assert!(
        error.contains(&addr.to_string()) && error.contains("grpc.addr"),
        "{error}"
    );
}
