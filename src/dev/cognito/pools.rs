//! What the front has to know of pools, app clients and names, and the service
//! behind it does not keep.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::naming::Naming;
use super::passwords::PasswordPolicy;
use super::settings::RawPoolSettings;
use super::user::{EmbeddedUser, str_or_empty};

#[derive(Default)]
pub(super) struct PoolStore(Mutex<PoolStoreState>);

#[derive(Default)]
struct PoolStoreState {
    settings: HashMap<String, EmbeddedPoolSettings>,
    raw_settings: HashMap<String, RawPoolSettings>,
    clients: HashMap<String, AppClient>,
    /// Pool and `sub`, address or number, in lower case, to user name. A hint alone:
    /// users change and go.
    aliases: HashMap<(String, String), String>,
    /// Pool and user name, where the temporary password has run out.
    expired_passwords: HashSet<(String, String)>,
}

/// What `CreateUserPool` said.
#[derive(Debug, Clone, Default)]
pub(super) struct EmbeddedPoolSettings {
    pub(super) naming: Naming,
    /// Users may sign in with a code that is sent to them each time.
    pub(super) passwordless: bool,
    /// Attributes that nobody is confirmed without.
    pub(super) required_attributes: Vec<String>,
    pub(super) password_policy: PasswordPolicy,
    /// The invitation's subject and text, where the pool has its own.
    pub(super) invitation_template: Value,
}

#[derive(Debug, Clone)]
pub(super) struct AppClient {
    pub(super) id: String,
    pub(super) pool: String,
    pub(super) secret: Option<String>,
    pub(super) auth_flows: Vec<String>,
}

impl EmbeddedPoolSettings {
    fn from_input(input: &Value) -> Self {
        let factors = input["Policies"]["SignInPolicy"]["AllowedFirstAuthFactors"].as_array();
        let mut factors = factors.into_iter().flatten();
        Self {
            naming: Naming::from_input(input),
            passwordless: factors.any(|factor| factor == "EMAIL_OTP" || factor == "SMS_OTP"),
            required_attributes: input["Schema"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|attribute| attribute["Required"] == true && attribute["Name"] != "sub")
                .map(|attribute| str_or_empty(&attribute["Name"]).to_owned())
                .collect(),
            password_policy: PasswordPolicy::from_settings(&input["Policies"]["PasswordPolicy"]),
            invitation_template: input["AdminCreateUserConfig"]["InviteMessageTemplate"].clone(),
        }
    }
}

impl PoolStore {
    pub(super) fn add_pool(&self, id: &str, input: &Value) {
        let mut known = self.lock();
        known
            .settings
            .insert(id.to_owned(), EmbeddedPoolSettings::from_input(input));
        known
            .raw_settings
            .insert(id.to_owned(), RawPoolSettings::from_input(input));
    }

    pub(super) fn update_pool(&self, id: &str, input: &Value) {
        let mut known = self.lock();
        if let Some(settings) = known.settings.get_mut(id) {
            let now = EmbeddedPoolSettings::from_input(input);
            settings.password_policy = now.password_policy;
            settings.passwordless = now.passwordless;
            settings.invitation_template = now.invitation_template;
        }
        known
            .raw_settings
            .entry(id.to_owned())
            .or_default()
            .update(input);
    }

    /// What `UpdateUserPool` has to be given again.
    pub(super) fn raw_settings(&self, id: &str) -> Option<RawPoolSettings> {
        self.lock().raw_settings.get(id).cloned()
    }

    pub(super) fn set_raw_settings(&self, id: &str, given: RawPoolSettings) {
        self.lock().raw_settings.insert(id.to_owned(), given);
    }

    pub(super) fn add_client(&self, client: &Value) {
        let client = AppClient {
            id: str_or_empty(&client["ClientId"]).to_owned(),
            pool: str_or_empty(&client["UserPoolId"]).to_owned(),
            secret: client["ClientSecret"].as_str().map(str::to_owned),
            auth_flows: client["ExplicitAuthFlows"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|flow| str_or_empty(flow).to_owned())
                .collect(),
        };
        self.lock().clients.insert(client.id.clone(), client);
    }

    pub(super) fn settings(&self, pool: &str) -> Option<EmbeddedPoolSettings> {
        self.lock().settings.get(pool).cloned()
    }

    pub(super) fn client(&self, id: &str) -> Option<AppClient> {
        self.lock().clients.get(id).cloned()
    }

    /// Notes the other names of a user.
    pub(super) fn add_aliases(&self, pool: &str, user: &EmbeddedUser) {
        let mut known = self.lock();
        for name in ["sub", "email", "phone_number", "preferred_username"] {
            let name = user.attribute(name);
            if !name.is_empty() {
                let key = (pool.to_owned(), name.to_lowercase());
                known.aliases.insert(key, user.name.clone());
            }
        }
    }

    /// Who may have this for another name.
    pub(super) fn username_hint(&self, pool: &str, name: &str) -> Option<String> {
        let key = (pool.to_owned(), name.to_lowercase());
        self.lock().aliases.get(&key).cloned()
    }

    /// Whether the hint was right.
    pub(super) fn has_alias(&self, pool: &str, user: &EmbeddedUser, name: &str) -> bool {
        let known = self.lock();
        let settings = known.settings.get(pool);
        settings.is_some_and(|settings| settings.naming.has_alias(user, name))
    }

    pub(super) fn set_password_expired(&self, pool: &str, user: &str, expired: bool) {
        let key = (pool.to_owned(), user.to_owned());
        let mut known = self.lock();
        if expired {
            known.expired_passwords.insert(key);
        } else {
            known.expired_passwords.remove(&key);
        }
    }

    pub(super) fn is_password_expired(&self, pool: &str, user: &str) -> bool {
        let key = (pool.to_owned(), user.to_owned());
        self.lock().expired_passwords.contains(&key)
    }

    fn lock(&self) -> MutexGuard<'_, PoolStoreState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
