//! Whether new documents are usable together with those that are there.

use model::rule::{RuleOrigin, StoredRule};
use rustc_hash::{FxHashMap, FxHashSet};
use sigma::RuleError;

use super::cache::ParsedRules;
use super::compiled::{Content, Problems, TenantRules};
use super::parsed::{Parsed, refusal};

/// What came of a check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// For each new document, in order: why it is not usable.
    pub(crate) refusals: Vec<Option<RuleError>>,
    /// Which documents that are there would not be usable any more, and why.
    pub(crate) broken: Vec<String>,
}

/// Checks new documents of one origin, each with an id of its own. A new document takes the place of the stored one with
/// its id; whatever is refused does not. Errors carry the new document's path.
pub(crate) fn check(new: &[Parsed], origin: RuleOrigin, stored: &[StoredRule], cache: &ParsedRules) -> Checked {
    let by_id: FxHashMap<&str, &StoredRule> = stored.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let mut refusals: Vec<Option<RuleError>> = new
        .iter()
        .map(|parsed| foreign(parsed, origin, by_id.get(parsed.id()).copied()))
        .collect();
    let new_ids: FxHashSet<&str> = new.iter().map(Parsed::id).collect();
    let before = compile(stored.iter().filter(|rule| rule.enabled), &[], cache);
    // What is refused may be what others refer to, so whoever is left is looked at again. Every round refuses at least
    // one more.
    loop {
        let taken: Vec<&Parsed> = new
            .iter()
            .zip(&refusals)
            .filter(|(_, refusal)| refusal.is_none())
            .map(|(parsed, _)| parsed)
            .collect();
        let taken_ids: FxHashSet<&str> = taken.iter().map(|parsed| parsed.id()).collect();
        let kept = stored
            .iter()
            .filter(|rule| rule.enabled && !taken_ids.contains(rule.id.as_str()));
        let after = compile(kept, &taken, cache);
        let mut is_any_refused = false;
        for (parsed, refusal) in new.iter().zip(&mut refusals) {
            if refusal.is_none()
                && let Some(error) = after.get(parsed.id())
            {
                *refusal = Some(RuleError {
                    path: parsed.path().to_owned(),
                    ..error.clone()
                });
                is_any_refused = true;
            }
        }
        if !is_any_refused {
            let mut broken: Vec<String> = after
                .iter()
                .filter(|(id, _)| !new_ids.contains(id.as_str()) && !before.contains_key(*id))
                .map(|(id, error)| {
                    let title = by_id.get(id.as_str()).map_or("", |rule| rule.title.as_str());
                    format!(
                        "{id} ({title}) is not usable any more: {}: {}",
                        error.field, error.reason
                    )
                })
                .collect();
            broken.sort_unstable();
            return Checked { refusals, broken };
        }
    }
}

fn foreign(parsed: &Parsed, origin: RuleOrigin, stored: Option<&StoredRule>) -> Option<RuleError> {
    let is_free = |stored: &StoredRule| stored.origin == RuleOrigin::Dir && stored.vanished;
    let stored = stored.filter(|stored| stored.origin != origin && !is_free(stored))?;
    let owner = match stored.origin {
        RuleOrigin::Dir => "comes from the detectors' rules directory and is changed there",
        RuleOrigin::Api => "was imported by a person or program and is changed that way",
    };
    let reason = format!("expected an id of its own, got {}, which {owner}", parsed.id());
    Some(refusal(parsed.path(), "id", reason))
}

fn compile<'a>(stored: impl Iterator<Item = &'a StoredRule>, new: &[&Parsed], cache: &ParsedRules) -> Problems {
    let mut content = Content::default();
    let mut problems = Problems::default();
    for rule in stored {
        match cache.get(rule) {
            Ok(parsed) => content.documents.push(parsed),
            Err(error) => {
                problems.insert(rule.id.clone(), error);
            }
        }
    }
    content.documents.extend(new.iter().map(|parsed| (*parsed).clone()));
    let (_, found) = TenantRules::compile(&content, None);
    problems.extend(found);
    problems
}
