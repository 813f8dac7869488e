//! Query strings: every parameter is known, occurs once and has the form it must have, or the answer names it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use model::Timestamp;
use proto::ServiceError;

use crate::problem::{invalid, quote};

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a query string that may hold `known` parameters.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, ServiceError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| invalid("query: expected name=value pairs joined by '&', percent-encoded"))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let expected = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                return Err(invalid(format!(
                    "{}: unknown parameter; there are: {expected}",
                    quote(&name)
                )));
            }
            if params.insert(name.clone(), value).is_some() {
                return Err(invalid(format!("{name}: given twice")));
            }
        }
        Ok(Self(params))
    }

    /// Whether a parameter is given and not empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|text| !text.trim().is_empty())
    }

    /// The text of a parameter; absent when empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|text| !text.is_empty())
    }

    /// A parameter of another type.
    pub(super) fn take<T: FromStr>(&mut self, name: &str, expected: &str) -> Result<Option<T>, ServiceError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| invalid(format!("{name}: expected {expected}, got {}", quote(&text)))),
        }
    }

    /// A parameter whose type says itself what it expects.
    pub(super) fn take_named<T>(&mut self, name: &str) -> Result<Option<T>, ServiceError>
    where
        T: FromStr<Err: Display>,
    {
        match self.text(name) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|error| invalid(format!("{name}: {error}"))),
        }
    }

    /// `from` and `to`, in order; fixed times, or times before now.
    pub(super) fn span(&mut self) -> Result<(Option<Timestamp>, Option<Timestamp>), ServiceError> {
        let now = Timestamp::now();
        let mut time = |name: &str| -> Result<Option<Timestamp>, ServiceError> {
            let Some(text) = self.text(name) else { return Ok(None) };
            let moment = query::parse_moment(&text).map_err(|error| invalid(format!("{name}: {error}")))?;
            Ok(Some(moment.resolve(now).0))
        };
        let (from, to) = (time("from")?, time("to")?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(invalid("from: expected a time before `to`"));
        }
        Ok((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Params, String> {
        let uri: Uri = format!("/events?{query}").parse().unwrap();
        Params::parse(&uri, &["limit", "from", "to", "q"]).map_err(|error| error.detail)
    }

    #[test]
    fn parameters_are_read_once_and_by_type() {
        let mut params = parse("limit=5&q=a%20b&from=2026-01-31T12:00:00Z").unwrap();
        assert_eq!(params.take::<u64>("limit", "a number").unwrap(), Some(5));
        assert_eq!(params.text("q").as_deref(), Some("a b"));
        assert_eq!(
            params.span().unwrap(),
            (Some("2026-01-31T12:00:00Z".parse().unwrap()), None)
        );
        assert_eq!(parse("q=").unwrap().text("q"), None);
    }

    #[test]
    fn errors_name_the_parameter() {
        for (query, start) in [
            ("limt=5", "\"limt\": unknown parameter; there are: limit, from, to, q"),
            ("limit=1&limit=2", "limit: given twice"),
        ] {
            assert_eq!(parse(query).unwrap_err(), start);
        }
        let error = parse("limit=many")
            .unwrap()
            .take::<u64>("limit", "a number")
            .unwrap_err();
        assert_eq!(error.detail, "limit: expected a number, got \"many\"");
        let error = parse("from=yesterday").unwrap().span().unwrap_err();
        assert!(
            error.detail.starts_with("from: expected an RFC 3339 time"),
            "{}",
            error.detail
        );
        let error = parse("from=2026-01-31T12:00:00Z&to=2026-01-31T12:00:00Z")
            .unwrap()
            .span()
            .unwrap_err();
        assert_eq!(error.detail, "from: expected a time before `to`");
    }
}
