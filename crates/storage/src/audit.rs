//! `audit`: who changed what, append-only and hash-chained.
//!
//! Each entry holds the hash of the one before it in its tenant, so an entry that is changed, removed or slipped in
//! later breaks the chain from there on. Numbers are handed out by the unique index on `(tenant, seq)`: of two writers
//! that take the same number, one is refused and tries the next. [`verify`] walks the chain. What the chain cannot show
//! is the removal of its newest entries; [`Verification::last`] is there to be written down elsewhere.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Error, Store};

const COLLECTION: &str = "audit";
/// Tries for a free number before an append gives up. Each failed try means somebody else's append succeeded.
const MAX_TRIES: usize = 200;

/// What is to be recorded.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Whose log.
    pub tenant: Tenant,
    /// Who: `user:NAME`, `key:NAME`, `node:NAME` or `agent:ID`.
    pub actor: String,
    /// What: `<noun>.<verb>`, such as `agent.enrol`.
    pub action: String,
    /// On what: an id or a name.
    pub object: String,
    /// Anything else worth keeping; never a secret.
    pub detail: Json,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the tenant's chain, from 1.
    pub seq: i64,
    /// Whose log.
    pub tenant: Tenant,
    /// When, by the writer's clock, in milliseconds resolution.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub object: String,
    /// More, as JSON text: hashing needs bytes that do not change.
    pub detail: String,
    /// `hash` of the entry before; 64 zeros for the first.
    pub previous: String,
    /// BLAKE3 over all of the above, 64 hex digits.
    pub hash: String,
}

impl Entry {
    fn compute_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"picket-audit-v1\0");
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(&self.at.0.to_le_bytes());
        for part in [
            self.tenant.as_str(),
            &self.actor,
            &self.action,
            &self.object,
            &self.detail,
            &self.previous,
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    fn from_document(document: &Document) -> Result<Self, Error> {
        let text = |field: &str| {
            document
                .get_str(field)
                .map(str::to_owned)
                .map_err(|_| Error::invalid(format!("audit.{field}"), "text"))
        };
        Ok(Self {
            seq: document
                .get_i64("seq")
                .map_err(|_| Error::invalid("audit.seq", "a 64-bit number"))?,
            tenant: text("tenant")?
                .parse()
                .map_err(|error| Error::invalid("audit.tenant", format!("{error}")))?,
            at: document
                .get_datetime("at")
                .map(|at| Timestamp::from_millis(at.timestamp_millis()))
                .map_err(|_| Error::invalid("audit.at", "a date"))?,
            actor: text("actor")?,
            action: text("action")?,
            object: text("object")?,
            detail: text("detail")?,
            previous: text("previous")?,
            hash: text("hash")?,
        })
    }

    fn to_document(&self) -> Document {
        doc! {
            "tenant": self.tenant.as_str(),
            "seq": self.seq,
            "at": bson::DateTime::from_millis(self.at.as_millis()),
            "actor": &self.actor,
            "action": &self.action,
            "object": &self.object,
            "detail": &self.detail,
            "previous": &self.previous,
            "hash": &self.hash,
        }
    }
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let unique = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder()
        .keys(doc! { "tenant": 1, "seq": 1 })
        .options(unique)
        .build();
    store.collection::<Document>(COLLECTION).create_index(index).await?;
    Ok(())
}

/// Appends an entry and waits until it is durable.
///
/// # Errors
/// When the database is away, or when 200 others appended meanwhile.
pub async fn append(store: &Store, entry: NewEntry) -> Result<(), Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let mut tries = 0;
    loop {
        let last = last(store, &entry.tenant).await?;
        let (seq, previous) = last.map_or((1, "0".repeat(64)), |last| (last.seq + 1, last.hash));
        let mut line = Entry {
            seq,
            tenant: entry.tenant.clone(),
            at: Timestamp::from_millis(Timestamp::now().as_millis()),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            object: entry.object.clone(),
            detail: entry.detail.to_string(),
            previous,
            hash: String::new(),
        };
        line.hash = line.compute_hash();
        match collection.insert_one(line.to_document()).await.map_err(Error::from) {
            Ok(_) => return Ok(()),
            Err(Error::Duplicate(_)) if tries < MAX_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn last(store: &Store, tenant: &Tenant) -> Result<Option<Entry>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "seq": -1 })
        .await?;
    found.as_ref().map(Entry::from_document).transpose()
}

/// The newest entries, newest first. `limit` is capped at 1,000.
///
/// # Errors
/// When the database is away or an entry is not readable.
pub async fn list(store: &Store, tenant: &Tenant, limit: u32) -> Result<Vec<Entry>, Error> {
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "seq": -1 })
        .limit(i64::from(limit.min(1000)))
        .await?;
    let mut entries = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        entries.push(Entry::from_document(&document)?);
    }
    Ok(entries)
}

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Entries that were read and are in order.
    pub verified: u64,
    /// Number and hash of the newest entry; compare them with what was noted elsewhere to notice a cut-off end.
    pub last: Option<(i64, String)>,
    /// The first place where the chain is broken, if it is.
    pub broken: Option<Break>,
}

/// Where and how the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Number of the entry at which it shows.
    pub seq: i64,
    /// What is wrong there.
    pub reason: String,
}

/// Walks a tenant's whole chain, oldest first, until its end or the first break.
///
/// # Errors
/// When the database is away.
pub async fn verify(store: &Store, tenant: &Tenant) -> Result<Verification, Error> {
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "seq": 1 })
        .await?;
    let mut result = Verification {
        verified: 0,
        last: None,
        broken: None,
    };
    let mut expected_seq = 1;
    let mut previous = "0".repeat(64);
    while let Some(document) = cursor.try_next().await? {
        let entry = match Entry::from_document(&document) {
            Ok(entry) => entry,
            Err(error) => {
                result.broken = Some(Break {
                    seq: expected_seq,
                    reason: error.to_string(),
                });
                return Ok(result);
            }
        };
        let reason = if entry.seq != expected_seq {
            Some(format!("entries {expected_seq} to {} are missing", entry.seq - 1))
        } else if entry.previous != previous {
            Some("it does not follow from the entry before it".to_owned())
        } else if entry.compute_hash() != entry.hash {
            Some("its content does not match its hash".to_owned())
        } else {
            None
        };
        if let Some(reason) = reason {
            result.broken = Some(Break { seq: entry.seq, reason });
            return Ok(result);
        }
        result.verified += 1;
        result.last = Some((entry.seq, entry.hash.clone()));
        previous = entry.hash;
        expected_seq += 1;
    }
    Ok(result)
}
