//! The issuer that the tokens of a user pool name, and its keys.

use serde_json::Value;

use super::Findings;
use crate::aws::{JsonObject, JwksClient, SettingsError};
use crate::config::AdminConfig;
use crate::event::{IssuerType, PoolId};

impl Findings {
    /// The issuer that new tokens of the pool name; `None` if unknown or an emulator's.
    pub(super) fn check_issuer(
        &mut self,
        admin: &AdminConfig,
        pool: &PoolId,
        settings: &Result<JsonObject, SettingsError>,
    ) -> Option<String> {
        let what = format!("issuer of {pool}");
        if !admin.issuers.is_empty() {
            let issuers = admin.issuers_of(pool).join(" or ");
            self.add_right(&what, format!("{issuers}, an emulator (admin.issuer)"));
            return None;
        }
        let settings = match settings {
            Ok(settings) => settings,
            Err(error) => {
                self.add_failure(&what, &error.failure);
                return None;
            }
        };
        let name = settings
            .get("IssuerConfiguration")
            .and_then(|configuration| configuration.get("Type"))
            .and_then(Value::as_str)
            .unwrap_or(IssuerType::Original.name());
        let Some(kind) = IssuerType::from_name(name) else {
            let detail = format!(
                "{name} is a type that this version does not know: its tokens may be refused"
            );
            self.add_untested(&what, &detail);
            return None;
        };
        let Some(issuer) = kind.issuer_of(pool) else {
            let detail = "the pool's id begins with no Region of AWS: for an emulator, set \
                          admin.issuer";
            self.add_untested(&what, detail);
            return None;
        };
        let detail = format!("{issuer} ({name}); tokens of its other issuer are accepted as well");
        self.add_right(&what, detail);
        Some(issuer)
    }

    /// Fetches the keys of each issuer. Those of `own_issuer`, which new tokens name, must be
    /// there. If it is unknown, the keys of any issuer suffice.
    pub(super) async fn check_issuer_keys(
        &mut self,
        admin: &AdminConfig,
        pool: &PoolId,
        own_issuer: Option<String>,
    ) {
        let what = format!("keys of {pool}");
        let Some(jwks_client) = JwksClient::new() else {
            return self.add_wrong(&what, "this build has no HTTP client");
        };
        let (mut fetched, mut failed) = (Vec::new(), Vec::new());
        for issuer in admin.issuers_of(pool) {
            match jwks_client.fetch(&issuer).await {
                Ok(_) => fetched.push(issuer),
                Err(error) => failed.push(format!("{issuer}: {error}")),
            }
        }
        let failed = failed.join("; ");
        let suffices = own_issuer.map_or(!fetched.is_empty(), |own_issuer| {
            fetched.contains(&own_issuer)
        });
        if !suffices {
            let no_issuer = "there is no issuer to fetch them from";
            return self.add_wrong(
                &what,
                if failed.is_empty() {
                    no_issuer
                } else {
                    &failed
                },
            );
        }
        let fetched = fetched.join(" and ");
        let detail = if failed.is_empty() {
            format!("can be fetched from {fetched}")
        } else {
            format!("can be fetched from {fetched}; but not all: {failed}")
        };
        self.add_right(&what, detail);
    }
}
