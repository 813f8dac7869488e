//! Threat intelligence: reading it here; changing it is what detectors do, at our request.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::Timestamp;
use model::indicator::{Indicator, IndicatorType, canonical_value};
use model::node::Role;
use proto::detection::v1::indicator_service_client::IndicatorServiceClient;
use proto::detection::v1::{DeleteIndicatorsRequest, Indicator as WireIndicator, IndicatorValue, PutIndicatorsRequest};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::indicators::{self, Filter, Group, Position};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{from_storage, internal, invalid};

/// Most indicators in one request.
pub const MAX_INDICATORS: usize = 10_000;
/// Most indicators a lookup answers.
const MAX_FOUND: usize = 1000;

/// What became of the indicators of one request: `None` for each that is stored, else what is wrong with it.
pub type Outcome = Vec<Option<String>>;

/// A page of indicators.
#[derive(Debug)]
pub struct Page {
    /// Those added last first.
    pub indicators: Vec<Indicator>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// One page.
///
/// # Errors
/// When the database is away.
pub async fn page(store: &Store, filter: &Filter, limit: usize) -> Result<Page, ServiceError> {
    // One more than asked for tells whether there is a next page.
    let asked = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
    let mut found = indicators::list(store, filter, asked).await.map_err(from_storage)?;
    let more =
        found.len() > limit || u32::try_from(found.len()).is_ok_and(|count| count + 1 == asked && count >= 10_000);
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(_, position)| cursor(position));
    Ok(Page {
        indicators: found.into_iter().map(|(indicator, _)| indicator).collect(),
        next,
    })
}

fn cursor(position: &Position) -> String {
    let id: String = position.id.iter().map(|byte| format!("{byte:02x}")).collect();
    BASE64_URL_SAFE_NO_PAD.encode(format!("1.{}.{id}", position.created_at.0))
}

/// Position after the last indicator of an earlier page.
///
/// # Errors
/// When the text is not a cursor.
pub fn parse_cursor(text: &str) -> Result<Position, ServiceError> {
    let read = || -> Option<Position> {
        let plain = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (time, hex) = plain.strip_prefix("1.")?.split_once('.')?;
        let mut id = [0; 12];
        if hex.len() != 24 {
            return None;
        }
        for (index, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Position {
            created_at: Timestamp(time.parse().ok()?),
            id,
        })
    };
    read().ok_or_else(|| invalid("cursor: expected the next_cursor of an earlier answer"))
}

/// The stored indicators that would match a value, and under which values they are stored.
///
/// # Errors
/// When nothing can be found in the text, or the database is away.
pub async fn lookup(store: &Store, caller: &Caller, value: &str) -> Result<Vec<Indicator>, ServiceError> {
    let candidates = intel::candidates(value);
    if candidates.is_empty() {
        return Err(invalid(
            "value: expected an address, network, domain, URL, hash or e-mail address",
        ));
    }
    let mut found = indicators::lookup(store, &caller.tenant, &candidates)
        .await
        .map_err(from_storage)?;
    found.truncate(MAX_FOUND);
    Ok(found)
}

/// How many indicators there are, by type, feed and source.
///
/// # Errors
/// When the database is away.
pub async fn stats(store: &Store, caller: &Caller) -> Result<Vec<Group>, ServiceError> {
    indicators::stats(store, &caller.tenant).await.map_err(from_storage)
}

/// Checks what costs no call: the type, the value, and the words with a fixed set.
fn check(mut indicator: WireIndicator) -> Result<WireIndicator, String> {
    let kind: IndicatorType = indicator.r#type.parse().map_err(|error| format!("{error}"))?;
    indicator.value = canonical_value(kind, &indicator.value).map_err(|error| error.to_string())?;
    if !indicator.tlp.is_empty() {
        let tlp: model::indicator::Tlp = indicator.tlp.parse().map_err(|error| format!("{error}"))?;
        indicator.tlp = tlp.as_str().to_owned();
    }
    if indicator.confidence.is_some_and(|confidence| confidence > 100) {
        return Err("confidence: expected a number from 0 to 100".to_owned());
    }
    Ok(indicator)
}

/// Adds or replaces indicators. Those that are wrong cost only themselves.
///
/// # Errors
/// When there are none or too many, when none is right, or when no detector is running.
pub async fn put(peers: &Peers, caller: &Caller, given: Vec<WireIndicator>) -> Result<Outcome, ServiceError> {
    if given.is_empty() {
        return Err(invalid("body: expected at least one indicator"));
    }
    if given.len() > MAX_INDICATORS {
        return Err(ServiceError::new(
            ErrorCode::TooLarge,
            format!("body: expected at most {MAX_INDICATORS} indicators"),
        ));
    }
    let mut outcome: Outcome = Vec::with_capacity(given.len());
    let mut good = Vec::new();
    let mut positions = Vec::new();
    for (index, indicator) in given.into_iter().enumerate() {
        match check(indicator) {
            Ok(wire) => {
                good.push(wire);
                positions.push(index);
                outcome.push(None);
            }
            Err(error) => outcome.push(Some(error)),
        }
    }
    if good.is_empty() {
        let first = outcome.into_iter().flatten().next().unwrap_or_default();
        return Err(invalid(first));
    }
    let request = PutIndicatorsRequest {
        tenant: caller.tenant.to_string(),
        indicators: good,
        requested_by: caller.actor.to_string(),
    };
    let answer = peers
        .call(Role::Detector, "put indicators", |channel| {
            let request = request.clone();
            async move {
                IndicatorServiceClient::new(channel)
                    .put_indicators(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await?;
    if answer.errors.len() != positions.len() {
        let mismatch = std::io::Error::other("it did not answer for every indicator");
        return Err(internal("detector", &mismatch));
    }
    for (error, index) in answer.errors.into_iter().zip(positions) {
        if let (false, Some(slot)) = (error.is_empty(), outcome.get_mut(index)) {
            *slot = Some(error);
        }
    }
    if let [Some(only)] = outcome.as_slice() {
        return Err(invalid(only.clone()));
    }
    Ok(outcome)
}

/// Which indicators to remove. Every condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Removal {
    /// These values; any when empty.
    pub values: Vec<(IndicatorType, String)>,
    /// Of this source.
    pub source: Option<String>,
    /// Of this feed.
    pub feed: Option<String>,
}

/// Removes indicators and says how many.
///
/// # Errors
/// When there is no condition, or no detector is running.
pub async fn remove(peers: &Peers, caller: &Caller, removal: Removal) -> Result<u64, ServiceError> {
    let request = DeleteIndicatorsRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        values: removal
            .values
            .into_iter()
            .map(|(kind, value)| IndicatorValue {
                r#type: kind.as_str().to_owned(),
                value,
            })
            .collect(),
        source: removal.source,
        feed: removal.feed,
    };
    let answer = peers
        .call(Role::Detector, "delete indicators", |channel| {
            let request = request.clone();
            async move {
                IndicatorServiceClient::new(channel)
                    .delete_indicators(request)
                    .await
                    .map(tonic::Response::into_inner)
            }
        })
        .await?;
    Ok(answer.deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indicators_are_brought_to_one_form_or_refused_by_name() {
        let indicator = |kind: &str, value: &str, tlp: &str| WireIndicator {
            r#type: kind.to_owned(),
            value: value.to_owned(),
            tlp: tlp.to_owned(),
            ..WireIndicator::default()
        };
        let good = check(indicator("domain", "Evil.Example.", "TLP:WHITE")).unwrap();
        assert_eq!((good.value.as_str(), good.tlp.as_str()), ("evil.example", "clear"));
        for (bad, field) in [
            (indicator("uri", "x", ""), "type: "),
            (indicator("ip", "x", ""), "value: "),
            (indicator("ip", "10.0.0.5", "purple"), "tlp: "),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let position = Position {
            created_at: Timestamp(1_700_000_000_123_000),
            id: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255],
        };
        assert_eq!(parse_cursor(&cursor(&position)).unwrap(), position);
        for wrong in ["", "x", "MS4x", "MS4xLjAw"] {
            assert!(
                parse_cursor(wrong).unwrap_err().detail.starts_with("cursor: "),
                "{wrong}"
            );
        }
    }
}
