//! Amazon Cognito user pools: sends an invitation again, by the name that the pool accepts.
//!
//! The settings of the pool would show which name it accepts, but a worker has no permission to
//! read them. A refused name has no effect, so the names are tried one after the other.

use aws_sdk_cognitoidentityprovider::types::{DeliveryMediumType, MessageActionType};

use super::{Cognito, PoolUser};
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::event::{PoolId, Username};

/// The names that are tried for one user, in this sequence.
#[derive(Debug, Clone)]
pub(crate) struct UsernameCandidates {
    first: Username,
    others: Vec<Username>,
}

impl UsernameCandidates {
    /// For a user of the pool. `AdminCreateUser` is reported to refuse a user name that the
    /// pool generated, and to accept the user's e-mail address or phone number.
    pub(crate) fn for_user(user: &PoolUser) -> Self {
        let mut names = Vec::new();
        if user.has_generated_username() {
            let known_by = ["email", "phone_number"].into_iter();
            names.extend(known_by.filter_map(|name| Username::new(user.attributes.get(name)?)));
        }
        names.push(user.username.clone());
        Self {
            first: names.remove(0),
            others: names,
        }
    }

    /// Names that no user of any pool has, to check the permission. A pool accepts a name, an e-mail
    /// address or a phone number, and refuses the others. No country has the code 999.
    pub(crate) fn for_no_user(address: &Username) -> Self {
        let others = ["usher-check-no-such-user", "+99900000000"];
        Self {
            first: address.clone(),
            others: others.into_iter().filter_map(Username::new).collect(),
        }
    }
}

impl Cognito {
    /// `AdminCreateUser` with `RESEND`: a new code for a user who has not used theirs.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
    ///
    /// # Errors
    /// `unsupported_user_state` for a user who has a password. Where the pool accepts none of
    /// the names, the failure of the first.
    pub(crate) async fn resend_invitation(
        &self,
        pool: &PoolId,
        names: &UsernameCandidates,
    ) -> Result<(), Failure> {
        let refused = match self.resend_once(pool, &names.first).await {
            Err(failure) if may_be_name_error(&failure) => failure,
            result => return result,
        };
        for name in &names.others {
            match self.resend_once(pool, name).await {
                Err(failure) if may_be_name_error(&failure) => {}
                result => return result,
            }
        }
        Err(refused)
    }

    async fn resend_once(&self, pool: &PoolId, name: &Username) -> Result<(), Failure> {
        let request = self
            .client
            .admin_create_user()
            .user_pool_id(pool.as_str())
            .username(name.reveal())
            .desired_delivery_mediums(DeliveryMediumType::Email)
            .message_action(MessageActionType::Resend)
            .send();
        self.call(CognitoOperation::AdminCreateUser, pool, request)
            .await?;
        Ok(())
    }
}

fn may_be_name_error(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "InvalidParameterException" | "UserNotFoundException"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::aws::cognito::fake::fake_cognito;
    use crate::event::Sub;

    const SUB: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a12";
    const EMAIL: &str = "ada@example.com";
    const PHONE: &str = "+4420";

    /// `Err` holds the error code.
    type PoolAnswer = Result<(), &'static str>;

    fn pool_user(username: &str) -> PoolUser {
        PoolUser {
            username: Username::new(username).expect("a name"),
            sub: Sub::new(SUB),
            attributes: [("email", EMAIL), ("phone_number", PHONE)]
                .into_iter()
                .collect(),
            status: "FORCE_CHANGE_PASSWORD".to_owned(),
            enabled: true,
            created: None,
        }
    }

    /// Resends to a pool that answers with `accepts`. Returns the result and the tried names.
    async fn resend_to(
        names: &UsernameCandidates,
        accepts: fn(&str) -> PoolAnswer,
    ) -> (Result<(), String>, Vec<String>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let services = fake_cognito(1, move |operation, input| {
            assert_eq!(operation, "AdminCreateUser");
            assert_eq!(input["MessageAction"], "RESEND");
            let name = input["Username"].as_str().expect("a name").to_owned();
            let (status, body) = match accepts(&name) {
                Ok(()) => (200, json!({})),
                Err(code) => (400, json!({"__type": code})),
            };
            seen.lock().expect("no panic").push(name);
            (Duration::ZERO, status, body)
        })
        .await;
        let pool = PoolId::new("eu-west-1_x").expect("not empty");
        let result = services.cognito.resend_invitation(&pool, names).await;
        let asked = asked.lock().expect("no panic").clone();
        (result.map_err(|failure| failure.code), asked)
    }

    fn accept_if(accepted: bool) -> PoolAnswer {
        accepted.then_some(()).ok_or("InvalidParameterException")
    }

    #[tokio::test(start_paused = true)]
    async fn resend_finds_the_name_that_the_pool_accepts() {
        type Accepts = fn(&str) -> PoolAnswer;
        let pools: [(&str, Accepts, &[&str]); 4] = [
            (SUB, |name| accept_if(name.contains('@')), &[EMAIL]),
            (
                SUB,
                |name| accept_if(name.starts_with('+')),
                &[EMAIL, PHONE],
            ),
            (SUB, |name| accept_if(name == SUB), &[EMAIL, PHONE, SUB]),
            ("ada", |name| accept_if(name == "ada"), &["ada"]),
        ];
        for (username, accepts, expected) in pools {
            let (result, asked) =
                resend_to(&UsernameCandidates::for_user(&pool_user(username)), accepts).await;
            assert_eq!(result, Ok(()));
            assert_eq!(asked, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn resend_returns_other_errors_at_once_or_the_first_refusal() {
        let generated = UsernameCandidates::for_user(&pool_user(SUB));
        let (result, asked) = resend_to(&generated, |_| Err("UnsupportedUserStateException")).await;
        assert_eq!(result, Err("UnsupportedUserStateException".to_owned()));
        assert_eq!(asked, [EMAIL]);
        let (result, asked) = resend_to(&generated, |name| match name {
            EMAIL => Err("InvalidParameterException"),
            _ => Err("UserNotFoundException"),
        })
        .await;
        assert_eq!(result, Err("InvalidParameterException".to_owned()));
        assert_eq!(asked, [EMAIL, PHONE, SUB]);
    }

    #[tokio::test(start_paused = true)]
    async fn names_of_no_user_fit_every_kind_of_pool() {
        let address = Username::new("nobody@example.invalid").expect("a name");
        let no_user = UsernameCandidates::for_no_user(&address);
        let pools: [fn(&str) -> bool; 4] = [
            |name| name.contains('@'),
            |name| name.starts_with('+'),
            |name| !name.contains('@') && !name.starts_with('+'),
            |_| true,
        ];
        let (result, asked) = resend_to(&no_user, |_| Err("UserNotFoundException")).await;
        assert_eq!(result, Err("UserNotFoundException".to_owned()));
        for could_hold in pools {
            assert!(asked.iter().any(|name| could_hold(name)), "{asked:?}");
        }
    }
}
