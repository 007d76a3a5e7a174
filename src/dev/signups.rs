//! Made-up people who sign up.

use std::collections::BTreeMap;

use super::stack::Stack;
use crate::aws::Failure;

/// The names of `count` people, in an order that sorting keeps.
pub(super) fn names(count: usize) -> impl Iterator<Item = String> {
    let width = count.to_string().len();
    (1..=count).map(move |n| format!("user-{n:0width$}"))
}

impl Stack {
    /// `SignUp` and `ConfirmSignUp` for each; the endpoint calls the trigger.
    ///
    /// # Errors
    /// The first call that fails.
    pub async fn sign_up(&self, count: usize) -> Result<(), Failure> {
        for name in names(count) {
            let attributes = BTreeMap::from([
                ("email".to_owned(), format!("{name}@example.com")),
                ("given_name".to_owned(), format!("The person {name}")),
            ]);
            self.sandbox
                .sign_up(&self.pool.client, &name, &attributes)
                .await?;
        }
        Ok(())
    }
}
