//! Blind rules: in use, and unable to find anything, as no event of their logsource came, events lack a field they cannot do
//! without, or all they are about is blind itself.

use std::collections::{BTreeMap, BTreeSet};

use model::{Tenant, Timestamp};
use rustc_hash::FxHashMap;
use sigma::ast::Field;
use sigma::{Correlation, sight};
use storage::Store;
use storage::rule_stats::{self, RuleUse};

use super::compiled::TenantRules;

/// Most fields or rules named in a reason.
const MAX_NAMED: usize = 5;

/// What of a tenant's content finds nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Blindness {
    /// Why, by id.
    pub(crate) blind: BTreeMap<String, String>,
    /// Ids of rules on which too little was counted to tell.
    pub(crate) uncounted: BTreeSet<String>,
}

/// Looks at what was counted over the last `days` days, today included.
///
/// # Errors
/// When the database is away.
pub(crate) async fn find(
    store: &Store,
    tenant: &Tenant,
    rules: &TenantRules,
    days: u32,
) -> Result<Blindness, storage::Error> {
    let totals = rule_stats::totals(store, tenant, days).await?;
    let first = Timestamp::now().day() - i64::from(days.max(1)) + 1;
    Ok(of(rules, &totals, first))
}

/// `first` is the first day that is looked at, counted from 1970-01-01.
fn of(rules: &TenantRules, totals: &BTreeMap<String, RuleUse>, first: i64) -> Blindness {
    let mut found = Blindness::default();
    for (position, detection) in rules.set.detections() {
        let Some(rule) = rules.set.rules().get(position) else {
            continue;
        };
        let Some(used) = totals.get(&rule.id) else {
            if totals.is_empty() {
                found.blind.insert(rule.id.clone(), "no events came".to_owned());
            } else {
                found.uncounted.insert(rule.id.clone());
            }
            continue;
        };
        // What came before a rule was in use is not known.
        let since = used.first_counted.filter(|day| day.day() > first);
        let since = since.map(|day| format!(" since {}", day.to_utc().date_naive()));
        let since = since.unwrap_or_default();
        if !used.met {
            let reason = format!("no event of its logsource came{since}");
            found.blind.insert(rule.id.clone(), reason);
            continue;
        }
        let has = |field: &Field| &*field.name == "@timestamp" || used.present.contains(&*field.name);
        if sight::can_match(detection, &has) {
            continue;
        }
        let absent = sight::absent_fields(detection, &has);
        // The rule's text or a pipeline is newer than what was counted.
        if absent.iter().any(|field| !used.asked.contains(field)) {
            found.uncounted.insert(rule.id.clone());
            continue;
        }
        let reason = format!("no event of its logsource has {}{since}", named(absent));
        found.blind.insert(rule.id.clone(), reason);
    }
    add_correlations(rules, &mut found);
    found
}

/// Correlations can be over others, and be blind with them.
fn add_correlations(rules: &TenantRules, found: &mut Blindness) {
    let mut ids: FxHashMap<&str, &str> = FxHashMap::default();
    let correlations: Vec<&Correlation> = rules.correlations.all().iter().map(|one| one.definition()).collect();
    let metadata = rules.set.rules().iter().map(|rule| &*rule.metadata);
    for metadata in metadata.chain(correlations.iter().map(|one| &one.metadata)) {
        let names = [Some(metadata.id.as_str()), metadata.name.as_deref()];
        for name in names.into_iter().flatten() {
            ids.insert(name, &metadata.id);
        }
    }
    loop {
        let before = found.blind.len();
        for correlation in &correlations {
            let id_of = |rule: usize| -> Option<&str> {
                let reference = correlation.rules.get(rule)?;
                ids.get(reference.as_str()).copied()
            };
            let is_blind = |rule: usize| id_of(rule).is_some_and(|id| found.blind.contains_key(id));
            if found.blind.contains_key(&correlation.id) || correlation.can_find(|rule| !is_blind(rule)) {
                continue;
            }
            let over = (0..correlation.rules.len()).filter(|rule| is_blind(*rule));
            let over: Vec<String> = over.filter_map(|rule| correlation.rules.get(rule).cloned()).collect();
            let verb = if over.len() == 1 { "is" } else { "are" };
            let reason = format!("{} {verb} blind", named(over));
            found.blind.insert(correlation.id.clone(), reason);
        }
        if found.blind.len() == before {
            return;
        }
    }
}

fn named(names: impl IntoIterator<Item = String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    if names.len() > MAX_NAMED {
        let more = names.len() - MAX_NAMED;
        names.truncate(MAX_NAMED);
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::compiled::Content;
    use crate::rules::parsed::parse;

    fn rules() -> TenantRules {
        let rule = |id: &str, fields: &str| {
            format!(
                "title: T\nid: {id}\nname: name_{id}\nlogsource: {{product: linux}}\ndetection: {{s: {{{fields}}}, \
                 condition: s}}\n"
            )
        };
        let correlation = |id: &str, kind: &str, over: &str| {
            let condition = if kind == "event_count" {
                ", condition: {gte: 2}"
            } else {
                ""
            };
            format!("title: T\nid: {id}\ncorrelation: {{type: {kind}, rules: [{over}], timespan: 1m{condition}}}\n")
        };
        let texts = [
            rule("sees", "a: 1"),
            rule("lacks", "a: 1, b: 1"),
            rule("unseen", "a: 1"),
            rule("new", "a: 1"),
            rule("edited", "c: 1"),
            correlation("any", "event_count", "name_sees, lacks"),
            correlation("all", "temporal", "name_sees, name_lacks"),
            correlation("outer", "event_count", "all, unseen"),
        ];
        let content = Content {
            documents: texts
                .iter()
                .map(|text| parse("a.yml", text).remove(0).unwrap())
                .collect(),
            ..Content::default()
        };
        let (rules, problems) = TenantRules::compile(&content, None);
        assert!(problems.is_empty(), "{problems:?}");
        rules
    }

    fn used(seen: u64, asked: &[&str], present: &[&str]) -> RuleUse {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        RuleUse {
            events: 10,
            seen,
            met: seen > 0,
            asked: names(asked),
            present: names(present),
            ..RuleUse::default()
        }
    }

    #[test]
    fn rules_and_what_is_over_them_are_blind_for_a_reason() {
        let totals = BTreeMap::from([
            ("sees".to_owned(), used(5, &["a"], &["a"])),
            ("lacks".to_owned(), used(5, &["a", "b"], &["a"])),
            ("unseen".to_owned(), used(0, &["a"], &[])),
            ("edited".to_owned(), used(5, &["a"], &["a"])),
        ]);
        let found = of(&rules(), &totals, 0);
        let blind: Vec<(&str, &str)> = found.blind.iter().map(|(id, why)| (&**id, &**why)).collect();
        assert_eq!(
            blind,
            [
                ("all", "name_lacks is blind"),
                ("lacks", "no event of its logsource has b"),
                ("outer", "all, unseen are blind"),
                ("unseen", "no event of its logsource came"),
            ]
        );
        let uncounted: Vec<&str> = found.uncounted.iter().map(String::as_str).collect();
        assert_eq!(uncounted, ["edited", "new"]);
    }

    #[test]
    fn it_is_said_since_when_a_rule_is_in_use() {
        let unseen = |day: i64| RuleUse {
            first_counted: Some(Timestamp(day * 86_400_000_000)),
            ..used(0, &["a"], &[])
        };
        let found = |day| of(&rules(), &BTreeMap::from([("unseen".to_owned(), unseen(day))]), 20_000);
        assert_eq!(found(20_000).blind["unseen"], "no event of its logsource came");
        assert_eq!(
            found(20_001).blind["unseen"],
            "no event of its logsource came since 2024-10-05"
        );
    }

    #[test]
    fn without_events_everything_is_blind() {
        let found = of(&rules(), &BTreeMap::new(), 0);
        assert_eq!(found.blind.len(), 8);
        assert_eq!(found.blind["sees"], "no events came");
    }
}
