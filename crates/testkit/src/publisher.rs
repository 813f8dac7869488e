//! A web server that answers as a test says, well or badly.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200 with that body and an ETag that follows from it; 304 to who has it.
    Content(Vec<u8>),
    /// 200 with that body and further headers, without an ETag.
    With(Vec<u8>, Vec<(&'static str, String)>),
    /// That status, and when to try again.
    Status(u16, Option<&'static str>),
    /// 302 to there.
    Redirect(String),
    /// Half of that body, then the connection breaks.
    Truncated(Vec<u8>),
    /// That body, then silence.
    Stalled(Vec<u8>),
    /// That many bytes of zeros, a million at a time.
    Endless,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
}

#[derive(Debug, Default)]
struct Shared {
    replies: HashMap<String, Reply>,
    seen: Vec<Seen>,
}

/// A web server on loopback. Ends with the runtime it was started in.
#[derive(Clone, Debug)]
pub struct Publisher {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

impl Publisher {
    /// Starts one that answers 404 to everything.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind a port");
        let url = format!("http://{}", listener.local_addr().expect("bound address"));
        let shared = Arc::<Mutex<Shared>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::task::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, shared }
    }

    /// The address of a path, which begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Says what a path answers from now on, whatever the query, unless the path has one.
    pub fn set(&self, path: &str, reply: Reply) {
        self.lock().replies.insert(path.to_owned(), reply);
    }

    /// A text with an ETag.
    pub fn publish(&self, path: &str, text: &str) {
        self.set(path, Reply::Content(text.as_bytes().to_vec()));
    }

    /// The requests so far, of those that begin with `target`.
    #[must_use]
    pub fn seen(&self, target: &str) -> Vec<Seen> {
        let shared = self.lock();
        shared
            .seen
            .iter()
            .filter(|seen| seen.target.starts_with(target))
            .cloned()
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let target = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let path = request.uri().path().to_owned();
    let reply = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.seen.push(Seen {
            target: target.clone(),
            headers: request.headers().clone(),
        });
        shared
            .replies
            .get(&target)
            .or_else(|| shared.replies.get(&path))
            .cloned()
    };
    let piece = |bytes: Vec<u8>| Ok::<_, std::io::Error>(Bytes::from(bytes));
    match reply {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Reply::Content(body)) => {
            let etag = format!("\"{:x}-{}\"", checksum(&body), body.len());
            let had = request
                .headers()
                .get(IF_NONE_MATCH)
                .and_then(|value| value.to_str().ok());
            if had == Some(etag.as_str()) {
                return (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response();
            }
            ([(ETAG, etag)], body).into_response()
        }
        Some(Reply::With(body, headers)) => {
            let mut response = body.into_response();
            for (name, value) in headers {
                let value = value.parse().expect("a header value");
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            response
        }
        Some(Reply::Status(status, after)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            match after {
                Some(after) => (status, [(RETRY_AFTER, after)]).into_response(),
                None => status.into_response(),
            }
        }
        Some(Reply::Redirect(to)) => (StatusCode::FOUND, [(LOCATION, to)]).into_response(),
        Some(Reply::Truncated(body)) => {
            let length = body.len();
            let half = body[..length / 2].to_vec();
            let broken = Err(std::io::Error::other("broken off on purpose"));
            let body = Body::from_stream(stream::iter([piece(half), broken]));
            ([(CONTENT_LENGTH, length.to_string())], body).into_response()
        }
        Some(Reply::Stalled(body)) => {
            let stalled = stream::unfold(Some(body), async |body| match body {
                Some(body) => Some((Ok::<_, Infallible>(Bytes::from(body)), None)),
                None => {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                    None
                }
            });
            Body::from_stream(stalled).into_response()
        }
        Some(Reply::Endless) => {
            let endless = stream::repeat_with(move || piece(vec![b'\n'; 1_000_000]));
            Body::from_stream(endless).into_response()
        }
    }
}

/// Tells contents apart.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
