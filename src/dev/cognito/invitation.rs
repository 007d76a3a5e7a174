//! The invitation: the trigger's text or the pool's, with name and password put
//! into it.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-custom-message.html>

use serde_json::{Value, json};

use super::event::{CLIENT_NOT_APPLICABLE, TriggerContext, trigger_event};
use super::pools::EmbeddedPoolSettings;
use super::user::{EmbeddedUser, str_or_empty};
use super::{AwsErrorResponse, EmbeddedCognito};
use crate::dev::constraints::{AwsService, check_trigger_response};
use crate::dev::hooks::SentMail;

const USERNAME_PLACEHOLDER: &str = "{username}";
const CODE_PLACEHOLDER: &str = "{####}";
const DEFAULT_INVITATION_SUBJECT: &str = "Your temporary password";
const DEFAULT_INVITATION_MESSAGE: &str =
    "Your username is {username} and temporary password is {####}.";

impl EmbeddedCognito {
    /// Fails where Cognito does not accept the texts. The user is made by then.
    pub(super) async fn send_invitation(
        &self,
        pool: &str,
        settings: &EmbeddedPoolSettings,
        user: &EmbeddedUser,
        password: &str,
    ) -> Result<(), AwsErrorResponse> {
        let about = TriggerContext {
            pool,
            client: CLIENT_NOT_APPLICABLE,
            user,
            // Whether Cognito hands it on is not documented: nobody may rely on it.
            metadata: &Value::Null,
        };
        let own = json!({"codeParameter": CODE_PLACEHOLDER, "usernameParameter": USERNAME_PLACEHOLDER, "linkParameter": null});
        let empty = json!({"smsMessage": null, "emailMessage": null, "emailSubject": null});
        let source = "CustomMessage_AdminCreateUser";
        let response = self
            .hooks
            .call_trigger(&trigger_event(about, source, own, &empty))
            .await;
        check_trigger_response("@CustomMessage", &response)?;
        let (subject, message) = choose_texts(&response, &settings.invitation_template);
        let sms = &response["smsMessage"];
        let mail = json!({"emailSubject": subject, "emailBody": message, "smsMessage": sms});
        AwsService::Cognito.check_value("@Invitation", &mail)?;
        // People know the name that they sign in with, not the UUID.
        let name = settings.naming.sign_in_name(user);
        self.hooks.send_mail(SentMail {
            to: user.attribute("email").to_owned(),
            subject: subject.to_owned(),
            // As they are: Cognito escapes nothing, neither for HTML nor for links.
            body: message
                .replace(USERNAME_PLACEHOLDER, name)
                .replace(CODE_PLACEHOLDER, password),
        });
        Ok(())
    }
}

/// The trigger's text counts when it holds both placeholders, then the pool's.
fn choose_texts<'a>(response: &'a Value, pool: &'a Value) -> (&'a str, &'a str) {
    let given = |value: &'a Value| Some(str_or_empty(value)).filter(|text| !text.is_empty());
    let whole = |value: &'a Value| {
        given(value).filter(|message| {
            message.contains(USERNAME_PLACEHOLDER) && message.contains(CODE_PLACEHOLDER)
        })
    };
    let subject = given(&pool["EmailSubject"]).unwrap_or(DEFAULT_INVITATION_SUBJECT);
    match whole(&response["emailMessage"]) {
        Some(message) => {
            let own = given(&response["emailSubject"]);
            (own.unwrap_or(subject), message)
        }
        None => (
            subject,
            whole(&pool["EmailMessage"]).unwrap_or(DEFAULT_INVITATION_MESSAGE),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{DEFAULT_INVITATION_MESSAGE, DEFAULT_INVITATION_SUBJECT, choose_texts};

    #[test]
    fn a_text_without_both_placeholders_is_not_sent() {
        let own = json!({"emailSubject": "Welcome", "emailMessage": "{username}: {####}"});
        let pool = json!({"EmailSubject": "Hello", "EmailMessage": "{####} for {username}"});
        let half = json!({"emailSubject": "Welcome", "emailMessage": "{username}"});
        let only_text = json!({"emailMessage": "{username}: {####}", "emailSubject": null});
        let none = &Value::Null;
        assert_eq!(
            choose_texts(none, none),
            (DEFAULT_INVITATION_SUBJECT, DEFAULT_INVITATION_MESSAGE)
        );
        assert_eq!(
            choose_texts(&half, none),
            (DEFAULT_INVITATION_SUBJECT, DEFAULT_INVITATION_MESSAGE)
        );
        assert_eq!(
            choose_texts(&half, &pool),
            ("Hello", "{####} for {username}")
        );
        assert_eq!(choose_texts(&own, &pool), ("Welcome", "{username}: {####}"));
        assert_eq!(
            choose_texts(&only_text, none),
            (DEFAULT_INVITATION_SUBJECT, "{username}: {####}")
        );
    }
}
