//! Verifies bearer tokens of allowed pools.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html>

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous, decode, decode_header};
use serde::Deserialize;

use super::jwks_cache::{JwksCache, KeyLookupError};
use super::refusal_limiter::RefusalLimiter;
use crate::config::{AdminConfig, TokenUse};
use crate::event::{Caller, PoolId};

/// Verifies tokens of the pools of `pools.allowed`.
#[derive(Debug)]
pub struct TokenVerifier {
    jwks: JwksCache,
    /// By issuer: each pool has two.
    pools: BTreeMap<String, PoolId>,
    client_ids: BTreeSet<String>,
    token_use: TokenUse,
    refusal_limiter: RefusalLimiter,
}

/// Why a token is refused. The name is only for metrics and logs: the response does not say
/// why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// Not three parts of base64 with JSON in them, or too long.
    Malformed,
    /// Not RS256: a public key must never be used as the secret of another algorithm.
    Algorithm,
    /// Issued by another issuer than the allowed pools.
    Issuer,
    /// Signed with a key that the pool does not have.
    Key,
    /// The signature does not match the key.
    Signature,
    /// No longer valid, or not yet.
    Expired,
    /// An id token instead of an access token, or vice versa.
    Use,
    /// Issued to an app client that is not in `admin.client_ids`.
    Client,
    /// A claim is missing that names the user.
    Claims,
    /// The pool's keys could not be fetched; the token may be good.
    Unavailable,
    /// Not checked, since too many were refused; the token may be good.
    RateLimited,
}

impl TokenError {
    /// The label `reason` in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Use => "use",
            Self::Client => "client",
            Self::Claims => "claims",
            Self::Unavailable => "unavailable",
            Self::RateLimited => "limited",
        }
    }
}

/// A token with 300 groups of 40 characters has some 20 kB. Decoding a much larger one would
/// cost more than its signature check, before the limit of refused tokens applies.
const MAX_TOKEN_BYTES: usize = 32 * 1024;
/// Allowed difference between this clock and Cognito's.
const LEEWAY: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Claims {
    iss: String,
    /// Seconds since 1970; a JSON number may have a fraction.
    exp: f64,
    sub: String,
    token_use: String,
    username: Option<String>,
    #[serde(rename = "cognito:username")]
    cognito_username: Option<String>,
    client_id: Option<String>,
    aud: Option<String>,
    #[serde(rename = "cognito:groups", default)]
    groups: Option<BTreeSet<String>>,
}

impl TokenVerifier {
    /// Accepts the issuers of `pools`. `new_cache` builds the cache for these issuers.
    pub fn new(
        admin: &AdminConfig,
        pools: &BTreeSet<PoolId>,
        new_cache: impl FnOnce(Vec<String>) -> JwksCache,
    ) -> Self {
        let pools: BTreeMap<String, PoolId> = pools
            .iter()
            .flat_map(|pool| {
                let issuers = admin.issuers_of(pool).into_iter();
                issuers.map(|issuer| (issuer, pool.clone()))
            })
            .collect();
        Self {
            jwks: new_cache(pools.keys().cloned().collect()),
            pools,
            client_ids: admin.client_ids.clone(),
            token_use: admin.token_use,
            refusal_limiter: RefusalLimiter::new(),
        }
    }

    /// Returns the token's user. Cheap checks come before the signature.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::RS256 {
            return Err(TokenError::Algorithm);
        }
        let kid = header.kid.ok_or(TokenError::Key)?;
        // Not verified yet.
        let claims: Claims =
            dangerous::insecure_decode_claims(token).map_err(|e| token_error(&e))?;
        let issuer = claims.iss.clone();
        if claims.exp + LEEWAY.as_secs_f64() < now() {
            return Err(TokenError::Expired);
        }
        let claimed = self.caller_from_claims(claims)?;
        let key = self
            .jwks
            .key(&issuer, &kid)
            .await
            .map_err(|error| match error {
                KeyLookupError::Unknown => TokenError::Key,
                KeyLookupError::Unavailable => TokenError::Unavailable,
            })?;
        if !self.refusal_limiter.may_check(&claimed, token) {
            return Err(TokenError::RateLimited);
        }
        let verified = self.verify_signature(token, &issuer, &key);
        match &verified {
            Ok(caller) => self.refusal_limiter.record_accepted(caller, token),
            Err(_) => self.refusal_limiter.record_refused(&claimed, token),
        }
        verified
    }

    fn verify_signature(
        &self,
        token: &str,
        issuer: &str,
        key: &DecodingKey,
    ) -> Result<Caller, TokenError> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The client is in `aud` or in `client_id`, and is checked below.
        validation.validate_aud = false;
        let claims = decode::<Claims>(token, key, &validation)
            .map_err(|error| token_error(&error))?
            .claims;
        self.caller_from_claims(claims)
    }

    fn caller_from_claims(&self, claims: Claims) -> Result<Caller, TokenError> {
        let pool = self.pools.get(&claims.iss).ok_or(TokenError::Issuer)?;
        let (expected, client, username) = match self.token_use {
            TokenUse::Access => ("access", claims.client_id, claims.username),
            TokenUse::Id => ("id", claims.aud, claims.cognito_username),
        };
        if claims.token_use != expected {
            return Err(TokenError::Use);
        }
        let client = client
            .filter(|client| self.client_ids.contains(client))
            .ok_or(TokenError::Client)?;
        let username = username.filter(|name| !name.is_empty());
        Ok(Caller {
            pool: pool.clone(),
            sub: Some(claims.sub)
                .filter(|sub| !sub.is_empty())
                .ok_or(TokenError::Claims)?,
            username: username.ok_or(TokenError::Claims)?,
            client_id: client,
            groups: claims.groups.unwrap_or_default(),
        })
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

fn token_error(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => TokenError::Expired,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => TokenError::Expired,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => TokenError::Claims,
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Config, Layers};
    use crate::dev::Issuer;

    const POOL: &str = "eu-west-1_x";

    struct VerifierFixture {
        issuer: Issuer,
        verifier: TokenVerifier,
    }

    impl VerifierFixture {
        fn new() -> Self {
            let settings = [
                "queue.url=https://sqs.eu-west-1.amazonaws.com/1/usher",
                "profiles.enabled=false",
                "pools.allowed=eu-west-1_x",
                "admin.client_ids=app",
            ];
            let layers = Layers::defaults().flags(&settings.map(str::to_owned));
            let config = Config::from_layers(&layers).expect("valid");
            let issuer = Issuer::default();
            let jwks = issuer.jwks().to_string();
            let verifier = TokenVerifier::new(&config.admin, &config.pools.allowed, |issuers| {
                JwksCache::with_keys(issuers, jwks.as_bytes())
            });
            Self { issuer, verifier }
        }

        fn claims(sub: &str) -> Value {
            json!({
                "iss": format!("https://cognito-idp.eu-west-1.amazonaws.com/{POOL}"),
                "exp": now() + 600.0, "sub": sub, "username": "somebody",
                "client_id": "app", "token_use": "access",
            })
        }

        /// Sends `count` tokens of unknown users, each with the signature of another token, and
        /// counts the errors by name.
        async fn forged(&self, count: usize) -> BTreeMap<&'static str, usize> {
            let good = self.issuer.sign(&Self::claims("somebody"), None);
            let (_, signature) = good.rsplit_once('.').expect("three parts");
            let mut results = BTreeMap::new();
            for n in 0..count {
                let unsigned = unsigned(&good, &Self::claims(&format!("stranger-{n}")));
                let result = self
                    .verifier
                    .verify(&format!("{unsigned}.{signature}"))
                    .await;
                let name = result.expect_err("refused").name();
                *results.entry(name).or_default() += 1;
            }
            results
        }
    }

    /// The token's header and these claims, without a signature.
    fn unsigned(token: &str, claims: &Value) -> String {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let header = token.split('.').next().expect("a header");
        format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn flood_of_forged_tokens_costs_few_signature_checks() {
        let fixture = VerifierFixture::new();
        let first = fixture.issuer.sign(&VerifierFixture::claims("admin"), None);
        assert!(fixture.verifier.verify(&first).await.is_ok());
        let flood = fixture.forged(1_000).await;
        assert_eq!(
            flood,
            BTreeMap::from([("signature", 100), ("limited", 900)])
        );
        // A new token of a known user.
        let mut renewed = VerifierFixture::claims("admin");
        renewed["jti"] = json!("renewed");
        let renewed = fixture.issuer.sign(&renewed, None);
        let caller = fixture.verifier.verify(&renewed).await.expect("let in");
        assert_eq!(caller.sub, "admin");
        let newcomer = fixture
            .issuer
            .sign(&VerifierFixture::claims("newcomer"), None);
        assert_eq!(
            fixture.verifier.verify(&newcomer).await,
            Err(TokenError::RateLimited)
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(fixture.verifier.verify(&newcomer).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_refused_before_the_signature_do_not_count() {
        let fixture = VerifierFixture::new();
        for (member, value, refused) in [
            ("exp", json!(now() - 120.0), TokenError::Expired),
            ("iss", json!("https://issuer.example"), TokenError::Issuer),
            ("client_id", json!("other"), TokenError::Client),
            ("token_use", json!("id"), TokenError::Use),
        ] {
            let mut claims = VerifierFixture::claims("somebody");
            claims[member] = value;
            let token = fixture.issuer.sign(&claims, None);
            for _ in 0..200 {
                assert_eq!(
                    fixture.verifier.verify(&token).await,
                    Err(refused),
                    "{member}"
                );
            }
        }
        let flood = fixture.forged(100).await;
        assert_eq!(flood, BTreeMap::from([("signature", 100)]));
    }
}
