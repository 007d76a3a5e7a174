//! Who is let in.

use crate::aws::{Failure, Listing};
use crate::config::Admin;
use crate::event::{Caller, Username};
use crate::provision::is_administrator;

use super::token::{Refused, Verifier};

/// Lets administrators in, and people to what is theirs.
#[derive(Debug)]
pub struct Gate {
    verifier: Verifier,
    admin: Admin,
    listing: Listing,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No token at all.
    NoToken,
    /// The token is not taken.
    Token(Refused),
    /// A good token of somebody who is no administrator.
    NotAdministrator,
    /// Whether they still are one could not be found out.
    Unverified(Failure),
}

impl Denied {
    /// The name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Token(refused) => refused.name(),
            Self::NotAdministrator => "not_administrator",
            Self::Unverified(_) => "unverified",
        }
    }
}

impl Gate {
    /// With the settings of `[admin]`.
    pub fn new(verifier: Verifier, admin: Admin, listing: Listing) -> Self {
        Self {
            verifier,
            admin,
            listing,
        }
    }

    /// Anybody with a good token. `authorization` is the header's value.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn anybody(&self, authorization: Option<&str>) -> Result<Caller, Denied> {
        let admitted = match authorization.and_then(bearer) {
            Some(token) => self.verifier.verify(token).await.map_err(Denied::Token),
            None => Err(Denied::NoToken),
        };
        counted(admitted)
    }

    /// Whether the token names an administrator.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn named(&self, caller: &Caller) -> Result<(), Denied> {
        counted(if self.admin.admits(&caller.groups) {
            Ok(())
        } else {
            Err(Denied::NotAdministrator)
        })
    }

    /// Whether they still are one, where `admin.verify_membership` asks for it: a token
    /// tells it as it was when it was issued.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn still(&self, caller: &Caller) -> Result<(), Denied> {
        if !self.admin.verify_membership {
            return Ok(());
        }
        counted(self.is_member(caller).await)
    }

    async fn is_member(&self, caller: &Caller) -> Result<(), Denied> {
        let username = Username::new(&caller.username).ok_or(Denied::NotAdministrator)?;
        match is_administrator(&self.listing, &self.admin, &caller.pool, &username).await {
            Ok(Some(true)) => Ok(()),
            // Or deleted meanwhile.
            Ok(Some(false) | None) => Err(Denied::NotAdministrator),
            Err(failure) => Err(Denied::Unverified(failure)),
        }
    }
}

fn counted<T>(admitted: Result<T, Denied>) -> Result<T, Denied> {
    if let Err(denied) = &admitted {
        metrics::counter!("usher_admin_denied_total", "reason" => denied.name()).increment(1);
    }
    admitted
}

/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
