//! Detection rules as they are stored.

use serde::{Deserialize, Serialize};

use crate::id::Tenant;
use crate::time::Timestamp;

/// A rule in the `rules` collection: the text is the truth, everything else is derived from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRule {
    /// Sigma `id`.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// Sigma `title`, for lists.
    pub title: String,
    /// The YAML document as written.
    pub yaml: String,
    /// Hash of `yaml`: 16 hex digits.
    pub revision: String,
    /// Path of its file relative to the rules directory.
    pub path: String,
    /// Disabled rules are kept and not evaluated.
    pub enabled: bool,
    /// When this revision was stored.
    pub updated_at: Timestamp,
}
