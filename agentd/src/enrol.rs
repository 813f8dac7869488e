//! Trades an enrolment token for an identity.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bootstrap::Secret;
use identity::{Peer, enrolment_client_config, parse_fingerprint};
use model::node::Role;
use model::{AgentId, Tenant};
use proto::agent::v1::enrolment_service_client::EnrolmentServiceClient;
use proto::agent::v1::{EnrolRequest, EnrolResponse};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tonic::Code;

use crate::config::check_addr;
use crate::credentials::{Chain, Enrolment, Paths};
use crate::host;
use crate::lock::Lock;
use crate::uplink::connect::connect;

const TIMEOUT: Duration = Duration::from_secs(20);

/// How to enrol.
#[derive(Clone, Debug)]
pub struct Request {
    /// `HOST:PORT` of a collector.
    pub server: String,
    /// The enrolment token.
    pub token: Secret,
    /// `sha256:` and 64 hex digits: the authority the collector must belong to.
    pub ca_fingerprint: String,
    /// Where the identity goes.
    pub data_dir: PathBuf,
    /// Replace an identity that is there.
    pub force: bool,
}

/// Makes a key, asks for a certificate and stores both. The key never leaves the host.
///
/// # Errors
/// Says whether the collector cannot be reached, is not the pinned one, or refuses the token.
pub async fn enrol(request: &Request) -> anyhow::Result<Enrolment> {
    bootstrap::install_crypto();
    check_addr("server", &request.server)?;
    let ca_fingerprint = parse_fingerprint(&request.ca_fingerprint)?;
    let token = request.token.expose().trim();
    ensure!(!token.is_empty(), "token: expected an enrolment token, got nothing");
    let paths = Paths::new(&request.data_dir);
    refuse_to_replace(&paths, request)?;
    paths.create()?;
    let _lock = Lock::take(&paths.lock())?;
    refuse_to_replace(&paths, request)?;
    let (key, csr_der) = identity::new_key_and_csr().context("make a key")?;
    let response = ask(&request.server, &ca_fingerprint, token, csr_der).await?;
    let agent_id = check(&response)?;
    let chain = Chain::new(response.certificate_chain_der, &ca_fingerprint)?;
    let enrolment = Enrolment {
        agent_id,
        tenant: response.tenant,
        group: response.group,
        collectors: vec![request.server.clone()],
        ca_fingerprint,
    };
    paths.store(&enrolment, &key, &chain).context("store the identity")?;
    paths.load().context("check the new identity")?;
    Ok(enrolment)
}

fn refuse_to_replace(paths: &Paths, request: &Request) -> anyhow::Result<()> {
    if paths.is_enrolled() && !request.force {
        bail!(
            "{} holds an identity already; --force replaces it (the collector will see a new agent)",
            request.data_dir.display()
        );
    }
    Ok(())
}

async fn ask(server: &str, ca_fingerprint: &str, token: &str, csr_der: Vec<u8>) -> anyhow::Result<EnrolResponse> {
    let tls = enrolment_client_config(ca_fingerprint)?;
    let connection = connect(server, tls).await?;
    let mut client = EnrolmentServiceClient::new(connection.channel);
    let answer = client.enrol(EnrolRequest {
        token: token.to_owned(),
        csr_der,
        host: Some(host::describe()),
    });
    let answer = tokio::time::timeout(TIMEOUT, answer)
        .await
        .with_context(|| format!("{server} did not answer within {} s", TIMEOUT.as_secs()))?;
    match answer {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => {
            let reason = match status.message() {
                "" => identity::describe_tls_error(&status),
                message => message.to_owned(),
            };
            if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) {
                bail!("{server} refuses the token: {reason}");
            }
            bail!("{server} cannot enrol this host: {reason}")
        }
    }
}

fn check(response: &EnrolResponse) -> anyhow::Result<AgentId> {
    let agent_id: AgentId = response.agent_id.parse().context("read agent_id in the answer")?;
    let tenant: Tenant = response.tenant.parse().context("read tenant in the answer")?;
    let leaf = response
        .certificate_chain_der
        .first()
        .context("certificate_chain_der is empty")?;
    let peer = Peer::from_certificate(&CertificateDer::from(leaf.as_slice())).context("read the certificate")?;
    ensure!(
        peer.id.role == Role::Agent && peer.id.id == agent_id.to_string() && peer.id.tenant == tenant,
        "the certificate is for {}, expected agent {agent_id} of tenant {tenant}",
        peer.id
    );
    Ok(agent_id)
}

/// Reads a token from a file that holds nothing else.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn token_from_file(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read the token from {}", path.display()))?;
    Ok(Secret::from(text.trim().to_owned()))
}
