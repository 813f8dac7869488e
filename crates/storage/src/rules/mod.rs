//! `rules`: detection content as text, one record per `(tenant, id)`. Written by detectors only.
//!
//! Rules come from the directories of detectors (`origin: "dir"`) or from people and programs (`origin: "api"`), and
//! each is changed only the way it came. `nodes` says which detectors have a rule's file. A rule that no living detector
//! has a file of stays, disabled and marked `vanished`, and is enabled again when its file comes back; one that a person
//! disabled stays disabled whatever its file does.

mod document;
mod edit;
mod files;
mod query;
mod version;
mod watch;

use bson::{Document, doc};
use model::Tenant;
use mongodb::IndexModel;

use crate::{Error, Store};

pub use edit::{Edited, Put, delete, put, put_all, set_enabled, set_problems};
pub use files::{claim, vanish, vanished};
pub use query::{RuleFilter, enabled, get, list, page};
pub use version::{Version, version};
pub use watch::wake_on_change;

pub(crate) const COLLECTION: &str = "rules";

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let keys = [
        doc! { "updated_at": -1 },
        doc! { "enabled": 1 },
        doc! { "tenant": 1, "id": 1 },
    ];
    store
        .collection::<Document>(COLLECTION)
        .create_indexes(keys.map(|keys| IndexModel::builder().keys(keys).build()))
        .await?;
    Ok(())
}

fn key(tenant: &Tenant, id: &str) -> String {
    format!("{tenant}/{id}")
}
