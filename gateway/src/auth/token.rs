//! Short-lived tokens: JWT signed with HMAC-SHA256 by a key all gateways of an install share.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use model::{AccessRole, Tenant};
use proto::ServiceError;
use serde::{Deserialize, Serialize};

use crate::problem;

/// How long a token is valid, in seconds.
pub const TTL_SECS: i64 = 15 * 60;
/// Clocks of two gateways may differ by this many seconds.
const LEEWAY_SECS: u64 = 5;
/// Fewest bytes of a signing key.
pub const MIN_KEY_BYTES: usize = 32;

const ISSUER: &str = "picket";
const AUDIENCE: &str = "picket-api";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// Name of the user.
    pub sub: String,
    /// Whose user.
    pub tenant: Tenant,
    /// Role when it was issued. What counts is the user's current role.
    pub role: AccessRole,
    /// The user's generation: a token of an older one is void.
    #[serde(rename = "gen")]
    pub generation: String,
    /// Issued at, in seconds since 1970.
    pub iat: i64,
    /// Not valid before.
    pub nbf: i64,
    /// Not valid from then on.
    pub exp: i64,
}

/// Issues and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// With a key of at least [`MIN_KEY_BYTES`] bytes.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.algorithms = vec![Algorithm::HS256];
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECS;
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
        }
    }

    /// A token for a user, valid from `now_secs` for [`TTL_SECS`].
    ///
    /// # Errors
    /// When signing fails, which is a fault of ours.
    pub fn issue(
        &self,
        tenant: &Tenant,
        name: &str,
        role: AccessRole,
        generation: &str,
        now_secs: i64,
    ) -> Result<String, ServiceError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: name.to_owned(),
            tenant: tenant.clone(),
            role,
            generation: generation.to_owned(),
            iat: now_secs,
            nbf: now_secs,
            exp: now_secs.saturating_add(TTL_SECS),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|error| problem::internal("jwt", &error))
    }

    /// What a valid token says; `None` for any other.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Claims> {
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .ok()
            .map(|data| data.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> i64 {
        model::Timestamp::now().as_secs()
    }

    fn issue(tokens: &Tokens, at: i64) -> String {
        tokens
            .issue(&Tenant::default(), "ana", AccessRole::Analyst, "g1", at)
            .unwrap()
    }

    #[test]
    fn a_token_says_what_it_was_issued_for() {
        let tokens = Tokens::new(&[7; 32]);
        let claims = tokens.verify(&issue(&tokens, now())).unwrap();
        assert_eq!((claims.sub.as_str(), claims.role), ("ana", AccessRole::Analyst));
        assert_eq!(claims.exp - claims.iat, TTL_SECS);
    }

    #[test]
    fn expired_early_foreign_and_forged_tokens_are_refused() {
        let tokens = Tokens::new(&[7; 32]);
        let good = issue(&tokens, now());
        assert_eq!(tokens.verify(&issue(&tokens, now() - TTL_SECS - 60)), None, "expired");
        assert_eq!(tokens.verify(&issue(&tokens, now() + 60)), None, "not yet valid");
        assert_eq!(Tokens::new(&[8; 32]).verify(&good), None, "foreign key");
        assert_eq!(tokens.verify(""), None);
        assert_eq!(tokens.verify("a.b.c"), None);

        let sign = |header: Header, changes: &[(&str, Option<&str>)]| {
            let mut claims = serde_json::to_value(tokens.verify(&good).unwrap()).unwrap();
            for (name, value) in changes {
                match value {
                    Some(value) => claims[*name] = (*value).into(),
                    None => {
                        claims.as_object_mut().unwrap().remove(*name);
                    }
                }
            }
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&[7; 32])).unwrap()
        };
        let hs256 = || Header::new(Algorithm::HS256);
        assert!(tokens.verify(&sign(hs256(), &[])).is_some());
        assert_eq!(
            tokens.verify(&sign(Header::new(Algorithm::HS512), &[])),
            None,
            "algorithm"
        );
        for claim in ["iss", "aud"] {
            assert_eq!(
                tokens.verify(&sign(hs256(), &[(claim, Some("other"))])),
                None,
                "{claim}"
            );
        }
        for claim in ["iss", "aud", "exp", "nbf", "sub"] {
            assert_eq!(tokens.verify(&sign(hs256(), &[(claim, None)])), None, "no {claim}");
        }
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        use base64::Engine as _;
        let encode = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
        let tokens = Tokens::new(&[7; 32]);
        let payload = issue(&tokens, now()).split('.').nth(1).unwrap().to_owned();
        let unsigned = format!("{}.{payload}.", encode(r#"{"alg":"none","typ":"JWT"}"#));
        assert_eq!(tokens.verify(&unsigned), None);
    }
}
