//! Errors as HTTP answers: `application/problem+json` (RFC 9457) from the one error table in `proto`.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use proto::{ErrorCode, ServiceError};
use query::QueryError;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// A failed request: turns into a problem document.
#[derive(Debug)]
pub struct Problem(pub ServiceError, pub Vec<Place>);

/// The answer to every failed request (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// `urn:picket:error:<kind>`; the same for every error of the kind.
    #[serde(rename = "type")]
    #[schema(example = "urn:picket:error:invalid-argument")]
    pub kind: String,
    /// Short text for the kind.
    #[schema(example = "Invalid request")]
    pub title: String,
    /// HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What exactly is wrong; names the field.
    #[schema(example = "limit: expected a number from 1 to 1000, got \"many\"")]
    pub detail: String,
    /// Where a query is wrong: its character, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 14)]
    pub position: Option<u32>,
    /// Where a text is wrong, when it is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Place>,
}

/// A place in a text, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// The file, as it was named in the request; absent when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// From 1; absent when not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 7)]
    pub line: Option<u32>,
    /// From 1; absent when not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 5)]
    pub column: Option<u32>,
    /// What is wrong, such as `detection.selection.user|foo`.
    #[schema(example = "detection.condition")]
    pub field: String,
    /// What was expected.
    #[schema(example = "expected one of the searches selection, got `selektion`")]
    pub reason: String,
}

/// The parameter that queries come in.
const QUERY: &str = "q";

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let place = Place {
            path: None,
            line: None,
            column: u32::try_from(error.position()).ok(),
            field: QUERY.to_owned(),
            reason: format!("expected {}, got {}", error.expected(), error.got()),
        };
        Self(from_query(&error), vec![place])
    }
}

/// A query that is none, told with the character.
pub(crate) fn from_query(error: &QueryError) -> ServiceError {
    invalid(format!("{QUERY}: {error}"))
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        Self(error, Vec::new())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let ServiceError {
            code,
            detail,
            retry_after,
        } = self.0;
        let errors = self.1;
        let status = code.http();
        let position = errors
            .iter()
            .find(|place| place.field == QUERY)
            .and_then(|place| place.column);
        let document = ProblemDocument {
            kind: format!("urn:picket:error:{}", code.slug()),
            title: code.title().to_owned(),
            status: status.as_u16(),
            detail,
            position,
            errors,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds_rounded_up(after)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"picket\", charset=\"UTF-8\""),
            );
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"picket\""));
        }
        response
    }
}

fn seconds_rounded_up(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

/// Turns a database failure into what the caller is told. Faults of ours are logged here; an absent database is told
/// to the caller and shows in `/health`.
pub(crate) fn from_storage(error: storage::Error) -> ServiceError {
    match error {
        storage::Error::Unavailable(_) => {
            metrics::counter!("picket_gateway_storage_errors_total", "reason" => "unavailable").increment(1);
            ServiceError::new(ErrorCode::Unavailable, "the database is unavailable; try again")
                .with_retry_after(Duration::from_secs(2))
        }
        storage::Error::Duplicate(_) => ServiceError::new(ErrorCode::Conflict, "it exists already"),
        error @ (storage::Error::Invalid { .. } | storage::Error::Other(_)) => internal("database", &error),
    }
}

/// Logs a fault of ours and hides it from the caller.
pub(crate) fn internal(part: &'static str, error: &(dyn std::error::Error + 'static)) -> ServiceError {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    metrics::counter!("picket_gateway_storage_errors_total", "reason" => "internal").increment(1);
    tracing::error!(part, error = %error, causes = causes.join(": "), "request failed by a fault of our own");
    ServiceError::new(ErrorCode::Internal, "a fault of Picket's own; its log says more")
}

/// A malformed request; the detail names the field.
pub(crate) fn invalid(detail: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorCode::InvalidArgument, detail)
}

/// Shortens what a caller gave so that it can be quoted back.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(80).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    format!("{quoted:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_becomes_a_problem_with_its_own_status() {
        for code in ErrorCode::ALL {
            let error = ServiceError::new(code, "detail").with_retry_after(Duration::from_millis(1500));
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), code.http());
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers()[RETRY_AFTER], "2");
            assert_eq!(
                response.headers().contains_key(WWW_AUTHENTICATE),
                code == ErrorCode::Unauthenticated
            );
        }
    }

    #[test]
    fn quotes_are_short() {
        assert_eq!(quote("a\n"), "\"a\\n\"");
        assert!(quote(&"é".repeat(500)).chars().count() < 90);
    }
}
