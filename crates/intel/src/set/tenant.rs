//! One tenant's indicators.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::indicator::{Indicator, IndicatorType};

use super::filters::{Names, Nets};
use super::key::{Hashing, Key, tag};
use super::said::{Common, Interned};
use super::shard::Shard;
use crate::observables::{Observable, Wanted};

/// Parts of a set: a change copies one of them.
const SHARDS: usize = 256;

/// One tenant's indicators, found by what they name.
#[derive(Clone, Debug)]
pub struct TenantSet {
    shards: Vec<Arc<Shard>>,
    hashing: Hashing,
    common: Interned,
    nets: Nets,
    names: Names,
    /// How many there are of each type, in the order of [`IndicatorType::ALL`].
    counts: [usize; IndicatorType::ALL.len()],
}

/// A value in a set. Means nothing in another set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    pub(super) shard: u16,
    pub(super) entry: u32,
}

/// Memory for lookups, used again for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    key: Key,
}

impl Default for TenantSet {
    fn default() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            hashing: Hashing::default(),
            common: Interned::default(),
            nets: Nets::default(),
            names: Names::default(),
            counts: Default::default(),
        }
    }
}

impl TenantSet {
    /// How many indicators there are; several sources may name the same value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has to be found in texts so that these indicators match.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for (kind, count) in IndicatorType::ALL.into_iter().zip(self.counts) {
            if count > 0 {
                wanted = wanted.and(kind);
            }
        }
        wanted
    }

    /// Adds an indicator, or replaces what the same feed and source said about the value. Whether it is one more; `false`
    /// too for a value that is not canonical.
    pub fn put(&mut self, indicator: &Indicator) -> bool {
        let Some(key) = Key::of(indicator) else { return false };
        let hash = self.hashing.hash(key.tag, &key.bytes);
        let common = self.common.get(Common::of(indicator));
        let Some(shard) = self.shards.get_mut(shard_of(hash)) else {
            return false;
        };
        if shard.has(hash, &key, indicator) {
            return false;
        }
        let is_new_value = shard.find(hash, key.tag, &key.bytes).is_none();
        let is_new = Arc::make_mut(shard)
            .put(hash, &key, indicator, common, &self.hashing)
            .unwrap_or(false);
        if is_new && let Some(count) = self.count_of(indicator.kind) {
            *count += 1;
        }
        if is_new_value {
            match key.tag {
                tag::NET => {
                    if let Ok(net) = indicator.value.parse::<IpNet>() {
                        self.nets.add(net);
                    }
                }
                tag::DOMAIN => self.names.add(&indicator.value),
                _ => {}
            }
        }
        is_new
    }

    /// Forgets what the feed and source of `indicator` say about its value; whether they said anything.
    pub fn remove(&mut self, indicator: &Indicator) -> bool {
        let Some(key) = Key::of(indicator) else { return false };
        let hash = self.hashing.hash(key.tag, &key.bytes);
        let Some(shard) = self.shards.get_mut(shard_of(hash)) else {
            return false;
        };
        if shard.find(hash, key.tag, &key.bytes).is_none() {
            return false;
        }
        let shard = Arc::make_mut(shard);
        if !shard.remove(hash, &key, indicator, &self.hashing) {
            return false;
        }
        let is_gone = shard.find(hash, key.tag, &key.bytes).is_none();
        if let Some(count) = self.count_of(indicator.kind) {
            *count = count.saturating_sub(1);
        }
        if is_gone
            && key.tag == tag::NET
            && let Ok(net) = indicator.value.parse::<IpNet>()
        {
            self.nets.remove(net);
        }
        true
    }

    /// Whether this very indicator is here.
    #[must_use]
    pub fn contains(&self, indicator: &Indicator) -> bool {
        Key::of(indicator).is_some_and(|key| {
            let hash = self.hashing.hash(key.tag, &key.bytes);
            self.shards
                .get(shard_of(hash))
                .is_some_and(|shard| shard.has(hash, &key, indicator))
        })
    }

    /// Whether an indicator names this address or a network around it.
    #[must_use]
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        let mut is_found = false;
        self.look_up(Observable::Ip(ip), &mut Lookup::default(), &mut |_| is_found = true);
        is_found
    }

    /// Gives back memory that was taken to grow into; for after many changes.
    pub fn shrink(&mut self) {
        for shard in &mut self.shards {
            Arc::make_mut(shard).shrink();
        }
    }

    fn count_of(&mut self, kind: IndicatorType) -> Option<&mut usize> {
        let position = IndicatorType::ALL.into_iter().position(|of| of == kind)?;
        self.counts.get_mut(position)
    }

    pub(super) fn shard(&self, found: Found) -> Option<&Shard> {
        self.shards.get(usize::from(found.shard)).map(Arc::as_ref)
    }

    /// The values that `observable` matches.
    pub(super) fn look_up(&self, observable: Observable<'_>, lookup: &mut Lookup, found: &mut impl FnMut(Found)) {
        let key = &mut lookup.key;
        match observable {
            Observable::Ip(ip) => {
                key.set_ip(ip);
                self.find(key, found);
                for net in self.nets.around(ip) {
                    key.set_net(net);
                    self.find(key, found);
                }
            }
            Observable::Domain(name) => {
                for name in self.names.around(name) {
                    self.find_bytes(tag::DOMAIN, name.as_bytes(), found);
                }
            }
            Observable::Url(url) => self.find_bytes(tag::URL, url.as_bytes(), found),
            Observable::Email(email) => self.find_bytes(tag::EMAIL, email.as_bytes(), found),
            Observable::Hash(hash) => {
                if key.set_hash(hash) {
                    self.find(key, found);
                }
            }
        }
    }

    fn find(&self, key: &Key, found: &mut impl FnMut(Found)) {
        self.find_bytes(key.tag, &key.bytes, found);
    }

    fn find_bytes(&self, tag: u8, bytes: &[u8], found: &mut impl FnMut(Found)) {
        let hash = self.hashing.hash(tag, bytes);
        let shard = shard_of(hash);
        let entry = self.shards.get(shard).and_then(|part| part.find(hash, tag, bytes));
        if let Some(entry) = entry {
            found(Found {
                shard: shard as u16,
                entry,
            });
        }
    }

    /// Words about values, as the shards count them; for tests.
    #[cfg(test)]
    pub(super) fn said(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }
}

/// By bits of the hash that neither the place in a shard nor the fingerprint uses.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
