//! A bearer token, verified.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html>

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::{Algorithm, Validation, dangerous, decode, decode_header};
use serde::Deserialize;

use super::keyring::{Keyring, NoKey};
use crate::config::{Admin, TokenUse};
use crate::event::{Caller, PoolId};

/// Verifies tokens of the pools that are ours.
#[derive(Debug)]
pub struct Verifier {
    keyring: Keyring,
    pools: BTreeMap<String, PoolId>,
    client_ids: BTreeSet<String>,
    token_use: TokenUse,
}

/// Why a token is not taken. The name is for metrics and logs; whoever sent it is
/// told no more than that it is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
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
}

impl Refused {
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
        }
    }
}

/// Differences between this clock and Cognito's, in seconds.
const LEEWAY: u64 = 30;

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

#[derive(Deserialize)]
struct Claims {
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

impl Verifier {
    /// For the pools that are ours.
    pub fn new(
        admin: &Admin,
        pools: &BTreeSet<PoolId>,
        keyring: impl FnOnce(Vec<String>) -> Keyring,
    ) -> Self {
        let pools: BTreeMap<String, PoolId> = pools
            .iter()
            .map(|pool| (admin.issuer_of(pool), pool.clone()))
            .collect();
        Self {
            keyring: keyring(pools.keys().cloned().collect()),
            pools,
            client_ids: admin.client_ids.clone(),
            token_use: admin.token_use,
        }
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn verify(&self, token: &str) -> Result<Caller, Refused> {
        let header = decode_header(token).map_err(|_| Refused::Malformed)?;
        if header.alg != Algorithm::RS256 {
            return Err(Refused::Algorithm);
        }
        // Not believed yet: it says whose keys to look for, among our pools.
        let Issuer { iss } = dangerous::insecure_decode::<Issuer>(token)
            .map_err(|_| Refused::Malformed)?
            .claims;
        let pool = self.pools.get(&iss).ok_or(Refused::Issuer)?;
        let kid = header.kid.ok_or(Refused::Key)?;
        let key = self.keyring.key(&iss, &kid).await.map_err(|no| match no {
            NoKey::Unknown => Refused::Key,
            NoKey::Unavailable => Refused::Unavailable,
        })?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&iss]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The client is in `aud` or in `client_id`, and is looked at below.
        validation.validate_aud = false;
        let claims = decode::<Claims>(token, &key, &validation)
            .map_err(|error| reason(&error))?
            .claims;
        self.caller(claims, pool)
    }

    fn caller(&self, claims: Claims, pool: &PoolId) -> Result<Caller, Refused> {
        let (wanted, client, username) = match self.token_use {
            TokenUse::Access => ("access", claims.client_id, claims.username),
            TokenUse::Id => ("id", claims.aud, claims.cognito_username),
        };
        if claims.token_use != wanted {
            return Err(Refused::Use);
        }
        let client = client
            .filter(|client| self.client_ids.contains(client))
            .ok_or(Refused::Client)?;
        let username = username.filter(|name| !name.is_empty());
        Ok(Caller {
            pool: pool.clone(),
            sub: Some(claims.sub)
                .filter(|sub| !sub.is_empty())
                .ok_or(Refused::Claims)?,
            username: username.ok_or(Refused::Claims)?,
            client,
            groups: claims.groups.unwrap_or_default(),
        })
    }
}

fn reason(error: &jsonwebtoken::errors::Error) -> Refused {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => Refused::Signature,
        ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Refused::Expired,
        ErrorKind::InvalidIssuer => Refused::Issuer,
        ErrorKind::InvalidAlgorithm => Refused::Algorithm,
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => Refused::Expired,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => Refused::Claims,
        _ => Refused::Malformed,
    }
}
