//! Stands before every RPC, as its REST twin stands before every route.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use proto::{ErrorCode, ServiceError};
use tonic::Status;

use super::RPCS;
use crate::rest::admit;
use crate::state::App;

/// Longest text of a gRPC deadline: eight digits and a unit.
const MAX_TIMEOUT_TEXT: usize = 9;

pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Some(rpc) = RPCS.iter().find(|rpc| rpc.path == request.uri().path()) else {
        return Status::unimplemented("no such method").into_http();
    };
    match admit(&app, rpc.access, request.headers(), request.extensions()).await {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(error) => return Status::from(error).into_http(),
    }
    let limit = app.http.request_timeout();
    let deadline = asked_timeout(request.headers()).map_or(limit, |asked| asked.min(limit));
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let error = ServiceError::new(ErrorCode::DeadlineExceeded, "the call took longer than allowed");
            Status::from(error).into_http()
        }
    }
}

/// The caller's deadline, as gRPC sends it: digits and one of the units H, M, S, m, u, n.
fn asked_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    if text.len() > MAX_TIMEOUT_TEXT {
        return None;
    }
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn deadlines_are_read_and_nonsense_is_ignored() {
        for (text, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("250m", Some(Duration::from_millis(250))),
            ("1H", Some(Duration::from_secs(3600))),
            ("S", None),
            ("", None),
            ("5", None),
            ("-1S", None),
            ("123456789S", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            assert_eq!(asked_timeout(&headers), expected, "{text}");
        }
    }
}
