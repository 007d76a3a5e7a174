//! Second factors: which a user has, and the challenges for them. No code is sent: the right one
//! is always [`MFA_CODE`].
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa.html>

use serde_json::{Value, json};
use winterbaume_core::MockResponse;

use super::sessions::Login;
use super::user::str_or_empty;
use super::{
    CognitoResult, EmbeddedCognito, aws_error, not_authorized, ok_response, required_parameter,
};

/// The code of every second factor.
pub const MFA_CODE: &str = "424242";
pub(super) const SELECT_CHALLENGE: &str = "SELECT_MFA_TYPE";

/// A kind of second factor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Factor {
    /// Its member of `AdminSetUserMFAPreference`.
    setting: &'static str,
    challenge: &'static str,
    /// The parameter of the answer.
    parameter: &'static str,
}

static FACTORS: [Factor; 3] = [
    Factor {
        setting: "SoftwareTokenMfaSettings",
        challenge: "SOFTWARE_TOKEN_MFA",
        parameter: "SOFTWARE_TOKEN_MFA_CODE",
    },
    Factor {
        setting: "SMSMfaSettings",
        challenge: "SMS_MFA",
        parameter: "SMS_MFA_CODE",
    },
    Factor {
        setting: "EmailMfaSettings",
        challenge: "EMAIL_OTP",
        parameter: "EMAIL_OTP_CODE",
    },
];

impl Factor {
    pub(super) fn of_challenge(name: &str) -> Option<&'static Self> {
        FACTORS.iter().find(|factor| factor.challenge == name)
    }
}

impl EmbeddedCognito {
    /// `AdminSetUserMFAPreference`: replaces the factors of a user. A preferred one is the only
    /// one that is asked for.
    pub(super) async fn set_mfa_preference(&self, input: &Value) -> CognitoResult {
        let pool = str_or_empty(&input["UserPoolId"]);
        let user = self
            .find_user(pool, str_or_empty(&input["Username"]))
            .await?;
        let has = |name: &str| {
            let factors = FACTORS.iter();
            let chosen = factors.filter(|factor| input[factor.setting][name] == true);
            chosen.map(|factor| factor.challenge).collect::<Vec<_>>()
        };
        let preferred = has("PreferredMfa");
        let factors = if preferred.is_empty() {
            has("Enabled")
        } else {
            preferred
        };
        self.pools.set_factors(pool, &user.name, factors);
        Ok(ok_response(&json!({})))
    }

    /// The challenge for a second factor; `None` if the user has none.
    pub(super) fn ask_for_factor(&self, login: &Login) -> Option<MockResponse> {
        match self.pools.factors(&login.pool, &login.user).as_slice() {
            [] => None,
            [factor] => Some(self.factor_challenge(login.clone(), factor)),
            factors => {
                let choices = json!(factors).to_string();
                let parameters = json!({"MFAS_CAN_CHOOSE": choices, "USER_ID_FOR_SRP": login.user});
                let session = self
                    .sessions
                    .start_challenge(SELECT_CHALLENGE, login.clone());
                Some(ok_response(&json!({
                    "ChallengeName": SELECT_CHALLENGE, "Session": session,
                    "ChallengeParameters": parameters,
                })))
            }
        }
    }

    fn factor_challenge(&self, login: Login, factor: &'static str) -> MockResponse {
        let user = login.user.clone();
        ok_response(&json!({
            "ChallengeName": factor, "Session": self.sessions.start_challenge(factor, login),
            "ChallengeParameters": {"USER_ID_FOR_SRP": user},
        }))
    }

    /// The answer to `SELECT_MFA_TYPE`.
    pub(super) async fn choose_factor(&self, input: &Value) -> CognitoResult {
        let choice = required_parameter(&input["ChallengeResponses"], "ANSWER")?;
        let (login, user) = self.challenged_user(input, SELECT_CHALLENGE).await?;
        let factors = self.pools.factors(&login.pool, &user.name);
        let Some(factor) = factors.into_iter().find(|factor| *factor == choice) else {
            let message = "Invalid MFA type.";
            return Err(aws_error("InvalidParameterException", message));
        };
        self.end_challenge(input)?;
        Ok(self.factor_challenge(login, factor))
    }

    /// The answer to the challenge of a factor. After a wrong code another one can be tried.
    pub(super) async fn check_factor(&self, input: &Value, factor: &Factor) -> CognitoResult {
        let code = required_parameter(&input["ChallengeResponses"], factor.parameter)?;
        let (login, user) = self.challenged_user(input, factor.challenge).await?;
        if code != MFA_CODE {
            let message = "Invalid code received for user";
            return Err(aws_error("CodeMismatchException", message));
        }
        self.end_challenge(input)?;
        let source = "TokenGeneration_Authentication";
        self.sign_in_with_tokens(login, &user, source, &input["ClientMetadata"])
            .await
    }

    /// `RevokeToken`. An unknown token is not an error.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html>
    pub(super) fn revoke_token(&self, input: &Value) -> CognitoResult {
        let client = self.app_client(input)?;
        if client.secret.as_deref() != input["ClientSecret"].as_str() {
            return Err(not_authorized("Invalid client secret."));
        }
        self.sessions
            .revoke_refresh_token(str_or_empty(&input["Token"]), &client.id);
        Ok(ok_response(&json!({})))
    }
}
