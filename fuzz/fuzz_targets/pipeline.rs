//! Any text is a pipeline or refused, and any rule that goes through it is a rule or refused. The input is a pipeline
//! and a rule with a line of `%%` between.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sigma::Catalog;

const RULE: &str = "
title: T
id: t1
logsource: {category: process_creation, product: windows}
detection:
  s: {Image|endswith: '\\cmd.exe', Hashes|contains: ['MD5=0', SHA1=1], a|expand: '%b%-%c%', n: [1, 2.5, null], f|fieldref: g}
  keywords: [one, 'tw*o']
  condition: s or not keywords
";

fuzz_target!(|text: &str| {
    let (pipeline, rule) = text.split_once("\n%%\n").unwrap_or((text, RULE));
    let Ok(catalog) = Catalog::with_pipelines(&[("fuzz.yml".to_owned(), pipeline.to_owned())]) else {
        return;
    };
    for rule in sigma::parse_rules("fuzz.yml", rule).into_iter().flatten() {
        let _ = catalog.resolve(&rule);
    }
});
