//! Whose signatures count, each looked up and checked once.

use std::collections::HashMap;

use identity::{Authorities, Signatory};
use model::{AgentId, Epoch, Timestamp};
use storage::deliveries::Receipt;
use storage::{Error, Store, certificates, signers};

/// Tolerated between a collector's clock and the times in its certificate.
const SLACK_MICROS: i64 = 60_000_000;

/// The certificates that were asked for so far.
pub(crate) struct Witnesses {
    store: Store,
    authorities: Authorities,
    known: HashMap<String, Result<Witness, String>>,
}

struct Witness {
    signatory: Signatory,
    revoked_at: Option<Timestamp>,
}

impl Witnesses {
    pub(crate) fn new(store: Store, authorities: Authorities) -> Self {
        Self {
            store,
            authorities,
            known: HashMap::new(),
        }
    }

    /// Checks the signature over a block; the inner error says what is wrong.
    pub(crate) async fn block(
        &mut self,
        signer: &str,
        at: Timestamp,
        digest: &[u8; 32],
        signature: &[u8],
    ) -> Result<Result<(), String>, Error> {
        Ok(self.may_sign(signer, at).await?.and_then(|signatory| {
            signatory
                .check_block(digest, signature)
                .map_err(|_| "the block is not what was signed".to_owned())
        }))
    }

    /// Checks a receipt; the inner error says what is wrong.
    pub(crate) async fn receipt(
        &mut self,
        agent: AgentId,
        epoch: Epoch,
        receipt: &Receipt,
    ) -> Result<Result<(), String>, Error> {
        Ok(self
            .may_sign(&receipt.signer, receipt.issued_at)
            .await?
            .and_then(|signatory| {
                signatory
                    .check_receipt(agent, epoch, receipt.next_seq, receipt.issued_at, &receipt.signature)
                    .map_err(|_| "the receipt is not what was signed".to_owned())
            }))
    }

    async fn may_sign(&mut self, signer: &str, at: Timestamp) -> Result<Result<&Signatory, String>, Error> {
        if !self.known.contains_key(signer) {
            let found = self.find(signer).await?;
            self.known.insert(signer.to_owned(), found);
        }
        let Some(known) = self.known.get(signer) else {
            return Ok(Err("its signer was not looked up".to_owned()));
        };
        Ok(match known {
            Err(reason) => Err(reason.clone()),
            Ok(witness) if witness.revoked_at.is_some_and(|revoked| revoked <= at) => {
                Err(format!("signed with certificate {signer} after it was revoked"))
            }
            Ok(witness) if !was_valid(&witness.signatory, at) => {
                Err(format!("signed when certificate {signer} was not valid"))
            }
            Ok(witness) => Ok(&witness.signatory),
        })
    }

    async fn find(&self, signer: &str) -> Result<Result<Witness, String>, Error> {
        let found = match signers::get(&self.store, signer).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Err(format!("certificate {signer} that signed it is not stored"))),
            Err(Error::Invalid { field, .. }) => {
                return Ok(Err(format!(
                    "certificate {signer} that signed it is unreadable ({field})"
                )));
            }
            Err(error) => return Err(error),
        };
        let signatory = match Signatory::open(found.chain, &self.authorities) {
            Ok(signatory) => signatory,
            Err(error) => {
                return Ok(Err(format!(
                    "certificate {signer} that signed it does not count: {error}"
                )));
            }
        };
        if signatory.serial().to_string() != signer {
            return Ok(Err(format!("another certificate is stored as {signer}")));
        }
        let revoked_at = certificates::revoked_at(&self.store, signer).await?;
        Ok(Ok(Witness { signatory, revoked_at }))
    }
}

fn was_valid(signatory: &Signatory, at: Timestamp) -> bool {
    [-SLACK_MICROS, 0, SLACK_MICROS]
        .iter()
        .any(|slack| signatory.was_valid(Timestamp(at.0.saturating_add(*slack))))
}
