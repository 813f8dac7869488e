//! What an explanation consists of. Its JSON form is part of the API: names and meanings stay.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// How the evaluation of one rule on one event went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which rule.
    pub rule: RuleName,
    /// Whether the rule matches: the gate lets the event pass, the condition holds and no filter takes the event away.
    pub matched: bool,
    /// Whether the rule's logsource is about this event.
    pub gate: Gate,
    /// Whether the condition holds, whatever the gate says.
    pub detected: bool,
    /// The conditions as written; any of them suffices. Empty for a rule that has none of its own.
    pub conditions: Vec<String>,
    /// The conditions with the truth of each part.
    pub condition: Step,
    /// The named searches, in the rule's order.
    pub searches: Vec<Search>,
    /// The filters that are for this rule. One that takes the event away keeps the rule from matching.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<AppliedFilter>,
    /// The least that would have to be otherwise for the rule to match; empty when it does.
    pub missing: Vec<Missing>,
}

/// A filter, asked of the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppliedFilter {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Whether it takes the event away.
    pub excludes: bool,
    /// Its condition with the truth of each part.
    pub condition: Step,
}

/// A rule by its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleName {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: String,
    /// Its revision.
    pub revision: String,
}

/// How the logsource was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Whether the rule sees the event.
    pub passed: bool,
    /// As in the rule.
    pub category: Option<String>,
    /// As in the rule.
    pub product: Option<String>,
    /// As in the rule.
    pub service: Option<String>,
    /// When not passed: the fewest questions that would have to be answered otherwise.
    pub unmet: Vec<TestAnswer>,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// All of its terms must hold.
    All {
        /// Whether they do.
        holds: bool,
        /// In order.
        terms: Vec<Step>,
    },
    /// Any of its terms must hold.
    Any {
        /// Whether one does.
        holds: bool,
        /// In order.
        terms: Vec<Step>,
    },
    /// At least so many of its terms must hold.
    AtLeast {
        /// Whether they do.
        holds: bool,
        /// How many.
        count: usize,
        /// In order.
        terms: Vec<Step>,
    },
    /// Its term must not hold.
    Not {
        /// Whether it does not.
        holds: bool,
        /// What must not.
        term: Box<Step>,
    },
    /// A search by name.
    Search {
        /// Whether the search holds.
        holds: bool,
        /// Its name.
        name: String,
    },
    /// A single question.
    Test(TestAnswer),
}

impl Step {
    /// Whether this part holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self {
            Self::All { holds, .. }
            | Self::Any { holds, .. }
            | Self::AtLeast { holds, .. }
            | Self::Not { holds, .. }
            | Self::Search { holds, .. }
            | Self::Test(TestAnswer { holds, .. }) => *holds,
        }
    }
}

/// A question to the event, and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestAnswer {
    /// The field as the rule names it; absent for a keyword.
    pub field: Option<String>,
    /// What is asked, such as `contains "x"`.
    pub asks: String,
    /// The answer.
    pub holds: bool,
    /// What was looked at.
    pub seen: Vec<Seen>,
}

/// A field that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The name that was asked for; absent when every field was.
    pub field: Option<String>,
    /// The name under which the event has it; absent when it does not.
    pub name: Option<String>,
    /// Its value there.
    pub value: Option<Json>,
}

/// A search identifier of the rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// Its name.
    pub name: String,
    /// Its line in the rule's text, from 1.
    pub line: usize,
    /// Whether any alternative holds.
    pub holds: bool,
    /// The maps and keywords of its list; one when it is a map.
    pub alternatives: Vec<Alternative>,
}

/// One map, or one keyword, of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Whether all its items hold.
    pub holds: bool,
    /// In the rule's order.
    pub items: Vec<Item>,
}

/// One `field|modifier: values` of a search, or one keyword.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// As written; empty for a keyword in a list.
    pub key: String,
    /// The field; absent for keywords.
    pub field: Option<String>,
    /// The modifiers, in order.
    pub modifiers: Vec<String>,
    /// Its line in the rule's text, from 1.
    pub line: usize,
    /// Whether it holds.
    pub holds: bool,
    /// Whether all values must match; else any.
    pub all: bool,
    /// Whether it holds when its values do not match (`neq`).
    pub negated: bool,
    /// What was looked at: one entry for each field asked for, or for a keyword the fields it was found in.
    pub seen: Vec<Seen>,
    /// Its values.
    pub values: Vec<ItemValue>,
}

/// One value of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemValue {
    /// As written.
    pub value: Json,
    /// Whether it matches.
    pub matches: bool,
}

/// Something that would have to be otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The search; absent for the logsource, and for rules without named searches.
    pub search: Option<String>,
    /// The item's key, `logsource`, `filter`, or the field.
    pub key: String,
    /// Line in the rule's text, from 1; absent when it has none of its own.
    pub line: Option<usize>,
    /// Whether the item would have to hold, or not to.
    pub must_hold: bool,
    /// The same for people.
    pub reason: String,
}
