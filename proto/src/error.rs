//! The error table: what went wrong, once, for gRPC and for HTTP (RFC 9457 problem details).

use std::time::Duration;

use http::StatusCode;
use tonic::Code;

/// What kind of error it is. Each kind has one gRPC code, one HTTP status and one slug in `problem+json`'s `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is malformed; the detail names the field.
    InvalidArgument,
    /// No credentials, or wrong ones.
    Unauthenticated,
    /// Known, but not allowed to.
    PermissionDenied,
    /// No such thing.
    NotFound,
    /// It exists already, or changed meanwhile.
    Conflict,
    /// Larger than the stated limit.
    TooLarge,
    /// Too many requests; try again later.
    RateLimited,
    /// The method does not exist for this path.
    MethodNotAllowed,
    /// The body's type is not understood.
    UnsupportedMediaType,
    /// A cursor is too old to resume from.
    Expired,
    /// Something Picket depends on is away; try again later.
    Unavailable,
    /// It took longer than allowed.
    DeadlineExceeded,
    /// A fault of Picket's own; the detail is in its log.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::InvalidArgument,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::RateLimited,
        Self::MethodNotAllowed,
        Self::UnsupportedMediaType,
        Self::Expired,
        Self::Unavailable,
        Self::DeadlineExceeded,
        Self::Internal,
    ];

    /// gRPC status code, slug and title in one row.
    fn row(self) -> (Code, StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidArgument => (
                Code::InvalidArgument,
                StatusCode::BAD_REQUEST,
                "invalid-argument",
                "Invalid request",
            ),
            Self::Unauthenticated => (
                Code::Unauthenticated,
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Credentials needed",
            ),
            Self::PermissionDenied => (
                Code::PermissionDenied,
                StatusCode::FORBIDDEN,
                "permission-denied",
                "Not allowed",
            ),
            Self::NotFound => (Code::NotFound, StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::Conflict => (Code::AlreadyExists, StatusCode::CONFLICT, "conflict", "Conflict"),
            Self::TooLarge => (
                Code::OutOfRange,
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Too large",
            ),
            Self::RateLimited => (
                Code::ResourceExhausted,
                StatusCode::TOO_MANY_REQUESTS,
                "rate-limited",
                "Too many requests",
            ),
            Self::MethodNotAllowed => (
                Code::Unimplemented,
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
            ),
            Self::UnsupportedMediaType => (
                Code::InvalidArgument,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Unsupported media type",
            ),
            Self::Expired => (Code::OutOfRange, StatusCode::GONE, "expired", "Cursor expired"),
            Self::Unavailable => (
                Code::Unavailable,
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Temporarily unavailable",
            ),
            Self::DeadlineExceeded => (
                Code::DeadlineExceeded,
                StatusCode::GATEWAY_TIMEOUT,
                "deadline-exceeded",
                "Took too long",
            ),
            Self::Internal => (
                Code::Internal,
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
            ),
        }
    }

    /// gRPC status code.
    #[must_use]
    pub fn grpc(self) -> Code {
        self.row().0
    }

    /// HTTP status.
    #[must_use]
    pub fn http(self) -> StatusCode {
        self.row().1
    }

    /// Last part of the problem's `type`: `urn:picket:error:<slug>`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.row().2
    }

    /// Short text that is the same for every error of the kind.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().3
    }
}

/// An error as it leaves a service.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct ServiceError {
    /// Its kind.
    pub code: ErrorCode,
    /// What exactly, for the caller: names the field and what was expected. Never holds secrets.
    pub detail: String,
    /// When to try again, where that is known.
    pub retry_after: Option<Duration>,
}

impl ServiceError {
    /// An error without a retry time.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// Adds when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl From<ServiceError> for tonic::Status {
    fn from(error: ServiceError) -> Self {
        let mut status = Self::new(error.code.grpc(), error.detail);
        if let Some(after) = error.retry_after
            && let Ok(value) = after.as_millis().to_string().parse()
        {
            status.metadata_mut().insert("retry-after-ms", value);
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn every_code_is_an_error_and_has_its_own_slug() {
        let mut slugs = std::collections::HashSet::new();
        for code in ErrorCode::ALL {
            assert!(code.http().is_client_error() || code.http().is_server_error());
            assert!(slugs.insert(code.slug()), "{} twice", code.slug());
        }
    }
}
