//! What this collector's key signs besides receipts, and telling everybody which key that is.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use identity::Identity;
use model::NodeId;
use storage::blocks::{Seal, Sealer};
use storage::signers::{self, Signer};
use storage::{Error, Store};
use tokio::sync::mpsc;

const RETRY: Duration = Duration::from_secs(1);

/// Signs blocks with the identity of the moment.
pub(crate) fn sealer(signer: Arc<ArcSwap<Identity>>) -> Sealer {
    Sealer::new(move |digest| {
        let identity = signer.load();
        let signature = identity::seal::sign(&identity, digest)
            .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "cannot sign blocks"))
            .ok()?;
        Some(Seal {
            signer: identity.serial().to_string(),
            signature,
        })
    })
}

/// Stores the certificate, so that what its key signs can be checked by anybody.
pub(crate) async fn publish(store: &Store, node: &NodeId, identity: &Identity) -> Result<(), Error> {
    let signer = Signer {
        serial: identity.serial().to_string(),
        node: node.clone(),
        chain: identity.chain().iter().map(|der| der.to_vec()).collect(),
    };
    signers::record(store, &signer).await
}

/// Renewals that may wait for the database. Certificates live for days.
const RENEWALS: usize = 64;

/// Stores certificates as they are renewed, however long it takes; ends when the sender is gone.
pub(crate) fn publisher(
    store: Store,
    node: NodeId,
) -> (
    mpsc::Sender<Identity>,
    impl Future<Output = anyhow::Result<()>> + Send + 'static,
) {
    let (sender, mut renewed) = mpsc::channel::<Identity>(RENEWALS);
    let task = async move {
        while let Some(identity) = renewed.recv().await {
            while let Err(error) = publish(&store, &node, &identity).await {
                if renewed.is_closed() {
                    // Started again, it begins with this.
                    return Ok(());
                }
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "renewed certificate is not stored yet"
                );
                tokio::time::sleep(RETRY).await;
            }
        }
        Ok(())
    };
    (sender, task)
}
