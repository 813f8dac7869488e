//! `duties`: work that one node at a time does for all.
//!
//! A duty is held for some time by the database's clock, and kept by saying so again. What is done under a duty must stay
//! right if two do it at once: a process that was stopped for long may wake up and go on before it looks.

use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};

use crate::fenced::{self, Claim, millis};
use crate::{Error, Store};

const COLLECTION: &str = "duties";
/// How long a duty is held without a sign of life.
const TTL: Duration = Duration::from_secs(60);
/// How long a duty is not renewed again.
const RENEW: Duration = Duration::from_secs(15);
/// Pause between two tries to get a duty.
const RETRY: Duration = Duration::from_millis(200);

/// What one node does for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Removing, holding, archiving and restoring blocks.
    Retention,
    /// Merging small blocks.
    Compaction,
    /// Telling of endpoints and sources that have stopped sending.
    Silence,
}

impl Duty {
    fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Compaction => "compaction",
            Self::Silence => "silence",
        }
    }
}

/// A duty that is held. Give it back with [`Held::release`].
#[derive(Debug)]
pub struct Held {
    store: Store,
    duty: Duty,
    owner: String,
    fence: i64,
    renewed: Instant,
}

/// Takes a duty unless somebody else has it. Who had it under the same name of `owner` is a predecessor that died.
///
/// # Errors
/// When the database is away.
pub async fn take(store: &Store, duty: Duty, owner: &str) -> Result<Option<Held>, Error> {
    let renewed = Instant::now();
    let claim = Claim {
        collection: COLLECTION,
        id: duty.name().into(),
        owner,
        ttl: TTL,
        until: "until",
    };
    let Some(mine) = fenced::take(store, claim).await? else {
        return Ok(None);
    };
    let fence = mine
        .get_i64("fence")
        .map_err(|_| Error::invalid("duties.fence", "a 64-bit number"))?;
    Ok(Some(Held {
        store: store.clone(),
        duty,
        owner: owner.to_owned(),
        fence,
        renewed,
    }))
}

/// Takes a duty, waiting at most `patience` until whoever has it is done; `None` when it was not to be had.
///
/// # Errors
/// When the database is away.
pub async fn take_soon(store: &Store, duty: Duty, owner: &str, patience: Duration) -> Result<Option<Held>, Error> {
    let begun = Instant::now();
    loop {
        let held = take(store, duty, owner).await?;
        if held.is_some() || begun.elapsed() >= patience {
            return Ok(held);
        }
        tokio::time::sleep(RETRY).await;
    }
}

impl Held {
    /// Keeps the duty, asking the database now and then. False when somebody else took it: then stop.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn keep(&mut self) -> Result<bool, Error> {
        if self.renewed.elapsed() < RENEW {
            return Ok(true);
        }
        self.renew().await
    }

    /// Keeps the duty, asking the database. False when somebody else took it: then stop.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn renew(&mut self) -> Result<bool, Error> {
        let renewed = Instant::now();
        let update = vec![doc! { "$set": { "until": { "$add": ["$$NOW", millis(TTL)] } } }];
        let answer = self
            .store
            .collection::<Document>(COLLECTION)
            .update_one(self.filter(), update)
            .await?;
        if answer.matched_count == 0 {
            return Ok(false);
        }
        self.renewed = renewed;
        Ok(true)
    }

    /// Gives the duty back, so that others can have it at once. When that fails it ends by itself.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn release(self) -> Result<(), Error> {
        let update = doc! { "$set": { "until": DateTime::from_millis(0) } };
        self.store
            .collection::<Document>(COLLECTION)
            .update_one(self.filter(), update)
            .await?;
        Ok(())
    }

    fn filter(&self) -> Document {
        doc! { "_id": self.duty.name(), "fence": self.fence, "owner": &self.owner }
    }
}
