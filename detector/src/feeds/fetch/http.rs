//! A publisher over HTTP.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::super::error::Error;
use super::super::secret::Credentials;
use super::addresses::{REFUSED, Resolver, may_fetch};
use super::body::{Body, cause};
use super::{Answer, Content, Limits, Validators};

/// Time to open a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Most redirects.
const MAX_REDIRECTS: usize = 5;
/// Longest value of a header that is kept.
const MAX_VALIDATOR: usize = 512;
/// Longest time a publisher can make us wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
const ADDED_LAST: &str = "x-taxii-date-added-last";
const ADDED_FIRST: &str = "x-taxii-date-added-first";

/// A client for one publisher.
pub(crate) struct Http {
    client: Client,
    /// Where secrets may go.
    home: url::Origin,
    credentials: Credentials,
    limits: Limits,
}

impl Http {
    pub(super) fn new(url: &Url, credentials: Credentials, ca: Option<&[u8]>, limits: Limits) -> Result<Self, Error> {
        if !matches!(credentials, Credentials::None) && url.scheme() != "https" && !is_loopback(url) {
            return Err(Error::failed("url: expected https, a secret would be sent in clear"));
        }
        let resolver = Resolver {
            private_addresses: limits.private_addresses,
        };
        let mut builder = Client::builder()
            // Followed by hand: the library would send secrets in headers of our own choice anywhere.
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .dns_resolver(Arc::new(resolver))
            .user_agent(concat!("picket-feeds/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = ca {
            let roots = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| Error::failed(format!("options.ca_file: {}", cause(&error))))?;
            builder = builder.tls_certs_only(roots);
        }
        let client = builder
            .build()
            .map_err(|error| Error::failed(format!("make a client: {}", cause(&error))))?;
        Ok(Self {
            client,
            home: url.origin(),
            credentials,
            limits,
        })
    }

    /// Whether an address is this publisher's, so that its secret may go there.
    pub(crate) fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.home
    }

    /// Asks for something, unless we have it.
    pub(crate) async fn get(&self, url: &Url, had: &Validators, accept: &'static str) -> Result<Answer, Error> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&url, had, accept).await?;
            let status = response.status();
            if status == StatusCode::NOT_MODIFIED {
                return Ok(Answer::Unchanged);
            }
            if status.is_redirection() {
                url = redirected(&url, &response)?;
                continue;
            }
            return self.answer(status, response);
        }
        Err(Error::failed(format!("expected at most {MAX_REDIRECTS} redirects")))
    }

    async fn send(&self, url: &Url, had: &Validators, accept: &'static str) -> Result<Response, Error> {
        let literal = url
            .host_str()
            .map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>());
        if let Some(Ok(address)) = literal
            && !may_fetch(address, self.limits.private_addresses)
        {
            return Err(Error::failed(format!("url: {REFUSED}")));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in [(IF_NONE_MATCH, &had.etag), (IF_MODIFIED_SINCE, &had.last_modified)] {
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        let mut request = self.client.get(url.clone()).headers(headers);
        if self.is_home(url) {
            request = match &self.credentials {
                Credentials::None | Credentials::Url(_) => request,
                Credentials::Basic(user, secret) => request.basic_auth(user, Some(secret.expose())),
                Credentials::Bearer(secret) => {
                    request.header(AUTHORIZATION, sensitive(&format!("Bearer {}", secret.expose()))?)
                }
                Credentials::Header(name, secret) => {
                    let name = HeaderName::from_bytes(name.as_bytes())
                        .map_err(|_| Error::failed("auth.name: expected the name of an HTTP header"))?;
                    request.header(name, sensitive(secret.expose())?)
                }
            };
        }
        match tokio::time::timeout(self.limits.silence, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Error::failed(format!(
                "reach the server: {}",
                cause(&error.without_url())
            ))),
            Err(_) => {
                let silence = self.limits.silence.as_secs();
                Err(Error::failed(format!("reach the server: no answer within {silence} s")))
            }
        }
    }

    fn answer(&self, status: StatusCode, response: Response) -> Result<Answer, Error> {
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return Err(Error::Failed {
                message: format!("the server answered {status}"),
                retry_after: retry_after(response.headers(), Utc::now()),
            });
        }
        if !status.is_success() {
            return Err(Error::Status(status.as_u16()));
        }
        if let Some(length) = response.content_length()
            && length > self.limits.max_bytes
        {
            return Err(Error::failed(format!(
                "expected at most {} bytes, the server announced {length}",
                self.limits.max_bytes
            )));
        }
        let text = |name: HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            (value.len() <= MAX_VALIDATOR).then(|| value.to_owned())
        };
        let validators = Validators {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
        };
        let added_last =
            text(HeaderName::from_static(ADDED_LAST)).or_else(|| text(HeaderName::from_static(ADDED_FIRST)));
        Ok(Answer::Content(Box::new(Content {
            body: Body::http(response, self.limits.silence),
            validators,
            added_last,
        })))
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, Error> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| Error::failed("auth: expected a secret that fits into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

fn redirected(from: &Url, response: &Response) -> Result<Url, Error> {
    let to = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| from.join(value).ok())
        .ok_or_else(|| Error::failed("expected a redirect to say where to"))?;
    match (from.scheme(), to.scheme()) {
        ("https", "https") | ("http", "http" | "https") => Ok(to),
        ("https", _) => Err(Error::failed("expected a redirect to stay with https")),
        _ => Err(Error::failed("expected a redirect to http or https")),
    }
}

/// Seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc) - now)
            .to_std()
            .ok()?,
    };
    Some(wait.min(MAX_RETRY_AFTER))
}
