//! How often a field has which values: exact, until there are too many different ones to keep.

use std::collections::HashMap;

use block::View;
use foldhash::quality::RandomState;
use model::{Text, Value};

/// Distinct values counted at once by all threads of a search. Beyond, the rarest are given up, and counts are no longer
/// exact.
const MAX_DISTINCT: usize = 400_000;
/// The same, by the bytes of their texts.
const MAX_TEXT: usize = 64 << 20;
/// Longest value that is told from others, in bytes.
const MAX_VALUE: usize = 1024;

/// Values of a field and how many events have each.
#[derive(Debug)]
pub struct ValueCounts {
    // Blocks have thousands of values each, so that counting is mostly hashing and comparing: short ones lie in the table.
    counts: HashMap<Text, u64, RandomState>,
    /// Of the texts in `counts`.
    bytes: usize,
    /// How many count at once, and share what may be kept.
    of: usize,
    /// Events that were looked at.
    pub total: u64,
    /// Those of them without the field.
    pub missing: u64,
    /// Whether rare values were given up.
    is_approximate: bool,
}

impl ValueCounts {
    /// One of so many that count at once.
    #[must_use]
    pub fn one_of(count: usize) -> Self {
        Self {
            counts: HashMap::default(),
            bytes: 0,
            of: count.max(1),
            total: 0,
            missing: 0,
            is_approximate: false,
        }
    }

    fn add(&mut self, value: &str, count: u64) {
        // Most were seen before, and then need no memory of their own.
        if let Some(sum) = self.counts.get_mut(value) {
            *sum += count;
            return;
        }
        self.counts.insert(Text::from(value), count);
        self.bytes += value.len();
        while self.counts.len() > MAX_DISTINCT / self.of || self.bytes > MAX_TEXT / self.of {
            self.give_up_rarest();
        }
    }

    /// Drops a quarter of the values at once, so that looking through all of them is paid for by many additions.
    fn give_up_rarest(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let surplus = counts.len().div_ceil(4);
        let Some(last) = surplus.checked_sub(1) else { return };
        let (rarer, most, _) = counts.select_nth_unstable(last);
        let most = *most;
        let mut as_rare = surplus - rarer.iter().filter(|count| **count < most).count();
        self.is_approximate = true;
        let bytes = &mut self.bytes;
        self.counts.retain(|value, count| {
            let goes = *count < most || (*count == most && as_rare > 0);
            if goes {
                as_rare -= usize::from(*count == most);
                *bytes -= value.len();
            }
            !goes
        });
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.missing += other.missing;
        self.is_approximate |= other.is_approximate;
        if self.counts.is_empty() {
            (self.counts, self.bytes) = (other.counts, other.bytes);
            return;
        }
        for (value, count) in other.counts {
            self.add(&value, count);
        }
    }

    /// Adds all columns that a field has in so many events.
    pub fn add_columns<'v>(&mut self, views: impl IntoIterator<Item = &'v View>, events: u64) {
        let mut with = 0_u64;
        for view in views {
            let mut counts = vec![0_u64; view.values()];
            for row in 0..view.rows() {
                if let Some(count) = view.index(row).and_then(|index| counts.get_mut(index)) {
                    *count += 1;
                    with += 1;
                }
            }
            self.add_view(view, &counts);
        }
        self.total += events;
        self.missing += events.saturating_sub(with);
    }

    /// Adds what some rows of a column have, and gives back those that have nothing in it. [`Self::total`] and
    /// [`Self::missing`] are left to the caller.
    pub fn add_rows(&mut self, view: &View, mut rows: Vec<usize>) -> Vec<usize> {
        let mut counts = vec![0_u64; view.values()];
        rows.retain(|row| match view.index(*row).and_then(|index| counts.get_mut(index)) {
            Some(count) => {
                *count += 1;
                false
            }
            None => true,
        });
        self.add_view(view, &counts);
        rows
    }

    /// Adds a value that so many events have; each element of a list counts. None is [`Value::Null`].
    pub fn add_value(&mut self, value: &Value, count: u64) {
        if matches!(value, Value::Null) {
            self.missing += count;
        } else {
            self.add_item(value, count);
        }
    }

    fn add_item(&mut self, value: &Value, count: u64) {
        if let Value::List(items) = value {
            items.iter().for_each(|item| self.add_item(item, count));
        } else {
            self.add(shortened(&value.to_text()), count);
        }
    }

    /// How many different values are kept.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.counts.len() as u64
    }

    /// Whether there were so many different values that rare ones are not counted exactly.
    #[must_use]
    pub fn is_approximate(&self) -> bool {
        self.is_approximate
    }

    /// The most frequent values, at most `limit`, and how many events have each; most frequent first.
    #[must_use]
    pub fn most_frequent(self, limit: usize) -> Vec<(String, u64)> {
        let mut values: Vec<(Text, u64)> = self.counts.into_iter().collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        values.truncate(limit);
        let own = values.into_iter();
        own.map(|(value, count)| (value.as_str().to_owned(), count)).collect()
    }

    fn add_view(&mut self, view: &View, counts: &[u64]) {
        for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            match view {
                View::Texts { texts, .. } => self.add(shortened(texts.get(index)), *count),
                View::Integers { numbers, .. } => {
                    self.add(&numbers.get(index).copied().unwrap_or_default().to_string(), *count);
                }
                View::Values { values, .. } => self.add_value(values.get(index).unwrap_or(&Value::Null), *count),
            }
        }
    }
}

fn shortened(text: &str) -> &str {
    if text.len() <= MAX_VALUE {
        return text;
    }
    let end = (0..=MAX_VALUE).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_values_are_given_up_before_memory_is() {
        let mut values = ValueCounts::one_of(1);
        for n in 0..MAX_DISTINCT + 1000 {
            values.add("often", 3);
            values.add(&n.to_string(), 1);
        }
        assert!(values.counts.len() <= MAX_DISTINCT);
        assert_eq!(values.counts["often"], 3 * (MAX_DISTINCT as u64 + 1000));
        assert!(values.is_approximate());
    }

    #[test]
    fn one_value_too_many_makes_room_for_a_quarter() {
        let mut values = ValueCounts::one_of(1);
        for n in 0..MAX_DISTINCT {
            values.add(&n.to_string(), if n < 1000 { 10_000 } else { 1000 });
        }
        assert!(!values.is_approximate());
        values.add("rare", 1);
        assert_eq!(values.counts.len(), MAX_DISTINCT + 1 - (MAX_DISTINCT + 1).div_ceil(4));
        assert!(!values.counts.contains_key("rare"));
        assert!((0..1000).all(|n| values.counts.get(n.to_string().as_str()) == Some(&10_000)));
        assert_eq!(values.bytes, values.counts.keys().map(|key| key.len()).sum::<usize>());
    }

    #[test]
    fn memory_is_bounded_by_the_length_of_texts_too() {
        let mut values = ValueCounts::one_of(4);
        for n in 0..40_000 {
            values.add(&format!("{n:>1000}"), 1);
        }
        assert!(values.bytes <= MAX_TEXT / 4);
        assert_eq!(values.bytes, values.counts.keys().map(|key| key.len()).sum::<usize>());
        assert!(values.is_approximate());
        assert!(shortened(&"é".repeat(1000)).len() <= MAX_VALUE);
    }
}
