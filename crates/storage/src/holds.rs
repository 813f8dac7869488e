//! `holds`: what retention must leave alone, and why.
//!
//! Written by gateways and operators (`picket hold`), and by responders for open incidents. A hold is in force for every block it names
//! from the moment [`place`] answers until it is released. One over a source and a time range also covers what arrives
//! later.

use std::collections::BTreeMap;
use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::{EventId, SourceId, Tenant, Timestamp};
use mongodb::IndexModel;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::blocks::{self, BlockId, Day, Wanted};
use crate::duties::{self, Duty};
use crate::{Error, Store};

const COLLECTION: &str = "holds";
/// The field of errors that say that retention has to end first.
pub const BUSY: &str = "retention";
/// Most blocks, events and sources one hold names, together.
pub const MAX_NAMED: usize = 10_000;
/// Longest reason, in bytes.
pub const MAX_REASON: usize = 500;
/// How long placing or releasing a hold waits until retention has ended a pass, for callers who have the time.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What a hold covers: the union of all it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The open incident it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Blocks, as `YYYYMMDD/ID`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
    /// Blocks that hold one of these events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventId>,
    /// Blocks that hold events of one of these sources (agents are sources) between `from` and `to`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceId>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its name.
    #[serde(rename = "_id")]
    pub id: String,
    /// Whose blocks.
    pub tenant: Tenant,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What it covers.
    pub scope: Scope,
    /// Whether every block it names was marked.
    #[serde(default)]
    pub applied: bool,
    /// Who released it; it holds nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_by: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Timestamp>,
}

/// A hold to be placed.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// Whose blocks.
    pub tenant: Tenant,
    /// Why.
    pub reason: String,
    /// Who places it.
    pub by: String,
    /// What it covers.
    pub scope: Scope,
}

/// What placing a hold did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The hold.
    pub hold: Hold,
    /// Blocks it holds that it had not held before.
    pub blocks: u64,
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let keys = [
        doc! { "tenant": 1, "at": -1 },
        doc! { "tenant": 1, "scope.incident": 1 },
    ];
    store
        .collection::<Document>(COLLECTION)
        .create_indexes(keys.map(|keys| IndexModel::builder().keys(keys).build()))
        .await?;
    Ok(())
}

impl Scope {
    /// Whether it can be held.
    ///
    /// # Errors
    /// When it is empty or too large, or a block is none; the error names the field.
    pub fn check(&self) -> Result<(), Error> {
        let named = self.blocks.len() + self.events.len() + self.sources.len();
        if named == 0 {
            return Err(Error::invalid("scope", "at least one block, event or source"));
        }
        if named > MAX_NAMED {
            return Err(Error::invalid(
                "scope",
                format!("at most {MAX_NAMED} blocks, events and sources"),
            ));
        }
        for block in &self.blocks {
            parse_block(block)?;
        }
        Ok(())
    }
}

/// Reads `YYYYMMDD/ID`.
///
/// # Errors
/// When it is something else.
pub fn parse_block(text: &str) -> Result<(Day, BlockId), Error> {
    let parse = || {
        let (day, id) = text.split_once('/')?;
        let id = bson::oid::ObjectId::parse_str(id).ok()?;
        Some((Day::parse(day)?, BlockId::from_slice(&id.bytes())?))
    };
    parse().ok_or_else(|| Error::invalid("block", format!("YYYYMMDD/ID, got {text:?}")))
}

/// Places a hold, and marks every block it covers before it answers. One for an incident that has a hold already is
/// widened: it then covers the events and sources of both.
///
/// # Errors
/// When the scope is empty or too large, or the reason is missing or too long; when retention did not end its pass in
/// time, then nothing was placed; or when the database is away: then the hold comes into force with the next pass of
/// retention if it is listed.
pub async fn place(store: &Store, new: NewHold) -> Result<Placed, Error> {
    place_within(store, new, PATIENCE).await
}

/// [`place`], waiting no longer for retention than `patience`.
///
/// # Errors
/// As [`place`].
pub async fn place_within(store: &Store, new: NewHold, patience: Duration) -> Result<Placed, Error> {
    new.scope.check()?;
    if new.reason.is_empty() || new.reason.len() > MAX_REASON {
        return Err(Error::invalid("reason", format!("1 to {MAX_REASON} bytes")));
    }
    let mut duty = take_duty(store, &new.by, patience).await?;
    let placed = place_under_duty(store, new, &mut duty).await;
    // Otherwise it ends by itself.
    let _ = duty.release().await;
    placed
}

/// Holds are changed under the duty of retention: neither a pass that has read them before nor another change of them goes on
/// meanwhile.
async fn take_duty(store: &Store, by: &str, patience: Duration) -> Result<duties::Held, Error> {
    // A name of its own: two that change holds at once are not one that died.
    let owner = format!("{by}/{}", Uuid::new_v4());
    let held = duties::take_soon(store, Duty::Retention, &owner, patience).await?;
    held.ok_or_else(|| Error::invalid(BUSY, "to end its pass soon; nothing was changed, try again"))
}

async fn keep(duty: &mut duties::Held) -> Result<(), Error> {
    if duty.keep().await? {
        return Ok(());
    }
    let expected = "to wait until the hold was changed everywhere; it was not, do it again";
    Err(Error::invalid(BUSY, expected))
}

async fn place_under_duty(store: &Store, new: NewHold, duty: &mut duties::Held) -> Result<Placed, Error> {
    let known = match &new.scope.incident {
        Some(incident) => of_incident(store, &new.tenant, incident).await?,
        None => None,
    };
    let hold = match known {
        Some(known) => widen(store, known, &new.scope).await?,
        None => insert(store, new).await?,
    };
    let blocks = apply_everywhere(store, &hold, duty).await?;
    Ok(Placed {
        hold: Hold { applied: true, ..hold },
        blocks,
    })
}

async fn insert(store: &Store, new: NewHold) -> Result<Hold, Error> {
    let hold = Hold {
        id: Uuid::new_v4().simple().to_string().chars().take(12).collect(),
        tenant: new.tenant,
        reason: new.reason,
        by: new.by,
        at: store.now().await?,
        scope: new.scope,
        applied: false,
        released_by: None,
        released_at: None,
    };
    store.collection::<Hold>(COLLECTION).insert_one(&hold).await?;
    Ok(hold)
}

async fn widen(store: &Store, mut known: Hold, scope: &Scope) -> Result<Hold, Error> {
    let add = |all: &mut Vec<_>, more: &[_]| {
        more.iter().for_each(|one: &EventId| {
            if !all.contains(one) {
                all.push(*one);
            }
        })
    };
    add(&mut known.scope.events, &scope.events);
    for block in &scope.blocks {
        if !known.scope.blocks.contains(block) {
            known.scope.blocks.push(block.clone());
        }
    }
    for source in &scope.sources {
        if !known.scope.sources.contains(source) {
            known.scope.sources.push(*source);
        }
    }
    let wider = |ours: Option<Timestamp>, theirs: Option<Timestamp>, pick: fn(Timestamp, Timestamp) -> Timestamp| {
        ours.zip(theirs).map(|(ours, theirs)| pick(ours, theirs))
    };
    if !scope.sources.is_empty() {
        known.scope.from = wider(known.scope.from, scope.from, Timestamp::min);
        known.scope.to = wider(known.scope.to, scope.to, Timestamp::max);
    }
    known.scope.check()?;
    known.applied = false;
    let in_force = doc! { "_id": &known.id, "released_at": { "$exists": false } };
    let replaced = store
        .collection::<Hold>(COLLECTION)
        .replace_one(in_force, &known)
        .await?;
    if replaced.matched_count == 0 {
        return Err(Error::invalid("incident", "one whose hold is not released meanwhile"));
    }
    Ok(known)
}

/// The hold for an incident that is in force.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn of_incident(store: &Store, tenant: &Tenant, incident: &str) -> Result<Option<Hold>, Error> {
    let filter = doc! {
        "tenant": tenant.as_str(), "scope.incident": incident, "released_at": { "$exists": false },
    };
    Ok(store.collection::<Hold>(COLLECTION).find_one(filter).await?)
}

async fn apply_everywhere(store: &Store, hold: &Hold, duty: &mut duties::Held) -> Result<u64, Error> {
    let mut count = 0;
    for day in blocks::list_days(store).await? {
        keep(duty).await?;
        count += apply(store, hold, day).await?;
    }
    note_applied(store, hold).await?;
    Ok(count)
}

/// Notes that every block a hold names is marked.
///
/// # Errors
/// When the database is away.
pub async fn note_applied(store: &Store, hold: &Hold) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": &hold.id }, doc! { "$set": { "applied": true } })
        .await?;
    Ok(())
}

/// Marks what a hold covers among the blocks of a day. Answers with how many blocks were not marked before.
///
/// # Errors
/// When the database is away.
pub async fn apply(store: &Store, hold: &Hold, day: Day) -> Result<u64, Error> {
    let named: Vec<(Day, BlockId)> = hold
        .scope
        .blocks
        .iter()
        .filter_map(|block| parse_block(block).ok())
        .collect();
    let wanted = Wanted {
        blocks: &named,
        events: &hold.scope.events,
        sources: &hold.scope.sources,
        from: hold.scope.from,
        to: hold.scope.to,
    };
    blocks::hold(store, &hold.tenant, day, &hold.id, &wanted).await
}

/// Releases a hold: what nothing else holds may be removed again. `None` when there is no such hold, or it was released
/// before; otherwise the hold and how many blocks it had held.
///
/// # Errors
/// When retention did not end its pass in time, then nothing was released; or when the database is away: then release it
/// again.
pub async fn release(store: &Store, tenant: &Tenant, id: &str, by: &str) -> Result<Option<Placed>, Error> {
    release_within(store, tenant, id, by, PATIENCE).await
}

/// [`release`], waiting no longer for retention than `patience`.
///
/// # Errors
/// As [`release`].
pub async fn release_within(
    store: &Store,
    tenant: &Tenant,
    id: &str,
    by: &str,
    patience: Duration,
) -> Result<Option<Placed>, Error> {
    let mut duty = take_duty(store, by, patience).await?;
    let released = release_under_duty(store, tenant, id, by, &mut duty).await;
    // Otherwise it ends by itself.
    let _ = duty.release().await;
    released
}

async fn release_under_duty(
    store: &Store,
    tenant: &Tenant,
    id: &str,
    by: &str,
    duty: &mut duties::Held,
) -> Result<Option<Placed>, Error> {
    let collection = store.collection::<Hold>(COLLECTION);
    let filter = doc! { "_id": id, "tenant": tenant.as_str(), "released_at": { "$exists": false } };
    let Some(hold) = collection.find_one(filter.clone()).await? else {
        return Ok(None);
    };
    let mut count = 0;
    for day in blocks::list_days(store).await? {
        keep(duty).await?;
        count += blocks::release(store, tenant, day, id).await?;
    }
    let released = Hold {
        released_by: Some(by.to_owned()),
        released_at: Some(store.now().await?),
        ..hold
    };
    collection.replace_one(filter, &released).await?;
    Ok(Some(Placed {
        hold: released,
        blocks: count,
    }))
}

/// Releases the hold of an incident that was closed.
///
/// # Errors
/// As [`release`].
pub async fn release_incident(
    store: &Store,
    tenant: &Tenant,
    incident: &str,
    by: &str,
) -> Result<Option<Placed>, Error> {
    match of_incident(store, tenant, incident).await? {
        Some(hold) => release(store, tenant, &hold.id, by).await,
        None => Ok(None),
    }
}

/// Holds of a tenant, newest first, at most 1,000; those that were released only if `released`.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant, released: bool) -> Result<Vec<Hold>, Error> {
    let mut filter = doc! { "tenant": tenant.as_str() };
    if !released {
        filter.insert("released_at", doc! { "$exists": false });
    }
    let found = store
        .collection::<Hold>(COLLECTION)
        .find(filter)
        .sort(doc! { "at": -1 })
        .limit(1000)
        .await?;
    Ok(found.try_collect().await?)
}

/// Every hold in force, of all tenants, that may cover blocks it has not marked yet.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn open_ended(store: &Store) -> Result<Vec<Hold>, Error> {
    let filter = doc! {
        "released_at": { "$exists": false },
        "$or": [{ "applied": { "$ne": true } }, { "scope.sources.0": { "$exists": true } }],
    };
    Ok(store
        .collection::<Hold>(COLLECTION)
        .find(filter)
        .await?
        .try_collect()
        .await?)
}

/// Blocks each hold of a tenant holds now; those that hold none are left out.
///
/// # Errors
/// When the database is away.
pub async fn count_all(store: &Store, tenant: &Tenant) -> Result<BTreeMap<String, u64>, Error> {
    let mut counts = BTreeMap::new();
    for day in blocks::list_days(store).await? {
        for (hold, blocks) in blocks::count_by_holds(store, tenant, day).await? {
            *counts.entry(hold).or_insert(0) += blocks;
        }
    }
    Ok(counts)
}

/// Blocks a hold holds now.
///
/// # Errors
/// When the database is away.
pub async fn count_blocks(store: &Store, hold: &Hold) -> Result<u64, Error> {
    let mut count = 0;
    for day in blocks::list_days(store).await? {
        count += blocks::count_by_hold(store, &hold.tenant, day, &hold.id).await?;
    }
    Ok(count)
}
