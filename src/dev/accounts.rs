//! Two people of the embedded pool whose passwords are known: one who may do
//! administrators' work, and one who may not.

use std::collections::BTreeMap;

use super::stack::Stack;
use crate::aws::{Failure, SignInResult, Tokens};

/// Known to everybody: for an account that lives in this process's memory.
const ACCOUNT_PASSWORD: &str = "A-passw0rd-for-this-machine";
const ADMIN_GROUP: &str = "ADMINS";

/// Somebody to sign in as.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user name.
    pub name: String,
    /// The password.
    pub password: String,
    /// Good for an hour from now.
    pub tokens: Tokens,
}

/// Both of them.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// `admin`, a member of `ADMINS`.
    pub admin: Account,
    /// `user`, in no group.
    pub user: Account,
}

impl Stack {
    /// Makes both, unless they are there, and signs them in. They never signed
    /// up, so that they have neither default groups nor a profile; whoever counts
    /// users counts before.
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
            // A password that was set for good leaves nothing to be asked.
            SignInResult::NewPasswordRequired { .. } => Tokens::default(),
        };
        Ok(Account {
            name: name.to_owned(),
            password: ACCOUNT_PASSWORD.to_owned(),
            tokens,
        })
    }
}
