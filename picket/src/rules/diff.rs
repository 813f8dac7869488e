//! `picket rules diff`: what changed between two sets of rules, by what they mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use sigma::Metadata;

use super::files;
use super::remote::deployed;
use crate::client::Connection;
use crate::table::{Style, counted, printable, shortened};

/// Longest value shown, in characters.
const MAX_VALUE: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File or directory with the earlier rules
    #[arg(value_name = "A")]
    before: PathBuf,
    /// File or directory with the later rules
    #[arg(value_name = "B", required_unless_present = "deployed")]
    after: Option<PathBuf>,
    /// Compare what is deployed with A instead: what importing A would change
    #[arg(long, conflicts_with = "after")]
    deployed: bool,
    /// With --deployed: tell deployed rules that are not in A, too
    #[arg(long, requires = "deployed")]
    removed: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A rule as far as it is compared.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub title: String,
    pub path: String,
    pub revision: String,
    pub yaml: String,
}

/// A place in a rule whose value is another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// Such as `detection.selection.Image|endswith`.
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

/// What became of each rule.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    added: Vec<(String, Version)>,
    removed: Vec<(String, Version)>,
    changed: Vec<(String, Version, Vec<Change>)>,
    unchanged: usize,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let given = versions(&args.before)?;
    let (before, after) = match &args.after {
        Some(after) => (given, versions(after)?),
        None => {
            let target = args.connection.target()?;
            (deployed::versions(&target, &given, args.removed).await?, given)
        }
    };
    let comparison = compare(before, after)?;
    if args.json {
        println!("{}", comparison.to_json());
    } else {
        print!("{}", comparison.render(Style::stdout()));
    }
    Ok(if comparison.is_same() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn versions(path: &PathBuf) -> anyhow::Result<BTreeMap<String, Version>> {
    let parsed = files::collect(std::slice::from_ref(path))?.parse();
    for error in parsed.all_errors() {
        eprintln!("left out: {error}");
    }
    let version = |metadata: &Metadata| {
        let found = Version {
            title: metadata.title.clone(),
            path: metadata.path.clone(),
            revision: metadata.revision.clone(),
            yaml: metadata.yaml.clone(),
        };
        (metadata.id.clone(), found)
    };
    Ok(parsed.metadata().map(version).collect())
}

/// Compares two sets by id.
///
/// # Errors
/// When a rule's text is no YAML.
pub(crate) fn compare(
    mut before: BTreeMap<String, Version>,
    after: BTreeMap<String, Version>,
) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::default();
    for (id, version) in after {
        let Some(old) = before.remove(&id) else {
            comparison.added.push((id, version));
            continue;
        };
        let mut changes = Vec::new();
        if old.yaml != version.yaml {
            changed("", Some(&document(&old)?), Some(&document(&version)?), &mut changes);
        }
        if changes.is_empty() {
            comparison.unchanged += 1;
        } else {
            comparison.changed.push((id, version, changes));
        }
    }
    comparison.removed = before.into_iter().collect();
    Ok(comparison)
}

fn document(version: &Version) -> anyhow::Result<Value> {
    serde_saphyr::from_str(&version.yaml).with_context(|| format!("read {}", version.path))
}

fn changed(field: &str, from: Option<&Value>, to: Option<&Value>, changes: &mut Vec<Change>) {
    match (from, to) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                let inner = if field.is_empty() {
                    name.clone()
                } else {
                    format!("{field}.{name}")
                };
                changed(&inner, old.get(name), new.get(name), changes);
            }
        }
        // The order of a list of values means nothing.
        (Some(Value::Array(old)), Some(Value::Array(new))) if same_values(old, new) => {}
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            let left_out = |all: &[Value], others: &[Value]| -> Option<Value> {
                let rest: Vec<Value> = all.iter().filter(|value| !others.contains(value)).cloned().collect();
                (!rest.is_empty()).then_some(Value::Array(rest))
            };
            changes.push(Change {
                field: field.to_owned(),
                from: left_out(old, new),
                to: left_out(new, old),
            });
        }
        (from, to) if from == to => {}
        (from, to) => changes.push(Change {
            field: field.to_owned(),
            from: from.cloned(),
            to: to.cloned(),
        }),
    }
}

fn same_values(old: &[Value], new: &[Value]) -> bool {
    old.iter().all(|value| new.contains(value)) && new.iter().all(|value| old.contains(value))
}

impl Comparison {
    /// Whether both sets mean the same.
    pub(crate) fn is_same(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// The changes within rules that are in both sets, a line each.
    pub(crate) fn told(&self) -> Vec<String> {
        let changes = self.changed.iter().flat_map(|(_, _, changes)| changes);
        changes.map(describe).collect()
    }

    /// One object.
    pub(crate) fn to_json(&self) -> Value {
        let rule = |id: &str, version: &Version| json!({ "id": id, "title": version.title, "path": version.path });
        let list = |rules: &[(String, Version)]| -> Vec<Value> {
            rules.iter().map(|(id, version)| rule(id, version)).collect()
        };
        let changed: Vec<Value> = self
            .changed
            .iter()
            .map(|(id, version, changes)| {
                let mut value = rule(id, version);
                value["changes"] = serde_json::to_value(changes).unwrap_or_default();
                value
            })
            .collect();
        json!({
            "added": list(&self.added), "removed": list(&self.removed), "changed": changed, "unchanged": self.unchanged,
        })
    }

    /// All lines, each ended.
    pub(crate) fn render(&self, style: Style) -> String {
        let mut text = String::new();
        let line = |word: String, id: &str, version: &Version| {
            format!(
                "{word} {}  {}\n",
                printable(&version.title),
                style.dim(&format!("{id}  {}", printable(&version.path)))
            )
        };
        for (id, version) in &self.added {
            text.push_str(&line(style.green("added  "), id, version));
        }
        for (id, version) in &self.removed {
            text.push_str(&line(style.red("removed"), id, version));
        }
        for (id, version, changes) in &self.changed {
            text.push_str(&line(style.yellow("changed"), id, version));
            for change in changes {
                text.push_str(&format!("    {}\n", describe(change)));
            }
        }
        text.push_str(&format!(
            "{} added, {} removed, {} changed, {} unchanged\n",
            counted(self.added.len(), "rule"),
            self.removed.len(),
            self.changed.len(),
            self.unchanged
        ));
        text
    }
}

fn describe(change: &Change) -> String {
    let short = |value: &Value| {
        let text = match value {
            Value::Array(values) => values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => value.to_string(),
        };
        shortened(&printable(&text), MAX_VALUE)
    };
    let field = printable(&change.field);
    match (&change.from, &change.to) {
        (Some(Value::Array(from)), Some(Value::Array(to))) => {
            format!(
                "{field}: without {}, with {}",
                short(&Value::Array(from.clone())),
                short(&Value::Array(to.clone()))
            )
        }
        (Some(from), Some(to)) => format!("{field}: {} → {}", short(from), short(to)),
        (None, Some(to)) => format!("{field}: with {}", short(to)),
        (Some(from), None) => format!("{field}: without {}", short(from)),
        (None, None) => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rules: &[(&str, &str)]) -> BTreeMap<String, Version> {
        let version = |yaml: &str| Version {
            title: "T".to_owned(),
            path: "p.yml".to_owned(),
            revision: String::new(),
            yaml: yaml.to_owned(),
        };
        rules
            .iter()
            .map(|(id, yaml)| ((*id).to_owned(), version(yaml)))
            .collect()
    }

    #[test]
    fn only_what_means_something_else_is_a_change() {
        let before = set(&[
            ("a", "level: low\ndetection: {s: {x: [1, 2, 3]}, condition: s}"),
            ("b", "title: b # note\ntags: [x, y]"),
            ("c", "title: c"),
        ]);
        let after = set(&[
            ("a", "detection:\n  condition: s\n  s:\n    x: [2, 1, 4]\nlevel: high"),
            ("b", "tags:\n- y\n- x\ntitle: b"),
            ("d", "title: d"),
        ]);
        let found = compare(before, after).unwrap();
        assert!(!found.is_same());
        assert_eq!(found.unchanged, 1);
        let json = found.to_json();
        assert_eq!(json["added"][0]["id"], "d");
        assert_eq!(json["removed"][0]["id"], "c");
        assert_eq!(
            json["changed"][0]["changes"],
            json!([
                {"field": "level", "from": "low", "to": "high"},
                {"field": "detection.s.x", "from": [3], "to": [4]},
            ])
        );
        let text = found.render(Style::default());
        assert!(
            text.contains("    level: \"low\" → \"high\"\n    detection.s.x: without 3, with 4\n"),
            "{text}"
        );
        assert!(
            text.ends_with("1 rule added, 1 removed, 1 changed, 1 unchanged\n"),
            "{text}"
        );
    }
}
