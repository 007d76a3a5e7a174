//! Two users of the embedded pool whose passwords are known: an administrator
//! and a user in no group.

use std::collections::BTreeMap;

use super::stack::Stack;
use crate::aws::{Failure, SignInResult, Tokens};

/// Not a secret: the accounts exist only in this process's memory.
const ACCOUNT_PASSWORD: &str = "A-passw0rd-for-this-machine";
const ADMIN_GROUP: &str = "ADMINS";

/// A signed-in user whose password is known.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user name, for signing in.
    pub name: String,
    /// The password, the same for both accounts.
    pub password: String,
    /// Valid for one hour after they were issued.
    pub tokens: Tokens,
}

/// Both accounts of the embedded pool.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// `admin`, a member of `ADMINS`.
    pub admin: Account,
    /// `user`, in no group.
    pub user: Account,
}

impl Stack {
    /// Creates both, unless they exist, and signs them in. They never signed up,
    /// so they have neither default groups nor a profile. Count users before this
    /// call.
    ///
    /// # Errors
    /// The first call that fails.
    pub async fn create_accounts(&self) -> Result<Accounts, Failure> {
        Ok(Accounts {
            admin: self.create_account("admin", Some(ADMIN_GROUP)).await?,
            user: self.create_account("user", None).await?,
        })
    }

    async fn create_account(&self, name: &str, group: Option<&str>) -> Result<Account, Failure> {
        let attributes = [
            ("email", format!("{name}@example.com")),
            ("email_verified", "true".to_owned()),
        ];
        let attributes: BTreeMap<String, String> = attributes
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let pool = &self.pool.id;
        self.sandbox.create_user(pool, name, &attributes).await?;
        self.sandbox
            .set_password(pool, name, ACCOUNT_PASSWORD)
            .await?;
        if let Some(group) = group {
            self.sandbox.add_to_group(pool, name, group).await?;
        }
        let signed_in = self
            .sandbox
            .sign_in(&self.pool.client, name, ACCOUNT_PASSWORD)
            .await?;
        let tokens = match signed_in {
            SignInResult::Tokens(tokens) => tokens,
            // Not reached: a permanent password leads to no challenge.
            SignInResult::NewPasswordRequired { .. } => Tokens::default(),
        };
        Ok(Account {
            name: name.to_owned(),
            password: ACCOUNT_PASSWORD.to_owned(),
            tokens,
        })
    }
}
