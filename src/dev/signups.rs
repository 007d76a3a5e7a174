//! Made-up people who sign up.

use std::collections::BTreeMap;

use super::stack::Stack;
use crate::aws::Failure;

/// The name of the `n`th, from 1 on.
pub(super) fn name(n: usize) -> String {
    format!("user-{n}")
}

impl Stack {
    /// `SignUp` and `ConfirmSignUp` for each; the endpoint calls the trigger.
    ///
    /// # Errors
    /// The first call that fails.
    pub async fn sign_up(&self, count: usize) -> Result<(), Failure> {
        for n in 1..=count {
            let name = name(n);
            let attributes = BTreeMap::from([
                ("email".to_owned(), format!("{name}@example.com")),
                ("given_name".to_owned(), format!("User {n}")),
            ]);
            self.sandbox
                .sign_up(&self.pool.client, &name, &attributes)
                .await?;
        }
        Ok(())
    }
}
