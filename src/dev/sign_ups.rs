//! Generated users who sign up.

use std::collections::BTreeMap;

use super::stack::Stack;
use crate::aws::Failure;
use crate::event::{PoolId, Scope, SignUp, Username};

/// Names of `count` users; sorting keeps their order.
pub(super) fn user_names(count: usize) -> impl Iterator<Item = String> {
    let width = count.to_string().len();
    (1..=count).map(move |n| format!("user-{n:0width$}"))
}

fn attributes(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("email".to_owned(), format!("{name}@example.com")),
        ("given_name".to_owned(), format!("The person {name}")),
    ])
}

impl Stack {
    /// The sign-up as in its event, to find the groups that the user must get.
    pub(super) fn expected_sign_up(&self, name: &str) -> Option<SignUp> {
        let verified = ("email_verified".to_owned(), "true".to_owned());
        Some(SignUp {
            pool: PoolId::new(&self.pool.id)?,
            username: Username::new(name)?,
            sub: None,
            client_id: Some(self.pool.client.clone()),
            attributes: attributes(name).into_iter().chain([verified]).collect(),
            scope: Scope::Full,
        })
    }

    /// `SignUp` and `ConfirmSignUp` for each; the endpoint calls the trigger.
    ///
    /// # Errors
    /// The first call that fails.
    pub async fn sign_up(&self, count: usize) -> Result<(), Failure> {
        for name in user_names(count) {
            self.sandbox
                .sign_up(&self.pool.client, &name, &attributes(&name))
                .await?;
        }
        Ok(())
    }
}
