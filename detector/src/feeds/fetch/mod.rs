//! Getting at a feed's bytes, over HTTP or from a file.

mod addresses;
mod body;
mod http;

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use model::feed::{FeedSpec, SECRET_PLACE};
use reqwest::Url;

use super::error::Error;
use super::secret::{Credentials, Places};

pub(crate) use body::Body;
pub(crate) use http::Http;

/// What a run may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes in all, unpacked.
    pub(crate) max_bytes: u64,
    /// Whether private addresses may be fetched from. Link-local ones never may.
    pub(crate) private_addresses: bool,
    /// How long a publisher may stay silent.
    pub(crate) silence: Duration,
}

/// What we had when we read last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// What there is.
pub(crate) enum Answer {
    /// What we had.
    Unchanged,
    /// Something to read.
    Content(Box<Content>),
}

/// Something to read.
pub(crate) struct Content {
    pub(crate) body: Body,
    pub(crate) validators: Validators,
    /// TAXII: when the last object of the page was added.
    pub(crate) added_last: Option<String>,
}

/// Where a feed is.
pub(crate) enum Origin {
    Http(Box<Http>, Url),
    File(PathBuf),
}

impl Origin {
    /// Finds the feed, its secret and its authority.
    pub(crate) fn of(spec: &FeedSpec, places: &Places, limits: Limits) -> Result<Self, Error> {
        if let Some(path) = &spec.path {
            return Ok(Self::File(places.file(path)?));
        }
        let url = spec.url.as_deref().unwrap_or_default();
        let credentials = places.credentials(&spec.auth)?;
        let ca = match &spec.options.ca_file {
            Some(file) => {
                let path = places.secret_file(file, "options.ca_file")?;
                let pem =
                    std::fs::read(path).map_err(|error| Error::failed(format!("options.ca_file {file}: {error}")))?;
                Some(pem)
            }
            None => None,
        };
        let real = match &credentials {
            Credentials::Url(secret) => url.replace(SECRET_PLACE, &encoded(secret.expose())),
            Credentials::None | Credentials::Basic(..) | Credentials::Bearer(_) | Credentials::Header(..) => {
                url.to_owned()
            }
        };
        let real = Url::parse(&real).map_err(|_| Error::failed("url: expected a URL"))?;
        let http = Http::new(&real, credentials, ca.as_deref(), limits)?;
        Ok(Self::Http(Box::new(http), real))
    }

    /// Opens the feed itself.
    pub(crate) async fn open(&self, had: &Validators) -> Result<Answer, Error> {
        match self {
            Self::Http(http, url) => http.get(url, had, "*/*").await,
            Self::File(path) => open_file(path, had).await,
        }
    }

    /// A file beside the feed's own: `name` takes the place of the last part of its path, or is added to a directory.
    pub(crate) async fn open_beside(&self, name: &str, had: &Validators) -> Result<Answer, Error> {
        match self {
            Self::Http(http, url) => {
                let mut base = url.clone();
                let path = base.path().to_owned();
                let is_file = path.rsplit('/').next().is_some_and(|last| last.ends_with(".json"));
                if !is_file && !path.ends_with('/') {
                    base.set_path(&format!("{path}/"));
                }
                let url = base
                    .join(name)
                    .map_err(|_| Error::failed("url: expected the URL of a directory"))?;
                http.get(&url, had, "application/json").await
            }
            Self::File(path) => {
                let directory = if path.is_dir() {
                    path.as_path()
                } else {
                    path.parent().unwrap_or(path)
                };
                open_file(&directory.join(name), had).await
            }
        }
    }
}

/// What may stand in a path and a query as it is; the rest is escaped.
fn encoded(secret: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    secret
        .bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

async fn open_file(path: &std::path::Path, had: &Validators) -> Result<Answer, Error> {
    let told = |error: std::io::Error| Error::failed(format!("open the file: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(told)?;
    let metadata = file.metadata().await.map_err(told)?;
    if !metadata.is_file() {
        return Err(Error::failed("open the file: expected a plain file"));
    }
    let changed = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let validators = Validators {
        etag: changed.map(|changed| format!("{}-{}", changed.as_nanos(), metadata.len())),
        last_modified: None,
    };
    if validators.etag.is_some() && validators.etag == had.etag {
        return Ok(Answer::Unchanged);
    }
    Ok(Answer::Content(Box::new(Content {
        body: Body::file(file),
        validators,
        added_last: None,
    })))
}
