//! Small tables that answer most questions before the large ones are asked. They may say yes where there is nothing, never
//! no where there is something.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::FxHashSet;

/// Bits of a filter over the first bits of addresses.
const BITS: usize = 1 << 16;

/// Which networks there are.
#[derive(Clone, Debug)]
pub(super) struct Nets {
    /// How many there are of each length.
    v4: [u32; 33],
    v6: [u32; 129],
    /// By the first 16 bits of an IPv4 address, and the first 32 bits of an IPv6 address folded.
    near_v4: Arc<[u64]>,
    near_v6: Arc<[u64]>,
    /// Whether some IPv6 network is wider than what the filter can say.
    has_wide_v6: bool,
}

impl Default for Nets {
    fn default() -> Self {
        let empty: Arc<[u64]> = vec![0; BITS / 64].into();
        Self {
            v4: [0; 33],
            v6: [0; 129],
            near_v4: Arc::clone(&empty),
            near_v6: empty,
            has_wide_v6: false,
        }
    }
}

impl Nets {
    pub(super) fn add(&mut self, net: IpNet) {
        let length = usize::from(net.prefix_len());
        match net {
            IpNet::V4(net) => {
                if let Some(count) = self.v4.get_mut(length) {
                    *count += 1;
                }
                let first = (u32::from(net.network()) >> 16) as usize;
                let last = (u32::from(net.broadcast()) >> 16) as usize;
                let bits = Arc::make_mut(&mut self.near_v4);
                (first..=last).for_each(|bit| set(bits, bit));
            }
            IpNet::V6(net) => {
                if let Some(count) = self.v6.get_mut(length) {
                    *count += 1;
                }
                if length < 32 {
                    self.has_wide_v6 = true;
                } else {
                    set(Arc::make_mut(&mut self.near_v6), fold(u128::from(net.network())));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, net: IpNet) {
        let length = usize::from(net.prefix_len());
        let count = match net {
            IpNet::V4(_) => self.v4.get_mut(length),
            IpNet::V6(_) => self.v6.get_mut(length),
        };
        if let Some(count) = count {
            *count = count.saturating_sub(1);
        }
    }

    /// The networks around an address that may be there, the narrowest first.
    pub(super) fn around(&self, ip: IpAddr) -> impl Iterator<Item = IpNet> {
        let (counts, is_near): (&[u32], bool) = match ip {
            IpAddr::V4(v4) => (&self.v4, is_set(&self.near_v4, (u32::from(v4) >> 16) as usize)),
            IpAddr::V6(v6) => (
                &self.v6,
                self.has_wide_v6 || is_set(&self.near_v6, fold(u128::from(v6))),
            ),
        };
        let counts = if is_near { counts } else { &[] };
        (0_u8..)
            .zip(counts)
            .rev_by_length()
            .filter_map(move |length| IpNet::new(ip, length).ok().map(|net| net.trunc()))
    }
}

/// Lengths that occur, the longest first.
trait Lengths<'a>: Iterator<Item = (u8, &'a u32)> + Sized {
    fn rev_by_length(self) -> impl Iterator<Item = u8> {
        let mut lengths = [0_u8; 129];
        let mut count = 0;
        for (length, nets) in self {
            if *nets > 0
                && let Some(place) = lengths.get_mut(count)
            {
                *place = length;
                count += 1;
            }
        }
        (0..count).rev().filter_map(move |at| lengths.get(at).copied())
    }
}

impl<'a, I: Iterator<Item = (u8, &'a u32)>> Lengths<'a> for I {}

fn fold(address: u128) -> usize {
    let top = (address >> 96) as u32;
    ((top ^ (top >> 16)) & 0xffff) as usize
}

fn set(bits: &mut [u64], bit: usize) {
    if let Some(word) = bits.get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}

fn is_set(bits: &[u64], bit: usize) -> bool {
    bits.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
}

/// Which names there are: their last labels, and how many labels the longest one has.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    tops: Arc<FxHashSet<Box<str>>>,
    most_labels: usize,
}

impl Names {
    pub(super) fn add(&mut self, domain: &str) {
        let top = top_of(domain);
        if !self.tops.contains(top) {
            Arc::make_mut(&mut self.tops).insert(top.into());
        }
        self.most_labels = self.most_labels.max(domain.split('.').count());
    }

    /// The name and the names above it that may be there, the longest first.
    pub(super) fn around<'a>(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let known = self.tops.contains(top_of(name));
        let labels = if known { name.split('.').count() } else { 0 };
        let skipped = labels.saturating_sub(self.most_labels);
        let first = known.then_some(name);
        std::iter::successors(first, |name| name.split_once('.').map(|(_, rest)| rest))
            .take(labels.saturating_sub(1))
            .skip(skipped)
    }
}

fn top_of(domain: &str) -> &str {
    domain.rsplit('.').next().unwrap_or_default()
}
