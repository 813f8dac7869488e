//! The documentation people click through, served from the program itself: no network needed.

use std::sync::{Arc, LazyLock};

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use proto::{ErrorCode, ServiceError};
use utoipa_swagger_ui::Config;

use super::openapi;
use super::path::PathText;
use crate::problem::{Problem, internal};

/// Swagger UI styles itself from scripts and shows small images that it carries as data.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'self'; frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(
        Config::from("/openapi.json")
            .validator_url("none")
            .try_it_out_enabled(true)
            .persist_authorization(false),
    )
});

static OPENAPI: LazyLock<String> = LazyLock::new(|| openapi::document().to_json().unwrap_or_default());

pub(super) async fn redirect() -> Redirect {
    Redirect::to("/docs/")
}

pub(super) async fn index() -> Response {
    serve("index.html")
}

pub(super) async fn file(PathText(file): PathText) -> Response {
    serve(&file)
}

fn serve(file: &str) -> Response {
    match utoipa_swagger_ui::serve(file, CONFIG.clone()) {
        Ok(Some(file)) => {
            let mut response = file.bytes.into_owned().into_response();
            let headers = response.headers_mut();
            if let Ok(kind) = HeaderValue::from_str(&file.content_type) {
                headers.insert(CONTENT_TYPE, kind);
            }
            if file.gzpipped {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            response
        }
        Ok(None) => Problem::from(ServiceError::new(
            ErrorCode::NotFound,
            "no such file in the documentation",
        ))
        .into_response(),
        Err(error) => Problem::from(internal("docs", error.as_ref())).into_response(),
    }
}

pub(super) async fn openapi() -> Response {
    let mut response = OPENAPI.as_str().into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
