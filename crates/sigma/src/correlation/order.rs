//! Rules that matched one after the other.

use crate::correlation::expression::{RuleExpr, bit};

/// What an order of rules must achieve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Goal {
    /// So many different rules, in the order of the correlation's list.
    Length(usize),
    /// Rules in the order of the list that make the expression true.
    Rules(RuleExpr),
}

impl Goal {
    /// Whether it asks for all of so many rules, and for nothing to be missing.
    pub(crate) fn is_all_of(&self, rules: usize) -> bool {
        match self {
            Self::Length(length) => *length == rules,
            Self::Rules(expr) => {
                let all = (0..rules).fold(0, |bits, rule| bits | bit(rule));
                let needs = |rule| !expr.holds(all & !bit(rule), 0);
                expr.unwanted() == 0 && expr.holds(all, 0) && (0..rules).all(needs)
            }
        }
    }
}

/// The best chains of contributions seen so far. A chain has at most one contribution of each rule, in the order of
/// the rules; the best of those with the same end is the one that starts last.
pub(crate) struct Chains<'g> {
    goal: &'g Goal,
    /// By length less one and then by last rule, or by the bits of its rules: when the best chain starts.
    starts: Vec<Option<i64>>,
    rules: usize,
}

impl<'g> Chains<'g> {
    /// None, over so many rules.
    pub(crate) fn new(goal: &'g Goal, rules: usize) -> Self {
        let size = match goal {
            Goal::Length(length) => rules * (*length).max(1),
            // The parser allows eight rules.
            Goal::Rules(_) => 1 << rules.min(8),
        };
        Self {
            goal,
            starts: vec![None; size],
            rules,
        }
    }

    /// Appends a contribution that is later than all before it. Says whether a chain that ends with it and starts no
    /// earlier than `earliest` achieves the goal. `absent` are the rules that did not match around this time.
    pub(crate) fn push(&mut self, time: i64, matched: u64, earliest: i64, absent: u64) -> bool {
        let fresh = |start: i64| start >= earliest;
        let mut updates: Vec<(usize, i64)> = Vec::new();
        for rule in (0..self.rules).filter(|rule| matched & bit(*rule) != 0) {
            match self.goal {
                Goal::Length(length) => {
                    updates.push((rule, time));
                    for longer in 1..*length {
                        let row = (longer - 1) * self.rules;
                        let before = self.starts.get(row..row + rule).unwrap_or_default();
                        let best = before.iter().copied().flatten().max().filter(|start| fresh(*start));
                        updates.extend(best.map(|start| (row + self.rules + rule, start)));
                    }
                }
                Goal::Rules(_) => {
                    updates.push((1 << rule, time));
                    // Only rules before this one in the list can come before it in a chain.
                    for set in 1..1_usize << rule {
                        let start = self.starts.get(set).copied().flatten().filter(|start| fresh(*start));
                        updates.extend(start.map(|start| (set | 1 << rule, start)));
                    }
                }
            }
        }
        // A contribution comes once in a chain, so none of its own chains can be continued by it.
        let mut achieved = false;
        for (place, start) in updates {
            achieved |= match self.goal {
                Goal::Length(length) => place / self.rules.max(1) + 1 >= *length,
                Goal::Rules(expr) => expr.holds(place as u64, absent),
            };
            if let Some(best) = self.starts.get_mut(place) {
                *best = (*best).max(Some(start));
            }
        }
        achieved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triggers(goal: &Goal, rules: usize, pushes: &[(i64, u64)], timespan: i64) -> Vec<i64> {
        let mut chains = Chains::new(goal, rules);
        pushes
            .iter()
            .filter(|(time, matched)| chains.push(*time, *matched, time - timespan, !0))
            .map(|(time, _)| *time)
            .collect()
    }

    #[test]
    fn chains_keep_to_the_order_and_to_the_timespan() {
        let all = Goal::Length(3);
        let (a, b, c) = (1, 2, 4);
        assert_eq!(triggers(&all, 3, &[(1, a), (2, b), (3, c)], 10), [3]);
        assert_eq!(triggers(&all, 3, &[(1, b), (2, a), (3, c)], 10), [0_i64; 0]);
        assert_eq!(triggers(&all, 3, &[(1, a), (5, b), (12, c)], 10), [0_i64; 0]);
        assert_eq!(triggers(&all, 3, &[(1, a), (5, a), (6, b), (12, c), (20, c)], 10), [12]);
        assert_eq!(triggers(&Goal::Length(2), 3, &[(1, a), (2, c), (3, b)], 10), [2, 3]);
        assert_eq!(
            triggers(&all, 3, &[(1, a | b), (3, c)], 10),
            [0_i64; 0],
            "one event is one step"
        );
        let either = Goal::Rules(RuleExpr::And(vec![
            RuleExpr::Matched(0),
            RuleExpr::Or(vec![RuleExpr::Matched(1), RuleExpr::Matched(2)]),
        ]));
        assert_eq!(triggers(&either, 3, &[(1, b), (2, a), (3, c), (4, b)], 10), [3, 4]);
    }
}
