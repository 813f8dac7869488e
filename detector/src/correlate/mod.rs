//! Findings that are more than one event: correlations, and alerts that stand for others.
//!
//! What is known of them is in MongoDB, so that it is one truth for all detectors, whichever of them sees which event.
//! The findings of blocks are added to logs of windows, each as the next segment after everything that is known; windows
//! are judged from fresh looks, and alerts follow from what was judged; only then are the blocks done. A state is a set, so a block may be looked at any
//! number of times, in any order, by any detector. `sigma::correlation` says what states mean; here is who reads and
//! writes them when.

pub(crate) mod alert;
pub(crate) mod body;
pub(crate) mod due;
pub(crate) mod findings;
pub(crate) mod fold;
mod log;
pub(crate) mod memory;
pub(crate) mod settle;
#[cfg(test)]
mod several;
pub(crate) mod stage;
mod verdict;
