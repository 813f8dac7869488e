//! Exchanging single rules of a set gives what compiling all of them again gives.

#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use model::Timestamp;
use proptest::prelude::*;
use sigma::{Catalog, Rule, RuleSet, Scratch, parse_rules};

/// A rule whose text depends on `version`.
fn rule(number: usize, version: usize) -> Rule {
    let logsource = ["product: linux", "product: windows", "category: process_creation"][number % 3];
    let yaml = format!(
        "title: T\nid: r{number}\nlogsource: {{{logsource}}}\ndetection:\n  s:\n    CommandLine|contains: w{}\n    \
         field{}|exists: {}\n  condition: s\n",
        (number + version) % 7,
        version % 5,
        version.is_multiple_of(2),
    );
    parse_rules("t.yml", &yaml).remove(0).unwrap()
}

fn lines() -> Vec<String> {
    let contexts = [
        r#""host.os.type":"linux""#,
        r#""Channel":"Security","EventID":4688"#,
        r#""a":1"#,
    ];
    let mut lines = Vec::new();
    for context in contexts {
        for word in 0..7 {
            lines.push(format!(
                r#"{{{context},"CommandLine":"x W{word} y","field{}":1}}"#,
                word % 5
            ));
        }
    }
    lines
}

fn matches(set: &RuleSet, scratch: &mut Scratch) -> Vec<Vec<String>> {
    let ids = |line: &String| {
        let mut hits = Vec::new();
        set.evaluate_json(line.as_bytes(), Timestamp(0), scratch, &mut hits)
            .unwrap();
        assert!(hits.is_sorted());
        hits.iter().map(|hit| set.rules()[*hit].id.clone()).collect()
    };
    lines().iter().map(ids).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exchanged_rules_match_as_if_all_were_compiled_again(
        steps in proptest::collection::vec((proptest::collection::vec((0..40_usize, 0..20_usize), 0..4), proptest::collection::vec(0..40_usize, 0..2)), 1..12),
    ) {
        let mut rules: Vec<Rule> = (0..30).map(|number| rule(number, 0)).collect();
        let (mut set, refused) = RuleSet::compile(rules.clone());
        prop_assert!(refused.is_empty());
        let mut scratch = Scratch::new();
        for (changed, removed) in steps {
            let removed: Vec<String> = removed.iter().map(|number| format!("r{number}")).collect();
            rules.retain(|rule| !removed.contains(&rule.id));
            let mut edited: Vec<Rule> = Vec::new();
            for (number, version) in changed {
                let new = rule(number, version);
                if removed.contains(&new.id) || edited.iter().any(|rule| rule.id == new.id) {
                    continue;
                }
                match rules.iter_mut().find(|rule| rule.id == new.id) {
                    Some(old) => *old = new.clone(),
                    None => rules.push(new.clone()),
                }
                edited.push(new);
            }
            let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
            let (next, refused) = set.updated(edited, &removed, Catalog::builtin(), &[]);
            prop_assert!(refused.is_empty());
            set = next;
            let ids = |rules: &[Rule]| rules.iter().map(|rule| (rule.id.clone(), rule.revision.clone())).collect::<Vec<_>>();
            prop_assert_eq!(ids(set.rules()), ids(&rules));
            let (whole, _) = RuleSet::compile(rules.clone());
            prop_assert_eq!(matches(&set, &mut scratch), matches(&whole, &mut Scratch::new()));
        }
    }
}

#[test]
fn a_profile_tells_what_rules_saw_and_cost() {
    let (set, _) = RuleSet::compile((0..6).map(|number| rule(number, 0)).collect());
    let mut scratch = Scratch::new();
    scratch.start_profile(1);
    let all: usize = matches(&set, &mut scratch).iter().map(Vec::len).sum();
    let profile = set.take_profile(&mut scratch);
    assert_eq!(profile.events, 21);
    let hits: u64 = profile.rules.iter().map(|rule| rule.hits).sum();
    assert_eq!(hits, all as u64);
    for (rule, profile) in set.rules().iter().zip(&profile.rules) {
        assert!(profile.seen > 0 && profile.seen < 21, "{}: {}", rule.id, profile.seen);
        assert!(profile.hits <= profile.candidates && profile.candidates <= profile.seen);
        assert!(profile.nanoseconds > 0 || profile.candidates == 0);
        let command_line = profile.fields.iter().find(|(name, _)| name.as_ref() == "CommandLine");
        assert_eq!(command_line.unwrap().1, profile.seen);
    }
    assert_eq!(set.take_profile(&mut scratch).events, 0);
}
