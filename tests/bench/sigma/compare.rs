//! Detections of both engines, event by event.
//!
//! The peer looks at every rule without routing, and the logsource is then checked against an explicit map, as if it
//! were a selection of each rule. What both say is compared; each rule that differs is listed with its first event.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value as Json;
use sigma::{LogSource, Scratch};

use super::ours::Ours;
use super::peer::Peer;
use super::read;

/// Which Windows events a service or category means, as in `{"service": {"sysmon": ["Channel"]}, "category":
/// {"process_creation": [{"Channel": "..", "EventID": 1}]}}`.
#[derive(Deserialize)]
pub(super) struct Logsources {
    service: HashMap<String, Vec<String>>,
    category: HashMap<String, Vec<HashMap<String, Json>>>,
}

impl Logsources {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        serde_json::from_slice(&read(path)?).with_context(|| format!("parse {}", path.display()))
    }

    /// Whether a rule of this logsource is about the event. Beyond Windows, the event's own words decide.
    fn fits(&self, logsource: &LogSource, event: &Json) -> bool {
        let says = |field: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| {
                event[field]
                    .as_str()
                    .is_some_and(|text| text.eq_ignore_ascii_case(wanted))
            })
        };
        if !says("product", &logsource.product) {
            return false;
        }
        if logsource.product.as_deref() != Some("windows") {
            return says("service", &logsource.service) && says("category", &logsource.category);
        }
        let by_service = logsource
            .service
            .as_ref()
            .is_none_or(|service| match self.service.get(service) {
                Some(channels) => channels
                    .iter()
                    .any(|channel| same(&event["Channel"], &Json::from(channel.as_str()))),
                None => says("service", &logsource.service),
            });
        let by_category = logsource
            .category
            .as_ref()
            .is_none_or(|category| match self.category.get(category) {
                Some(kinds) => kinds
                    .iter()
                    .any(|kind| kind.iter().all(|(field, wanted)| same(&event[field.as_str()], wanted))),
                None => says("category", &logsource.category),
            });
        by_service && by_category
    }
}

fn same(found: &Json, wanted: &Json) -> bool {
    let text = |value: &Json| match value {
        Json::String(text) => text.to_lowercase(),
        Json::Null => "\0".to_owned(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    };
    text(found) == text(wanted)
}

pub(super) fn run(ours: &Ours, peer: &Peer, logsources: &Logsources, lines: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut scratch = Scratch::new();
    let mut pairs = 0;
    // By rule: how often only we, how often only the peer, and the first line where they differ.
    let mut differences: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for (line, number) in lines.iter().zip(1..) {
        let event: Json = serde_json::from_slice(line).with_context(|| format!("parse line {number}"))?;
        let our: BTreeSet<&str> = ours
            .matches(line, &mut scratch)?
            .iter()
            .map(|rule| rule.id.as_str())
            .collect();
        let found = peer.matches(&event);
        let their: BTreeSet<&str> = found
            .iter()
            .filter(|id| {
                ours.rule(id)
                    .is_some_and(|rule| logsources.fits(&rule.logsource, &event))
            })
            .map(String::as_str)
            .collect();
        pairs += our.intersection(&their).count();
        for id in our.difference(&their) {
            differences.entry((*id).to_owned()).or_insert((0, 0, number)).0 += 1;
        }
        for id in their.difference(&our) {
            differences.entry((*id).to_owned()).or_insert((0, 0, number)).1 += 1;
        }
    }
    println!("the same              {pairs} pairs of event and rule");
    println!("rules that differ     {}", differences.len());
    for (id, (only_ours, only_theirs, first)) in differences {
        let path = ours.rule(&id).map_or("?", |rule| rule.path.as_str());
        println!("  only ours {only_ours}, only rsigma {only_theirs}, first at line {first}: {id} {path}");
    }
    Ok(())
}
