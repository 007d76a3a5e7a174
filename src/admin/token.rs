//! A bearer token, verified.
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

/// Verifies tokens of the pools that are ours.
#[derive(Debug)]
pub struct TokenVerifier {
    jwks: JwksCache,
    /// By issuer: each pool has two.
    pools: BTreeMap<String, PoolId>,
    client_ids: BTreeSet<String>,
    token_use: TokenUse,
    refusal_limiter: RefusalLimiter,
}

/// Why a token is not taken. The name is for metrics and logs; whoever sent it is
/// told no more than that it is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// Not three parts of base64 with JSON in them.
    Malformed,
    /// Signed with anything but RS256: the public key must not become a secret.
    Algorithm,
    /// Issued by somebody else.
    Issuer,
    /// Signed with a key that the pool does not have.
    Key,
    /// Not signed by the pool.
    Signature,
    /// No longer, or not yet.
    Expired,
    /// An id token where an access token is taken, or the other way round.
    Use,
    /// Issued to another app client.
    Client,
    /// It lacks who it is for.
    Claims,
    /// The pool's keys could not be fetched: not the token's fault.
    Unavailable,
    /// Not checked, since too many were refused: it may be good.
    RateLimited,
}

impl TokenError {
    /// The name in metrics.
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

/// A token with 300 groups of 40 characters has some 20 kB. Decoding a larger one would cost
/// more than its signature, before any limit of failed checks.
const MAX_TOKEN_BYTES: usize = 32 * 1024;
/// Differences between this clock and Cognito's.
const LEEWAY: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Claims {
    iss: String,
    /// Seconds since 1970; a number of JSON need not be whole.
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
    /// For the pools that are ours.
    pub fn new(
        admin: &AdminConfig,
        pools: &BTreeSet<PoolId>,
        keyring: impl FnOnce(Vec<String>) -> JwksCache,
    ) -> Self {
        let pools: BTreeMap<String, PoolId> = pools
            .iter()
            .flat_map(|pool| {
                let issuers = admin.issuers_of(pool).into_iter();
                issuers.map(|issuer| (issuer, pool.clone()))
            })
            .collect();
        Self {
            jwks: keyring(pools.keys().cloned().collect()),
            pools,
            client_ids: admin.client_ids.clone(),
            token_use: admin.token_use,
            refusal_limiter: RefusalLimiter::new(),
        }
    }

    /// Whose token it is. What can be refused without its signature is refused before.
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
        // Not believed yet.
        let claims: Claims =
            dangerous::insecure_decode_claims(token).map_err(|e| token_error(&e))?;
        let issuer = claims.iss.clone();
        if claims.exp + LEEWAY.as_secs_f64() < now() {
            return Err(TokenError::Expired);
        }
        let claimed = self.caller_from_claims(claims)?;
        let key = self.jwks.key(&issuer, &kid).await.map_err(|no| match no {
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
        // The client is in `aud` or in `client_id`, and is looked at below.
        validation.validate_aud = false;
        let claims = decode::<Claims>(token, key, &validation)
            .map_err(|error| token_error(&error))?
            .claims;
        self.caller_from_claims(claims)
    }

    fn caller_from_claims(&self, claims: Claims) -> Result<Caller, TokenError> {
        let pool = self.pools.get(&claims.iss).ok_or(TokenError::Issuer)?;
        let (wanted, client, username) = match self.token_use {
            TokenUse::Access => ("access", claims.client_id, claims.username),
            TokenUse::Id => ("id", claims.aud, claims.cognito_username),
        };
        if claims.token_use != wanted {
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

        /// What becomes of so many tokens of strangers, each with a signature that is
        /// another token's.
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

    /// The token's header with these claims.
    fn unsigned(token: &str, claims: &Value) -> String {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let header = token.split('.').next().expect("a header");
        format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_forged_tokens_costs_few_signature_checks() {
        let pool = VerifierFixture::new();
        let first = pool.issuer.sign(&VerifierFixture::claims("admin"), None);
        assert!(pool.verifier.verify(&first).await.is_ok());
        let flood = pool.forged(1_000).await;
        assert_eq!(
            flood,
            BTreeMap::from([("signature", 100), ("limited", 900)])
        );
        // A token that was not seen before, of somebody who was.
        let mut renewed = VerifierFixture::claims("admin");
        renewed["jti"] = json!("renewed");
        let renewed = pool.issuer.sign(&renewed, None);
        let caller = pool.verifier.verify(&renewed).await.expect("let in");
        assert_eq!(caller.sub, "admin");
        let newcomer = pool.issuer.sign(&VerifierFixture::claims("newcomer"), None);
        assert_eq!(
            pool.verifier.verify(&newcomer).await,
            Err(TokenError::RateLimited)
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(pool.verifier.verify(&newcomer).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_refused_at_sight_leave_the_signature_checks() {
        let pool = VerifierFixture::new();
        for (member, value, refused) in [
            ("exp", json!(now() - 120.0), TokenError::Expired),
            ("iss", json!("https://issuer.example"), TokenError::Issuer),
            ("client_id", json!("other"), TokenError::Client),
            ("token_use", json!("id"), TokenError::Use),
        ] {
            let mut claims = VerifierFixture::claims("somebody");
            claims[member] = value;
            let token = pool.issuer.sign(&claims, None);
            for _ in 0..200 {
                assert_eq!(pool.verifier.verify(&token).await, Err(refused), "{member}");
            }
        }
        let flood = pool.forged(100).await;
        assert_eq!(flood, BTreeMap::from([("signature", 100)]));
    }
}
