//! A line evaluated as it is and as a decoded event matches the same rules. The input is a rule and a line with a line
//! of `%%` between; without one it is a line, for all rules of the pack.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use serde_json::{Map, Value};
use sigma::{Rule, RuleSet, Scratch};

fn read(folder: &Path, rules: &mut Vec<Rule>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, rules);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            rules.extend(sigma::parse_rules("pack.yml", &text).into_iter().flatten());
        }
    }
}

fn pack() -> &'static RuleSet {
    static PACK: OnceLock<RuleSet> = OnceLock::new();
    PACK.get_or_init(|| {
        let mut rules = Vec::new();
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules"), &mut rules);
        RuleSet::compile(rules).0
    })
}

fn check(set: &RuleSet, line: &str) {
    let (mut by_line, mut by_event) = (Vec::new(), Vec::new());
    let time = Timestamp(0);
    let evaluated = set.evaluate_json(line.as_bytes(), time, &mut Scratch::new(), &mut by_line);
    let Ok(object) = serde_json::from_str::<Map<String, Value>>(line) else {
        assert!(evaluated.is_err(), "only one of two takes the line");
        return;
    };
    assert!(evaluated.is_ok(), "only one of two takes the line");
    let mut fields = Fields::new();
    fields.insert_json("", &object);
    let id = EventId {
        source: SourceId::named("fuzz", "fuzz"),
        epoch: Epoch(1),
        seq: 0,
    };
    set.evaluate(
        &Event {
            id,
            timestamp: time,
            fields,
        },
        &mut Scratch::new(),
        &mut by_event,
    );
    assert_eq!(by_line, by_event);
}

fuzz_target!(|text: &str| {
    match text.split_once("\n%%\n") {
        None => check(pack(), text),
        Some((rule, line)) => {
            let rules = sigma::parse_rules("fuzz.yml", rule).into_iter().flatten().collect();
            check(&RuleSet::compile(rules).0, line);
        }
    }
});
