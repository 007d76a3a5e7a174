//! Which issuer the tokens of a user pool name, and whether its keys can be fetched.

use serde_json::Value;

use super::Findings;
use crate::aws::{KeySets, Members, Refused};
use crate::config::Admin;
use crate::event::{IssuerType, PoolId};

impl Findings {
    /// The issuer that new tokens of the pool name, as far as that can be found out.
    pub(super) fn issuer(
        &mut self,
        admin: &Admin,
        pool: &PoolId,
        settings: &Result<Members, Refused>,
    ) -> Option<String> {
        let what = format!("issuer of {pool}");
        if !admin.issuers.is_empty() {
            let issuers = admin.issuers_of(pool).join(" or ");
            self.right(&what, format!("{issuers}, an emulator (admin.issuer)"));
            return None;
        }
        let settings = match settings {
            Ok(settings) => settings,
            Err(refused) => {
                self.unknown(&what, &refused.failure);
                return None;
            }
        };
        let name = settings
            .get("IssuerConfiguration")
            .and_then(|configuration| configuration.get("Type"))
            .and_then(Value::as_str)
            .unwrap_or(IssuerType::Original.name());
        let Some(kind) = IssuerType::named(name) else {
            let detail = format!(
                "{name} is a type that this version does not know: its tokens may be refused"
            );
            self.untested(&what, &detail);
            return None;
        };
        let Some(issuer) = kind.of(pool) else {
            let detail = "the pool's id begins with no Region of AWS: for an emulator, set \
                          admin.issuer";
            self.untested(&what, detail);
            return None;
        };
        let detail = format!("{issuer} ({name}); tokens of its other issuer are accepted as well");
        self.right(&what, detail);
        Some(issuer)
    }

    /// The keys of each issuer. Those of `own`, which new tokens name, must be there;
    /// where it is not known, those of any.
    pub(super) async fn keys(&mut self, admin: &Admin, pool: &PoolId, own: Option<String>) {
        let what = format!("keys of {pool}");
        let Some(sets) = KeySets::new() else {
            return self.wrong(&what, "this build has no HTTP client");
        };
        let (mut fetched, mut failed) = (Vec::new(), Vec::new());
        for issuer in admin.issuers_of(pool) {
            match sets.fetch(&issuer).await {
                Ok(_) => fetched.push(issuer),
                Err(error) => failed.push(format!("{issuer}: {error}")),
            }
        }
        let failed = failed.join("; ");
        let suffices = own.map_or(!fetched.is_empty(), |own| fetched.contains(&own));
        if !suffices {
            let none = "there is no issuer to fetch them from";
            return self.wrong(&what, if failed.is_empty() { none } else { &failed });
        }
        let fetched = fetched.join(" and ");
        let detail = if failed.is_empty() {
            format!("can be fetched from {fetched}")
        } else {
            format!("can be fetched from {fetched}; but not all: {failed}")
        };
        self.right(&what, detail);
    }
}
