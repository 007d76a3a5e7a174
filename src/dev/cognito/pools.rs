//! What the front has to know of pools, app clients and names, and the service
//! behind it does not keep.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::naming::Naming;
use super::passwords::Policy;
use super::settings::Given;
use super::user::{User, text};

#[derive(Default)]
pub(super) struct Pools(Mutex<Known>);

#[derive(Default)]
struct Known {
    pools: HashMap<String, Settings>,
    given: HashMap<String, Given>,
    clients: HashMap<String, AppClient>,
    /// Pool and `sub`, address or number, in lower case, to user name. A hint alone:
    /// users change and go.
    names: HashMap<(String, String), String>,
    /// Pool and user name, where the temporary password has run out.
    expired: HashSet<(String, String)>,
}

/// What `CreateUserPool` said.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) naming: Naming,
    /// Users may sign in with a code that is sent to them each time.
    pub(super) passwordless: bool,
    /// Attributes that nobody is confirmed without.
    pub(super) required: Vec<String>,
    pub(super) policy: Policy,
    /// The invitation's subject and text, where the pool has its own.
    pub(super) invitation: Value,
}

#[derive(Debug, Clone)]
pub(super) struct AppClient {
    pub(super) id: String,
    pub(super) pool: String,
    pub(super) secret: Option<String>,
    pub(super) flows: Vec<String>,
}

impl Settings {
    fn of(input: &Value) -> Self {
        let factors = input["Policies"]["SignInPolicy"]["AllowedFirstAuthFactors"].as_array();
        let mut factors = factors.into_iter().flatten();
        Self {
            naming: Naming::of(input),
            passwordless: factors.any(|factor| factor == "EMAIL_OTP" || factor == "SMS_OTP"),
            required: input["Schema"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|attribute| attribute["Required"] == true && attribute["Name"] != "sub")
                .map(|attribute| text(&attribute["Name"]).to_owned())
                .collect(),
            policy: Policy::of(&input["Policies"]["PasswordPolicy"]),
            invitation: input["AdminCreateUserConfig"]["InviteMessageTemplate"].clone(),
        }
    }
}

impl Pools {
    pub(super) fn pool_created(&self, id: &str, input: &Value) {
        let mut known = self.known();
        known.pools.insert(id.to_owned(), Settings::of(input));
        known.given.insert(id.to_owned(), Given::at_first(input));
    }

    pub(super) fn pool_updated(&self, id: &str, input: &Value) {
        let mut known = self.known();
        if let Some(settings) = known.pools.get_mut(id) {
            let now = Settings::of(input);
            settings.policy = now.policy;
            settings.passwordless = now.passwordless;
            settings.invitation = now.invitation;
        }
        known.given.entry(id.to_owned()).or_default().update(input);
    }

    /// What `UpdateUserPool` has to be given again.
    pub(super) fn given(&self, id: &str) -> Option<Given> {
        self.known().given.get(id).cloned()
    }

    pub(super) fn given_now(&self, id: &str, given: Given) {
        self.known().given.insert(id.to_owned(), given);
    }

    pub(super) fn client_created(&self, client: &Value) {
        let client = AppClient {
            id: text(&client["ClientId"]).to_owned(),
            pool: text(&client["UserPoolId"]).to_owned(),
            secret: client["ClientSecret"].as_str().map(str::to_owned),
            flows: client["ExplicitAuthFlows"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|flow| text(flow).to_owned())
                .collect(),
        };
        self.known().clients.insert(client.id.clone(), client);
    }

    pub(super) fn settings(&self, pool: &str) -> Option<Settings> {
        self.known().pools.get(pool).cloned()
    }

    pub(super) fn client(&self, id: &str) -> Option<AppClient> {
        self.known().clients.get(id).cloned()
    }

    /// Notes the other names of a user.
    pub(super) fn remember(&self, pool: &str, user: &User) {
        let mut known = self.known();
        for name in ["sub", "email", "phone_number", "preferred_username"] {
            let name = user.attribute(name);
            if !name.is_empty() {
                let key = (pool.to_owned(), name.to_lowercase());
                known.names.insert(key, user.name.clone());
            }
        }
    }

    /// Who may have this for another name.
    pub(super) fn hint(&self, pool: &str, name: &str) -> Option<String> {
        let key = (pool.to_owned(), name.to_lowercase());
        self.known().names.get(&key).cloned()
    }

    /// Whether the hint was right.
    pub(super) fn answers_to(&self, pool: &str, user: &User, name: &str) -> bool {
        let known = self.known();
        let settings = known.pools.get(pool);
        settings.is_some_and(|settings| settings.naming.answers_to(user, name))
    }

    pub(super) fn set_expired(&self, pool: &str, user: &str, expired: bool) {
        let key = (pool.to_owned(), user.to_owned());
        let mut known = self.known();
        if expired {
            known.expired.insert(key);
        } else {
            known.expired.remove(&key);
        }
    }

    pub(super) fn is_expired(&self, pool: &str, user: &str) -> bool {
        let key = (pool.to_owned(), user.to_owned());
        self.known().expired.contains(&key)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
