//! Windows of texts, put together by what they look like to a [`Sieve`](super::sieve::Sieve).

use super::sieve::{BUCKETS, WIDTH};

/// Share of positions that may be compared in vain before a fourth byte is worth looking at.
const NARROW: f32 = 0.002;

/// Halves of bytes, one bit for each of the sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sets {
    pub(super) low: u16,
    pub(super) high: u16,
}

/// Any byte.
const ANY: Sets = Sets {
    low: u16::MAX,
    high: u16::MAX,
};

impl Sets {
    fn of(byte: u8, ignores_case: bool) -> Self {
        let other = if ignores_case && byte.is_ascii_alphabetic() {
            byte ^ 0x20
        } else {
            byte
        };
        Self {
            low: 1 << (byte & 15),
            high: 1 << (byte >> 4) | 1 << (other >> 4),
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            low: self.low | other.low,
            high: self.high | other.high,
        }
    }

    /// How often a byte has both halves in the sets.
    fn frequency(self, frequencies: &[f32]) -> f32 {
        if self == ANY {
            return 1.0;
        }
        let mut sum = 0.0;
        for (row, high) in frequencies.chunks(16).zip(0..) {
            let mut low = if self.high >> high & 1 == 1 { self.low } else { 0 };
            while low != 0 {
                sum += row.get(low.trailing_zeros() as usize).copied().unwrap_or_default();
                low &= low - 1;
            }
        }
        sum.min(1.0)
    }
}

/// The part of a text that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Where in the text.
    pub(super) offset: usize,
    pub(super) sets: [Sets; WIDTH],
}

impl Window {
    /// The window that should occur least.
    pub(super) fn rarest(text: &[u8], ignores_case: bool, frequencies: &[f32]) -> Self {
        let length = text.len().min(WIDTH);
        let mut best = (f32::INFINITY, 0);
        for (bytes, offset) in text.windows(length.max(1)).zip(0..) {
            let frequency = |byte: &u8| frequencies.get(usize::from(*byte)).copied().unwrap_or(1.0);
            // The first three may be all that is looked at.
            let product: f32 = bytes.iter().take(3).map(frequency).product();
            if product < best.0 {
                best = (product, offset);
            }
        }
        let offset = best.1;
        let mut sets = [ANY; WIDTH];
        for (place, byte) in sets.iter_mut().zip(text.get(offset..).unwrap_or_default()) {
            *place = Sets::of(*byte, ignores_case);
        }
        Self { offset, sets }
    }
}

/// Which texts are in which bucket.
pub(super) struct Clustered {
    pub(super) buckets: Vec<Vec<usize>>,
    /// Whether looking at three bytes is nearly as good as looking at four.
    pub(super) narrow_is_enough: bool,
}

struct Cluster {
    members: Vec<usize>,
    sets: [Sets; WIDTH],
    /// Share of positions where it is compared.
    cost: f32,
    /// The cluster that costs least to be joined with, and what it costs.
    nearest: Option<(usize, f32)>,
}

/// Joins windows until there are few enough buckets, those first that cost the least.
pub(super) fn cluster(windows: &[Window], frequencies: &[f32]) -> Clustered {
    let mut clusters: Vec<Option<Cluster>> = windows
        .iter()
        .enumerate()
        .map(|(number, window)| {
            Some(Cluster {
                members: vec![number],
                sets: window.sets,
                cost: cost(&window.sets, frequencies),
                nearest: None,
            })
        })
        .collect();
    for number in 0..clusters.len() {
        find_nearest(&mut clusters, number, frequencies);
    }
    for _ in BUCKETS..windows.len() {
        let pair = clusters
            .iter()
            .enumerate()
            .filter_map(|(left, cluster)| {
                let (right, loss) = cluster.as_ref()?.nearest?;
                Some((loss, left, right))
            })
            .min_by(|left, right| left.0.total_cmp(&right.0));
        let Some((_, left, right)) = pair else { break };
        let Some(gone) = clusters.get_mut(right).and_then(Option::take) else {
            break;
        };
        if let Some(Some(kept)) = clusters.get_mut(left) {
            kept.members.extend(gone.members);
            kept.sets = joined(&kept.sets, &gone.sets);
            kept.cost = cost(&kept.sets, frequencies);
        }
        for number in 0..clusters.len() {
            let is_stale = number == left
                || clusters
                    .get(number)
                    .and_then(Option::as_ref)
                    .and_then(|cluster| cluster.nearest)
                    .is_some_and(|(nearest, _)| nearest == left || nearest == right);
            if is_stale {
                find_nearest(&mut clusters, number, frequencies);
            }
        }
    }
    let narrow: f32 = clusters
        .iter()
        .flatten()
        .map(|cluster| cost(cluster.sets.get(..WIDTH - 1).unwrap_or_default(), frequencies))
        .sum();
    Clustered {
        buckets: clusters.into_iter().flatten().map(|cluster| cluster.members).collect(),
        narrow_is_enough: narrow < NARROW,
    }
}

/// Each cluster knows the best partner behind it.
fn find_nearest(clusters: &mut [Option<Cluster>], number: usize, frequencies: &[f32]) {
    let Some(Some(own)) = clusters.get(number) else { return };
    let nearest = clusters
        .iter()
        .enumerate()
        .skip(number + 1)
        .filter_map(|(other, cluster)| {
            let cluster = cluster.as_ref()?;
            let both = cost(&joined(&own.sets, &cluster.sets), frequencies);
            Some((other, both - own.cost - cluster.cost))
        })
        .min_by(|left, right| left.1.total_cmp(&right.1));
    if let Some(Some(own)) = clusters.get_mut(number) {
        own.nearest = nearest;
    }
}

fn joined(left: &[Sets; WIDTH], right: &[Sets; WIDTH]) -> [Sets; WIDTH] {
    let mut both = *left;
    for (place, other) in both.iter_mut().zip(right) {
        *place = place.with(*other);
    }
    both
}

fn cost(sets: &[Sets], frequencies: &[f32]) -> f32 {
    sets.iter().map(|sets| sets.frequency(frequencies)).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_bucket_and_rare_bytes_are_preferred() {
        let frequencies: Vec<f32> = (0..=u8::MAX)
            .map(|byte| if byte == b':' { 0.0001 } else { 0.02 })
            .collect();
        let texts = [
            "kerberos::golden",
            "kerberos::ptt",
            "event::drop",
            "ab",
            "x",
            "long::",
            "a",
            "b",
            "c",
            "d",
            "efgh",
        ];
        let windows: Vec<Window> = texts
            .iter()
            .map(|text| Window::rarest(text.as_bytes(), true, &frequencies))
            .collect();
        assert_eq!(windows[0].offset, 8);
        assert_eq!(windows[3].offset, 0);
        let clustered = cluster(&windows, &frequencies);
        assert_eq!(clustered.buckets.len(), BUCKETS);
        let mut members: Vec<usize> = clustered.buckets.concat();
        members.sort_unstable();
        assert_eq!(members, (0..texts.len()).collect::<Vec<_>>());
        assert!(!clustered.narrow_is_enough, "single letters are everywhere");
    }
}
