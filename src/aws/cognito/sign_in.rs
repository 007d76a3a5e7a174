//! Amazon Cognito user pools: sign-in through an app client, and the first one of an invited user.
//!
//! Both calls are public and need no IAM permission. `DescribeUserPool` needs one.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_cognitoidentityprovider::config::http::HttpResponse;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::operation::initiate_auth::InitiateAuthOutput;
use aws_sdk_cognitoidentityprovider::operation::respond_to_auth_challenge::RespondToAuthChallengeOutput;
use aws_sdk_cognitoidentityprovider::types::{AuthFlowType, ChallengeNameType};
use aws_smithy_types::base64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::accept_error::{AcceptError, RefusedStep, SignInStep};
use super::{Cognito, PasswordRules};
use crate::aws::call::call_cognito;
use crate::aws::error::Failure;
use crate::config::AppClient;
use crate::event::PoolId;
use crate::quota::Category;

/// Signs users in through an app client.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub(super) cognito: Cognito,
    pub(super) app_client: AppClient,
}

/// The input of [`SignIn::accept`]. Has no `Debug`, since it holds passwords.
pub(crate) struct Acceptance<'a> {
    /// User name or alias.
    pub username: &'a str,
    /// The temporary password of the invitation.
    pub code: &'a str,
    /// The password that the user chooses.
    pub password: &'a str,
    /// Values for attributes that the pool requires.
    pub attributes: &'a BTreeMap<String, String>,
}

const USERNAME_PARAMETER: &str = "USERNAME";
const ATTRIBUTE_PREFIX: &str = "userAttributes.";
pub(super) const NEW_PASSWORD: &str = "NEW_PASSWORD";

impl SignIn {
    pub(crate) fn new(cognito: Cognito, app_client: AppClient) -> Self {
        Self {
            cognito,
            app_client,
        }
    }

    /// Sign-ins a second that both budgets of this process allow.
    pub(crate) fn rate(&self) -> f64 {
        let cognito = &self.cognito;
        cognito
            .limit(Category::UserAuthentication)
            .min(cognito.limit(Category::AccountRecovery))
    }

    /// The rules for the passwords that users choose.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn password_rules(
        &self,
        pool: &PoolId,
    ) -> Result<Option<PasswordRules>, Failure> {
        self.cognito.password_rules(pool).await
    }

    /// `InitiateAuth` with the code, then `RespondToAuthChallenge` with the new
    /// password. The user is confirmed afterwards.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RespondToAuthChallenge.html>
    ///
    /// # Errors
    /// [`AcceptError`]. A password that no pool accepts is refused before the calls.
    pub(crate) async fn accept(&self, acceptance: &Acceptance<'_>) -> Result<(), AcceptError> {
        if has_outer_space(acceptance.password) {
            return Err(AcceptError::InvalidPassword(vec!["no_space_at_ends"]));
        }
        // Cognito would accept it, but a password that was sent by mail is not secret.
        if acceptance.password == acceptance.code {
            return Err(AcceptError::InvalidPassword(vec!["not_the_code"]));
        }
        let initiated = self.initiate(acceptance.username, acceptance.code).await?;
        if initiated.challenge_name() != Some(&ChallengeNameType::NewPasswordRequired) {
            // The code was the user's password: there is no invitation to accept.
            return Err(AcceptError::WrongCode);
        }
        let parameters = initiated.challenge_parameters.unwrap_or_default();
        let required = required_attributes(&parameters);
        let missing = missing_attributes(&required, acceptance.attributes);
        if !missing.is_empty() {
            return Err(AcceptError::MissingAttributes(missing));
        }
        let username = known_username(&parameters, acceptance.username);
        let mut responses =
            HashMap::from([(NEW_PASSWORD.to_owned(), acceptance.password.to_owned())]);
        // Only the required ones: usher signs with the client's secret, and the client may
        // write other attributes, which group rules may read.
        responses.extend(
            acceptance
                .attributes
                .iter()
                .filter(|(name, _)| required.contains(name))
                .map(|(name, value)| (format!("{ATTRIBUTE_PREFIX}{name}"), value.clone())),
        );
        let step = SignInStep::Respond {
            with_attributes: !required.is_empty(),
        };
        let challenge = ChallengeNameType::NewPasswordRequired;
        // The password is set, even if another challenge follows.
        self.respond(step, challenge, username, initiated.session, responses)
            .await?;
        Ok(())
    }

    /// `InitiateAuth` with user name and password.
    pub(super) async fn initiate(
        &self,
        username: &str,
        password: &str,
    ) -> Result<InitiateAuthOutput, RefusedStep> {
        let parameters = HashMap::from([
            (USERNAME_PARAMETER.to_owned(), username.to_owned()),
            ("PASSWORD".to_owned(), password.to_owned()),
        ]);
        let request = self
            .cognito
            .client
            .initiate_auth()
            .client_id(&self.app_client.id)
            .auth_flow(AuthFlowType::UserPasswordAuth)
            .set_auth_parameters(Some(self.with_secret_hash(username, parameters)))
            .send();
        self.call_step(SignInStep::Initiate, request).await
    }

    /// `RespondToAuthChallenge`. `username` is the name that the challenge has given.
    pub(super) async fn respond(
        &self,
        step: SignInStep,
        challenge: ChallengeNameType,
        username: &str,
        session: Option<String>,
        mut responses: HashMap<String, String>,
    ) -> Result<RespondToAuthChallengeOutput, RefusedStep> {
        responses.insert(USERNAME_PARAMETER.to_owned(), username.to_owned());
        let request = self
            .cognito
            .client
            .respond_to_auth_challenge()
            .client_id(&self.app_client.id)
            .challenge_name(challenge)
            .set_session(session)
            .set_challenge_responses(Some(self.with_secret_hash(username, responses)))
            .send();
        self.call_step(step, request).await
    }

    async fn call_step<T, E>(
        &self,
        step: SignInStep,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, RefusedStep>
    where
        T: Send,
        E: ProvideErrorMetadata + std::error::Error + Send + 'static,
    {
        let quota = &self.cognito.quota;
        call_cognito(quota, step.operation(), &self.app_client.id, request)
            .await
            .map_err(|refused| RefusedStep {
                step,
                message: refused.error.message().unwrap_or_default().to_owned(),
                failure: refused.failure,
            })
    }

    /// `SECRET_HASH`, where the client has a secret.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/signing-up-users-in-your-app.html#cognito-user-pools-computing-secret-hash>
    fn with_secret_hash(
        &self,
        username: &str,
        mut parameters: HashMap<String, String>,
    ) -> HashMap<String, String> {
        if let Some(secret) = &self.app_client.secret {
            parameters.insert(
                "SECRET_HASH".to_owned(),
                secret_hash(secret, username, &self.app_client.id),
            );
        }
        parameters
    }
}

/// Cognito refuses such a password in every pool. Spaces inside a password are symbols.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html>
pub(super) fn has_outer_space(password: &str) -> bool {
    let is_space = |c: char| matches!(c, ' ' | '\t'..='\r');
    password.starts_with(is_space) || password.ends_with(is_space)
}

fn secret_hash(secret: &str, username: &str, client_id: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(username.as_bytes());
    mac.update(client_id.as_bytes());
    base64::encode(mac.finalize().into_bytes())
}

/// The name that the pool knows, where a user signs in with an alias. The secret hash is over it.
pub(super) fn known_username<'a>(
    parameters: &'a HashMap<String, String>,
    given: &'a str,
) -> &'a str {
    parameters
        .get("USER_ID_FOR_SRP")
        .map_or(given, String::as_str)
}

/// The attributes that the challenge requires, without their prefix.
pub(super) fn required_attributes(parameters: &HashMap<String, String>) -> Vec<String> {
    let names: Vec<String> = parameters
        .get("requiredAttributes")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    names
        .iter()
        .map(|name| {
            name.strip_prefix(ATTRIBUTE_PREFIX)
                .unwrap_or(name)
                .to_owned()
        })
        .collect()
}

/// The required attributes without a value.
fn missing_attributes(required: &[String], given: &BTreeMap<String, String>) -> Vec<String> {
    required
        .iter()
        .filter(|name| given.get(*name).is_none_or(String::is_empty))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_hash_matches_openssl() {
        // As `printf '%s' adaclient | openssl dgst -sha256 -hmac secret -binary | base64`.
        assert_eq!(
            secret_hash("secret", "ada", "client"),
            "FEW6rzXVdy2RLJp0KqkU9A6/pxQBq5FgsxTWe/Ot+CI="
        );
    }

    #[test]
    fn white_space_is_refused_only_at_the_ends_of_a_password() {
        for (password, refused) in [
            (" Long-enough-1", true),
            ("Long-enough-1 ", true),
            ("Long-enough-1\t", true),
            ("\nLong-enough-1", true),
            ("Long enough 1", false),
            // Cognito takes white space that is not ASCII.
            ("Long-enough-1\u{a0}", false),
        ] {
            assert_eq!(has_outer_space(password), refused, "{password:?}");
        }
    }

    #[test]
    fn missing_required_attributes_are_named() {
        let parameters = HashMap::from([(
            "requiredAttributes".to_owned(),
            r#"["userAttributes.given_name","userAttributes.custom:plan"]"#.to_owned(),
        )]);
        let given = BTreeMap::from([("given_name".to_owned(), "Ada".to_owned())]);
        let names = required_attributes(&parameters);
        assert_eq!(names, ["given_name", "custom:plan"]);
        assert_eq!(missing_attributes(&names, &given), ["custom:plan"]);
        assert!(required_attributes(&HashMap::new()).is_empty());
    }
}
