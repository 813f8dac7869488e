//! What a document says about itself.

use chrono::NaiveDate;

use super::{Findings, codes, member};
use crate::document::Document;
use crate::logsource::Catalog;
use crate::metadata::{KNOWN_KEYS, Status};
use crate::rule::Rule;
use crate::yaml::Node;

/// Longest title in characters before it is called long.
const LONG_TITLE: usize = 110;
/// Shortest description in characters that says something.
const SHORT_DESCRIPTION: usize = 16;

const NAMESPACES: [&str; 7] = ["attack", "car", "cve", "d3fend", "detection", "stp", "tlp"];

const TACTICS: [&str; 17] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
    "ics",
];

pub(super) fn file_name(path: &str, found: &mut Findings<'_>) {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = name.strip_suffix(".yml");
    let is_plain = |stem: &str| {
        !stem.is_empty()
            && stem
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.'))
    };
    if !name.is_empty() && !stem.is_some_and(is_plain) {
        found.at(&codes::FILE_NAME, None, "", format!("the file is called `{name}`"));
    }
}

pub(super) fn check(document: &Document, root: &Node, found: &mut Findings<'_>) {
    let own = document.metadata();
    let at = |key: &str| member(root, key);
    if at("id").is_none() {
        found.at(
            &codes::MISSING_ID,
            None,
            "id",
            "there is no id: one is made of the name or title",
        );
    } else if uuid_form(&own.id).is_none() {
        found.at(&codes::ID_FORM, at("id"), "id", format!("`{}` is not a UUID", own.id));
    }
    let length = own.title.chars().count();
    if length > LONG_TITLE {
        found.at(
            &codes::TITLE_FORM,
            at("title"),
            "title",
            format!("the title has {length} characters"),
        );
    } else if own.title.trim_end().ends_with('.') {
        found.at(
            &codes::TITLE_FORM,
            at("title"),
            "title",
            "the title ends with a full stop",
        );
    }
    let is_rule = matches!(document, Document::Rule(_));
    if own.description.trim().chars().count() < SHORT_DESCRIPTION {
        let message = match own.description.trim() {
            "" => "there is no description".to_owned(),
            short => format!("`{short}` says little"),
        };
        found.at(&codes::MISSING_DESCRIPTION, at("description"), "description", message);
    }
    let is_filter = matches!(document, Document::Filter(_));
    if at("level").is_none() && !is_filter {
        found.at(
            &codes::MISSING_LEVEL,
            None,
            "level",
            "there is no level: medium is taken",
        );
    }
    match own.status {
        None => found.at(&codes::MISSING_STATUS, None, "status", "there is no status"),
        Some(status @ (Status::Deprecated | Status::Unsupported)) => {
            let message = format!("the rule is {}", status.as_str());
            found.at(&codes::STATUS_UNSUPPORTED, at("status"), "status", message);
        }
        Some(Status::Stable | Status::Test | Status::Experimental) => {}
    }
    if own.author.trim().is_empty() {
        found.at(&codes::MISSING_AUTHOR, None, "author", "there is no author");
    }
    if own.tags.is_empty() && !is_filter {
        found.at(&codes::MISSING_TAGS, None, "tags", "there are no tags");
    }
    if is_rule && own.references.is_empty() {
        found.at(
            &codes::MISSING_REFERENCES,
            None,
            "references",
            "there are no references",
        );
    }
    if is_rule && own.false_positives.is_empty() {
        found.at(
            &codes::MISSING_FALSEPOSITIVES,
            None,
            "falsepositives",
            "nothing is said about false positives",
        );
    }
    dates(document, root, found);
    tags(root, found);
    if let Some(license) = &own.license
        && !license.split([' ', '(', ')']).all(is_spdx_word)
    {
        found.at(
            &codes::LICENSE_FORM,
            at("license"),
            "license",
            format!("`{license}` is no SPDX identifier"),
        );
    }
    misspelled(root, found);
}

fn uuid_form(id: &str) -> Option<()> {
    let groups: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()));
    (lengths == [8, 4, 4, 4, 12] && is_hex).then_some(())
}

fn is_spdx_word(word: &str) -> bool {
    word.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b':'))
}

fn dates(document: &Document, root: &Node, found: &mut Findings<'_>) {
    let own = document.metadata();
    let mut parsed = [None, None];
    for ((key, text), slot) in [("date", &own.date), ("modified", &own.modified)]
        .into_iter()
        .zip(&mut parsed)
    {
        let Some(text) = text else { continue };
        let is_iso = text.len() == 10 && !text.contains('/');
        *slot = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| is_iso);
        if slot.is_none() {
            let message = format!("`{text}` is no date of the form YYYY-MM-DD");
            found.at(&codes::DATE_FORM, member(root, key), key, message);
        }
    }
    if own.date.is_none() {
        found.at(&codes::MISSING_DATE, None, "date", "there is no date");
    }
    if let [Some(date), Some(modified)] = parsed
        && modified < date
    {
        let message = format!("modified on {modified}, before it was written on {date}");
        found.at(&codes::DATE_ORDER, member(root, "modified"), "modified", message);
    }
}

fn tags(root: &Node, found: &mut Findings<'_>) {
    let Some(node) = member(root, "tags") else { return };
    for item in node.as_list().unwrap_or(std::slice::from_ref(node)) {
        let Some(tag) = item.scalar_text() else { continue };
        let is_form = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.'))
        };
        let Some((namespace, name)) = tag
            .split_once('.')
            .filter(|(space, name)| is_form(space) && is_form(name))
        else {
            found.at(
                &codes::TAG_FORM,
                Some(item),
                "tags",
                format!("`{tag}` is not of the form namespace.name"),
            );
            continue;
        };
        if !NAMESPACES.contains(&namespace) {
            let message = format!("the namespace `{namespace}` is not one of Sigma's");
            found.at(&codes::TAG_NAMESPACE, Some(item), "tags", message);
        }
        if namespace == "attack" && !is_attack(name) {
            let message = format!("`{tag}` is no tactic, technique, group or software");
            found.at(&codes::TAG_ATTACK, Some(item), "tags", message);
        }
    }
}

fn is_attack(name: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if TACTICS.contains(&name.replace('_', "-").as_str()) {
        return true;
    }
    for prefix in ["ta", "ds", "g", "s", "m", "c"] {
        if name.strip_prefix(prefix).is_some_and(|rest| digits(rest, 4)) {
            return true;
        }
    }
    name.strip_prefix('t').is_some_and(|rest| match rest.split_once('.') {
        Some((technique, part)) => digits(technique, 4) && digits(part, 3),
        None => digits(rest, 4),
    })
}

fn misspelled(root: &Node, found: &mut Findings<'_>) {
    for (key, node) in root.as_map().unwrap_or_default() {
        if KNOWN_KEYS.contains(&key.as_str()) {
            continue;
        }
        let close = KNOWN_KEYS
            .iter()
            .find(|known| distance(known, &key.to_lowercase()) <= 2);
        if let Some(close) = close {
            found.at_key(
                &codes::MISSPELLED_KEY,
                node,
                key.as_str(),
                format!("`{key}` is not `{close}`"),
            );
        }
    }
}

/// How many letters must be added, removed or replaced to get from one word to the other, for short words; 9 for long
/// ones.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 32 || right.len() > 32 || left.len() < 5 {
        return 9;
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        let mut next = vec![last];
        for (b, above) in right.iter().zip(row.iter().skip(1)) {
            last = (diagonal + usize::from(a != *b)).min(last + 1).min(above + 1);
            next.push(last);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(9)
}

pub(super) fn logsource(rule: &Rule, root: &Node, catalog: &Catalog, found: &mut Findings<'_>) {
    let Some(node) = member(root, "logsource") else { return };
    for part in ["category", "product", "service"] {
        let Some(value) = member(node, part) else { continue };
        let text = value.scalar_text().unwrap_or_default();
        if text.chars().any(char::is_uppercase) {
            let message = format!("`{text}` has capital letters");
            found.at(
                &codes::LOGSOURCE_CASE,
                Some(value),
                format!("logsource.{part}"),
                message,
            );
        }
    }
    for (key, value) in node.as_map().unwrap_or_default() {
        if !["category", "product", "service", "definition"].contains(&key.as_str()) {
            let field = format!("logsource.{key}");
            found.at_key(&codes::LOGSOURCE_KEY, value, field, format!("`{key}` decides nothing"));
        }
    }
    if !catalog.knows(&rule.logsource) {
        let parts: Vec<&str> = rule.logsource.parts().into_iter().flatten().collect();
        let message = format!("it is not known which events are {}", parts.join(" "));
        found.at(&codes::LOGSOURCE_UNKNOWN, Some(node), "logsource", message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_told_from_far_ones() {
        assert!(distance("falsepositives", "falsepositive") <= 2);
        assert!(distance("description", "descripton") <= 2);
        assert!(distance("logsource", "custom_key") > 2);
    }

    #[test]
    fn attack_tags_have_few_forms() {
        for good in [
            "t1059",
            "t1059.001",
            "g0016",
            "s0002",
            "defense-evasion",
            "initial_access",
            "ta0001",
        ] {
            assert!(is_attack(good), "{good}");
        }
        for bad in ["t105", "t1059.1", "evasion", "T1059"] {
            assert!(!is_attack(bad), "{bad}");
        }
    }
}
