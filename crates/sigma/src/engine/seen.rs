//! Which rules met events of their logsource at all, and with which of their fields: told of every block that is evaluated
//! by column, where it costs nothing, as rows of one shape and origin have it in common.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::ast::Expr;
use crate::engine::bucket::Bucket;
use crate::engine::keys::Keys;
use crate::engine::profile::each_field;
use crate::engine::slots::Slot;

/// A rule and what was there for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its position in [`RuleSet::rules`](crate::RuleSet::rules).
    pub rule: usize,
    /// Fields it asks for that events of its logsource had, in the order it asks.
    pub fields: Vec<Arc<str>>,
}

/// What the buckets of one part of a rule set met, by their positions.
#[derive(Debug, Default)]
pub(crate) struct Met {
    buckets: Vec<OfBucket>,
    /// Positions of buckets with something that was not told.
    fresh: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct OfBucket {
    is_met: bool,
    is_fresh: bool,
    /// By slot.
    present: Vec<bool>,
}

impl Met {
    /// Forgets everything, so that it is told anew.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// An event of the bucket at `position` has a field for each of `slots`.
    pub(crate) fn note(&mut self, position: usize, bucket: &Bucket, slots: &[Slot]) {
        if self.buckets.len() <= position {
            self.buckets.resize(position + 1, OfBucket::default());
        }
        let Some(met) = self.buckets.get_mut(position) else {
            return;
        };
        let mut is_new = !std::mem::replace(&mut met.is_met, true);
        met.present.resize(bucket.fields.len(), false);
        for slot in slots {
            if let Some(present) = met.present.get_mut(*slot as usize) {
                is_new |= !std::mem::replace(present, true);
            }
        }
        if is_new && !std::mem::replace(&mut met.is_fresh, true) {
            self.fresh.push(position);
        }
    }

    /// Adds what was not told to `seen`. `place` gives the position of a rule and its detection.
    pub(crate) fn take<'e>(
        &mut self,
        keys: &Keys,
        place: impl Fn(u32) -> Option<(usize, &'e Expr)>,
        seen: &mut Vec<Seen>,
    ) {
        for position in std::mem::take(&mut self.fresh) {
            let (Some(met), Some(bucket)) = (self.buckets.get_mut(position), keys.bucket(position)) else {
                continue;
            };
            met.is_fresh = false;
            // The first slot is for keywords and has no name.
            let named = bucket.slot_names.iter().zip(met.present.iter().skip(1));
            let present: FxHashSet<&str> = named
                .filter(|(_, present)| **present)
                .map(|(name, _)| &**name)
                .collect();
            for (rule, _) in &bucket.rules {
                let Some((rule, detection)) = place(*rule) else {
                    continue;
                };
                let mut fields: Vec<Arc<str>> = Vec::new();
                each_field(detection, &mut |name| {
                    if present.contains(&**name) && !fields.contains(name) {
                        fields.push(Arc::clone(name));
                    }
                });
                seen.push(Seen { rule, fields });
            }
        }
    }
}
