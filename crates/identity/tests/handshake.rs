//! Who gets through a TLS handshake with whom, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use identity::{
    CertificateAuthority, ClientAuth, Identity, Issued, Peer, RevocationList, SpiffeId, TlsFiles, client_config,
    describe_tls_error, enrolment_client_config, server_config, write_private,
};
use model::node::Role;
use model::{Tenant, Timestamp};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const DAY: Duration = Duration::from_secs(24 * 3600);

struct World {
    dir: tempfile::TempDir,
    ca: CertificateAuthority,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::init(&dir.path().join("ca")).unwrap();
        Self { dir, ca }
    }

    fn identity(&self, role: Role, id: &str) -> Identity {
        self.identity_at(role, id, DAY, Timestamp::now())
    }

    fn identity_at(&self, role: Role, id: &str, ttl: Duration, now: Timestamp) -> Identity {
        let issued = self
            .ca
            .issue(&name(role, id), &["localhost".to_owned()], ttl, now)
            .unwrap();
        Identity::load(&self.write(id, &issued)).unwrap()
    }

    fn write(&self, id: &str, issued: &Issued) -> TlsFiles {
        write_identity(&self.dir.path().join(id), issued, &self.dir.path().join("ca/ca.crt"))
    }
}

fn write_identity(dir: &Path, issued: &Issued, ca_file: &Path) -> TlsFiles {
    std::fs::create_dir_all(dir).unwrap();
    let files = TlsFiles {
        cert_file: dir.join("cert.pem"),
        key_file: dir.join("key.pem"),
        ca_file: PathBuf::from(ca_file),
    };
    write_private(&files.cert_file, issued.chain_pem.as_bytes()).unwrap();
    write_private(&files.key_file, issued.key_pem.as_bytes()).unwrap();
    files
}

fn name(role: Role, id: &str) -> SpiffeId {
    SpiffeId::new(Tenant::default(), role, id).unwrap()
}

fn server(identity: &Identity, auth: ClientAuth) -> Arc<ServerConfig> {
    server_config(identity, auth, &RevocationList::default()).unwrap()
}

fn client(identity: &Identity, expect: Role) -> Arc<ClientConfig> {
    client_config(identity, expect, &RevocationList::default()).unwrap()
}

/// Who the server saw, or what each side says about the failure: (server, client).
type Outcome = Result<Option<Peer>, (String, String)>;

/// One connection in which the client sends a byte and gets it back, over a name that is in nobody's certificate.
async fn connect(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let accept = async {
        let (tcp, _) = listener.accept().await?;
        let mut tls = TlsAcceptor::from(server).accept(tcp).await?;
        let mut byte = [0];
        tls.read_exact(&mut byte).await?;
        tls.write_all(&byte).await?;
        tls.shutdown().await?;
        let certificate = tls.get_ref().1.peer_certificates().map(|chain| chain[0].clone());
        Ok::<_, std::io::Error>(certificate.map(|c| Peer::from_certificate(&c).unwrap()))
    };
    let call = async {
        let tcp = TcpStream::connect(addr).await?;
        let mut tls = TlsConnector::from(client)
            .connect(ServerName::try_from("other.example").unwrap(), tcp)
            .await?;
        // Reading first shows a refusal that comes after the client's side of the handshake.
        let mut byte = [0];
        tls.write_all(&[7]).await?;
        tls.read_exact(&mut byte).await?;
        Ok::<_, std::io::Error>(())
    };
    let both = async { tokio::join!(accept, call) };
    let (accepted, called) = tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .expect("a handshake hangs");
    match (accepted, called) {
        (Ok(peer), Ok(())) => Ok(peer),
        (accepted, called) => {
            let say = |e: Option<std::io::Error>| e.map_or_else(|| "fine".to_owned(), |e| describe_tls_error(&e));
            Err((say(accepted.err()), say(called.err())))
        }
    }
}

#[tokio::test]
async fn peers_of_one_authority_know_each_other_by_name_and_not_by_host() {
    let world = World::new();
    let (collector, agent) = (
        world.identity(Role::Collector, "collector-1"),
        world.identity(Role::Agent, "a-1"),
    );
    for auth in [ClientAuth::Required, ClientAuth::Optional] {
        let peer = connect(server(&collector, auth), client(&agent, Role::Collector))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(peer.id, name(Role::Agent, "a-1"));
        assert_eq!(&peer.serial, agent.serial());
        assert_eq!(peer.not_after, agent.not_after());
    }
    let unseen = connect(server(&collector, ClientAuth::None), client(&agent, Role::Collector))
        .await
        .unwrap();
    assert_eq!(unseen, None);
}

#[tokio::test]
async fn another_authority_is_refused_on_both_sides() {
    let (ours, theirs) = (World::new(), World::new());
    let collector = ours.identity(Role::Collector, "collector-1");
    let stranger = theirs.identity(Role::Agent, "a-1");
    let (_, client_says) = connect(
        server(&collector, ClientAuth::Required),
        client(&stranger, Role::Collector),
    )
    .await
    .unwrap_err();
    assert!(client_says.contains("issued by another authority"), "{client_says}");

    // A client that trusts the server, so that only its own certificate is wrong.
    let issued = theirs
        .ca
        .issue(&name(Role::Agent, "a-2"), &[], DAY, Timestamp::now())
        .unwrap();
    let dir = theirs.dir.path().join("mixed");
    let files = write_identity(&dir, &issued, &dir.join("both.pem"));
    let both = format!("{}{}", ours.ca.certificate_pem(), theirs.ca.certificate_pem());
    std::fs::write(&files.ca_file, both).unwrap();
    let mixed = Identity::load(&files).unwrap();
    let (server_says, _) = connect(
        server(&collector, ClientAuth::Optional),
        client(&mixed, Role::Collector),
    )
    .await
    .unwrap_err();
    assert!(server_says.contains("issued by another authority"), "{server_says}");
}

#[tokio::test]
async fn an_expired_certificate_loads_but_is_refused() {
    let world = World::new();
    let past = Timestamp(Timestamp::now().0 - 2 * 86_400_000_000);
    let expired = world.identity_at(Role::Agent, "a-1", Duration::from_secs(3600), past);
    let collector = world.identity(Role::Collector, "collector-1");
    let (server_says, _) = connect(
        server(&collector, ClientAuth::Required),
        client(&expired, Role::Collector),
    )
    .await
    .unwrap_err();
    assert!(server_says.contains("expired"), "{server_says}");

    let expired = world.identity_at(Role::Collector, "collector-2", Duration::from_secs(3600), past);
    let agent = world.identity(Role::Agent, "a-2");
    let (_, client_says) = connect(server(&expired, ClientAuth::Required), client(&agent, Role::Collector))
        .await
        .unwrap_err();
    assert!(client_says.contains("expired"), "{client_says}");
}

#[tokio::test]
async fn a_revocation_takes_effect_for_the_next_handshake_of_configurations_already_made() {
    let world = World::new();
    let (collector, agent) = (
        world.identity(Role::Collector, "collector-1"),
        world.identity(Role::Agent, "a-1"),
    );
    let revoked = RevocationList::default();
    let accepting = server_config(&collector, ClientAuth::Optional, &revoked).unwrap();
    let connecting = client_config(&agent, Role::Collector, &revoked).unwrap();
    connect(Arc::clone(&accepting), Arc::clone(&connecting)).await.unwrap();

    revoked.set(HashSet::from([agent.serial().clone()]));
    let (server_says, _) = connect(Arc::clone(&accepting), Arc::clone(&connecting))
        .await
        .unwrap_err();
    assert!(server_says.contains("revoked"), "{server_says}");

    revoked.set(HashSet::from([collector.serial().clone()]));
    let (_, client_says) = connect(accepting, connecting).await.unwrap_err();
    assert!(client_says.contains("revoked"), "{client_says}");
}

#[tokio::test]
async fn a_server_of_another_role_is_refused() {
    let world = World::new();
    let (detector, collector) = (
        world.identity(Role::Detector, "d-1"),
        world.identity(Role::Collector, "c-1"),
    );
    let (_, client_says) = connect(
        server(&detector, ClientAuth::Required),
        client(&collector, Role::Responder),
    )
    .await
    .unwrap_err();
    assert!(
        client_says.contains("spiffe://picket/default/detector/d-1"),
        "{client_says}"
    );
    assert!(client_says.contains("expected the role responder"), "{client_says}");
}

#[tokio::test]
async fn an_agent_cannot_pose_as_a_server() {
    let world = World::new();
    let (agent, collector) = (
        world.identity(Role::Agent, "a-1"),
        world.identity(Role::Collector, "c-1"),
    );
    let (_, client_says) = connect(server(&agent, ClientAuth::Optional), client(&collector, Role::Agent))
        .await
        .unwrap_err();
    assert!(client_says.contains("not made for this end"), "{client_says}");
}

#[tokio::test]
async fn enrolling_needs_the_pinned_authority_and_a_collector() {
    let world = World::new();
    let pin = enrolment_client_config(&world.ca.fingerprint()).unwrap();
    let collector = world.identity(Role::Collector, "c-1");
    assert_eq!(collector.ca_fingerprint(), world.ca.fingerprint());
    let anonymous = connect(server(&collector, ClientAuth::Optional), Arc::clone(&pin))
        .await
        .unwrap();
    assert_eq!(anonymous, None);

    let (server_says, _) = connect(server(&collector, ClientAuth::Required), Arc::clone(&pin))
        .await
        .unwrap_err();
    assert!(server_says.contains("presented no certificate"), "{server_says}");

    let gateway = world.identity(Role::Gateway, "g-1");
    let (_, client_says) = connect(server(&gateway, ClientAuth::Optional), pin).await.unwrap_err();
    assert!(client_says.contains("expected the role collector"), "{client_says}");

    let other = World::new();
    let wrong = enrolment_client_config(&other.ca.fingerprint()).unwrap();
    let (_, client_says) = connect(server(&collector, ClientAuth::Optional), wrong)
        .await
        .unwrap_err();
    let expected = format!(
        "the server's CA has fingerprint {}, expected {}",
        world.ca.fingerprint(),
        other.ca.fingerprint()
    );
    assert_eq!(client_says, expected);
}

#[tokio::test]
async fn an_impostor_that_appends_the_pinned_authority_is_refused() {
    let (ours, theirs) = (World::new(), World::new());
    // The impostor has its own authority's collector certificate and shows our public CA certificate after it.
    let issued = theirs
        .ca
        .issue(&name(Role::Collector, "c-1"), &[], DAY, Timestamp::now())
        .unwrap();
    let chain_pem = format!("{}{}", issued.chain_pem, ours.ca.certificate_pem());
    let files = theirs.write("impostor", &Issued { chain_pem, ..issued });
    let impostor = Identity::load(&files).unwrap();
    let pin = enrolment_client_config(&ours.ca.fingerprint()).unwrap();
    let (_, client_says) = connect(server(&impostor, ClientAuth::Optional), pin).await.unwrap_err();
    assert!(client_says.contains("issued by another authority"), "{client_says}");
}

#[tokio::test]
async fn programs_that_verify_host_names_are_served_too() {
    let world = World::new();
    let gateway = world.identity(Role::Gateway, "g-1");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(world.ca.certificate().clone()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let browser = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(server(&gateway, ClientAuth::None));
        let accept = async { acceptor.accept(listener.accept().await.unwrap().0).await.map(|_| ()) };
        let call = async {
            let tcp = TcpStream::connect(addr).await.unwrap();
            TlsConnector::from(Arc::new(browser))
                .connect(ServerName::try_from("localhost").unwrap(), tcp)
                .await
                .map(|_| ())
        };
        let (accepted, called) = tokio::join!(accept, call);
        accepted.unwrap();
        called.unwrap();
    }
}
