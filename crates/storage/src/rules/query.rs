//! Finding stored rules.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::rule::{RuleKind, RuleOrigin, StoredRule};
use model::{Level, Tenant};

use super::{COLLECTION, document, key};
use crate::{Error, Store};

/// Most rules one [`page`] answers.
const MAX_LIMIT: u32 = 10_000;

/// Which rules. Empty options do not narrow.
#[derive(Clone, Debug, Default)]
pub struct RuleFilter {
    /// Whose.
    pub tenant: Tenant,
    /// Enabled or disabled ones.
    pub enabled: Option<bool>,
    /// Of this kind.
    pub kind: Option<RuleKind>,
    /// Of this origin.
    pub origin: Option<RuleOrigin>,
    /// At least this grave.
    pub min_level: Option<Level>,
    /// With this tag, such as `attack.t1110`; case does not matter.
    pub tag: Option<String>,
    /// With this text in `product/category/service`.
    pub logsource: Option<String>,
    /// With this text in the title, the id or the path; case does not matter.
    pub text: Option<String>,
    /// Those that are enabled and not usable, or the others.
    pub has_error: Option<bool>,
    /// After this id, in the order of [`page`].
    pub after: Option<String>,
    /// At most so many; capped at 10,000, and 0 means 100.
    pub limit: u32,
}

impl RuleFilter {
    fn to_document(&self) -> Document {
        let mut all = vec![doc! { "tenant": self.tenant.as_str() }];
        if let Some(enabled) = self.enabled {
            all.push(doc! { "enabled": enabled });
        }
        if let Some(kind) = self.kind {
            // Records of earlier releases do not say.
            let kinds = match kind {
                RuleKind::Rule => vec![kind.as_str().into(), bson::Bson::Null],
                RuleKind::Correlation | RuleKind::Filter | RuleKind::Pipeline => vec![kind.as_str().into()],
            };
            all.push(doc! { "kind": { "$in": kinds } });
        }
        if let Some(origin) = self.origin {
            all.push(doc! { "origin": origin.as_str() });
        }
        if let Some(min) = self.min_level {
            let levels: Vec<&str> = Level::ALL
                .into_iter()
                .filter(|level| *level >= min)
                .map(Level::as_str)
                .collect();
            all.push(doc! { "level": { "$in": levels } });
        }
        if let Some(tag) = &self.tag {
            all.push(doc! { "tags": { "$regex": format!("^{}$", escaped(tag)), "$options": "i" } });
        }
        if let Some(logsource) = &self.logsource {
            all.push(doc! { "logsource": { "$regex": escaped(logsource), "$options": "i" } });
        }
        if let Some(text) = &self.text {
            let contains = doc! { "$regex": escaped(text), "$options": "i" };
            all.push(doc! { "$or": [{ "title": contains.clone() }, { "id": contains.clone() }, { "path": contains }] });
        }
        match self.has_error {
            Some(true) => all.push(doc! { "enabled": true, "error": { "$type": "object" } }),
            Some(false) => all.push(doc! { "$nor": [{ "enabled": true, "error": { "$type": "object" } }] }),
            None => {}
        }
        if let Some(after) = &self.after {
            all.push(doc! { "id": { "$gt": after } });
        }
        doc! { "$and": all }
    }
}

/// Every character that is not a letter or digit is escaped, so that the text stands for itself.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Every rule of a tenant, enabled or not, by id.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<StoredRule>, Error> {
    find(store, doc! { "tenant": tenant.as_str() }).await
}

/// Rules by id, a page at a time.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn page(store: &Store, filter: &RuleFilter) -> Result<Vec<StoredRule>, Error> {
    let limit = if filter.limit == 0 {
        100
    } else {
        filter.limit.min(MAX_LIMIT)
    };
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(filter.to_document())
        .sort(doc! { "tenant": 1, "id": 1 })
        .limit(i64::from(limit))
        .await?;
    let mut rules = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        rules.push(document::read(&found)?);
    }
    Ok(rules)
}

/// One rule.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, id: &str) -> Result<Option<StoredRule>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": key(tenant, id) })
        .await?;
    found.as_ref().map(document::read).transpose()
}

/// The enabled rules of all tenants, by tenant and id: what a detector, which works for all of them, evaluates.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn enabled(store: &Store) -> Result<Vec<StoredRule>, Error> {
    find(store, doc! { "enabled": true }).await
}

async fn find(store: &Store, filter: Document) -> Result<Vec<StoredRule>, Error> {
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .sort(doc! { "_id": 1 })
        .await?;
    let mut rules = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        rules.push(document::read(&found)?);
    }
    Ok(rules)
}
