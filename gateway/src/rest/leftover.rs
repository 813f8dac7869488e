//! Reads what is left of a request's body before the answer goes out.
//!
//! An answer that comes before the body was read, such as a refusal, makes HTTP/2 reset the stream. Clients differ in
//! what they do then: curl 7 reports the reset and hides the answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::oneshot;

use super::envelope::is_grpc;
use crate::state::App;

/// Longest wait for the rest of a body.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much more than the largest allowed body is read, so that one a little too large gets its answer.
const MARGIN: usize = 8 * 1024 * 1024;

/// A body that comes back when whoever reads it stops.
struct Lent {
    body: Option<BodyDataStream>,
    back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let next = std::task::ready!(body.poll_next_unpin(cx));
        if !matches!(next, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // Nobody waits for it when the request itself was given up.
            let _ = back.send(body);
        }
    }
}

/// The layer.
pub(crate) async fn read_leftover(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() || is_grpc(request.headers()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let (back, left) = oneshot::channel();
    let lent = Lent {
        body: Some(body.into_data_stream()),
        back: Some(back),
    };
    let response = next.run(Request::from_parts(parts, Body::from_stream(lent))).await;
    // Closed without a body: all of it was read.
    if let Ok(mut left) = left.await {
        let limit = app
            .http
            .max_ingest_bytes
            .max(app.http.max_body_bytes)
            .saturating_add(MARGIN);
        let reading = async {
            let mut read = 0;
            while let Some(Ok(chunk)) = left.next().await {
                read += chunk.len();
                if read > limit {
                    break;
                }
            }
        };
        // Too slow or too much: the answer goes out all the same.
        let _ = tokio::time::timeout(PATIENCE, reading).await;
    }
    response
}
