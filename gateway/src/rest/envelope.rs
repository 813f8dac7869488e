//! Around every request: which host it is for, a panic caught, headers that protect browsers, a number to find it by.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bootstrap::tls::ConnectionInfo;
use futures_util::FutureExt as _;
use proto::{ErrorCode, ServiceError};
use tonic::Status;
use uuid::Uuid;

use crate::problem::{Problem, invalid};
use crate::state::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The outermost layer.
pub(crate) async fn envelope(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().to_string();
    let started = Instant::now();
    let method = request.method().clone();
    let is_grpc = is_grpc(request.headers());
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let mut response = if is_trusted(&app.http.trusted_hosts, request.headers(), request.uri()) {
        let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            tracing::error!(request.id = id, %method, path, "request handler panicked");
            failure(
                ServiceError::new(ErrorCode::Internal, "a fault of Picket's own; its log says more"),
                is_grpc,
            )
        })
    } else {
        failure(invalid("host: expected a name this server is configured for"), is_grpc)
    };
    let status = response.status();
    metrics::counter!(
        "picket_gateway_requests_total",
        "path" => path.clone(), "method" => method_label(&method), "status" => status.as_str().to_owned()
    )
    .increment(1);
    metrics::histogram!("picket_gateway_request_seconds").record(started.elapsed().as_secs_f64());
    tracing::debug!(request.id = id, %method, path, status = status.as_u16(), "request answered");
    protect(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Methods that have a route; others share a label, so that callers cannot make up new ones.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn failure(error: ServiceError, is_grpc: bool) -> Response {
    if is_grpc {
        Status::from(error).into_http()
    } else {
        Problem::from(error).into_response()
    }
}

fn is_trusted(trusted: &[String], headers: &HeaderMap, uri: &Uri) -> bool {
    if trusted.is_empty() {
        return true;
    }
    let authority = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    let Some(authority) = authority else {
        return false;
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    trusted.iter().any(|name| name.eq_ignore_ascii_case(host))
}

fn protect(headers: &mut HeaderMap) {
    let defaults = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=()"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Answers paths that do not exist.
pub(super) async fn not_found(State(app): State<App>, request: Request) -> Response {
    let is_grpc = is_grpc(request.headers());
    if let Some(info) = request.extensions().get::<ConnectionInfo>()
        && let Err(error) = app.limits.take_anonymous(info.remote.ip())
    {
        return failure(error, is_grpc);
    }
    if is_grpc {
        return Status::unimplemented("no such service").into_http();
    }
    let detail = "there is nothing at this path; /docs lists what there is";
    Problem::from(ServiceError::new(ErrorCode::NotFound, detail)).into_response()
}

/// Answers methods a path does not have.
pub(super) async fn method_not_allowed() -> Response {
    let detail = "this path does not take this method; the `allow` header lists those it takes";
    Problem::from(ServiceError::new(ErrorCode::MethodNotAllowed, detail)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_hosts_are_trusted() {
        let trusted = ["Picket.local".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let check = |uri: &str, host: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            }
            is_trusted(&trusted, &headers, &uri.parse().unwrap())
        };
        for (uri, host, expected) in [
            ("/events", Some("picket.LOCAL:9443"), true),
            ("/events", Some("127.0.0.1"), true),
            ("/events", Some("[::1]:9443"), true),
            ("https://picket.local/events", None, true),
            ("https://evil.example/events", Some("picket.local"), false),
            ("/events", Some("evil.example"), false),
            ("/events", Some("picket.local.evil.example"), false),
            ("/events", None, false),
        ] {
            assert_eq!(check(uri, host), expected, "{uri} {host:?}");
        }
        assert!(is_trusted(&[], &HeaderMap::new(), &"/".parse().unwrap()));
    }
}
