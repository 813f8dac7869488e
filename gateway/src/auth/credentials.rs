//! Credentials as they come in headers or gRPC metadata.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proto::ServiceError;
use secrecy::SecretString;

use super::password::MAX_PASSWORD_BYTES;
use super::unauthenticated;

/// Header names of the API key, in the order in which they are looked for.
const API_KEY_HEADERS: [&str; 2] = ["x-api-key", "api-key"];
/// Longest credential that is looked at, in bytes.
const MAX_CREDENTIAL_BYTES: usize = 4096;
/// Longest user name, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 63;

/// What a caller presents.
#[derive(Debug)]
pub enum Credentials {
    /// HTTP Basic.
    Basic {
        /// User name.
        name: String,
        /// Password.
        password: SecretString,
    },
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `x-api-key` or `api-key`.
    ApiKey(SecretString),
}

impl Credentials {
    /// The first credentials found: `Authorization`, then the API key headers; `None` without any.
    ///
    /// # Errors
    /// When a header is there but not readable; the detail names it.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ServiceError> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            let text = value
                .to_str()
                .ok()
                .filter(|text| text.len() <= MAX_CREDENTIAL_BYTES)
                .ok_or_else(|| unauthenticated("authorization: expected `Basic …` or `Bearer …`"))?;
            return Self::from_authorization(text).map(Some);
        }
        for name in API_KEY_HEADERS {
            if let Some(value) = headers.get(name) {
                return match value.to_str() {
                    Ok(text) if !text.is_empty() && text.len() <= MAX_CREDENTIAL_BYTES => {
                        Ok(Some(Self::ApiKey(text.trim().to_owned().into())))
                    }
                    Ok(_) | Err(_) => Err(unauthenticated("x-api-key: expected an API key")),
                };
            }
        }
        Ok(None)
    }

    fn from_authorization(text: &str) -> Result<Self, ServiceError> {
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Ok(Self::Bearer(rest.to_owned().into()));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = BASE64_STANDARD
                .decode(rest)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((name, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
                // Overlong ones cannot be right, and are not worth a hash.
                if (1..=MAX_NAME_BYTES).contains(&name.len()) && password.len() <= MAX_PASSWORD_BYTES {
                    return Ok(Self::Basic {
                        name: name.to_owned(),
                        password: password.to_owned().into(),
                    });
                }
            }
        }
        Err(unauthenticated("authorization: expected `Basic …` or `Bearer …`"))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parse(pairs: &[(&'static str, &str)]) -> Result<Option<String>, ServiceError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = Credentials::from_headers(&headers)?;
        Ok(found.map(|credentials| match credentials {
            Credentials::Basic { name, password } => format!("basic {name} {}", password.expose_secret()),
            Credentials::Bearer(token) => format!("bearer {}", token.expose_secret()),
            Credentials::ApiKey(key) => format!("key {}", key.expose_secret()),
        }))
    }

    #[test]
    fn each_way_to_sign_in_is_understood() {
        for (pairs, expected) in [
            (&[][..], None),
            (
                &[("authorization", "Basic YW5hOnNlOmNyZXQ=")],
                Some("basic ana se:cret"),
            ),
            (&[("authorization", "bearer abc")], Some("bearer abc")),
            (&[("x-api-key", "pk_1")], Some("key pk_1")),
            (&[("api-key", "pk_2")], Some("key pk_2")),
            (&[("api-key", "pk_2"), ("authorization", "Bearer t")], Some("bearer t")),
        ] {
            assert_eq!(parse(pairs).unwrap().as_deref(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn malformed_ones_are_refused_by_name() {
        let long = "a".repeat(5000);
        for (name, value) in [
            ("authorization", "Basic"),
            ("authorization", "Basic !!!"),
            ("authorization", "Basic bm9jb2xvbg=="),
            ("authorization", "Basic OnBhc3N3b3Jk"),
            ("authorization", "Bearer "),
            ("authorization", "Digest x"),
            ("authorization", long.as_str()),
            ("x-api-key", ""),
            ("x-api-key", long.as_str()),
        ] {
            let error = parse(&[(name, value)]).unwrap_err();
            assert!(error.detail.starts_with(name), "{name}: {}", error.detail);
        }
    }
}
