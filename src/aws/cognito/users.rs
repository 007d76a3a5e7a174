//! Amazon Cognito user pools: the calls for admin commands.
//!
//! Lists lag behind, and a listed name may belong to another user by now. So `find` compares the
//! `sub` of the final answer with the `sub` that was asked for.

use std::collections::BTreeMap;

use aws_sdk_cognitoidentityprovider::operation::admin_create_user::builders::AdminCreateUserFluentBuilder;
use aws_sdk_cognitoidentityprovider::types::{
    AttributeType, DeliveryMediumType, UserStatusType, UserType,
};
use jiff::Timestamp;

use super::lists::status_text;
use super::{Cognito, ListedUser, UserStatus};
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::config::GroupName;
use crate::event::{PoolId, Sub, UserAttributes, Username};
use crate::reason::Reason;
use crate::retry::Transient;

/// A user as the pool returns them.
#[derive(Debug, Clone)]
pub struct PoolUser {
    /// The pool's own name: a pool whose users sign in with their e-mail address generates
    /// user names.
    pub username: Username,
    /// The immutable id; every user of a real pool has one.
    pub sub: Option<Sub>,
    /// All attributes in the pool's answer.
    pub attributes: UserAttributes,
    /// Cognito's `UserStatus`, such as `CONFIRMED`.
    pub status: String,
    /// Whether the user may sign in.
    pub enabled: bool,
    /// When the user signed up or was created.
    pub created: Option<Timestamp>,
}

/// Why a requested name leads to no user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FindUserError {
    /// See [`PoolUser::is_ambiguous`].
    #[error(
        "the UUID that was asked for is the user name of one user and may be the sub of \
         another: ask by e-mail address, by the sub of the first or by the user name of the second"
    )]
    Ambiguous,
    /// The call failed; `user_not_found` is of class [`NotYet`](crate::aws::Class::NotYet).
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Transient for FindUserError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_transient())
    }
}

impl PoolUser {
    /// `asked` is the name where the answer leaves it out.
    pub(super) fn from_sdk(
        username: Option<&str>,
        attributes: &[AttributeType],
        status: Option<&UserStatusType>,
        enabled: bool,
        asked: &Username,
    ) -> Self {
        let attributes: UserAttributes = attributes
            .iter()
            .map(|attribute| (attribute.name(), attribute.value().unwrap_or_default()))
            .collect();
        Self {
            username: username
                .and_then(Username::new)
                .unwrap_or_else(|| asked.clone()),
            sub: attributes.get("sub").and_then(Sub::new),
            attributes,
            status: status_text(status),
            enabled,
            created: None,
        }
    }

    /// The user in the answer of `AdminCreateUser`.
    pub(super) fn from_created(user: Option<&UserType>, asked: &Username) -> Self {
        Self::from_sdk(
            user.and_then(UserType::username),
            user.map(UserType::attributes).unwrap_or_default(),
            user.and_then(UserType::user_status),
            user.is_none_or(UserType::enabled),
            asked,
        )
    }

    /// Whether `asked` may mean another user: it has the form of a `sub` and is not this
    /// user's. Cognito looks up a user name first, so a user who chooses the `sub` of another
    /// as their user name is found instead.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminGetUser.html>
    pub(crate) fn is_ambiguous(&self, asked: &Username) -> bool {
        let sub = self.sub.as_ref().map_or("", Sub::as_str);
        asked.is_uuid() && !sub.eq_ignore_ascii_case(asked.reveal())
    }

    /// Whether the pool generated the user name: where users are named by their e-mail address
    /// or phone number, it is the `sub`.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>
    pub(crate) fn has_generated_username(&self) -> bool {
        let sub = self.sub.as_ref().map_or("", Sub::as_str);
        sub.eq_ignore_ascii_case(self.username.reveal())
    }

    /// The same user, as a list returns them.
    pub(crate) fn to_listed(&self) -> ListedUser {
        let status = UserStatusType::from(self.status.as_str());
        ListedUser {
            username: self.username.clone(),
            sub: self.sub.clone(),
            attributes: self.attributes.clone(),
            status: UserStatus::from_sdk(Some(&status), self.enabled),
            cognito_status: self.status.clone(),
            enabled: self.enabled,
            created: self.created,
            modified: None,
        }
    }

    /// Whether the user was invited and has not chosen a password yet.
    pub(crate) fn is_invited(&self) -> bool {
        self.status == UserStatusType::ForceChangePassword.as_str()
    }

    /// Whether the user is confirmed. A new user is, in a pool that requires no password.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-create-user-accounts.html>
    pub(crate) fn is_confirmed(&self) -> bool {
        self.status == UserStatusType::Confirmed.as_str()
    }
}

impl Cognito {
    /// Finds a user by user name, alias or `sub`. Every command and request that names a user
    /// calls this. Makes one call, as [`Cognito::get_user`]. For the `sub` of a federated user
    /// it adds `ListUsers` and a second `AdminGetUser`; for a `sub` of no user, `ListUsers`.
    ///
    /// # Errors
    /// [`FindUserError`].
    pub(crate) async fn find_user(
        &self,
        pool: &PoolId,
        asked: &Username,
    ) -> Result<PoolUser, FindUserError> {
        let user = match self.get_user(pool, asked).await {
            Err(failure) if failure.reason == Reason::UserNotFound && asked.is_uuid() => {
                // Cognito writes a `sub` in lower case.
                let named = match Sub::new(&asked.reveal().to_ascii_lowercase()) {
                    Some(sub) => self.username_of(pool, &sub).await?,
                    None => None,
                };
                self.get_user(pool, &named.ok_or(failure)?).await?
            }
            user => user?,
        };
        // Also for a listed name: another user may have it by now.
        if user.is_ambiguous(asked) {
            return Err(FindUserError::Ambiguous);
        }
        Ok(user)
    }

    /// `AdminCreateUser` with a verified e-mail address. Cognito generates the code and sends
    /// it there.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
    ///
    /// # Errors
    /// `username_exists`; `code_delivery_failure`, `unexpected_lambda`,
    /// `invalid_parameter` (the mail's text) and `limit_exceeded` (the mails of a day) may
    /// come although the user was created.
    pub(crate) async fn create_invited_user(
        &self,
        pool: &PoolId,
        name: &Username,
        email: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<PoolUser, Failure> {
        let request = self
            .new_user(pool, name, email, attributes)
            .desired_delivery_mediums(DeliveryMediumType::Email)
            .send();
        let answer = self
            .call(CognitoOperation::AdminCreateUser, pool, request)
            .await?;
        Ok(PoolUser::from_created(answer.user(), name))
    }

    /// A request for a user with a verified e-mail address.
    pub(super) fn new_user(
        &self,
        pool: &PoolId,
        name: &Username,
        email: &str,
        attributes: &BTreeMap<String, String>,
    ) -> AdminCreateUserFluentBuilder {
        let given = attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let attributes = given
            .chain([("email", email), ("email_verified", "true")])
            .map(|(name, value)| AttributeType::builder().name(name).value(value).build())
            .collect::<Result<Vec<_>, _>>();
        self.client
            .admin_create_user()
            .user_pool_id(pool.as_str())
            .username(name.reveal())
            .set_user_attributes(attributes.ok())
    }

    /// `AdminRemoveUserFromGroup`. A user who is not a member is not an error.
    ///
    /// # Errors
    /// `group_not_found` and `user_not_found` are of class [`NotYet`](crate::aws::Class::NotYet).
    pub(crate) async fn remove_from_group(
        &self,
        pool: &PoolId,
        username: &Username,
        group: &GroupName,
    ) -> Result<(), Failure> {
        let request = self
            .client
            .admin_remove_user_from_group()
            .user_pool_id(pool.as_str())
            .username(username.reveal())
            .group_name(group.as_str())
            .send();
        self.call(CognitoOperation::AdminRemoveUserFromGroup, pool, request)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::aws::cognito::fake::fake_cognito;

    const SUB: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a12";
    const OTHER_SUB: &str = "b662d2e4-d0a1-7098-4973-20a5d6ff5a13";

    /// A pool with one federated user, whom `AdminGetUser` finds only by name. It returns this
    /// `sub`; `ListUsers`, which lags, returns [`SUB`].
    async fn pool_with_federated(sub: &'static str) -> Cognito {
        let user = |attributes: &str, sub: &str| {
            json!({
                "Username": "Google_1042", "UserStatus": "EXTERNAL_PROVIDER", "Enabled": true,
                attributes: [{"Name": "sub", "Value": sub}],
            })
        };
        let respond = move |operation: &str, input: &Value| {
            let (status, body) = match operation {
                "ListUsers" => (200, json!({"Users": [user("Attributes", SUB)]})),
                _ if input["Username"] == "Google_1042" => (200, user("UserAttributes", sub)),
                _ => (400, json!({"__type": "UserNotFoundException"})),
            };
            (Duration::ZERO, status, body)
        };
        fake_cognito(1, respond).await.cognito
    }

    #[tokio::test(start_paused = true)]
    async fn a_federated_user_is_found_by_their_sub() {
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let find = async |has: &'static str, asked: &str| {
            let cognito = pool_with_federated(has).await;
            let asked = Username::new(asked).expect("a name");
            let found = cognito.find_user(&pool, &asked).await;
            found.map(|user| user.username.reveal().to_owned())
        };
        let missing = |found: &Result<String, FindUserError>| matches!(found, Err(FindUserError::Failed(failure)) if failure.reason == Reason::UserNotFound);
        for asked in [SUB, &SUB.to_uppercase(), "Google_1042"] {
            assert_eq!(
                find(SUB, asked).await.as_deref(),
                Ok("Google_1042"),
                "{asked}"
            );
        }
        assert!(missing(&find(SUB, OTHER_SUB).await));
        assert!(missing(&find(SUB, "Google_1043").await));
        // Another user has that name by now.
        assert_eq!(find(OTHER_SUB, SUB).await, Err(FindUserError::Ambiguous));
    }

    #[test]
    fn a_uuid_that_is_not_the_sub_is_ambiguous() {
        let user_with = |sub: &str| {
            let attributes = AttributeType::builder().name("sub").value(sub).build();
            let attributes: Vec<AttributeType> = attributes.into_iter().collect();
            let asked = Username::new("ada").expect("a name");
            PoolUser::from_sdk(Some("ada"), &attributes, None, true, &asked)
        };
        for (asked, sub, expected) in [
            (SUB, SUB, false),
            ("B662D2E4-D0A1-7098-4973-20A5D6FF5A12", SUB, false),
            ("b662d2e4-d0a1-7098-4973-20a5d6ff5a13", SUB, true),
            ("B662D2E4-D0A1-7098-4973-20A5D6FF5A13", SUB, true),
            (SUB, "", true),
            ("ada", SUB, false),
            ("ada@example.com", SUB, false),
            ("b662d2e4-d0a1-7098-4973-20a5d6ff5a1", SUB, false),
            ("b662d2e4-d0a1-7098-4973-20a5d6ff5a1g", SUB, false),
            ("b662d2e4d0a17098497320a5d6ff5a13", SUB, false),
            ("Google_b662d2e4-d0a1-7098-4973-20a5d6ff5a13", SUB, false),
        ] {
            let name = Username::new(asked).expect("a name");
            assert_eq!(user_with(sub).is_ambiguous(&name), expected, "{asked}");
        }
    }
}
