//! Authorizes callers of the API.

use crate::aws::{Cognito, Failure};
use crate::config::AdminConfig;
use crate::event::{Caller, Username};
use crate::provision::is_administrator;

use super::token::{TokenError, TokenVerifier};

/// Authenticates users by their token, and authorizes administrators.
#[derive(Debug)]
pub(crate) struct Authorizer {
    verifier: TokenVerifier,
    admin: AdminConfig,
    cognito: Cognito,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// The request has no bearer token.
    NoToken,
    Token(TokenError),
    /// The token is good, but its user is not an administrator.
    NotAdministrator,
    /// Cognito could not say whether the user is still an administrator.
    Unverified(Failure),
}

impl AuthError {
    /// The label `reason` in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Token(refused) => refused.name(),
            Self::NotAdministrator => "not_administrator",
            Self::Unverified(_) => "unverified",
        }
    }

    /// Whether the token may be good.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unverified(_) | Self::Token(TokenError::Unavailable | TokenError::RateLimited)
        )
    }
}

impl Authorizer {
    pub(crate) fn new(verifier: TokenVerifier, admin: AdminConfig, cognito: Cognito) -> Self {
        Self {
            verifier,
            admin,
            cognito,
        }
    }

    /// Accepts every user with a good token. `authorization` is the value of the header.
    pub(crate) async fn authenticate(
        &self,
        authorization: Option<&str>,
    ) -> Result<Caller, AuthError> {
        match authorization.and_then(bearer_token) {
            Some(token) => self.verify(token).await,
            None => count_denied(Err(AuthError::NoToken)),
        }
    }

    /// Accepts every user with a good token.
    pub(crate) async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        let result = self.verifier.verify(token).await;
        count_denied(result.map_err(AuthError::Token))
    }

    /// Checks the groups of the token, without a call.
    pub(crate) fn require_admin(&self, caller: &Caller) -> Result<(), AuthError> {
        count_denied(if self.admin.is_admin(&caller.groups) {
            Ok(())
        } else {
            Err(AuthError::NotAdministrator)
        })
    }

    /// Asks Cognito for the current groups, if `admin.verify_membership` is on: those of the
    /// token are as old as the token.
    pub(crate) async fn require_current_admin(&self, caller: &Caller) -> Result<(), AuthError> {
        if !self.admin.verify_membership {
            return Ok(());
        }
        count_denied(self.verify_membership(caller).await)
    }

    async fn verify_membership(&self, caller: &Caller) -> Result<(), AuthError> {
        let username = Username::new(&caller.username).ok_or(AuthError::NotAdministrator)?;
        match is_administrator(&self.cognito, &self.admin, &caller.pool, &username).await {
            Ok(Some(true)) => Ok(()),
            // `None`: the user was deleted meanwhile.
            Ok(Some(false) | None) => Err(AuthError::NotAdministrator),
            Err(failure) => Err(AuthError::Unverified(failure)),
        }
    }
}

fn count_denied<T>(result: Result<T, AuthError>) -> Result<T, AuthError> {
    if let Err(error) = &result {
        metrics::counter!("usher_admin_denied_total", "reason" => error.name()).increment(1);
    }
    result
}

/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
