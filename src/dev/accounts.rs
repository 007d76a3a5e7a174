//! Two users of the embedded pool whose password is known: an administrator and an ordinary
//! user.

use std::collections::BTreeMap;

use super::stack::Stack;
use crate::aws::{Failure, SIGN_UP_PASSWORD, Sandbox, SignInResult};

/// The password of both accounts, and of every generated user.
pub const ACCOUNT_PASSWORD: &str = SIGN_UP_PASSWORD;
/// The account that is in the group of administrators.
pub const ADMIN_ACCOUNT: &str = "admin";
/// The account without power.
pub const USER_ACCOUNT: &str = "user";
const ADMIN_GROUP: &str = "ADMINS";

impl Stack {
    /// Creates both, unless they exist. They sign up like others, so the worker provisions
    /// them. Count users before this call.
    ///
    /// # Errors
    /// The first call that fails.
    pub async fn create_accounts(&self) -> Result<(), Failure> {
        let pool = &self.pool.id;
        for name in [ADMIN_ACCOUNT, USER_ACCOUNT] {
            let attributes = [("email".to_owned(), format!("{name}@example.com"))];
            let attributes = BTreeMap::from(attributes);
            let client = &self.pool.client;
            match self.sandbox.sign_up(client, name, &attributes).await {
                // Created here before, or for an event of a file.
                Err(failure) if failure.code == "UsernameExistsException" => {
                    self.sandbox
                        .set_password(pool, name, ACCOUNT_PASSWORD)
                        .await?;
                }
                result => result?,
            }
        }
        self.sandbox
            .add_to_group(pool, ADMIN_ACCOUNT, ADMIN_GROUP)
            .await
    }
}

/// Signs an account in at an endpoint, and returns its access token, which is valid for one
/// hour.
///
/// # Errors
/// When the call fails. The result is empty if the pool asks for more than the password.
pub async fn access_token(
    sandbox: &Sandbox,
    client: &str,
    account: &str,
) -> Result<String, Failure> {
    Ok(
        match sandbox.sign_in(client, account, ACCOUNT_PASSWORD).await? {
            SignInResult::Tokens(tokens) => tokens.access,
            SignInResult::NewPasswordRequired { .. } => String::new(),
        },
    )
}
