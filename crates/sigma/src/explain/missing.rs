//! The nearest miss: the fewest items that would have to be otherwise for a rule to match.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::explanation::{AppliedFilter, Gate, Item, Missing, Search, Seen, Step, TestAnswer};
use crate::rule::Rule;

/// Longest value quoted in a reason, in characters.
const MAX_QUOTED: usize = 120;
/// Most values quoted in a reason.
const MAX_VALUES: usize = 5;

/// A leaf of the tree: search, alternative and item; or the position of a test that stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaf {
    Item(usize, usize, usize),
    Test(usize),
}

/// Leaves to be turned, and whether there is a way at all.
type Change = Option<BTreeSet<Leaf>>;

/// What to turn for a search to hold and for it not to.
struct Ways {
    yes: Change,
    no: Change,
}

struct Planner<'a> {
    searches: &'a [Search],
    ways: Vec<Ways>,
    tests: Vec<&'a TestAnswer>,
}

/// The fewest items that keep the condition from holding.
pub(super) fn of_condition(condition: &Step, searches: &[Search]) -> Vec<Missing> {
    let mut planner = Planner {
        searches,
        ways: searches.iter().enumerate().map(of_search).collect(),
        tests: Vec::new(),
    };
    let leaves = planner.change(condition, true).unwrap_or_default();
    leaves
        .into_iter()
        .filter_map(|leaf| match leaf {
            Leaf::Item(search, alternative, item) => {
                let search = searches.get(search)?;
                let item = search.alternatives.get(alternative)?.items.get(item)?;
                Some(of_item(search, item))
            }
            Leaf::Test(position) => planner.tests.get(position).map(|test| of_test(test)),
        })
        .collect()
}

/// The fewest single questions that keep a tree from holding.
pub(super) fn tests(step: &Step) -> Vec<TestAnswer> {
    let mut planner = Planner {
        searches: &[],
        ways: Vec::new(),
        tests: Vec::new(),
    };
    let leaves = planner.change(step, true).unwrap_or_default();
    leaves
        .into_iter()
        .filter_map(|leaf| match leaf {
            Leaf::Test(position) => planner.tests.get(position).map(|test| (*test).clone()),
            Leaf::Item(..) => None,
        })
        .collect()
}

/// A filter that takes the event away.
pub(super) fn of_filter(filter: &AppliedFilter) -> Missing {
    Missing {
        search: None,
        key: "filter".to_owned(),
        line: None,
        must_hold: false,
        reason: format!("the filter {} ({}) takes the event away", filter.title, filter.id),
    }
}

/// What a gate that stays shut is missing.
pub(super) fn of_gate(rule: &Rule, gate: &Gate) -> Missing {
    let parts = [
        ("product", &rule.logsource.product),
        ("category", &rule.logsource.category),
        ("service", &rule.logsource.service),
    ];
    let wanted: Vec<String> = parts
        .iter()
        .filter_map(|(part, value)| value.as_ref().map(|value| format!("{part} {value}")))
        .collect();
    let unmet: Vec<String> = gate.unmet.iter().map(|test| of_test(test).reason).collect();
    let mut reason = format!("the event is not from {}", wanted.join(", "));
    if !unmet.is_empty() {
        reason.push_str(": ");
        reason.push_str(&unmet.join("; "));
    }
    Missing {
        search: None,
        key: "logsource".to_owned(),
        line: None,
        must_hold: true,
        reason,
    }
}

fn of_search((position, search): (usize, &Search)) -> Ways {
    let turned = |alternative: usize, wanted: bool| -> Vec<Leaf> {
        let items = search
            .alternatives
            .get(alternative)
            .map_or(&[][..], |found| &found.items);
        let leaf = |item| Leaf::Item(position, alternative, item);
        let differ = items.iter().enumerate().filter(|(_, item)| item.holds != wanted);
        differ.map(|(item, _)| leaf(item)).collect()
    };
    let count = search.alternatives.len();
    let yes = (0..count)
        .map(|alternative| turned(alternative, true))
        .min_by_key(Vec::len);
    // Any one item of each alternative that holds.
    let holding = search.alternatives.iter().enumerate().filter(|(_, found)| found.holds);
    let no = holding.map(|(alternative, _)| turned(alternative, false).first().copied());
    Ways {
        yes: yes.map(|leaves| leaves.into_iter().collect()),
        no: no.collect(),
    }
}

impl<'a> Planner<'a> {
    /// The fewest leaves to turn for the step to have this truth.
    fn change(&mut self, step: &'a Step, wanted: bool) -> Change {
        if step.holds() == wanted {
            return Some(BTreeSet::new());
        }
        match (step, wanted) {
            (Step::All { terms, .. }, true) | (Step::Any { terms, .. }, false) => self.every(terms, wanted),
            (Step::Any { terms, .. }, true) | (Step::All { terms, .. }, false) => self.cheapest(terms, wanted, 1),
            (Step::AtLeast { count, terms, .. }, true) => {
                let holding = terms.iter().filter(|term| term.holds()).count();
                self.cheapest(terms, true, count.saturating_sub(holding))
            }
            (Step::AtLeast { count, terms, .. }, false) => {
                let holding = terms.iter().filter(|term| term.holds()).count();
                self.cheapest(terms, false, (holding + 1).saturating_sub(*count))
            }
            (Step::Not { term, .. }, _) => self.change(term, !wanted),
            (Step::Search { name, .. }, _) => {
                let position = self.searches.iter().position(|search| search.name == *name)?;
                let ways = self.ways.get(position)?;
                if wanted { ways.yes.clone() } else { ways.no.clone() }
            }
            (Step::Test(test), _) => {
                self.tests.push(test);
                Some(BTreeSet::from([Leaf::Test(self.tests.len() - 1)]))
            }
        }
    }

    fn is_absent(&self, leaf: &Leaf) -> bool {
        let seen = match leaf {
            Leaf::Test(position) => self.tests.get(*position).map(|test| &test.seen),
            Leaf::Item(search, alternative, item) => self
                .searches
                .get(*search)
                .and_then(|search| search.alternatives.get(*alternative)?.items.get(*item))
                .map(|item| &item.seen),
        };
        seen.is_none_or(|seen| seen.iter().all(|seen| seen.name.is_none()))
    }

    fn every(&mut self, terms: &'a [Step], wanted: bool) -> Change {
        let mut all = BTreeSet::new();
        for term in terms {
            all.extend(self.change(term, wanted)?);
        }
        Some(all)
    }

    /// The `count` cheapest terms to turn.
    fn cheapest(&mut self, terms: &'a [Step], wanted: bool, count: usize) -> Change {
        let mut ways: Vec<BTreeSet<Leaf>> = terms
            .iter()
            .filter(|term| term.holds() != wanted)
            .filter_map(|term| self.change(term, wanted))
            .collect();
        // Of several ways, one over fields that are there says more.
        ways.sort_by_key(|leaves| (leaves.len(), leaves.iter().filter(|leaf| self.is_absent(leaf)).count()));
        if ways.len() < count {
            return None;
        }
        Some(ways.into_iter().take(count).flatten().collect())
    }
}

fn of_item(search: &Search, item: &Item) -> Missing {
    Missing {
        search: Some(search.name.clone()),
        key: if item.key.is_empty() {
            "keyword".to_owned()
        } else {
            item.key.clone()
        },
        line: Some(item.line),
        must_hold: !item.holds,
        reason: reason(item),
    }
}

fn reason(item: &Item) -> String {
    let what = describe(&item.seen, item.field.as_deref());
    if item.holds {
        // It stands under a `not`.
        return format!("{what}, which the condition rules out");
    }
    if item.negated {
        return format!("{what}, which the item rules out");
    }
    let unmatched: Vec<&Json> = item
        .values
        .iter()
        .filter(|value| !value.matches)
        .map(|value| &value.value)
        .collect();
    let expected = if unmatched.len() == 1 {
        "expected"
    } else if item.all {
        "expected all of"
    } else {
        "expected one of"
    };
    format!("{what}; {expected} {}", quoted(&unmatched))
}

fn of_test(test: &TestAnswer) -> Missing {
    let what = describe(&test.seen, test.field.as_deref());
    let asks = &test.asks;
    let reason = if test.holds {
        format!("{what}; it must not be that it {asks}")
    } else {
        format!("{what}; expected that it {asks}")
    };
    Missing {
        search: None,
        key: test.field.clone().unwrap_or_else(|| "keyword".to_owned()),
        line: None,
        must_hold: !test.holds,
        reason,
    }
}

fn describe(seen: &[Seen], field: Option<&str>) -> String {
    let described: Vec<String> = seen
        .iter()
        .map(|seen| match (&seen.name, &seen.value, &seen.field) {
            (Some(name), Some(value), _) => format!("{name} is {}", short(value)),
            (_, _, Some(field)) => format!("{field} is not there"),
            _ => "nothing was found".to_owned(),
        })
        .collect();
    match (described.is_empty(), field) {
        (false, _) => described.join(", "),
        (true, Some(field)) => format!("{field} was not looked at"),
        (true, None) => "no field has it".to_owned(),
    }
}

fn quoted(values: &[&Json]) -> String {
    let mut shown: Vec<String> = values.iter().take(MAX_VALUES).map(|value| short(value)).collect();
    if values.len() > MAX_VALUES {
        shown.push(format!("{} more", values.len() - MAX_VALUES));
    }
    shown.join(", ")
}

fn short(value: &Json) -> String {
    let text = value.to_string();
    if text.chars().count() <= MAX_QUOTED {
        return text;
    }
    text.chars().take(MAX_QUOTED).chain(['…']).collect()
}
