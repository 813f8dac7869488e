//! Threat intelligence: listing it here; changing it is what detectors do, at our request.

use model::indicator::{Indicator, IndicatorType, canonical_value};
use model::node::Role;
use proto::detection::v1::indicator_service_client::IndicatorServiceClient;
use proto::detection::v1::{Indicator as WireIndicator, PutIndicatorsRequest};
use proto::{ErrorCode, ServiceError};
use storage::{Store, indicators};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{from_storage, internal, invalid};

/// Most indicators in one request.
pub const MAX_INDICATORS: usize = 10_000;
/// Longest `source` and `note`, in characters.
const MAX_TEXT: usize = 1000;

/// An indicator as somebody sends it.
#[derive(Clone, Debug)]
pub struct NewIndicator {
    /// `ip`, `domain` or `sha256`.
    pub kind: String,
    /// In any form.
    pub value: String,
    /// Who says so.
    pub source: String,
    /// Anything else.
    pub note: String,
}

/// What became of the indicators of one request: `None` for each that is stored, else what is wrong with it.
pub type Outcome = Vec<Option<String>>;

/// Indicators, those added last first.
///
/// # Errors
/// When the type is none or the database is away.
pub async fn list(
    store: &Store,
    caller: &Caller,
    kind: Option<IndicatorType>,
    limit: usize,
) -> Result<Vec<Indicator>, ServiceError> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let filter = indicators::Filter {
        tenant: caller.tenant.clone(),
        kind,
        ..indicators::Filter::default()
    };
    let found = indicators::list(store, &filter, limit).await.map_err(from_storage)?;
    Ok(found.into_iter().map(|(indicator, _)| indicator).collect())
}

fn check(indicator: &NewIndicator) -> Result<WireIndicator, String> {
    let kind: IndicatorType = indicator.kind.parse().map_err(|error| format!("{error}"))?;
    let value = canonical_value(kind, &indicator.value).map_err(|error| error.to_string())?;
    for (field, text) in [("source", &indicator.source), ("note", &indicator.note)] {
        if text.chars().count() > MAX_TEXT {
            return Err(format!("{field}: expected at most {MAX_TEXT} characters"));
        }
    }
    Ok(WireIndicator {
        r#type: kind.as_str().to_owned(),
        value,
        source: indicator.source.clone(),
        note: indicator.note.clone(),
        ..WireIndicator::default()
    })
}

/// Adds or replaces indicators. Those that are wrong cost only themselves.
///
/// # Errors
/// When there are none or too many, when none is right, or when no detector is running.
pub async fn put(peers: &Peers, caller: &Caller, given: &[NewIndicator]) -> Result<Outcome, ServiceError> {
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
    for (index, indicator) in given.iter().enumerate() {
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
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indicators_are_brought_to_one_form_or_refused_by_name() {
        let indicator = |kind: &str, value: &str, note: &str| NewIndicator {
            kind: kind.to_owned(),
            value: value.to_owned(),
            source: "demo".to_owned(),
            note: note.to_owned(),
        };
        assert_eq!(
            check(&indicator("domain", "Evil.Example.", "")).unwrap().value,
            "evil.example"
        );
        for (bad, field) in [
            (indicator("uri", "x", ""), "type: "),
            (indicator("ip", "x", ""), "value: "),
            (indicator("ip", "10.0.0.5", &"n".repeat(2000)), "note: "),
        ] {
            let error = check(&bad).unwrap_err();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
