//! Any text is documents or refused: parsing, linting and compiling end, and never panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigma::{Document, RuleSet};

fuzz_target!(|text: &str| {
    let mut rules = Vec::new();
    for document in sigma::parse_documents("fuzz.yml", text).into_iter().flatten() {
        if let Document::Rule(rule) = document {
            rules.push(rule);
        }
    }
    let _ = sigma::lint("fuzz.yml", text);
    let _ = RuleSet::compile(rules);
});
