//! Who is let in.

use crate::aws::{Failure, Listing};
use crate::config::AdminConfig;
use crate::event::{Caller, Username};
use crate::provision::is_administrator;

use super::token::{TokenError, TokenVerifier};

/// Lets administrators in, and people to what is theirs.
#[derive(Debug)]
pub(crate) struct Authorizer {
    verifier: TokenVerifier,
    admin: AdminConfig,
    listing: Listing,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// No token at all.
    NoToken,
    /// The token is not taken.
    Token(TokenError),
    /// A good token of somebody who is no administrator.
    NotAdministrator,
    /// Whether they still are one could not be found out.
    Unverified(Failure),
}

impl AuthError {
    /// The name in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Token(refused) => refused.name(),
            Self::NotAdministrator => "not_administrator",
            Self::Unverified(_) => "unverified",
        }
    }
}

impl Authorizer {
    /// With the settings of `[admin]`.
    pub(crate) fn new(verifier: TokenVerifier, admin: AdminConfig, listing: Listing) -> Self {
        Self {
            verifier,
            admin,
            listing,
        }
    }

    /// Anybody with a good token. `authorization` is the header's value.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(crate) async fn authenticate(
        &self,
        authorization: Option<&str>,
    ) -> Result<Caller, AuthError> {
        let admitted = match authorization.and_then(bearer_token) {
            Some(token) => self.verifier.verify(token).await.map_err(AuthError::Token),
            None => Err(AuthError::NoToken),
        };
        count_denied(admitted)
    }

    /// Whether the token names an administrator.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(crate) fn require_admin(&self, caller: &Caller) -> Result<(), AuthError> {
        count_denied(if self.admin.is_admin(&caller.groups) {
            Ok(())
        } else {
            Err(AuthError::NotAdministrator)
        })
    }

    /// Whether they still are one, where `admin.verify_membership` asks for it: a token
    /// tells it as it was when it was issued.
    ///
    /// # Errors
    /// [`AuthError`].
    pub(crate) async fn require_current_admin(&self, caller: &Caller) -> Result<(), AuthError> {
        if !self.admin.verify_membership {
            return Ok(());
        }
        count_denied(self.verify_membership(caller).await)
    }

    async fn verify_membership(&self, caller: &Caller) -> Result<(), AuthError> {
        let username = Username::new(&caller.username).ok_or(AuthError::NotAdministrator)?;
        match is_administrator(&self.listing, &self.admin, &caller.pool, &username).await {
            Ok(Some(true)) => Ok(()),
            // Or deleted meanwhile.
            Ok(Some(false) | None) => Err(AuthError::NotAdministrator),
            Err(failure) => Err(AuthError::Unverified(failure)),
        }
    }
}

fn count_denied<T>(admitted: Result<T, AuthError>) -> Result<T, AuthError> {
    if let Err(denied) = &admitted {
        metrics::counter!("usher_admin_denied_total", "reason" => denied.name()).increment(1);
    }
    admitted
}

/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
