//! The tables themselves, as they are written in TOML.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use model::Value;
use model::event::FieldName;
use serde::Deserialize;

use super::condition::Condition;
use super::value::Source;
use crate::custom::{Test, TextTable};
use crate::tree::Map;

/// Most steps of one table.
const MAX_STEPS: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    dataset: String,
    #[serde(default)]
    detect: Vec<Vec<String>>,
    #[serde(default)]
    time: Vec<String>,
    #[serde(default)]
    step: Vec<StepText>,
    /// How a line becomes an object, and lines to try it with; built-in tables have neither.
    text: Option<TextTable>,
    #[serde(default)]
    test: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    #[serde(default, rename = "if")]
    conditions: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, toml::Value>,
    #[serde(default)]
    add: BTreeMap<String, String>,
    #[serde(default)]
    fields: BTreeMap<String, Paths>,
    #[serde(default)]
    lookup: Vec<LookupText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Paths {
    One(String),
    Any(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupText {
    from: Paths,
    /// The fields a row sets, in order.
    to: Vec<String>,
    rows: BTreeMap<String, toml::Value>,
}

type Constants = Vec<(FieldName, Value)>;

/// A table, ready to be applied.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) name: &'static str,
    pub(crate) dataset: &'static str,
    aliases: Vec<String>,
    /// Sets of conditions; one that holds whole is enough.
    detect: Vec<Vec<Condition>>,
    pub(crate) time: Vec<Source>,
    pub(crate) steps: Vec<Step>,
}

/// One step: what it sets when its conditions hold.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) constants: Constants,
    /// Texts that are added to lists.
    pub(crate) additions: Vec<(&'static str, String)>,
    pub(crate) members: Vec<(FieldName, Vec<Source>)>,
    pub(crate) lookups: Vec<Lookup>,
}

/// Fields by the text of a member.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) from: Vec<Source>,
    rows: BTreeMap<String, Constants>,
    /// Rows whose key ends in `*`.
    prefixes: Vec<(String, Constants)>,
}

impl Lookup {
    /// The row of a key: the same text, or else the longest beginning.
    pub(crate) fn row(&self, key: &str) -> Option<&Constants> {
        self.rows.get(key).or_else(|| {
            self.prefixes
                .iter()
                .filter(|(prefix, _)| key.starts_with(prefix.as_str()))
                .max_by_key(|(prefix, _)| prefix.len())
                .map(|(_, row)| row)
        })
    }
}

/// Why a table was refused.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct TableError {
    pub(crate) reason: String,
    /// Where in the text it is, in bytes, when the text is no table at all.
    pub(crate) at: Option<usize>,
}

impl From<String> for TableError {
    fn from(reason: String) -> Self {
        Self { reason, at: None }
    }
}

impl Mapping {
    /// Reads a table. The error names the member and what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, TableError> {
        Self::parse_whole(text).map(|(mapping, _, _)| mapping)
    }

    /// The same with what operators' tables have beside it.
    pub(crate) fn parse_whole(text: &str) -> Result<(Self, Option<TextTable>, Vec<Test>), TableError> {
        let text: Text = toml::from_str(text).map_err(|error| TableError {
            reason: error.message().to_owned(),
            at: error.span().map(|span| span.start),
        })?;
        if text.step.len() > MAX_STEPS {
            return Err(format!("step: expected at most {MAX_STEPS}").into());
        }
        let detect = text
            .detect
            .iter()
            .map(|set| set.iter().map(|one| Condition::parse(one)).collect())
            .collect::<Result<_, String>>()?;
        let mapping = Self {
            name: interned(&text.name),
            dataset: interned(&text.dataset),
            aliases: text.aliases,
            detect,
            time: text
                .time
                .iter()
                .map(|path| Source::parse(path))
                .collect::<Result<_, _>>()?,
            steps: text.step.into_iter().map(step).collect::<Result<_, _>>()?,
        };
        Ok((mapping, text.text, text.test))
    }

    /// All log types by which an operator means this table.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [self.name, self.dataset]
            .into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }

    /// Whether an operator who says this log type means this table.
    pub(crate) fn answers_to(&self, log_type: &str) -> bool {
        self.names().any(|name| name == log_type)
    }

    /// Whether it says which objects are of its format.
    pub(crate) fn is_detected(&self) -> bool {
        self.detect.iter().any(|set| !set.is_empty())
    }

    /// Whether an object is of this format.
    pub(crate) fn knows(&self, object: &Map<'_>) -> bool {
        self.detect
            .iter()
            .any(|set| !set.is_empty() && set.iter().all(|condition| condition.holds(object)))
    }
}

fn step(text: StepText) -> Result<Step, TableError> {
    let conditions = text
        .conditions
        .iter()
        .map(|one| Condition::parse(one))
        .collect::<Result<_, _>>()?;
    let constants = text
        .set
        .iter()
        .map(|(name, value)| Ok((field(name)?, constant(name, value)?)))
        .collect::<Result<_, String>>()?;
    let additions = text
        .add
        .into_iter()
        .map(|(name, value)| field(&name).map(|_| (interned(&name), value)))
        .collect::<Result<_, String>>()?;
    let members = text
        .fields
        .into_iter()
        .map(|(name, paths)| Ok((field(&name)?, sources(&paths)?)))
        .collect::<Result<_, String>>()?;
    let lookups = text.lookup.into_iter().map(lookup).collect::<Result<_, String>>()?;
    Ok(Step {
        conditions,
        constants,
        additions,
        members,
        lookups,
    })
}

fn sources(paths: &Paths) -> Result<Vec<Source>, String> {
    match paths {
        Paths::One(path) => Ok(vec![Source::parse(path)?]),
        Paths::Any(paths) => paths.iter().map(|path| Source::parse(path)).collect(),
    }
}

fn lookup(text: LookupText) -> Result<Lookup, String> {
    let names = text.to.iter().map(|name| field(name)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = BTreeMap::new();
    let mut prefixes = Vec::new();
    for (key, row) in text.rows {
        let cells = match (&row, names.len()) {
            (toml::Value::Array(cells), many) if many > 1 => cells.clone(),
            (one, _) => vec![one.clone()],
        };
        let row = names
            .iter()
            .zip(&cells)
            // An empty text leaves the field as it is.
            .filter(|(_, cell)| cell.as_str() != Some(""))
            .map(|(name, cell)| Ok((name.clone(), constant(name, cell)?)))
            .collect::<Result<Constants, String>>()?;
        match key.strip_suffix('*') {
            Some(prefix) => prefixes.push((prefix.to_owned(), row)),
            None => {
                rows.insert(key, row);
            }
        }
    }
    Ok(Lookup {
        from: sources(&text.from)?,
        rows,
        prefixes,
    })
}

fn constant(name: &str, value: &toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::Int(*number),
        toml::Value::Boolean(value) => Value::Bool(*value),
        toml::Value::Array(items) => Value::List(
            items
                .iter()
                .map(|item| constant(name, item))
                .collect::<Result<_, _>>()?,
        ),
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => {
            return Err(format!(
                "{name}: expected a text, a whole number, true, false or a list of them"
            ));
        }
    })
}

/// A field that a table may set: Picket's own are not among them, but for the type of the unified view.
fn field(name: &str) -> Result<FieldName, String> {
    let own = name == "picket" || name.starts_with("picket.") && name != model::ecs::PICKET_EVENT_TYPE;
    let reserved = matches!(name, "@timestamp" | "event.id" | "event.original" | "event.created");
    if own || reserved || name.is_empty() || name.len() > model::event::MAX_NAME {
        return Err(format!("{name:?}: expected the name of a field that formats may set"));
    }
    Ok(FieldName::of_static(interned(name)))
}

/// The one copy of a name. Names come from tables of the operator, of which there are few.
fn interned(name: &str) -> &'static str {
    static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    name
}
