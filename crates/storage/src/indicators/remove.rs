//! Taking indicators back.

use bson::{Document, doc};
use model::Tenant;
use model::indicator::IndicatorType;

use super::COLLECTION;
use crate::{Error, Store};

/// Alternatives of one query.
const BRANCHES: usize = 200;

/// Which indicators. Every condition that is set must hold; one without any selects nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Any of these, in canonical form; any value when empty.
    pub values: Vec<(IndicatorType, String)>,
    /// Of this source.
    pub source: Option<String>,
    /// Of this feed; an empty name means those of no feed.
    pub feed: Option<String>,
}

impl Selector {
    /// Whether it has no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.source.is_none() && self.feed.is_none()
    }
}

/// Removes what `selector` selects and says how many that were. Detectors stop matching them within about a second.
///
/// # Errors
/// When the database is away.
pub async fn remove(store: &Store, tenant: &Tenant, selector: &Selector) -> Result<u64, Error> {
    if selector.is_empty() {
        return Ok(0);
    }
    let mut filter = doc! { "tenant": tenant.as_str(), "removed_at": null };
    if let Some(source) = &selector.source {
        filter.insert("source", source);
    }
    if let Some(feed) = &selector.feed {
        filter.insert("feed", feed);
    }
    if selector.values.is_empty() {
        return mark(store, filter).await;
    }
    let mut removed = 0;
    for kind in IndicatorType::ALL {
        let values: Vec<&str> = selector
            .values
            .iter()
            .filter(|(of, _)| *of == kind)
            .map(|(_, value)| value.as_str())
            .collect();
        for values in values.chunks(super::BATCH) {
            let mut some = filter.clone();
            some.insert("type", kind.as_str());
            some.insert("value", doc! { "$in": values });
            removed += mark(store, some).await?;
        }
    }
    Ok(removed)
}

/// Removes these values of `feed`, each only as its source said it: type, canonical value, source. Says how many that
/// were.
///
/// # Errors
/// When the database is away.
pub async fn remove_said(
    store: &Store,
    tenant: &Tenant,
    feed: &str,
    said: &[(IndicatorType, String, String)],
) -> Result<u64, Error> {
    let mut removed = 0;
    for said in said.chunks(BRANCHES) {
        let any: Vec<Document> = said
            .iter()
            .map(|(kind, value, source)| {
                doc! {
                    "tenant": tenant.as_str(),
                    "type": kind.as_str(),
                    "value": value,
                    "feed": feed,
                    "source": source,
                }
            })
            .collect();
        removed += mark(store, doc! { "$or": any, "removed_at": null }).await?;
    }
    Ok(removed)
}

/// Removes what `feed` said in earlier runs and not in `run`, and says how many that were.
///
/// # Errors
/// When the database is away.
pub async fn remove_unseen(store: &Store, tenant: &Tenant, feed: &str, run: &str) -> Result<u64, Error> {
    let filter = doc! {
        "tenant": tenant.as_str(),
        "feed": feed,
        "run": { "$ne": run },
        "removed_at": null,
    };
    mark(store, filter).await
}

/// Like [`remove_unseen`], of what these sources within the feed said only.
///
/// # Errors
/// When the database is away.
pub async fn remove_unseen_of(
    store: &Store,
    tenant: &Tenant,
    feed: &str,
    sources: &[&str],
    run: &str,
) -> Result<u64, Error> {
    let mut removed = 0;
    for sources in sources.chunks(super::BATCH) {
        let filter = doc! {
            "tenant": tenant.as_str(),
            "feed": feed,
            "source": { "$in": sources },
            "run": { "$ne": run },
            "removed_at": null,
        };
        removed += mark(store, filter).await?;
    }
    Ok(removed)
}

async fn mark(store: &Store, filter: Document) -> Result<u64, Error> {
    let now = doc! { "$currentDate": { "removed_at": true, "updated_at": true } };
    let answer = store
        .collection::<Document>(COLLECTION)
        .update_many(filter, now)
        .await?;
    Ok(answer.modified_count)
}
