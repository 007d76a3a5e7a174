//! Data on pools, app clients and names that the endpoint needs and the underlying
//! service does not store.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::app_client::AppClient;
use super::naming::Naming;
use super::passwords::PasswordPolicy;
use super::schema::PoolSchema;
use super::settings::RawPoolSettings;
use super::user::{EmbeddedUser, str_or_empty};

#[derive(Default)]
pub(super) struct PoolStore(Mutex<PoolStoreState>);

#[derive(Default)]
struct PoolStoreState {
    settings: HashMap<String, EmbeddedPoolSettings>,
    raw_settings: HashMap<String, RawPoolSettings>,
    clients: HashMap<String, AppClient>,
    /// Pool and `sub`, address or number, in lower case, to user name. Only a hint:
    /// users change and are deleted.
    aliases: HashMap<(String, String), String>,
    /// Pool and user name of users whose temporary password has expired.
    expired_passwords: HashSet<(String, String)>,
    /// The challenges for the second factors of a user, by pool and user name.
    factors: HashMap<(String, String), Vec<&'static str>>,
    /// Pool and user name, with the second when they were last sent a temporary password.
    code_times: HashMap<(String, String), i64>,
}

/// From `CreateUserPool`; `UpdateUserPool` changes some of them.
#[derive(Debug, Clone, Default)]
pub(super) struct EmbeddedPoolSettings {
    pub(super) naming: Naming,
    /// Users may sign in with a code that is sent to them each time.
    pub(super) passwordless: bool,
    pub(super) schema: PoolSchema,
    /// Attributes that an invited user needs to be confirmed.
    pub(super) required_attributes: Vec<String>,
    pub(super) password_policy: PasswordPolicy,
    /// The invitation's subject and text, where the pool has its own.
    pub(super) invitation_template: Value,
}

impl EmbeddedPoolSettings {
    fn from_input(input: &Value) -> Self {
        let factors = input["Policies"]["SignInPolicy"]["AllowedFirstAuthFactors"].as_array();
        let mut factors = factors.into_iter().flatten();
        Self {
            naming: Naming::from_input(input),
            schema: PoolSchema::from_input(input),
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
        let mut state = self.lock();
        state
            .settings
            .insert(id.to_owned(), EmbeddedPoolSettings::from_input(input));
        state
            .raw_settings
            .insert(id.to_owned(), RawPoolSettings::from_input(input));
    }

    pub(super) fn update_pool(&self, id: &str, input: &Value) {
        let mut state = self.lock();
        if let Some(settings) = state.settings.get_mut(id) {
            let updated = EmbeddedPoolSettings::from_input(input);
            settings.password_policy = updated.password_policy;
            settings.passwordless = updated.passwordless;
            settings.invitation_template = updated.invitation_template;
        }
        state
            .raw_settings
            .entry(id.to_owned())
            .or_default()
            .update(input);
    }

    /// The settings that `UpdateUserPool` must repeat to preserve them.
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

    /// Stores the user's `sub` and possible aliases.
    pub(super) fn add_aliases(&self, pool: &str, user: &EmbeddedUser) {
        let mut state = self.lock();
        for name in ["sub", "email", "phone_number", "preferred_username"] {
            let name = user.attribute(name);
            if !name.is_empty() {
                let key = (pool.to_owned(), name.to_lowercase());
                state.aliases.insert(key, user.name.clone());
            }
        }
    }

    /// The user who may have this `sub` or alias; check with `has_alias`.
    pub(super) fn username_hint(&self, pool: &str, name: &str) -> Option<String> {
        let key = (pool.to_owned(), name.to_lowercase());
        self.lock().aliases.get(&key).cloned()
    }

    /// Whether the user has this `sub` or alias now.
    pub(super) fn has_alias(&self, pool: &str, user: &EmbeddedUser, name: &str) -> bool {
        let state = self.lock();
        let settings = state.settings.get(pool);
        settings.is_some_and(|settings| settings.naming.has_alias(user, name))
    }

    pub(super) fn set_password_expired(&self, pool: &str, user: &str, expired: bool) {
        let key = (pool.to_owned(), user.to_owned());
        let mut state = self.lock();
        if expired {
            state.expired_passwords.insert(key);
        } else {
            state.expired_passwords.remove(&key);
        }
    }

    pub(super) fn set_code_time(&self, pool: &str, user: &str) {
        let key = (pool.to_owned(), user.to_owned());
        let now = jiff::Timestamp::now().as_second();
        self.lock().code_times.insert(key, now);
    }

    pub(super) fn code_time(&self, pool: &str, user: &str) -> Option<i64> {
        let key = (pool.to_owned(), user.to_owned());
        self.lock().code_times.get(&key).copied()
    }

    pub(super) fn is_password_expired(&self, pool: &str, user: &str) -> bool {
        let key = (pool.to_owned(), user.to_owned());
        self.lock().expired_passwords.contains(&key)
    }

    pub(super) fn set_factors(&self, pool: &str, user: &str, factors: Vec<&'static str>) {
        let key = (pool.to_owned(), user.to_owned());
        self.lock().factors.insert(key, factors);
    }

    /// Empty for a user who signs in with the password only.
    pub(super) fn factors(&self, pool: &str, user: &str) -> Vec<&'static str> {
        let key = (pool.to_owned(), user.to_owned());
        self.lock().factors.get(&key).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, PoolStoreState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
