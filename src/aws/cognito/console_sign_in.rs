//! Amazon Cognito user pools: sign-in of administrators to the console, step by step, and their
//! sign-out.
//!
//! All calls are public and need no IAM permission.
//!
//! <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RespondToAuthChallenge.html>

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::operation::initiate_auth::InitiateAuthOutput;
use aws_sdk_cognitoidentityprovider::operation::respond_to_auth_challenge::RespondToAuthChallengeOutput;
use aws_sdk_cognitoidentityprovider::types::{AuthenticationResultType, ChallengeNameType};

use super::accept_error::{AcceptError, DeploymentFault, RefusedStep, SignInStep};
use super::sign_in::{NEW_PASSWORD, SignIn, has_outer_space, known_username, required_attributes};
use crate::aws::call::call_cognito;
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;

/// A sign-in after one of its steps. Has no `Debug`, since it holds tokens.
pub(crate) enum SignInProgress {
    SignedIn(SessionTokens),
    Challenged(Challenge),
}

/// The tokens of a signed-in user.
pub(crate) struct SessionTokens {
    pub access: String,
    /// For [`SignIn::revoke`].
    pub refresh: Option<String>,
    /// The lifetime of the access token.
    pub lifetime: Duration,
}

/// What Cognito asks next.
pub(crate) struct Challenge {
    pub kind: ChallengeKind,
    /// Cognito's name of the sign-in so far; ends after minutes.
    pub session: String,
    /// The name that the pool knows; personal data.
    pub username: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeKind {
    /// Instead of a temporary password.
    NewPassword,
    /// The code of an authenticator app.
    SoftwareToken,
    /// A code that Cognito has sent by text message.
    TextMessage,
    /// A code that Cognito has sent by e-mail.
    Email,
}

/// Why a step of a sign-in failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignInError {
    /// Name and password do not match, or the user cannot sign in now.
    Refused,
    /// The code of a second factor is wrong. Another one can be tried.
    WrongCode,
    /// The new password breaks these rules, as far as Cognito names them.
    InvalidPassword(Vec<&'static str>),
    /// The challenge is too old, or was answered before.
    Expired,
    /// Cognito asks for something that only another sign-in page can do, named as Cognito does.
    Unsupported(String),
    /// The budget had no permit in time, or Cognito throttles.
    Busy,
    /// Cognito cannot be reached, or fails.
    Unavailable(Failure),
    /// The deployment prevents the sign-in until it is fixed.
    Misconfigured(DeploymentFault, Failure),
}

impl From<RefusedStep> for SignInError {
    fn from(refused: RefusedStep) -> Self {
        if refused.failure.code == "CodeMismatchException" {
            return Self::WrongCode;
        }
        let is_answer = refused.step != SignInStep::Initiate;
        match AcceptError::from(refused) {
            // Strangers can send any fields of a challenge.
            AcceptError::Misconfigured(DeploymentFault::Unknown, failure)
                if is_answer && failure.code == "InvalidParameterException" =>
            {
                Self::Expired
            }
            AcceptError::Busy => Self::Busy,
            AcceptError::InvalidPassword(rules) => Self::InvalidPassword(rules),
            AcceptError::TryAgain => Self::Expired,
            AcceptError::Unavailable(failure) => Self::Unavailable(failure),
            AcceptError::Misconfigured(fault, failure) => Self::Misconfigured(fault, failure),
            AcceptError::WrongCode
            | AcceptError::CodeExpired
            | AcceptError::TooManyAttempts
            | AcceptError::MissingAttributes(_)
            | AcceptError::InvalidAttribute
            | AcceptError::AliasExists
            | AcceptError::Disabled
            | AcceptError::PasswordResetRequired => Self::Refused,
        }
    }
}

impl ChallengeKind {
    const ALL: [Self; 4] = [
        Self::NewPassword,
        Self::SoftwareToken,
        Self::TextMessage,
        Self::Email,
    ];

    /// Cognito's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NewPassword => "NEW_PASSWORD_REQUIRED",
            Self::SoftwareToken => "SOFTWARE_TOKEN_MFA",
            Self::TextMessage => "SMS_MFA",
            Self::Email => "EMAIL_OTP",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The parameter of the answer.
    fn parameter(self) -> &'static str {
        match self {
            Self::NewPassword => NEW_PASSWORD,
            Self::SoftwareToken => "SOFTWARE_TOKEN_MFA_CODE",
            Self::TextMessage => "SMS_MFA_CODE",
            Self::Email => "EMAIL_OTP_CODE",
        }
    }
}

/// What both calls answer.
struct StepOutput {
    challenge: Option<ChallengeNameType>,
    session: Option<String>,
    parameters: HashMap<String, String>,
    result: Option<AuthenticationResultType>,
}

impl From<InitiateAuthOutput> for StepOutput {
    fn from(output: InitiateAuthOutput) -> Self {
        Self {
            challenge: output.challenge_name,
            session: output.session,
            parameters: output.challenge_parameters.unwrap_or_default(),
            result: output.authentication_result,
        }
    }
}

impl From<RespondToAuthChallengeOutput> for StepOutput {
    fn from(output: RespondToAuthChallengeOutput) -> Self {
        Self {
            challenge: output.challenge_name,
            session: output.session,
            parameters: output.challenge_parameters.unwrap_or_default(),
            result: output.authentication_result,
        }
    }
}

impl StepOutput {
    /// The first factor that the console can ask for, where the user has several.
    fn factor(&self) -> Option<&'static str> {
        let factors = self.parameters.get("MFAS_CAN_CHOOSE")?;
        let factors: Vec<String> = serde_json::from_str(factors).ok()?;
        let mut known = ChallengeKind::ALL.into_iter().map(ChallengeKind::name);
        known.find(|name| factors.iter().any(|it| it == name))
    }

    fn into_progress(self, username: &str) -> Result<SignInProgress, SignInError> {
        if let Some(challenge) = self.challenge {
            let unsupported = || SignInError::Unsupported(challenge.as_str().to_owned());
            let kind = ChallengeKind::from_name(challenge.as_str()).ok_or_else(unsupported)?;
            // The page has no fields for them. `/accept` does.
            if !required_attributes(&self.parameters).is_empty() {
                return Err(unsupported());
            }
            return Ok(SignInProgress::Challenged(Challenge {
                kind,
                username: known_username(&self.parameters, username).to_owned(),
                session: self.session.unwrap_or_default(),
            }));
        }
        let result = self.result.ok_or(SignInError::Refused)?;
        Ok(SignInProgress::SignedIn(SessionTokens {
            access: result.access_token.unwrap_or_default(),
            refresh: result.refresh_token,
            lifetime: Duration::from_secs(result.expires_in.try_into().unwrap_or_default()),
        }))
    }
}

const ANSWER_CHALLENGE: SignInStep = SignInStep::Respond {
    with_attributes: false,
};

impl SignIn {
    /// The first step: `InitiateAuth`. `username` may be an alias.
    ///
    /// # Errors
    /// [`SignInError`].
    pub(crate) async fn begin(
        &self,
        username: &str,
        password: &str,
    ) -> Result<SignInProgress, SignInError> {
        let output = self.initiate(username, password).await?;
        self.follow(username, output.into()).await
    }

    /// The next step: `RespondToAuthChallenge` with a code, or with the new password. A password
    /// that no pool accepts is refused before the call.
    ///
    /// # Errors
    /// [`SignInError`].
    pub(crate) async fn answer(
        &self,
        challenge: &Challenge,
        answer: &str,
    ) -> Result<SignInProgress, SignInError> {
        let Challenge {
            kind,
            session,
            username,
        } = challenge;
        if *kind == ChallengeKind::NewPassword && has_outer_space(answer) {
            return Err(SignInError::InvalidPassword(vec!["no_space_at_ends"]));
        }
        let responses = HashMap::from([(kind.parameter().to_owned(), answer.to_owned())]);
        let (name, session) = (kind.name().into(), Some(session.clone()));
        let output = self
            .respond(ANSWER_CHALLENGE, name, username, session, responses)
            .await?;
        self.follow(username, output.into()).await
    }

    /// Chooses a second factor for a user who has several.
    async fn follow(
        &self,
        username: &str,
        output: StepOutput,
    ) -> Result<SignInProgress, SignInError> {
        let name = ChallengeNameType::SelectMfaType;
        if output.challenge.as_ref() != Some(&name) {
            return output.into_progress(username);
        }
        let Some(factor) = output.factor() else {
            return output.into_progress(username);
        };
        let username = known_username(&output.parameters, username);
        let responses = HashMap::from([("ANSWER".to_owned(), factor.to_owned())]);
        let session = output.session.clone();
        let output = self
            .respond(ANSWER_CHALLENGE, name, username, session, responses)
            .await?;
        StepOutput::from(output).into_progress(username)
    }

    /// `RevokeToken`: Cognito no longer accepts this refresh token and its access tokens.
    /// A service that only verifies signatures accepts an access token until it expires.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/token-revocation.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn revoke(&self, refresh_token: &str) -> Result<(), Failure> {
        let (quota, app_client) = (&self.cognito.quota, &self.app_client);
        let request = self
            .cognito
            .client
            .revoke_token()
            .client_id(&app_client.id)
            .set_client_secret(app_client.secret.clone())
            .token(refresh_token)
            .send();
        call_cognito(
            quota,
            CognitoOperation::RevokeToken,
            &app_client.id,
            request,
        )
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aws::cognito::fake::{FakeResponse, fake_cognito};

    fn challenge(name: &str, parameters: &serde_json::Value) -> FakeResponse {
        let body = json!({
            "ChallengeName": name, "Session": "s".repeat(20), "ChallengeParameters": parameters,
        });
        (Duration::ZERO, 200, body)
    }

    #[tokio::test]
    async fn the_first_known_factor_is_chosen_under_the_name_of_the_pool() {
        let choices = json!({
            "MFAS_CAN_CHOOSE": "[\"WEB_AUTHN\",\"EMAIL_OTP\",\"SMS_MFA\"]",
            "USER_ID_FOR_SRP": "ada-1",
        });
        let fake = fake_cognito(1, move |operation, input| {
            if operation == "InitiateAuth" {
                return challenge("SELECT_MFA_TYPE", &choices);
            }
            let given = &input["ChallengeResponses"];
            assert_eq!(*given, json!({"ANSWER": "SMS_MFA", "USERNAME": "ada-1"}));
            challenge("SMS_MFA", &json!({}))
        })
        .await;
        let begun = fake.sign_in.begin("ada@mail.example", "secret").await;
        let Ok(SignInProgress::Challenged(challenge)) = begun else {
            panic!("no challenge: {:?}", begun.err());
        };
        assert_eq!(challenge.kind, ChallengeKind::TextMessage);
        assert_eq!(challenge.username, "ada-1");
    }

    #[tokio::test]
    async fn what_the_page_cannot_ask_is_named() {
        for (name, parameters) in [
            ("MFA_SETUP", json!({})),
            (
                "SELECT_MFA_TYPE",
                json!({"MFAS_CAN_CHOOSE": "[\"WEB_AUTHN\"]"}),
            ),
            (
                "NEW_PASSWORD_REQUIRED",
                json!({"requiredAttributes": "[\"userAttributes.given_name\"]"}),
            ),
        ] {
            let answer = challenge(name, &parameters);
            let fake = fake_cognito(1, move |_, _| answer.clone()).await;
            let error = fake.sign_in.begin("ada", "secret").await.err();
            assert_eq!(error, Some(SignInError::Unsupported(name.to_owned())));
        }
    }
}
