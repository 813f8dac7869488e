//! Which blocks cannot hold what is hunted, by their index terms.

use std::net::IpAddr;

use intel::TenantSet;
use model::indicator::{Indicator, IndicatorType};
use storage::blocks::BlockTerms;

/// Above this many words it is cheaper to read a block than to ask its filter for each.
const MAX_WORDS: usize = 20_000;

/// What to ask index terms for.
#[derive(Debug, Default)]
pub(crate) struct Prefilter {
    /// Single addresses, for blocks with too many to list.
    ips: Vec<IpAddr>,
    has_nets: bool,
    /// Of each other indicator what its block must have words of.
    words: Vec<String>,
}

impl Prefilter {
    pub(crate) fn add(&mut self, indicator: &Indicator) {
        let value = indicator.value.as_str();
        match indicator.kind {
            IndicatorType::Ip if value.contains('/') => self.has_nets = true,
            IndicatorType::Ip => match value.parse() {
                Ok(ip) => self.ips.push(ip),
                Err(_) => self.has_nets = true,
            },
            // A text may say `hxxp`.
            IndicatorType::Url => self
                .words
                .push(value.split_once("://").map_or(value, |(_, rest)| rest).to_owned()),
            IndicatorType::Domain
            | IndicatorType::Md5
            | IndicatorType::Sha1
            | IndicatorType::Sha256
            | IndicatorType::Email => self.words.push(value.to_owned()),
        }
    }

    /// False when the block certainly holds none of them.
    pub(crate) fn may_match(&self, set: &TenantSet, terms: &BlockTerms) -> bool {
        if self.words.len() + self.ips.len() > MAX_WORDS {
            return true;
        }
        let filter = terms.token_filter.as_slice();
        let by_ip = match &terms.ips {
            Some(ips) => ips.iter().any(|ip| set.has_ip(ip.to_canonical())),
            None => self.has_nets || self.ips.iter().any(|ip| block::may_contain_address(filter, *ip)),
        };
        by_ip || self.words.iter().any(|words| block::may_contain(filter, words))
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, Event, EventId, Fields, SourceId, Tenant, Timestamp};
    use proptest::prelude::*;
    use storage::blocks::BlockId;

    use super::*;

    fn terms(text: &str) -> (BlockTerms, Event) {
        let mut fields = Fields::new();
        fields.insert("message", text);
        let event = Event {
            id: EventId {
                source: SourceId::named("test", "hunt"),
                epoch: Epoch(1),
                seq: 1,
            },
            timestamp: Timestamp(0),
            fields,
        };
        let meta = block::encode(std::slice::from_ref(&event)).unwrap().meta;
        let terms = BlockTerms {
            id: BlockId::generate(),
            ips: meta
                .ips
                .map(|ips| ips.iter().filter_map(|ip| ip.parse().ok()).collect()),
            token_filter: meta.token_filter,
        };
        (terms, event)
    }

    fn hunted(values: &[&str]) -> (TenantSet, Prefilter) {
        let mut set = TenantSet::default();
        let mut prefilter = Prefilter::default();
        for value in values {
            let kind = IndicatorType::guess(value).unwrap();
            let one = Indicator::new(Tenant::default(), kind, value, "test", Timestamp(0)).unwrap();
            set.put(&one);
            prefilter.add(&one);
        }
        (set, prefilter)
    }

    const VALUES: [&str; 8] = [
        "45.1.2.3",
        "45.2.0.0/16",
        "2a00:1::/32",
        "evil.example",
        "http://a.example/%7Bx",
        "xn--bcher-kva.example",
        "bad@evil.example",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];

    proptest! {
        #[test]
        fn a_block_with_a_match_is_never_passed_over(
            text in "(45\\.[12]\\.2\\.3|2a00:1::5|evil\\.|www\\.|\\[\\.\\]|example|http://a\\.|hxxp://|/|\\{x|bücher|bad@|a{32}|[ -~é]){0,12}"
        ) {
            let (set, prefilter) = hunted(&VALUES);
            let (terms, event) = terms(&text);
            let hits = set.matches(&event, 0, &mut intel::Find::new());
            prop_assert!(hits.hits.is_empty() || prefilter.may_match(&set, &terms), "{:?}", hits);
        }
    }

    #[test]
    fn most_blocks_without_a_match_are_passed_over() {
        let (set, prefilter) = hunted(&VALUES);
        let passed = (0..200)
            .filter(|n| !prefilter.may_match(&set, &terms(&format!("user{n} from 10.0.0.{n} at host{n}.org")).0))
            .count();
        assert!(passed > 180, "{passed}");
    }
}
