//! Taking over renewed certificates without a restart.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use identity::{ClientAuth, Identity, RevocationList, TlsFiles};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Keeps a listener's TLS configuration up to date with its files until shutdown; spawn it as a task. New connections
/// use the new certificate, old ones live on.
///
/// # Errors
/// Never: files that cannot be used are logged as WARN and tried again when they change, and the old certificate stays.
pub async fn follow_files(
    files: TlsFiles,
    tls: Arc<ArcSwap<ServerConfig>>,
    auth: ClientAuth,
    revoked: RevocationList,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let swap = move |identity: Identity| match identity::server_config(&identity, auth, &revoked) {
        Ok(config) => tls.store(config),
        Err(error) => tracing::warn!(%error, "renewed certificate is unusable, keeping the old one"),
    };
    follow_identity(files, swap, shutdown).await
}

/// Calls `on_change` with the identity whenever its files have changed, until shutdown; spawn it as a task.
///
/// # Errors
/// As [`follow_files`].
pub async fn follow_identity(
    files: TlsFiles,
    on_change: impl FnMut(Identity) + Send,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    follow_every(LOOK_EVERY, files, on_change, shutdown).await
}

pub(crate) async fn follow_every(
    every: Duration,
    files: TlsFiles,
    mut on_change: impl FnMut(Identity) + Send,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // What the caller loaded may be older than what is there by now, so the first look counts as a change.
    let mut seen = None;
    let mut timer = tokio::time::interval(every);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        let current = Some(look(&files));
        if current == seen {
            continue;
        }
        match Identity::load(&files) {
            Ok(identity) => {
                if seen.is_some() {
                    tracing::info!(
                        spiffe_id = %identity.id(),
                        serial = %identity.serial(),
                        not_after = %identity.not_after(),
                        "took over renewed certificate"
                    );
                }
                on_change(identity);
            }
            // Half-way through a renewal the key and the certificate do not match; the next change completes it.
            Err(error) => tracing::warn!(
                error = %format_args!("{:#}", anyhow::Error::from(error)),
                "changed certificate files are unusable, keeping the old certificate"
            ),
        }
        seen = current;
    }
}

type Stamp = Option<(SystemTime, u64)>;

fn look(files: &TlsFiles) -> [Stamp; 3] {
    [&files.cert_file, &files.key_file, &files.ca_file].map(|path| stamp(path))
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
