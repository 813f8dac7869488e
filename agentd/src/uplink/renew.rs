//! Replaces the certificate before it ends.

use std::time::Duration;

use anyhow::Context as _;
use identity::Identity;
use model::Timestamp;
use proto::agent::v1::RenewRequest;
use proto::agent::v1::enrolment_service_client::EnrolmentServiceClient;
use tonic::transport::Channel;

use crate::credentials::{Chain, Paths};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Shortest time between two renewals.
const MIN_USE_MICROS: i64 = 10_000_000;

/// When to renew: at two thirds of the certificate's life, spread over a tenth of what is left after that, so that
/// agents that were enrolled together do not all renew together.
pub(super) fn due(identity: &Identity) -> Timestamp {
    let at = identity.renew_at().0;
    let left = identity.not_after().0.saturating_sub(at).max(0);
    Timestamp(at + rand::random_range(0..=left / 10))
}

/// When to renew a certificate that was received just now. One that is due already, as one is whose authority ends soon, is
/// used for half of what it has left, or agent and collector would do nothing but renew.
pub(super) fn next(identity: &Identity, now: Timestamp) -> Timestamp {
    next_after(due(identity), identity.not_after(), now)
}

fn next_after(due: Timestamp, not_after: Timestamp, now: Timestamp) -> Timestamp {
    let half = not_after.0.saturating_sub(now.0) / 2;
    Timestamp(due.0.max(now.0.saturating_add(half.max(MIN_USE_MICROS))))
}

/// When to try again after a failure.
pub(super) fn retry(identity: &Identity, now: Timestamp) -> Timestamp {
    let left = identity.not_after().0.saturating_sub(now.0).max(0);
    let wait = (left / 20).clamp(5_000_000, 600_000_000);
    Timestamp(now.0 + rand::random_range(wait / 2..=wait))
}

/// Asks for a certificate for a new key and puts both in place.
pub(super) async fn renew(channel: Channel, paths: &Paths, ca_fingerprint: &str) -> anyhow::Result<()> {
    let (key, csr_der) = identity::new_key_and_csr().context("make a key")?;
    let mut client = EnrolmentServiceClient::new(channel);
    let request = client.renew(RenewRequest { csr_der });
    let response = tokio::time::timeout(TIMEOUT, request)
        .await
        .context("ask for a certificate")?
        .context("ask for a certificate")?
        .into_inner();
    let chain = Chain::new(response.certificate_chain_der, ca_fingerprint)?;
    paths.replace_identity(&key, &chain).context("store the certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_due_when_it_comes_is_used_nevertheless() {
        let secs = |secs: i64| Timestamp(secs * 1_000_000);
        assert_eq!(next_after(secs(200), secs(300), secs(100)), secs(200));
        assert_eq!(next_after(secs(90), secs(300), secs(100)), secs(200));
        assert_eq!(next_after(secs(90), secs(101), secs(100)), secs(110));
    }
}
