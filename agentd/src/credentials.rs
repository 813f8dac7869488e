//! The agent's identity on disk. Key and certificates share one file, so that renewal replaces both in one step.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use identity::{Identity, KeyPem, TlsFiles};
use model::AgentId;
use model::node::Role;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;

/// Most certificates a collector may answer with.
const MAX_CHAIN: usize = 8;

/// What enrolment taught, besides the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// In the certificate, too; here for people.
    pub agent_id: AgentId,
    /// Whose the agent is.
    pub tenant: String,
    /// Group of the token it enrolled with.
    pub group: String,
    /// Collectors that are used when the configuration names none.
    pub collectors: Vec<String>,
    /// The pinned authority.
    pub ca_fingerprint: String,
}

/// Where everything lies in the data directory.
#[derive(Clone, Debug)]
pub struct Paths {
    data_dir: PathBuf,
}

impl Paths {
    /// For an agent's data directory.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_path_buf(),
        }
    }

    /// Makes the data directory (0700) when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> anyhow::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.data_dir)
            .with_context(|| format!("create data_dir {}", self.data_dir.display()))
    }

    /// Key, certificate and chain (0600).
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.data_dir.join("identity.pem")
    }

    /// Certificates of the authorities that are trusted.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.data_dir.join("ca.pem")
    }

    /// See [`Enrolment`].
    #[must_use]
    pub fn enrolment(&self) -> PathBuf {
        self.data_dir.join("enrolment.json")
    }

    /// Held while an agent runs on the directory.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.data_dir.join("agentd.lock")
    }

    /// See `Status`.
    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.data_dir.join("status.json")
    }

    /// Where the spool is.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.data_dir.join("spool")
    }

    /// Whether an identity is there.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.identity().exists()
    }

    /// Loads the identity.
    ///
    /// # Errors
    /// When there is none, it is broken, or it is not an agent's.
    pub fn load(&self) -> anyhow::Result<(Identity, AgentId)> {
        if !self.is_enrolled() {
            bail!(
                "no identity in data_dir {}: enrol this host first with `agentd enrol --server HOST:PORT --token T \
                 --ca-fingerprint sha256:...`",
                self.data_dir.display()
            );
        }
        let identity = Identity::load(&TlsFiles {
            cert_file: self.identity(),
            key_file: self.identity(),
            ca_file: self.ca(),
        })
        .context("load the agent's identity")?;
        ensure!(
            identity.id().role == Role::Agent,
            "the identity in data_dir is {}, expected the role agent",
            identity.id()
        );
        let agent = identity
            .id()
            .id
            .parse()
            .context("read the agent id in the certificate")?;
        Ok((identity, agent))
    }

    /// Loads what enrolment taught; `None` when the files were put there in another way.
    ///
    /// # Errors
    /// When the file is there and broken.
    pub fn load_enrolment(&self) -> anyhow::Result<Option<Enrolment>> {
        let path = self.enrolment();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("read {}", path.display()))
                .map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Writes a fresh enrolment. The identity goes last: only with it the agent counts as enrolled.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn store(&self, enrolment: &Enrolment, key: &KeyPem, chain: &Chain) -> anyhow::Result<()> {
        identity::write_public(&self.ca(), identity::certificate_pem(&chain.authority).as_bytes())?;
        identity::write_public(&self.enrolment(), &serde_json::to_vec_pretty(enrolment)?)?;
        self.replace_identity(key, chain)
    }

    /// Replaces key and certificate in one step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn replace_identity(&self, key: &KeyPem, chain: &Chain) -> anyhow::Result<()> {
        let mut pem = String::from(key.as_str());
        for certificate in chain.leaf_first() {
            if !pem.ends_with('\n') {
                pem.push('\n');
            }
            pem.push_str(&identity::certificate_pem(certificate));
        }
        identity::write_private(&self.identity(), pem.as_bytes())?;
        Ok(())
    }
}

/// A certificate as a collector answered with it.
#[derive(Clone, Debug)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    authority: CertificateDer<'static>,
}

impl Chain {
    /// Leaf first, authority last.
    ///
    /// # Errors
    /// When there are too few or too many, or the last one does not have the fingerprint.
    pub fn new(der: Vec<Vec<u8>>, ca_fingerprint: &str) -> anyhow::Result<Self> {
        ensure!(
            (2..=MAX_CHAIN).contains(&der.len()),
            "certificate_chain_der: expected 2 to {MAX_CHAIN} certificates, got {}",
            der.len()
        );
        let certificates: Vec<CertificateDer<'static>> = der.into_iter().map(CertificateDer::from).collect();
        let authority = certificates.last().cloned().context("certificate_chain_der is empty")?;
        let got = identity::fingerprint(&authority);
        ensure!(
            got == ca_fingerprint,
            "certificate_chain_der: expected it to end in the CA {ca_fingerprint}, got {got}"
        );
        Ok(Self {
            certificates,
            authority,
        })
    }

    fn leaf_first(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}
