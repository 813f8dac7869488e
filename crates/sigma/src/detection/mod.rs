//! The `detection` section as a tree: named searches of items with values, and conditions over their names.
//!
//! [Pipelines](crate::pipeline) rewrite this tree; [lowering](Detection::expr) turns it into an expression over tests.

mod lower;
mod parse;

use std::sync::Arc;

use crate::ast::{Field, Number};
pub use crate::value::{Piece, Question, RegexFlags, Target, Template};

pub(crate) use parse::{parse, parse_search};

/// Most values one rule stands for once every name in its condition is replaced by its search.
pub(crate) const MAX_TESTS: usize = 100_000;

/// What must hold of an event, as a rule says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detection {
    /// In the order of the rule.
    pub searches: Vec<Search>,
    /// Any of them must hold. At least one.
    pub conditions: Vec<Condition>,
}

/// A named search.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Unique in its rule.
    pub name: String,
    /// Line in its document, counted from 1; 0 when it is from no document.
    pub line: usize,
    /// Column in the line in characters, counted from 1; 0 when unknown.
    pub column: usize,
    /// What must hold.
    pub body: Body,
}

/// Items combined.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// One item.
    Item(Item),
    /// All must hold: a map.
    All(Vec<Body>),
    /// Any must hold: a list.
    Any(Vec<Body>),
}

/// A field, or every field, with values to look for.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// As written, such as `CommandLine|contains|all`; empty for a keyword.
    pub key: String,
    /// Where to look; `None` stands for every field.
    pub field: Option<Field>,
    /// What to look for. Empty when a pipeline took all of them away: then it never holds.
    pub values: Vec<Value>,
    /// Whether all values must be found and not just any.
    pub all: bool,
    /// Whether they must not be found.
    pub negated: bool,
    /// Line in its document, counted from 1; 0 when it is from no document.
    pub line: usize,
    /// Column in the line in characters, counted from 1; 0 when unknown.
    pub column: usize,
    /// Names of the pipeline items that changed it.
    pub(crate) applied: Vec<Arc<str>>,
}

/// One value of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// As written.
    pub written: Written,
    /// Line in its document, counted from 1; 0 when it is from no document.
    pub line: usize,
    /// Column in the line in characters, counted from 1; 0 when unknown.
    pub column: usize,
    /// What is asked, modifiers applied.
    pub question: Question,
}

/// A scalar as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(Box<str>),
}

impl Written {
    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(Number::Int(number)) => (*number).into(),
            Self::Number(Number::Float(number)) => (*number).into(),
            Self::Text(text) => text.as_ref().into(),
        }
    }
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// As written.
    pub text: String,
    /// Line in its document, counted from 1; 0 when unknown.
    pub line: usize,
    /// Column in the line in characters, counted from 1; 0 when unknown.
    pub column: usize,
    /// What it says.
    pub tree: Tree,
}

/// A condition over positions in [`Detection::searches`].
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// This search.
    Search(usize),
    /// Not this.
    Not(Box<Tree>),
    /// All of these.
    All(Vec<Tree>),
    /// Any of these.
    Any(Vec<Tree>),
    /// At least so many of these.
    AtLeast(usize, Vec<Tree>),
}

impl Tree {
    /// Calls `visit` with every search it names, with some more than once.
    pub fn searches(&self, visit: &mut impl FnMut(usize)) {
        match self {
            Self::Search(position) => visit(*position),
            Self::Not(inner) => inner.searches(visit),
            Self::All(terms) | Self::Any(terms) | Self::AtLeast(_, terms) => {
                for term in terms {
                    term.searches(visit);
                }
            }
        }
    }
}

impl Search {
    /// A search that only asks whether a field is there, to see what becomes of its name.
    pub(crate) fn of_field(name: &str) -> Self {
        let value = Value {
            written: Written::Bool(true),
            line: 0,
            column: 0,
            question: Question::Exists(true),
        };
        Self {
            name: String::new(),
            line: 0,
            column: 0,
            body: Body::Item(Item {
                key: format!("{name}|exists"),
                field: Some(Field::named(name)),
                values: vec![value],
                all: false,
                negated: false,
                line: 0,
                column: 0,
                applied: Vec::new(),
            }),
        }
    }
}

impl Body {
    /// Calls `visit` with every item.
    pub fn items<'a>(&'a self, visit: &mut impl FnMut(&'a Item)) {
        match self {
            Self::Item(item) => visit(item),
            Self::All(terms) | Self::Any(terms) => {
                for term in terms {
                    term.items(visit);
                }
            }
        }
    }

    /// Calls `visit` with every item to change.
    pub(crate) fn items_mut(&mut self, visit: &mut impl FnMut(&mut Item)) {
        match self {
            Self::Item(item) => visit(item),
            Self::All(terms) | Self::Any(terms) => {
                for term in terms {
                    term.items_mut(visit);
                }
            }
        }
    }
}

impl Detection {
    /// Calls `visit` with every item of every search.
    pub fn items<'a>(&'a self, mut visit: impl FnMut(&'a Item)) {
        for search in &self.searches {
            search.body.items(&mut visit);
        }
    }
}

impl Item {
    /// The modifiers as written.
    pub fn modifiers(&self) -> impl Iterator<Item = &str> {
        self.key.split('|').skip(1)
    }

    /// Name of the field; `None` for a keyword.
    #[must_use]
    pub fn field_name(&self) -> Option<&str> {
        self.field.as_ref().map(|field| field.name.as_ref())
    }
}
