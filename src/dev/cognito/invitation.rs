//! The invitation: the text of the trigger or the pool, with name and password
//! filled in.
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
    /// Fails when Cognito does not accept the texts. The user exists by then.
    pub(super) async fn send_invitation(
        &self,
        pool: &str,
        settings: &EmbeddedPoolSettings,
        user: &EmbeddedUser,
        password: &str,
    ) -> Result<(), AwsErrorResponse> {
        let context = TriggerContext {
            pool,
            client: CLIENT_NOT_APPLICABLE,
            user,
            // AWS does not document whether Cognito passes it on, so none is passed here.
            metadata: &Value::Null,
        };
        let parameters = json!({"codeParameter": CODE_PLACEHOLDER, "usernameParameter": USERNAME_PLACEHOLDER, "linkParameter": null});
        let empty = json!({"smsMessage": null, "emailMessage": null, "emailSubject": null});
        let source = "CustomMessage_AdminCreateUser";
        let response = self
            .hooks
            .call_trigger(&trigger_event(context, source, parameters, &empty))
            .await;
        check_trigger_response("@CustomMessage", &response)?;
        let (subject, message) = choose_texts(&response, &settings.invitation_template);
        let sms = &response["smsMessage"];
        let mail = json!({"emailSubject": subject, "emailBody": message, "smsMessage": sms});
        AwsService::Cognito.check_value("@Invitation", &mail)?;
        // Users know the name that they sign in with, not the UUID.
        let name = settings.naming.sign_in_name(user);
        self.hooks.send_mail(SentMail {
            to: user.attribute("email").to_owned(),
            subject: subject.to_owned(),
            // Not escaped: Cognito escapes nothing, neither for HTML nor for links.
            body: message
                .replace(USERNAME_PLACEHOLDER, name)
                .replace(CODE_PLACEHOLDER, password),
            username: name.to_owned(),
            code: password.to_owned(),
        });
        Ok(())
    }
}

/// Subject and text: the trigger's if its text holds both placeholders, or else the pool's,
/// or else the default.
fn choose_texts<'a>(response: &'a Value, pool: &'a Value) -> (&'a str, &'a str) {
    let given = |value: &'a Value| Some(str_or_empty(value)).filter(|text| !text.is_empty());
    let complete = |value: &'a Value| {
        given(value).filter(|message| {
            message.contains(USERNAME_PLACEHOLDER) && message.contains(CODE_PLACEHOLDER)
        })
    };
    let subject = given(&pool["EmailSubject"]).unwrap_or(DEFAULT_INVITATION_SUBJECT);
    match complete(&response["emailMessage"]) {
        Some(message) => {
            let own_subject = given(&response["emailSubject"]);
            (own_subject.unwrap_or(subject), message)
        }
        None => (
            subject,
            complete(&pool["EmailMessage"]).unwrap_or(DEFAULT_INVITATION_MESSAGE),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{DEFAULT_INVITATION_MESSAGE, DEFAULT_INVITATION_SUBJECT, choose_texts};

    #[test]
    fn a_text_without_both_placeholders_is_not_sent() {
        let trigger = json!({"emailSubject": "Welcome", "emailMessage": "{username}: {####}"});
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
        assert_eq!(
            choose_texts(&trigger, &pool),
            ("Welcome", "{username}: {####}")
        );
        assert_eq!(
            choose_texts(&only_text, none),
            (DEFAULT_INVITATION_SUBJECT, "{username}: {####}")
        );
    }
}
