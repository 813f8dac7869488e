//! An explanation as people read it in a terminal.

use std::fmt::Write as _;

use serde_json::Value;
use sigma::Explanation;
use sigma::explain::{Item, ItemValue, Search, Seen, Step, TestAnswer};

use crate::table::{Style, printable, shortened};

/// Longest event value shown, in characters.
const MAX_VALUE: usize = 160;
/// Most values of an item shown when none of them matches.
const MAX_VALUES: usize = 6;

/// All lines, each ended.
pub(crate) fn explanation(found: &Explanation, style: Style) -> String {
    let mut text = String::new();
    let verdict = if found.matched {
        style.green("MATCH")
    } else {
        style.red("NO MATCH")
    };
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "{verdict}  {}  {}",
        style.bold(&printable(&found.rule.title)),
        style.dim(&format!("{} · {}", found.rule.id, found.rule.level))
    );
    gate(&mut text, found, style);
    if found.searches.is_empty() {
        step(&mut text, &found.condition, 1, style);
    } else {
        let _ = writeln!(
            text,
            "  {} condition: {}",
            mark(found.detected, style),
            printable(&found.conditions.join(" | "))
        );
        for search in &found.searches {
            self::search(&mut text, search, style);
        }
    }
    for filter in &found.filters {
        let verdict = if filter.excludes {
            "takes the event away"
        } else {
            "lets it pass"
        };
        let _ = writeln!(
            text,
            "  {} filter {}: {verdict} {}",
            mark(!filter.excludes, style),
            style.bold(&printable(&filter.title)),
            style.dim(&printable(&filter.id))
        );
        if filter.excludes {
            step(&mut text, &filter.condition, 2, style);
        }
    }
    if !found.missing.is_empty() {
        let _ = writeln!(
            text,
            "  {}",
            style.bold("for a match, this would have to be otherwise:")
        );
        for missing in &found.missing {
            let mut place = missing.search.clone().unwrap_or_default();
            if let Some(line) = missing.line {
                let _ = write!(place, " (line {line})");
            }
            if !place.is_empty() {
                place.push_str(": ");
            }
            let _ = writeln!(
                text,
                "    {} {}{}",
                style.yellow("→"),
                printable(&place),
                printable(&missing.reason)
            );
        }
    }
    text
}

fn gate(text: &mut String, found: &Explanation, style: Style) {
    let gate = &found.gate;
    let parts: Vec<String> = [
        ("product", &gate.product),
        ("category", &gate.category),
        ("service", &gate.service),
    ]
    .iter()
    .filter_map(|(part, value)| value.as_ref().map(|value| format!("{part} {value}")))
    .collect();
    let _ = writeln!(
        text,
        "  {} logsource: {}",
        mark(gate.passed, style),
        printable(&parts.join(", "))
    );
    for unmet in &gate.unmet {
        test(text, unmet, 2, style);
    }
}

fn search(text: &mut String, search: &Search, style: Style) {
    let _ = writeln!(
        text,
        "  {} {} {}",
        mark(search.holds, style),
        style.bold(&printable(&search.name)),
        style.dim(&format!("line {}", search.line))
    );
    let several = search.alternatives.len() > 1;
    for alternative in &search.alternatives {
        let alone = alternative.items.len() == 1;
        if several && !alone {
            let _ = writeln!(text, "    {} all of", mark(alternative.holds, style));
        }
        let depth = if several && !alone { 3 } else { 2 };
        for item in &alternative.items {
            self::item(text, item, depth, style);
        }
    }
}

fn item(text: &mut String, item: &Item, depth: usize, style: Style) {
    let indent = "  ".repeat(depth);
    let key = if item.key.is_empty() { "keyword" } else { &item.key };
    let shown = values(item);
    let _ = writeln!(
        text,
        "{indent}{} {}: {}",
        mark(item.holds, style),
        printable(key),
        shown.join(", ")
    );
    for seen in &item.seen {
        let _ = writeln!(text, "{indent}    {}", style.dim(&self::seen(seen)));
    }
    if item.all && !item.holds {
        for value in item.values.iter().filter(|value| !value.matches) {
            let _ = writeln!(text, "{indent}    {} {}", mark(false, style), short(&value.value));
        }
    }
}

/// The values that decide; of many that do not match, the first.
fn values(item: &Item) -> Vec<String> {
    let matching: Vec<&ItemValue> = item.values.iter().filter(|value| value.matches).collect();
    let (chosen, rest) = if matching.is_empty() || item.all {
        (item.values.iter().collect(), 0)
    } else {
        let rest = item.values.len() - matching.len();
        (matching, rest)
    };
    let mut shown: Vec<String> = chosen
        .iter()
        .take(MAX_VALUES)
        .map(|value| short(&value.value))
        .collect();
    let left_out = chosen.len().saturating_sub(MAX_VALUES) + rest;
    if left_out > 0 {
        shown.push(format!("({left_out} more)"));
    }
    shown
}

fn step(text: &mut String, part: &Step, depth: usize, style: Style) {
    let indent = "  ".repeat(depth);
    let (words, terms): (String, &[Step]) = match part {
        Step::All { terms, .. } => ("all of".to_owned(), terms),
        Step::Any { terms, .. } => ("any of".to_owned(), terms),
        Step::AtLeast { count, terms, .. } => (format!("at least {count} of"), terms),
        Step::Not { term, .. } => ("not".to_owned(), std::slice::from_ref(term)),
        Step::Search { name, .. } => (printable(name), &[]),
        Step::Test(answer) => {
            test(text, answer, depth, style);
            return;
        }
    };
    let _ = writeln!(text, "{indent}{} {words}", mark(part.holds(), style));
    for term in terms {
        step(text, term, depth + 1, style);
    }
}

fn test(text: &mut String, answer: &TestAnswer, depth: usize, style: Style) {
    let indent = "  ".repeat(depth);
    let field = answer.field.as_deref().unwrap_or("any field");
    let _ = writeln!(
        text,
        "{indent}{} {} {}",
        mark(answer.holds, style),
        printable(field),
        printable(&shortened(&answer.asks, MAX_VALUE))
    );
    for seen in &answer.seen {
        let _ = writeln!(text, "{indent}    {}", style.dim(&self::seen(seen)));
    }
}

fn seen(seen: &Seen) -> String {
    match (&seen.name, &seen.value, &seen.field) {
        (Some(name), Some(value), field) => {
            let under = field.as_ref().filter(|field| *field != name);
            let alias = under.map(|field| format!(" (for {field})")).unwrap_or_default();
            printable(&format!("{name}{alias} = {}", short(value)))
        }
        (_, _, Some(field)) => printable(&format!("{field} is not in the event")),
        _ => String::new(),
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        // Spaces at the edges are easily overlooked.
        Value::String(text) if text.trim() == text && !text.is_empty() => text.clone(),
        Value::String(text) => format!("{text:?}"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    printable(&shortened(&text, MAX_VALUE))
}

fn mark(holds: bool, style: Style) -> String {
    if holds { style.green("✓") } else { style.red("✗") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::events;

    #[test]
    fn a_miss_reads_from_the_verdict_to_what_is_missing() {
        let yaml = "title: Download\nid: r1\nlogsource: {product: linux}\ndetection:\n  selection:\n    process.name: \
                    [curl, wget]\n    CommandLine|contains|all: ['-o', http]\n  condition: selection\n";
        let rule = sigma::parse_rules("r.yml", yaml).remove(0).unwrap();
        let object = serde_json::json!({"process": {"name": "curl"}, "process.command_line": "curl http://a\u{1b}[2J"});
        let event = events::as_it_is(object.as_object().unwrap());
        let found = sigma::explain(&rule, sigma::Catalog::builtin(), &event).unwrap();
        let text = explanation(&found, Style::default());
        assert_eq!(
            text,
            "NO MATCH  Download  r1 · medium\n  ✓ logsource: product linux\n  ✗ condition: selection\n  ✗ selection line 5\n    \
             ✓ process.name: curl, (1 more)\n        process.name = curl\n    ✗ CommandLine|contains|all: -o, http\n        \
             process.command_line (for CommandLine) = curl http://a\u{fffd}[2J\n        ✗ -o\n  for a match, this would have \
             to be otherwise:\n    → selection (line 7): process.command_line is \"curl http://a\\u001b[2J\"; expected \
             \"-o\"\n"
        );
    }
}
