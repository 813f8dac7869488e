//! Request bodies: bounded, of a stated type, with errors that name what is wrong.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use proto::{ErrorCode, ServiceError};
use serde::de::DeserializeOwned;

use crate::problem::{Problem, invalid, quote};
use crate::state::App;

/// A JSON body of type `T`.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let kind = media_type(&parts.headers)?;
        if !is_json(&kind) {
            return Err(unsupported(&kind, "application/json").into());
        }
        let bytes = read(&parts.headers, body, app.http.max_body_bytes).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| invalid(format!("body: {error}")))?;
        Ok(Self(value))
    }
}

/// The body's type without its parameters, lower-cased; empty when none is given.
pub(super) fn media_type(headers: &HeaderMap) -> Result<String, ServiceError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(String::new());
    };
    let text = value
        .to_str()
        .map_err(|_| invalid("content-type: expected ASCII text"))?;
    let kind = text.split(';').next().unwrap_or_default();
    Ok(kind.trim().to_ascii_lowercase())
}

pub(super) fn is_json(kind: &str) -> bool {
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

pub(super) fn unsupported(kind: &str, expected: &str) -> ServiceError {
    let got = if kind.is_empty() {
        "none".to_owned()
    } else {
        quote(kind)
    };
    ServiceError::new(
        ErrorCode::UnsupportedMediaType,
        format!("content-type: expected {expected}, got {got}"),
    )
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ServiceError> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(ServiceError::new(
            ErrorCode::UnsupportedMediaType,
            "content-encoding: expected a body that is not compressed",
        ));
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(ServiceError::new(
            ErrorCode::TooLarge,
            format!("body: expected at most {limit} bytes"),
        )),
        Err(_) => Err(invalid("body: expected all of it; the connection broke off")),
    }
}
