//! From a block to alerts: both ways blocks come in, the evaluation, and what makes it safe to repeat.

pub(crate) mod evaluate;
pub(crate) mod queue;
pub(crate) mod submit;
pub(crate) mod truth;
pub(crate) mod worker;
