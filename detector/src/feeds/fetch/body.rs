//! Bytes as they arrive.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;

use super::super::error::Error;

/// Bytes read from a file at a time.
const PIECE: usize = 64 * 1024;

/// The bytes of an answer or a file.
pub(crate) struct Body(Inner);

enum Inner {
    Http(Box<reqwest::Response>, Duration),
    File(tokio::fs::File, Vec<u8>),
}

impl Body {
    pub(super) fn http(response: reqwest::Response, silence: Duration) -> Self {
        Self(Inner::Http(Box::new(response), silence))
    }

    pub(super) fn file(file: tokio::fs::File) -> Self {
        Self(Inner::File(file, vec![0; PIECE]))
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.0 {
            Inner::Http(response, silence) => match tokio::time::timeout(*silence, response.chunk()).await {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(error)) => Err(Error::failed(format!(
                    "read the answer: {}",
                    cause(&error.without_url())
                ))),
                Err(_) => Err(Error::failed(format!(
                    "read the answer: nothing came for {} s",
                    silence.as_secs()
                ))),
            },
            Inner::File(file, buffer) => {
                let read = file
                    .read(buffer)
                    .await
                    .map_err(|error| Error::failed(format!("read the file: {error}")))?;
                Ok((read > 0).then(|| Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default())))
            }
        }
    }
}

/// The innermost cause, which is what people understand.
pub(super) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}
