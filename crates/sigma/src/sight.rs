//! What rules and correlations can find at all, where events have some fields only.

use std::collections::BTreeSet;

use crate::ast::{Expr, Field, Op, Subject};
use crate::correlation::{Condition, Correlation, bit};

/// Whether a detection can match some event, when `has` says which fields events have.
///
/// Resolved detections, those of [`RuleSet::detections`](crate::RuleSet::detections), name fields as events do.
#[must_use]
pub fn can_match(detection: &Expr, has: &impl Fn(&Field) -> bool) -> bool {
    can_be(detection, true, has)
}

/// Whether the expression can have this truth.
fn can_be(expr: &Expr, wanted: bool, has: &impl Fn(&Field) -> bool) -> bool {
    match expr {
        Expr::Not(inner) => can_be(inner, !wanted, has),
        Expr::And(terms) if wanted => terms.iter().all(|term| can_be(term, true, has)),
        Expr::And(terms) => terms.iter().any(|term| can_be(term, false, has)),
        Expr::Or(terms) if wanted => terms.iter().any(|term| can_be(term, true, has)),
        Expr::Or(terms) => terms.iter().all(|term| can_be(term, false, has)),
        Expr::AtLeast(count, terms) if wanted => terms.iter().filter(|term| can_be(term, true, has)).count() >= *count,
        Expr::AtLeast(count, terms) => terms.iter().filter(|term| !can_be(term, false, has)).count() < *count,
        Expr::Test(test) => match &test.subject {
            Subject::Field(field) if !has(field) => (test.op == Op::Null) == wanted,
            Subject::Field(_) | Subject::Any => true,
        },
    }
}

/// Names of the fields a detection asks for that events do not have, those that must not be there left out.
#[must_use]
pub fn absent_fields(detection: &Expr, has: &impl Fn(&Field) -> bool) -> BTreeSet<String> {
    let mut absent = BTreeSet::new();
    collect_absent(detection, has, &mut absent);
    absent
}

fn collect_absent(expr: &Expr, has: &impl Fn(&Field) -> bool, absent: &mut BTreeSet<String>) {
    match expr {
        Expr::And(terms) | Expr::Or(terms) | Expr::AtLeast(_, terms) => {
            for term in terms {
                collect_absent(term, has, absent);
            }
        }
        // What must not be there keeps nothing from matching.
        Expr::Not(_) => {}
        Expr::Test(test) => {
            if let Subject::Field(field) = &test.subject
                && test.op != Op::Null
                && !has(field)
            {
                absent.insert(field.name.to_string());
            }
        }
    }
}

impl Correlation {
    /// Whether it can find anything, when `sees` says of the rules at positions in [`rules`](Self::rules) which can.
    #[must_use]
    pub fn can_find(&self, sees: impl Fn(usize) -> bool) -> bool {
        let seeing: Vec<usize> = (0..self.rules.len()).filter(|rule| sees(*rule)).collect();
        match &self.condition {
            // Of any rule there can be nothing.
            Condition::Rules(expr) => expr.holds(seeing.iter().fold(0, |bits, rule| bits | bit(*rule)), u64::MAX),
            Condition::Bounds { bounds, .. } if self.kind.is_temporal() => {
                let within = |count: usize| bounds.iter().all(|bound| bound.holds(count as f64));
                (1..=seeing.len()).any(within)
            }
            // Without any event there is no group to speak of, whatever the bounds.
            Condition::Bounds { .. } => !seeing.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalog, Document, parse_documents, parse_rules};

    fn why(detection: &str) -> Option<String> {
        let yaml = format!("title: T\nid: r\nlogsource: {{product: linux}}\ndetection: {detection}\n");
        let rule = parse_rules("r.yml", &yaml).remove(0).unwrap();
        let detection = Catalog::builtin().resolve(&rule).unwrap().detection;
        let has = |field: &Field| ["a", "b"].contains(&&*field.name);
        let absent: Vec<String> = absent_fields(&detection, &has).into_iter().collect();
        (!can_match(&detection, &has)).then(|| absent.join(", "))
    }

    #[test]
    fn a_rule_sees_nothing_when_a_field_it_needs_never_comes() {
        assert_eq!(why("{s: {a: 1}, condition: s}"), None);
        assert_eq!(why("{s: {a: 1, x: 2, y: null}, condition: s}").unwrap(), "x");
        assert_eq!(why("{s: [{a: 1}, {x: 2}], condition: s}"), None);
        assert_eq!(why("{s: {x: 1}, t: {y: 1}, condition: 1 of them}").unwrap(), "x, y");
        assert_eq!(why("{s: {a: 1}, f: {x: 2}, condition: s and not f}"), None);
        assert_eq!(why("{s: {a: 1}, f: {x: null}, condition: s and f}"), None);
        assert!(why("{s: {a: 1}, f: {x: null}, condition: s and not f}").is_some());
        assert_eq!(why("{s: {a: 1}, t: {x: 1}, u: {b: 1}, condition: 2 of them}"), None);
        assert!(why("{s: {a: 1}, t: {x: 1}, u: {y: 1}, condition: 2 of them}").is_some());
        assert_eq!(why("{k: [word], condition: k}"), None);
    }

    #[test]
    fn a_correlation_sees_nothing_without_a_rule_it_needs() {
        let can = |kind: &str, condition: &str, seeing: &[usize]| {
            let condition = if condition.is_empty() {
                String::new()
            } else {
                format!(", condition: {condition}")
            };
            let yaml =
                format!("title: C\nid: c\ncorrelation: {{type: {kind}, rules: [a, b, c], timespan: 1m{condition}}}\n");
            let document = parse_documents("c.yml", &yaml).remove(0).unwrap();
            let Document::Correlation(correlation) = document else {
                panic!("{yaml}");
            };
            correlation.can_find(|rule| seeing.contains(&rule))
        };
        for (kind, condition, seeing, expected) in [
            ("event_count", "{gte: 3}", &[1][..], true),
            ("event_count", "{lte: 3}", &[], false),
            ("value_count", "{gte: 3, field: x}", &[2], true),
            ("temporal", "", &[0, 1, 2], true),
            ("temporal", "", &[0, 1], false),
            ("temporal_ordered", "", &[0, 1], false),
            ("temporal", "{gte: 2}", &[0, 1], true),
            ("temporal", "{gte: 2}", &[0], false),
            ("temporal", "a and (b or not c)", &[0], true),
            ("temporal", "a and (b or c)", &[0], false),
            ("temporal", "a and (b or c)", &[0, 2], true),
            ("temporal", "a and not b and not c", &[1, 2], false),
        ] {
            assert_eq!(can(kind, condition, seeing), expected, "{kind} {condition} {seeing:?}");
        }
    }
}
