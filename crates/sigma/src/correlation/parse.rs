//! The `correlation` section.

use std::collections::BTreeMap;

use crate::correlation::definition::{Bound, BoundOp, Condition, Correlation, CorrelationKind, Timespan};
use crate::correlation::expression::{self, RuleExpr};
use crate::error::Fault;
use crate::metadata::Entries;
use crate::yaml::{self, Kind, Node};

/// Most rules of one correlation.
pub(crate) const MAX_RULES: usize = 64;
/// Most rules of an ordered correlation with a condition of its own: every subset of them is an order of its own.
const MAX_ORDERED_RULES: usize = 8;
/// Most fields to group by, and most fields of one value.
const MAX_FIELDS: usize = 16;
/// Longest field name in bytes.
const MAX_FIELD_LENGTH: usize = 512;
/// Most aliases.
const MAX_ALIASES: usize = 64;
/// Largest count that can be asked for: what must be remembered for each group grows with it.
pub(crate) const MAX_COUNT: u32 = 10_000;

const KEYS: [&str; 7] = [
    "type",
    "rules",
    "group-by",
    "timespan",
    "condition",
    "aliases",
    "generate",
];

pub(crate) fn parse(path: &str, document: yaml::Document<'_>, top: &Entries<'_>) -> Result<Correlation, Fault> {
    let metadata = top.metadata(path, document)?;
    let Some((node, entries)) = top.get("correlation").and_then(|node| Some((node, node.as_map()?))) else {
        return Err(top.fault("correlation", "expected a map of type, rules, timespan and more"));
    };
    let section = Section { node, entries };
    if let Some((name, node)) = entries.iter().find(|(name, _)| !KEYS.contains(&name.as_str())) {
        let reason = format!("expected one of {}", KEYS.join(", "));
        return Err(Fault::of_key(node, format!("correlation.{name}"), reason));
    }
    let kind = section.kind()?;
    let mut rules = section.texts("rules", MAX_RULES)?.unwrap_or_default();
    let condition = section.condition(kind, &mut rules)?;
    if rules.is_empty() {
        return Err(section.fault("rules", "expected the ids or names of one or more rules, got nothing"));
    }
    if rules.len() > MAX_RULES {
        return Err(section.fault("condition", format!("expected at most {MAX_RULES} rules")));
    }
    check_order(&section, kind, &condition, rules.len())?;
    let timespan = section.timespan()?;
    Ok(Correlation {
        metadata,
        kind,
        rules,
        group_by: section.texts("group-by", MAX_FIELDS)?.unwrap_or_default(),
        timespan,
        condition,
        aliases: section.aliases()?,
        generate: top_generate(top, &section)?,
        has_level: top.get("level").is_some(),
    })
}

/// The JSON schema has `generate` beside `correlation`, the tools have it inside.
fn top_generate(top: &Entries<'_>, section: &Section<'_>) -> Result<bool, Fault> {
    let inner = section.get("generate").map(|node| (node, "correlation.generate"));
    let Some((node, name)) = inner.or_else(|| top.get("generate").map(|node| (node, "generate"))) else {
        return Ok(false);
    };
    match node.kind {
        Kind::Bool(value) => Ok(value),
        Kind::Null | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => Err(Fault::of(
            node,
            name,
            format!("expected true or false, got {}", node.kind_name()),
        )),
    }
}

fn check_order(section: &Section<'_>, kind: CorrelationKind, condition: &Condition, rules: usize) -> Result<(), Fault> {
    if kind != CorrelationKind::TemporalOrdered {
        return Ok(());
    }
    let reason = match condition {
        Condition::Rules(_) if rules > MAX_ORDERED_RULES => {
            format!("expected at most {MAX_ORDERED_RULES} rules in an ordered correlation with a condition")
        }
        Condition::Bounds { bounds, .. } if !bounds.iter().all(|bound| is_lower(bound.op)) => {
            "expected gt or gte: an order that must not be there cannot be counted".to_owned()
        }
        Condition::Rules(_) | Condition::Bounds { .. } => return Ok(()),
    };
    Err(section.fault("condition", reason))
}

/// Whether a bound only keeps a number from being too small.
pub(crate) fn is_lower(op: BoundOp) -> bool {
    matches!(op, BoundOp::Gt | BoundOp::Gte)
}

struct Section<'a> {
    node: &'a Node,
    entries: &'a [(String, Node)],
}

impl<'a> Section<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    fn fault(&self, name: &str, reason: impl Into<String>) -> Fault {
        Fault::of(
            self.get(name).unwrap_or(self.node),
            format!("correlation.{name}"),
            reason,
        )
    }

    fn kind(&self) -> Result<CorrelationKind, Fault> {
        let text = self.get("type").and_then(Node::scalar_text);
        let known = |text: &str| CorrelationKind::ALL.into_iter().find(|kind| kind.as_str() == text);
        text.as_deref().and_then(known).ok_or_else(|| {
            let words = CorrelationKind::ALL.map(CorrelationKind::as_str).join(", ");
            let got = text.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"));
            self.fault("type", format!("expected one of {words}, got {got}"))
        })
    }

    /// A text or a list of different texts.
    fn texts(&self, name: &str, most: usize) -> Result<Option<Vec<String>>, Fault> {
        let Some(node) = self.get(name) else {
            return Ok(None);
        };
        let path = format!("correlation.{name}");
        texts(node, &path, most).map(Some)
    }

    fn timespan(&self) -> Result<Timespan, Fault> {
        let text = self.get("timespan").and_then(Node::scalar_text);
        text.as_deref().and_then(Timespan::parse).ok_or_else(|| {
            let got = text.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"));
            let reason = format!(
                "expected a whole number above 0 and one of s, m, h, d, w, M and y, at most ten years, got {got}"
            );
            self.fault("timespan", reason)
        })
    }

    fn aliases(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, Fault> {
        let Some(node) = self.get("aliases") else {
            return Ok(BTreeMap::new());
        };
        let Some(entries) = node.as_map().filter(|entries| entries.len() <= MAX_ALIASES) else {
            return Err(self.fault("aliases", format!("expected a map of at most {MAX_ALIASES} aliases")));
        };
        let mut aliases = BTreeMap::new();
        for (alias, node) in entries {
            let path = format!("correlation.aliases.{alias}");
            let Some(fields) = node.as_map().filter(|fields| (1..=MAX_RULES).contains(&fields.len())) else {
                return Err(Fault::of(node, path, "expected a map of rules to fields"));
            };
            let mut by_rule = BTreeMap::new();
            for (rule, field) in fields {
                let path = format!("{path}.{rule}");
                by_rule.insert(rule.clone(), field_name(field, &path)?);
            }
            aliases.insert(alias.clone(), by_rule);
        }
        Ok(aliases)
    }

    fn condition(&self, kind: CorrelationKind, rules: &mut Vec<String>) -> Result<Condition, Fault> {
        let Some(node) = self.get("condition") else {
            if kind.is_temporal() {
                return Ok(all_rules(rules.len()));
            }
            return Err(self.fault("condition", "expected a map such as `gte: 10`, got nothing"));
        };
        match &node.kind {
            Kind::Str(text) if kind.is_temporal() => self.rule_condition(text, rules),
            Kind::Map(entries) => bounds(node, entries, kind, rules.len()),
            Kind::Str(_) => Err(self.fault(
                "condition",
                "expected a map such as `gte: 10`: only temporal correlations have a condition over rules",
            )),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) => Err(self.fault(
                "condition",
                format!("expected a map such as `gte: 10`, got {}", node.kind_name()),
            )),
        }
    }

    fn rule_condition(&self, text: &str, rules: &mut Vec<String>) -> Result<Condition, Fault> {
        let expr = expression::parse(text, rules).map_err(|reason| self.fault("condition", reason))?;
        let mentioned = expr.wanted() | expr.unwanted();
        let unused: Vec<&str> = (0..)
            .zip(rules.iter())
            .filter(|(position, _)| mentioned & expression::bit(*position) == 0)
            .map(|(_, rule)| rule.as_str())
            .collect();
        if rules.len() <= MAX_RULES && !unused.is_empty() {
            let reason = format!(
                "expected every rule in the condition, got none of {}",
                unused.join(", ")
            );
            return Err(self.fault("condition", reason));
        }
        if !needs_a_match(&expr) {
            let reason = "expected a condition that only holds when a rule matched: nothing happens when none does";
            return Err(self.fault("condition", reason));
        }
        Ok(Condition::Rules(expr))
    }
}

/// Whether the expression is false when no rule matched.
fn needs_a_match(expr: &RuleExpr) -> bool {
    !expr.holds(0, u64::MAX)
}

/// The condition of temporal correlations that give none: each rule matched.
fn all_rules(rules: usize) -> Condition {
    Condition::Bounds {
        bounds: vec![Bound {
            op: BoundOp::Gte,
            value: u32::try_from(rules).map_or(f64::INFINITY, f64::from),
        }],
        field: Vec::new(),
        percentile: None,
    }
}

fn bounds(node: &Node, entries: &[(String, Node)], kind: CorrelationKind, rules: usize) -> Result<Condition, Fault> {
    let (mut bounds, mut field, mut percentile) = (Vec::new(), Vec::new(), None);
    for (name, value) in entries {
        let path = format!("correlation.condition.{name}");
        if let Some(op) = BoundOp::ALL.into_iter().find(|op| op.as_str() == name) {
            let value = bound_value(value, &path, kind)?;
            bounds.push(Bound { op, value });
        } else if name == "field" && kind.needs_field() {
            field = texts(value, &path, MAX_FIELDS)?;
        } else if name == "percentile" && kind == CorrelationKind::ValuePercentile {
            let number = number(value).filter(|number| *number > 0.0 && *number <= 100.0);
            let reason = "expected a number above 0 and at most 100";
            percentile = Some(number.ok_or_else(|| Fault::of(value, path, reason))?);
        } else {
            let mut words = BoundOp::ALL.map(BoundOp::as_str).join(", ");
            if kind.needs_field() {
                words.push_str(", field");
            }
            if kind == CorrelationKind::ValuePercentile {
                words.push_str(", percentile");
            }
            return Err(Fault::of_key(value, path, format!("expected one of {words}")));
        }
    }
    let fault = |reason: String| Fault::of(node, "correlation.condition", reason);
    if !(1..=2).contains(&bounds.len()) {
        return Err(fault(format!(
            "expected one or two of gt, gte, lt, lte, eq and neq, got {}",
            bounds.len()
        )));
    }
    if kind.needs_field() {
        match (kind, field.len()) {
            (_, 1) | (CorrelationKind::ValueCount, 2..) => {}
            (_, 0) => return Err(fault(format!("expected the field of {}, got nothing", kind.as_str()))),
            (_, _) => return Err(fault(format!("expected one field for {}", kind.as_str()))),
        }
    }
    let most = match kind {
        CorrelationKind::EventCount | CorrelationKind::ValueCount => MAX_COUNT + 1,
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => u32::try_from(rules).unwrap_or(MAX_COUNT),
        CorrelationKind::ValueSum
        | CorrelationKind::ValueAvg
        | CorrelationKind::ValuePercentile
        | CorrelationKind::ValueMedian => 0,
    };
    let is_possible = |count: u32| bounds.iter().all(|bound| bound.holds(f64::from(count)));
    if most > 0 && !(1..=most).any(is_possible) {
        let reason = if kind.is_temporal() {
            format!("expected a condition that a number from 1 to {most} meets, as there are {most} rules")
        } else {
            "expected a condition that some number from 1 on meets: that nothing happened is not seen".to_owned()
        };
        return Err(fault(reason));
    }
    Ok(Condition::Bounds {
        bounds,
        field,
        percentile,
    })
}

fn bound_value(node: &Node, path: &str, kind: CorrelationKind) -> Result<f64, Fault> {
    let is_count = !kind.needs_field() || kind == CorrelationKind::ValueCount;
    let number = number(node);
    if is_count {
        let count = number.filter(|number| (0.0..=f64::from(MAX_COUNT)).contains(number) && number.fract() == 0.0);
        return count.ok_or_else(|| Fault::of(node, path, format!("expected a whole number from 0 to {MAX_COUNT}")));
    }
    number.ok_or_else(|| Fault::of(node, path, format!("expected a number, got {}", node.kind_name())))
}

fn number(node: &Node) -> Option<f64> {
    match node.kind {
        #[allow(clippy::cast_precision_loss, reason = "thresholds beyond 2^53 need no exactness")]
        Kind::Int(number) => Some(number as f64),
        Kind::Float(number) => Some(number).filter(|number| number.is_finite()),
        Kind::Null | Kind::Bool(_) | Kind::Str(_) | Kind::List(_) | Kind::Map(_) => None,
    }
}

fn texts(node: &Node, path: &str, most: usize) -> Result<Vec<String>, Fault> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    if items.len() > most {
        return Err(Fault::of(
            node,
            path,
            format!("expected at most {most}, got {}", items.len()),
        ));
    }
    let mut texts: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let text = field_name(item, path)?;
        if texts.contains(&text) {
            return Err(Fault::of(item, path, format!("expected `{text}` once")));
        }
        texts.push(text);
    }
    Ok(texts)
}

fn field_name(node: &Node, path: &str) -> Result<String, Fault> {
    match node.scalar_text() {
        Some(text) if (1..=MAX_FIELD_LENGTH).contains(&text.len()) => Ok(text),
        Some(_) => Err(Fault::of(
            node,
            path,
            format!("expected a text of 1 to {MAX_FIELD_LENGTH} bytes"),
        )),
        None => Err(Fault::of(
            node,
            path,
            format!("expected text, got {}", node.kind_name()),
        )),
    }
}
