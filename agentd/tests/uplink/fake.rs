//! A collector that behaves as the test says, behind real mutual TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bootstrap::grpc::{self, Limits};
use identity::ca::CertificateAuthority;
use identity::{ClientAuth, Identity, RevocationList, SpiffeId, TlsFiles, receipt, server_config};
use model::node::Role;
use model::{AgentId, Epoch, Tenant, Timestamp};
use prost::Message as _;
use proto::agent::v1::enrolment_service_server::{EnrolmentService, EnrolmentServiceServer};
use proto::agent::v1::{EnrolRequest, EnrolResponse, RenewRequest, RenewResponse};
use proto::ingest::v1::ingest_service_server::{IngestService, IngestServiceServer};
use proto::ingest::v1::{
    Batch, BatchRefused, Drop, Hello, Receipt, Records, StreamRequest, StreamResponse, SubmitRequest, SubmitResponse,
    Wait, Welcome, record, stream_request, stream_response,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub(crate) const TOKEN: &str = "good-token";
const AGENT: AgentId = AgentId(uuid::Uuid::from_u128(7));

/// What to do differently from a good collector.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) window: u32,
    /// Store, but send no receipts.
    pub(crate) hold_receipts: bool,
    /// Sign something else than what the receipt says.
    pub(crate) forge: bool,
    /// Add this to `next_seq`.
    pub(crate) overstate: u64,
    /// Answer every batch with this wait, and store nothing more.
    pub(crate) wait: Option<Duration>,
    /// Refuse the batch that starts here.
    pub(crate) refuse: Option<u64>,
    pub(crate) agent_ttl: Duration,
    /// Numbers may be missing.
    pub(crate) gaps: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            window: 32,
            hold_receipts: false,
            forge: false,
            overstate: 0,
            wait: None,
            refuse: None,
            agent_ttl: Duration::from_secs(3600),
            gaps: false,
        }
    }
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) hellos: Vec<Hello>,
    pub(crate) batches: BTreeMap<u64, Batch>,
    /// Batches that came, repeated ones too.
    pub(crate) arrivals: usize,
    pub(crate) drops: Vec<Drop>,
    pub(crate) renewals: usize,
}

/// Survives restarts of the server.
pub(crate) struct Fake {
    pub(crate) ca: Arc<CertificateAuthority>,
    identity: Identity,
    pub(crate) revoked: RevocationList,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) addr: SocketAddr,
    running: Option<(CancellationToken, tokio::task::JoinHandle<anyhow::Result<()>>)>,
}

impl Fake {
    pub(crate) async fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let ca = CertificateAuthority::init(dir).unwrap();
        Self::start_in(dir, ca, "collector-1", Arc::default()).await
    }

    async fn start_in(dir: &Path, ca: CertificateAuthority, name: &str, seen: Arc<Mutex<Seen>>) -> Self {
        let id = SpiffeId::new(Tenant::default(), Role::Collector, name).unwrap();
        let issued = ca.issue(&id, &[], Duration::from_secs(3600), Timestamp::now()).unwrap();
        let files = TlsFiles {
            cert_file: dir.join(format!("{name}.crt")),
            key_file: dir.join(format!("{name}.key")),
            ca_file: dir.join("ca.crt"),
        };
        identity::write_public(&files.cert_file, issued.chain_pem.as_bytes()).unwrap();
        identity::write_private(&files.key_file, issued.key_pem.as_bytes()).unwrap();
        let mut fake = Self {
            ca: Arc::new(ca),
            identity: Identity::load(&files).unwrap(),
            revoked: RevocationList::default(),
            behaviour: Arc::default(),
            seen,
            addr: SocketAddr::from((own_address(), 0)),
            running: None,
        };
        fake.resume().await;
        fake
    }

    /// Another collector of the same cluster.
    pub(crate) async fn another(&self, dir: &Path) -> Self {
        let ca = CertificateAuthority::open(&dir.join("ca.crt"), &dir.join("ca.key")).unwrap();
        Self::start_in(dir, ca, "collector-2", Arc::clone(&self.seen)).await
    }

    /// Serves again, at the same address.
    pub(crate) async fn resume(&mut self) {
        let listener = TcpListener::bind(self.addr).await.unwrap();
        self.addr = listener.local_addr().unwrap();
        let tls = server_config(&self.identity, ClientAuth::Optional, &self.revoked).unwrap();
        let services = grpc::routes()
            .add_service(EnrolmentServiceServer::new(self.service()))
            .add_service(IngestServiceServer::new(self.service()));
        let shutdown = CancellationToken::new();
        let limits = Limits {
            drain_grace: Duration::ZERO,
            ..Limits::default()
        };
        let serving = grpc::serve(
            listener,
            Arc::new(ArcSwap::from(tls)),
            services,
            limits,
            shutdown.clone(),
        );
        self.running = Some((shutdown, tokio::spawn(serving)));
    }

    /// Breaks all connections.
    pub(crate) async fn stop(&mut self) {
        let (shutdown, serving) = self.running.take().unwrap();
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub(crate) fn arrivals(&self) -> usize {
        self.seen.lock().unwrap().arrivals
    }

    /// All stored lines, after checking numbers and hashes.
    pub(crate) fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let mut lines = Vec::new();
        let mut before: Option<&Batch> = None;
        for batch in seen.batches.values() {
            if let Some(before) = before {
                let follows = before.first_seq + u64::from(before.count) == batch.first_seq;
                assert!(
                    follows || self.behaviour.lock().unwrap().gaps,
                    "a gap before {}",
                    batch.first_seq
                );
                assert_eq!(before.hash == batch.previous_hash, follows);
            }
            before = Some(batch);
            let size = usize::try_from(batch.uncompressed_bytes).unwrap();
            let bytes = zstd::bulk::decompress(&batch.payload, size).unwrap();
            let records = Records::decode(bytes.as_slice()).unwrap();
            assert_eq!(records.records.len(), batch.count as usize);
            for record in records.records {
                let Some(record::Body::Line(line)) = record.body else {
                    panic!("not a line")
                };
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        lines
    }

    fn service(&self) -> Service {
        Service {
            ca: Arc::clone(&self.ca),
            identity: self.identity.clone(),
            behaviour: Arc::clone(&self.behaviour),
            seen: Arc::clone(&self.seen),
        }
    }
}

/// A loopback address that nobody else uses, so that the port is still free after a restart.
fn own_address() -> [u8; 4] {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [high, low] = u16::try_from(std::process::id() % 65_536).unwrap_or(1).to_be_bytes();
    [127, high, low, NEXT.fetch_add(1, Ordering::Relaxed)]
}

#[derive(Clone)]
struct Service {
    ca: Arc<CertificateAuthority>,
    identity: Identity,
    behaviour: Arc<Mutex<Behaviour>>,
    seen: Arc<Mutex<Seen>>,
}

impl Service {
    fn certificate(&self, csr: &[u8]) -> Vec<Vec<u8>> {
        let id = SpiffeId::new(Tenant::default(), Role::Agent, AGENT.to_string()).unwrap();
        let ttl = self.behaviour.lock().unwrap().agent_ttl;
        let (chain, _) = self.ca.sign_csr(csr, &id, ttl, Timestamp::now()).unwrap();
        chain.iter().map(|certificate| certificate.to_vec()).collect()
    }

    fn receipt(&self, epoch: u64, next_seq: u64) -> StreamResponse {
        let behaviour = self.behaviour.lock().unwrap().clone();
        let next_seq = next_seq + behaviour.overstate;
        let signed = if behaviour.forge { next_seq + 1 } else { next_seq };
        let issued_at_micros = Timestamp::now().0;
        let signature = receipt::sign(&self.identity, AGENT, Epoch(epoch), signed, issued_at_micros).unwrap();
        response(stream_response::Body::Receipt(Receipt {
            epoch,
            next_seq,
            issued_at_micros,
            signature,
        }))
    }

    /// What to answer to a batch at once.
    fn take(&self, batch: Batch) -> Option<StreamResponse> {
        let behaviour = self.behaviour.lock().unwrap().clone();
        let mut seen = self.seen.lock().unwrap();
        seen.arrivals += 1;
        if let Some(wait) = behaviour.wait {
            let retry_after_millis = u64::try_from(wait.as_millis()).unwrap();
            let reason = String::from("busy");
            return Some(response(stream_response::Body::Wait(Wait {
                retry_after_millis,
                reason,
            })));
        }
        let refused = behaviour.refuse == Some(batch.first_seq);
        let answer = refused.then(|| {
            response(stream_response::Body::Refused(BatchRefused {
                epoch: batch.epoch,
                first_seq: batch.first_seq,
                reason: String::from("payload: not zstd"),
            }))
        });
        seen.batches.insert(batch.first_seq, batch);
        answer
    }

    async fn converse(
        self,
        mut requests: Streaming<StreamRequest>,
        answers: mpsc::Sender<Result<StreamResponse, Status>>,
    ) -> Option<()> {
        let Some(stream_request::Body::Hello(hello)) = requests.message().await.ok()??.body else {
            panic!("the first message is no hello");
        };
        let epoch = hello.epoch;
        self.seen.lock().unwrap().hellos.push(hello);
        let welcome = Welcome {
            node: String::from("fake"),
            window: self.behaviour.lock().unwrap().window,
            max_payload_bytes: 4 << 20,
            max_uncompressed_bytes: 16 << 20,
        };
        answers
            .send(Ok(response(stream_response::Body::Welcome(welcome))))
            .await
            .ok()?;
        let mut receipted = 0;
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tokio::select! {
                request = requests.message() => match request.ok()??.body? {
                    stream_request::Body::Batch(batch) => {
                        if let Some(answer) = self.take(batch) {
                            answers.send(Ok(answer)).await.ok()?;
                        }
                    }
                    stream_request::Body::Drops(report) => self.seen.lock().unwrap().drops = report.drops,
                    stream_request::Body::Backlog(_) => {}
                    stream_request::Body::Hello(_) => panic!("a second hello"),
                },
                _ = tick.tick() => {}
            }
            let next_seq = {
                let seen = self.seen.lock().unwrap();
                seen.batches
                    .values()
                    .last()
                    .map_or(0, |batch| batch.first_seq + u64::from(batch.count))
            };
            if next_seq > receipted && !self.behaviour.lock().unwrap().hold_receipts {
                receipted = next_seq;
                answers.send(Ok(self.receipt(epoch, next_seq))).await.ok()?;
            }
        }
    }
}

fn response(body: stream_response::Body) -> StreamResponse {
    StreamResponse { body: Some(body) }
}

#[tonic::async_trait]
impl EnrolmentService for Service {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let request = request.into_inner();
        if request.token != TOKEN {
            return Err(Status::permission_denied("token: unknown, used up or expired"));
        }
        Ok(Response::new(EnrolResponse {
            agent_id: AGENT.to_string(),
            certificate_chain_der: self.certificate(&request.csr_der),
            tenant: String::from("default"),
            group: String::from("web"),
        }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        grpc::require_role(&request, &[Role::Agent])?;
        self.seen.lock().unwrap().renewals += 1;
        Ok(Response::new(RenewResponse {
            certificate_chain_der: self.certificate(&request.get_ref().csr_der),
        }))
    }
}

#[tonic::async_trait]
impl IngestService for Service {
    type StreamStream = ReceiverStream<Result<StreamResponse, Status>>;

    async fn stream(&self, request: Request<Streaming<StreamRequest>>) -> Result<Response<Self::StreamStream>, Status> {
        grpc::require_role(&request, &[Role::Agent])?;
        let (answers, stream) = mpsc::channel(16);
        tokio::spawn(self.clone().converse(request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn submit(&self, _request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        Err(Status::unimplemented("agents do not call this"))
    }
}
