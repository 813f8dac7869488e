//! The simple rule format: `contains`, `equals` and `regex`, combined by `any` and `all`.
//!
//! ```yaml
//! rules:
//!   - id: ssh-failed-password          # optional, else derived from the title
//!     title: Failed SSH password       # or `name`
//!     severity: high                   # or `level`; one of Sigma's words, or 1 to 5
//!     match:                           # or `when`, `condition`, `conditions`; or right here in the rule
//!       all:
//!         - contains: Failed password  # in `message`, unless a field is given
//!         - any:
//!             - {field: program, equals: sshd}
//!             - {field: host, regex: '^bastion-\d+$'}
//! ```
//!
//! A file has a list of rules under `rules`, or at its top, or is one such rule. Each becomes a [`Rule`] like any
//! other. Without a `logsource`, it sees every event. `contains` and `equals` take a text, a list of which one is
//! enough, or a map of fields to those; like everywhere in Sigma case does not matter to them. `regex` minds case
//! unless it says `(?i)`. In `contains` and `equals` no character has a meaning of its own. What stands side by side in
//! one map must all hold.

use crate::detection;
use crate::error::Fault;
use crate::metadata::Entries;
use crate::rule::{self, LogSource, Rule};
use crate::yaml::{self, Kind, Node};

/// Where the tests of a rule can be.
const SECTIONS: [&str; 4] = ["match", "when", "condition", "conditions"];
/// What a group of tests consists of.
const TESTS: [&str; 5] = ["contains", "equals", "regex", "any", "all"];
/// Most tests in one rule.
const MAX_TESTS: usize = 400;
/// Where is looked when no field is given.
const DEFAULT_FIELD: &str = "message";

/// The rules of a document that has the form of the simple format; each with its own result. `None` for any other
/// document.
pub(crate) fn parse(path: &str, document: yaml::Document<'_>, root: &Node) -> Option<Vec<Result<Rule, Fault>>> {
    let is_simple = |node: &Node| node.as_map().is_some_and(is_simple);
    if is_simple(root) {
        return Some(vec![parse_rule(path, document, root)]);
    }
    let listed = root
        .as_map()
        .filter(|entries| {
            ["detection", "correlation", "filter"]
                .iter()
                .all(|section| get(entries, section).is_none())
        })
        .and_then(|entries| get(entries, "rules"));
    let items = listed.unwrap_or(root).as_list()?;
    // A list of something else is no file of simple rules; one broken rule among others is.
    let has_rules =
        items.iter().any(is_simple) || (listed.is_some() && items.iter().any(|item| item.as_map().is_some()));
    has_rules.then(|| {
        items
            .iter()
            .map(|item| {
                // Each rule is stored on its own, and JSON is YAML.
                let text = serde_json::to_string_pretty(&item.to_json()).unwrap_or_default();
                let own = yaml::Document {
                    text: &text,
                    lines_before: document.lines_before,
                };
                parse_rule(path, own, item)
            })
            .collect()
    })
}

fn is_simple(entries: &[(String, Node)]) -> bool {
    let has = |name: &str| get(entries, name).is_some();
    let is_sigma = ["detection", "correlation", "filter", "rules"].into_iter().any(has);
    !is_sigma && SECTIONS.into_iter().chain(TESTS).any(has)
}

fn get<'n>(entries: &'n [(String, Node)], name: &str) -> Option<&'n Node> {
    entries.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}

fn parse_rule(path: &str, document: yaml::Document<'_>, node: &Node) -> Result<Rule, Fault> {
    let Some(entries) = node.as_map() else {
        return Err(Fault::of(
            node,
            "rules",
            format!("expected a map with id, title and match, got {}", node.kind_name()),
        ));
    };
    let entries = with_sigma_names(entries)?;
    let top = Entries {
        entries: &entries,
        line: node.line,
        kind: Some("rule"),
    };
    let metadata = top.metadata(path, document)?;
    let logsource = match top.get("logsource") {
        None => LogSource::default(),
        Some(_) => rule::logsource(&top)?,
    };
    let mut tests = Tests::default();
    let mut terms = Vec::new();
    for section in SECTIONS {
        if let Some(group) = top.get(section) {
            terms.push(tests.group(section, group)?);
        }
    }
    let own: Vec<(String, Node)> = entries
        .iter()
        .filter(|(name, _)| TESTS.contains(&name.as_str()) || name == "field")
        .cloned()
        .collect();
    if own.iter().any(|(name, _)| name != "field") {
        terms.push(tests.map("", node, &own)?);
    }
    if terms.is_empty() {
        let reason = format!(
            "expected one of {} or {}, got nothing",
            TESTS.join(", "),
            SECTIONS.join(", ")
        );
        return Err(top.fault("match", reason));
    }
    Ok(Rule {
        metadata: metadata.into(),
        logsource,
        detection: tests.detection(node, terms.join(" and "))?.into(),
    })
}

/// The rule's own entries, with Sigma's names for what it says about itself.
fn with_sigma_names(entries: &[(String, Node)]) -> Result<Vec<(String, Node)>, Fault> {
    let mut renamed = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        match name.as_str() {
            "name" if get(entries, "title").is_none() => renamed.push(("title".to_owned(), node.clone())),
            "severity" if get(entries, "level").is_none() => renamed.push(("level".to_owned(), level(node)?)),
            "level" => renamed.push(("level".to_owned(), level(node)?)),
            _ => renamed.push((name.clone(), node.clone())),
        }
    }
    Ok(renamed)
}

fn level(node: &Node) -> Result<Node, Fault> {
    let word = match &node.kind {
        Kind::Int(number) => model::Level::ALL
            .into_iter()
            .find(|level| i64::from(level.severity().number()) == *number)
            .map(|level| level.as_str().to_owned())
            .ok_or_else(|| {
                let words = model::Level::ALL.map(model::Level::as_str).join(", ");
                Fault::of(
                    node,
                    "severity",
                    format!("expected one of {words}, or 1 to 5, got {number}"),
                )
            })?,
        Kind::Str(word) if word.eq_ignore_ascii_case("info") => "informational".to_owned(),
        Kind::Null | Kind::Bool(_) | Kind::Float(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => {
            return Ok(node.clone());
        }
    };
    Ok(Node {
        kind: Kind::Str(word),
        ..node.clone()
    })
}

/// The tests of one rule, each a search of one item.
#[derive(Default)]
struct Tests {
    searches: Vec<(String, Node)>,
    /// Where each was written.
    paths: Vec<String>,
}

impl Tests {
    /// A map of tests, or a list of groups that must all hold. Returns a condition.
    fn group(&mut self, path: &str, node: &Node) -> Result<String, Fault> {
        match &node.kind {
            Kind::Map(entries) => self.map(path, node, entries),
            Kind::List(_) => self.list(path, node, " and "),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) => Err(Fault::of(
                node,
                path,
                format!("expected a map or a list of tests, got {}", node.kind_name()),
            )),
        }
    }

    fn list(&mut self, path: &str, node: &Node, operator: &str) -> Result<String, Fault> {
        let items = node.as_list().unwrap_or(std::slice::from_ref(node));
        if items.is_empty() {
            return Err(Fault::of(node, path, "expected at least one test, got an empty list"));
        }
        let terms: Vec<String> = items
            .iter()
            .enumerate()
            .map(|(position, item)| self.group(&format!("{path}[{position}]"), item))
            .collect::<Result<_, _>>()?;
        Ok(format!("({})", terms.join(operator)))
    }

    fn map(&mut self, path: &str, node: &Node, entries: &[(String, Node)]) -> Result<String, Fault> {
        let at = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        let field = match get(entries, "field").map(|node| (node, node.scalar_text())) {
            None => None,
            Some((_, Some(field))) if !field.is_empty() && !field.contains('|') => Some(field),
            Some((node, _)) => return Err(Fault::of(node, at("field"), "expected the name of a field")),
        };
        let mut terms = Vec::new();
        for (name, value) in entries {
            match name.as_str() {
                "field" => {}
                "any" => terms.push(self.list(&at(name), value, " or ")?),
                "all" => terms.push(self.list(&at(name), value, " and ")?),
                "contains" | "equals" | "regex" => match (&field, value.as_map()) {
                    (None, Some(fields)) if !fields.is_empty() => {
                        for (field, value) in fields {
                            terms.push(self.test(format!("{}.{field}", at(name)), name, field, value)?);
                        }
                    }
                    (_, _) => {
                        let field = field.as_deref().unwrap_or(DEFAULT_FIELD);
                        terms.push(self.test(at(name), name, field, value)?);
                    }
                },
                _ => {
                    let reason = format!("expected one of field, {}, got `{name}`", TESTS.join(", "));
                    return Err(Fault::of_key(value, at(name), reason));
                }
            }
        }
        if terms.is_empty() {
            let reason = format!("expected one of {}, got none", TESTS.join(", "));
            return Err(Fault::of(node, if path.is_empty() { "match" } else { path }, reason));
        }
        Ok(format!("({})", terms.join(" and ")))
    }

    fn test(&mut self, path: String, operator: &str, field: &str, value: &Node) -> Result<String, Fault> {
        if self.searches.len() >= MAX_TESTS {
            return Err(Fault::of(value, path, format!("expected at most {MAX_TESTS} tests")));
        }
        let values = value.as_list().unwrap_or(std::slice::from_ref(value));
        let values: Vec<Node> = values
            .iter()
            .map(|value| literal(&path, operator, value))
            .collect::<Result<_, _>>()?;
        let field = field.strip_prefix("fields.").unwrap_or(field);
        let key = match operator {
            "contains" => format!("{field}|contains"),
            "regex" => format!("{field}|re"),
            _ => field.to_owned(),
        };
        let list = Node {
            kind: Kind::List(values),
            ..value.clone()
        };
        let search = Node {
            kind: Kind::Map(vec![(key, list)]),
            ..value.clone()
        };
        self.paths.push(path);
        let name = format!("s{}", self.paths.len());
        self.searches.push((name.clone(), search));
        Ok(name)
    }

    fn detection(self, node: &Node, condition: String) -> Result<detection::Detection, Fault> {
        let mut entries = self.searches;
        let condition = Node {
            kind: Kind::Str(condition),
            ..node.clone()
        };
        entries.push(("condition".to_owned(), condition));
        let section = Node {
            kind: Kind::Map(entries),
            ..node.clone()
        };
        let paths = self.paths;
        detection::parse(&section).map_err(|fault| {
            let number = fault
                .field
                .strip_prefix("detection.s")
                .and_then(|rest| rest.split('.').next());
            let written = number.and_then(|number| number.parse::<usize>().ok()?.checked_sub(1));
            let field = written.and_then(|at| paths.get(at)).cloned();
            Fault {
                field: field.unwrap_or_else(|| "match".to_owned()),
                ..fault
            }
        })
    }
}

/// A value in Sigma's terms, in which `*`, `?` and backslashes stand for themselves.
fn literal(path: &str, operator: &str, node: &Node) -> Result<Node, Fault> {
    let text = match (operator, &node.kind) {
        ("equals", Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_)) => return Ok(node.clone()),
        (_, Kind::List(_) | Kind::Map(_) | Kind::Null) => None,
        (_, _) => node.scalar_text(),
    };
    let Some(text) = text else {
        return Err(Fault::of(
            node,
            path,
            format!("expected text, got {}", node.kind_name()),
        ));
    };
    if text.is_empty() && operator != "equals" {
        return Err(Fault::of(node, path, "expected text, got empty text"));
    }
    let text = if operator == "regex" {
        text
    } else {
        text.replace('\\', r"\\").replace('*', r"\*").replace('?', r"\?")
    };
    Ok(Node {
        kind: Kind::Str(text),
        ..node.clone()
    })
}
