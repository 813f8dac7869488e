//! The peer: `rsigma-eval`, the fastest Sigma engine we know of, with its logsource routing on.

use anyhow::{Context as _, bail};
use rsigma_eval::event::JsonEvent;
use rsigma_eval::{Engine, LogSourceExtractor};
use rsigma_parser::{SigmaCollection, parse_sigma_yaml};
use serde_json::Value as Json;

/// `rsigma-eval` with all rules compiled.
pub(super) struct Peer {
    /// Skips rules whose logsource conflicts with the event's.
    routed: Engine,
    /// Looks at every rule: for comparing detections.
    unrouted: Engine,
}

impl Peer {
    pub(super) fn load(texts: &[(String, String)], product: Option<&str>) -> anyhow::Result<Option<Self>> {
        let mut all = SigmaCollection::default();
        for (path, text) in texts {
            let parsed = parse_sigma_yaml(text).with_context(|| format!("parse {path} with rsigma"))?;
            all.rules.extend(
                parsed
                    .rules
                    .into_iter()
                    .filter(|rule| product.is_none() || rule.logsource.product.as_deref() == product),
            );
        }
        let (routed, unrouted) = (engine(&all, true)?, engine(&all, false)?);
        Ok(Some(Self { routed, unrouted }))
    }

    pub(super) fn len(&self) -> usize {
        self.routed.rule_count()
    }

    /// Matches each line, and says how many matches there were.
    pub(super) fn run(&self, lines: &[Vec<u8>]) -> usize {
        let mut hits = 0;
        for line in lines {
            if let Ok(value) = serde_json::from_slice::<Json>(line) {
                hits += self.routed.evaluate(&JsonEvent::borrow(&value)).len();
            }
        }
        hits
    }

    /// Ids of all rules whose detection matches, whatever their logsource.
    pub(super) fn matches(&self, value: &Json) -> Vec<String> {
        let results = self.unrouted.evaluate(&JsonEvent::borrow(value));
        results
            .into_iter()
            .map(|result| result.header.rule_id.unwrap_or_default())
            .collect()
    }
}

fn engine(rules: &SigmaCollection, is_routed: bool) -> anyhow::Result<Engine> {
    let mut engine = Engine::new();
    if is_routed {
        engine.set_logsource_extractor(Some(LogSourceExtractor::new()));
    }
    let refused = engine.add_rules(&rules.rules);
    if engine.rule_count() == 0 {
        bail!("expected rules that rsigma loads, got none");
    }
    for (position, error) in refused {
        let title = rules.rules.get(position).map_or("?", |rule| rule.title.as_str());
        println!("refused by rsigma     {title}: {error}");
    }
    Ok(engine)
}
