//! Who looks on while events are evaluated.

use crate::engine::slots::Slot;

/// Told what an evaluation does.
pub(crate) trait Observer {
    /// An event is evaluated that has fields in these slots.
    fn event(&mut self, slots: &[Slot]);

    /// A rule is a candidate; `holds` evaluates it.
    fn candidate(&mut self, rule: u32, holds: impl FnOnce() -> bool) -> bool;
}

/// Nobody: costs nothing.
pub(crate) struct Nothing;

impl Observer for Nothing {
    #[inline]
    fn event(&mut self, _: &[Slot]) {}

    #[inline]
    fn candidate(&mut self, _: u32, holds: impl FnOnce() -> bool) -> bool {
        holds()
    }
}
