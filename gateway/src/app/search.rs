//! What to look for in events: filters and words.
//!
//! A query is a list of terms, all of which an event must meet. A term is a word or `"several words"`, to be found
//! anywhere in the event, or `field:value`, to be found in that field. Letters match in any case; a term matches where
//! it begins and ends at the edge of a word, so `root` is found in `user=root` and not in `chroot`.

use std::net::IpAddr;

use model::{Event, Tenant, Timestamp, Value, ecs};
use proto::ServiceError;
use storage::blocks::ScanQuery;

use crate::problem::{invalid, quote};

/// Longest query, in bytes.
const MAX_QUERY_BYTES: usize = 1024;
/// Most terms in a query.
const MAX_TERMS: usize = 32;

/// Which events. Every condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Whose.
    pub tenant: Tenant,
    /// `agent.id` or `agent.name` is this.
    pub agent_id: Option<String>,
    /// Some field holds this address.
    pub ip: Option<IpAddr>,
    /// `host.os.type` is this, in any case.
    pub os_type: Option<String>,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Terms to be found.
    pub terms: Vec<Term>,
}

/// One condition of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Where to look; anywhere when absent.
    pub field: Option<String>,
    /// What to look for, lower-cased.
    pub text: String,
}

impl Term {
    fn matches(&self, event: &Event) -> bool {
        match self.field.as_deref() {
            None => event.fields.iter().any(|(_, value)| value_holds(value, &self.text)),
            Some(ecs::EVENT_ID) => event.id.to_string() == self.text,
            Some(field) => event
                .fields
                .get(field)
                .is_some_and(|value| value_holds(value, &self.text)),
        }
    }

    /// Words every block with a match must have; `None` when values may be written in more than one way.
    fn words(&self) -> Option<String> {
        let has_letters = self.text.chars().any(char::is_alphabetic);
        let is_constant = matches!(self.text.as_str(), "true" | "false" | "null");
        let certain = self.field.is_none() || has_letters;
        (certain && !is_constant && self.field.as_deref() != Some(ecs::EVENT_ID) && !is_number(&self.text))
            .then(|| self.text.clone())
    }
}

/// A whole number is stored as its digits; `-1` and `1e3` are what a block's words cannot be asked for.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok() && !text.bytes().all(|b| b.is_ascii_digit())
}

fn value_holds(value: &Value, text: &str) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| value_holds(item, text)),
        Value::Null => text == "null",
        Value::Str(hay) => holds(hay, text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => value.to_text() == text,
    }
}

/// Whether `hay` has `text` (lower-cased) from the edge of a word to the edge of a word.
fn holds(hay: &str, text: &str) -> bool {
    let lowered;
    let hay = if hay.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        lowered = hay.to_lowercase();
        &lowered
    } else {
        hay
    };
    let word = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
    let (begins, ends) = (word(text.chars().next()), word(text.chars().next_back()));
    let mut rest = 0;
    while let Some(at) = hay.get(rest..).and_then(|tail| tail.find(text)) {
        let start = rest + at;
        let end = start + text.len();
        let before = hay.get(..start).and_then(|head| head.chars().next_back());
        let after = hay.get(end..).and_then(|tail| tail.chars().next());
        let inside_a_word = (begins && word(before)) || (ends && word(after));
        if !inside_a_word {
            return true;
        }
        rest = start
            + hay
                .get(start..)
                .and_then(|tail| tail.chars().next())
                .map_or(1, char::len_utf8);
    }
    false
}

/// Whether `text` mentions the address on its own: not as part of a longer word or number.
fn mentions(text: &str, ip: IpAddr) -> bool {
    let fits = |char: char| char.is_alphanumeric() || matches!(char, '.' | ':' | '_');
    text.split(|char| !fits(char)).any(|run| {
        let run = run.trim_matches(['.', '_']);
        let parses = |text: &str| text.parse::<IpAddr>().is_ok_and(|found| found.to_canonical() == ip);
        parses(run)
            || parses(run.trim_end_matches(':'))
            || run
                .rsplit_once(':')
                .is_some_and(|(host, _)| !host.contains(':') && parses(host))
            || run
                .split_once(':')
                .is_some_and(|(_, host)| ip.is_ipv4() && parses(host))
    })
}

fn value_mentions(value: &Value, ip: IpAddr) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| value_mentions(item, ip)),
        Value::Str(text) => mentions(text, ip),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
    }
}

impl EventFilter {
    /// Whether the event meets every condition.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let is = |field: &str, text: &str| event.fields.str(field) == Some(text);
        self.from.is_none_or(|from| event.timestamp >= from)
            && self.to.is_none_or(|to| event.timestamp < to)
            && self
                .agent_id
                .as_deref()
                .is_none_or(|agent| is(ecs::AGENT_ID, agent) || is(ecs::AGENT_NAME, agent))
            && self.os_type.as_deref().is_none_or(|os| {
                event
                    .fields
                    .str(ecs::HOST_OS_TYPE)
                    .is_some_and(|found| found.eq_ignore_ascii_case(os))
            })
            && self
                .ip
                .is_none_or(|ip| event.fields.iter().any(|(_, value)| value_mentions(value, ip)))
            && self.terms.iter().all(|term| term.matches(event))
    }

    /// Whether only the time matters.
    #[must_use]
    pub fn is_time_only(&self) -> bool {
        self.agent_id.is_none() && self.ip.is_none() && self.os_type.is_none() && self.terms.is_empty()
    }

    /// The blocks that may hold such events.
    #[must_use]
    pub fn scan_query(&self) -> ScanQuery {
        let mut words: Vec<String> = self.terms.iter().filter_map(Term::words).collect();
        words.extend(self.agent_id.clone());
        words.extend(self.os_type.clone());
        ScanQuery {
            tenant: self.tenant.clone(),
            from: self.from,
            to: self.to,
            source: None,
            words,
            ip: self.ip,
        }
    }
}

/// Reads a query.
///
/// # Errors
/// When it is empty, too long, or has a quote that does not end; the detail says which.
pub fn parse_query(text: &str) -> Result<Vec<Term>, ServiceError> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(invalid(format!("q: expected at most {MAX_QUERY_BYTES} bytes")));
    }
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (term, tail) = parse_term(rest)?;
        terms.push(term);
        rest = tail.trim_start();
    }
    match terms.len() {
        0 => Err(invalid("q: expected at least one word or field:value")),
        1..=MAX_TERMS => Ok(terms),
        count => Err(invalid(format!("q: expected at most {MAX_TERMS} terms, got {count}"))),
    }
}

fn parse_term(text: &str) -> Result<(Term, &str), ServiceError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (phrase, rest) = parse_quoted(quoted)?;
        return Ok((term(None, phrase)?, rest));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let Some((field, value)) = word.split_once(':').filter(|(field, _)| is_field(field)) else {
        return Ok((term(None, word)?, rest));
    };
    if value.starts_with('"') {
        let quoted = text.get(field.len() + 2..).unwrap_or_default();
        let (phrase, rest) = parse_quoted(quoted)?;
        return Ok((term(Some(field), phrase)?, rest));
    }
    Ok((term(Some(field), value)?, rest))
}

fn parse_quoted(text: &str) -> Result<(&str, &str), ServiceError> {
    text.split_once('"')
        .ok_or_else(|| invalid("q: expected a closing quote"))
}

fn term(field: Option<&str>, text: &str) -> Result<Term, ServiceError> {
    if !text.chars().any(char::is_alphanumeric) {
        return Err(invalid(format!(
            "q: expected letters or digits in each term, got {}",
            quote(text)
        )));
    }
    let text = if field == Some(ecs::EVENT_ID) {
        text.to_owned()
    } else {
        text.to_lowercase()
    };
    Ok(Term {
        field: field.map(str::to_owned),
        text,
    })
}

/// `source.ip:…` names a field; `12:30:01`, `http://…` and `fe80::1` do not.
fn is_field(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@' || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@'))
        && (name.contains('.') || matches!(name, "message" | "tags"))
}

#[cfg(test)]
mod tests {
    use model::{Epoch, EventId, Fields, SourceId};

    use super::*;

    fn event(pairs: &[(&'static str, Value)]) -> Event {
        let mut fields = Fields::new();
        for (name, value) in pairs {
            fields.insert(*name, value.clone());
        }
        Event {
            id: EventId {
                source: SourceId::named("t", "t"),
                epoch: Epoch(1),
                seq: 2,
            },
            timestamp: Timestamp(1_000_000),
            fields,
        }
    }

    fn sshd() -> Event {
        event(&[
            (
                "message",
                "Failed password for invalid user Ädmin from 10.0.0.5 port 53422 ssh2".into(),
            ),
            ("source.ip", "10.0.0.5".into()),
            ("source.port", 53422.into()),
            ("agent.id", "demo-agent".into()),
            ("host.os.type", "linux".into()),
            ("event.category", vec!["authentication".into(), "session".into()].into()),
            ("edr.kind", "edr_listen_socket".into()),
            ("picket.flag", true.into()),
        ])
    }

    #[test]
    fn terms_match_whole_words_in_any_case() {
        for (query, expected) in [
            ("failed", true),
            ("FAILED ädmin", true),
            ("fail", false),
            ("failed nothing", false),
            ("\"invalid user ädmin\"", true),
            ("\"user invalid\"", false),
            ("10.0.0.5", true),
            ("0.0.0.5", false),
            ("edr_listen_socket", true),
            ("listen", true),
            ("53422", true),
            ("source.port:53422", true),
            ("source.port:5342", false),
            ("source.ip:10.0.0.5", true),
            ("source.ip:10.0.0.6", false),
            ("event.category:session", true),
            ("message:\"failed password\"", true),
            ("picket.flag:true", true),
            ("nofield.here:x", false),
            ("user.name:", false),
        ] {
            let Ok(terms) = parse_query(query) else {
                assert!(!expected, "{query}");
                continue;
            };
            let filter = EventFilter {
                terms,
                ..EventFilter::default()
            };
            assert_eq!(filter.matches(&sshd()), expected, "{query}");
        }
    }

    #[test]
    fn what_matches_is_never_pruned() {
        let encoded = block::encode(&[sshd()]).unwrap();
        for query in [
            "failed",
            "\"invalid user ädmin\"",
            "10.0.0.5",
            "edr_listen_socket",
            "source.port:53422",
            "53422",
            "event.category:session",
            "picket.flag:true",
        ] {
            let filter = EventFilter {
                terms: parse_query(query).unwrap(),
                agent_id: Some("demo-agent".to_owned()),
                os_type: Some("LINUX".to_owned()),
                ip: Some("10.0.0.5".parse().unwrap()),
                ..EventFilter::default()
            };
            assert!(filter.matches(&sshd()), "{query}");
            for word in filter.scan_query().words {
                assert!(block::may_contain(&encoded.meta.token_filter, &word), "{query}: {word}");
            }
        }
    }

    #[test]
    fn filters_narrow() {
        let narrow = |change: fn(&mut EventFilter)| {
            let mut filter = EventFilter::default();
            change(&mut filter);
            filter.matches(&sshd())
        };
        assert!(narrow(|_| ()));
        assert!(narrow(|f| f.agent_id = Some("demo-agent".into())));
        assert!(!narrow(|f| f.agent_id = Some("demo".into())));
        assert!(narrow(|f| f.os_type = Some("LINUX".into())));
        assert!(!narrow(|f| f.os_type = Some("windows".into())));
        assert!(narrow(|f| f.from = Some(Timestamp(1_000_000))));
        assert!(!narrow(|f| f.to = Some(Timestamp(1_000_000))));
        assert!(narrow(|f| f.ip = "10.0.0.5".parse().ok()));
        assert!(!narrow(|f| f.ip = "10.0.0.50".parse().ok()));
    }

    #[test]
    fn addresses_are_found_where_they_stand_alone() {
        let v4 = "10.0.0.5".parse().unwrap();
        for (text, expected) in [
            ("from 10.0.0.5 port", true),
            ("rhost=10.0.0.5:22,", true),
            ("src:10.0.0.5", true),
            ("ends in 10.0.0.5.", true),
            ("v10.0.0.5", false),
            ("10.0.0.55", false),
            ("110.0.0.5", false),
            ("10.0.0.5.1", false),
        ] {
            assert_eq!(mentions(text, v4), expected, "{text}");
        }
        let v6 = "2001:db8::7".parse().unwrap();
        assert!(mentions("at [2001:DB8:0::7]:443", v6));
        assert!(mentions("peer 2001:db8::7: closed", v6));
        assert!(!mentions("peer 2001:db8::70", v6));
    }

    #[test]
    fn bad_queries_are_refused_by_name() {
        let long = "a".repeat(2000);
        let many = "a ".repeat(40);
        for query in ["", "  ", "\"open", "!!!", "source.ip:", &long, &many] {
            let error = parse_query(query).unwrap_err();
            assert!(error.detail.starts_with("q: "), "{query}: {}", error.detail);
        }
        assert_eq!(parse_query("12:30:01").unwrap()[0].field, None);
        assert_eq!(parse_query("http://x.example/").unwrap()[0].field, None);
    }
}
