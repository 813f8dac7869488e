//! One step of a pipeline: a transformation and when it is applied.

use std::sync::Arc;

use super::condition::{Conditions, FieldCondition, ItemCondition, RuleCondition};
use super::transformation::Transformation;

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct ProcessingItem {
    pub(super) id: Option<Arc<str>>,
    pub(super) rule: Conditions<RuleCondition>,
    pub(super) item: Conditions<ItemCondition>,
    pub(super) field: Conditions<FieldCondition>,
    pub(crate) transformation: Transformation,
    /// File and line, for refusals.
    pub(super) place: Arc<str>,
}
