//! The invitation: the trigger's text or the pool's, with name and password put
//! into it.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-custom-message.html>

use serde_json::{Value, json};

use super::event::{About, NO_CLIENT, event};
use super::pools::Settings;
use super::user::{User, text};
use super::{CognitoFront, Refusal};
use crate::dev::constraints::{Rules, check_answer};
use crate::dev::hooks::Mail;

const NAME: &str = "{username}";
const CODE: &str = "{####}";
const SUBJECT: &str = "Your temporary password";
const MESSAGE: &str = "Your username is {username} and temporary password is {####}.";

impl CognitoFront {
    /// Fails where Cognito does not accept the texts. The user is made by then.
    pub(super) async fn invite(
        &self,
        pool: &str,
        settings: &Settings,
        user: &User,
        password: &str,
    ) -> Result<(), Refusal> {
        let about = About {
            pool,
            client: NO_CLIENT,
            user,
            // Whether Cognito hands it on is not documented: nobody may rely on it.
            metadata: &Value::Null,
        };
        let own = json!({"codeParameter": CODE, "usernameParameter": NAME, "linkParameter": null});
        let empty = json!({"smsMessage": null, "emailMessage": null, "emailSubject": null});
        let source = "CustomMessage_AdminCreateUser";
        let response = self.hooks.call(&event(about, source, own, &empty)).await;
        check_answer("@CustomMessage", &response)?;
        let (subject, message) = chosen(&response, &settings.invitation);
        let sms = &response["smsMessage"];
        let mail = json!({"emailSubject": subject, "emailBody": message, "smsMessage": sms});
        Rules::Cognito.check_value("@Invitation", &mail)?;
        // People know the name that they sign in with, not the UUID.
        let name = settings.naming.known_to(user);
        self.hooks.mail(Mail {
            to: user.attribute("email").to_owned(),
            subject: subject.to_owned(),
            // As they are: Cognito escapes nothing, neither for HTML nor for links.
            body: message.replace(NAME, name).replace(CODE, password),
        });
        Ok(())
    }
}

/// The trigger's text counts when it holds both placeholders, then the pool's.
fn chosen<'a>(response: &'a Value, pool: &'a Value) -> (&'a str, &'a str) {
    let given = |value: &'a Value| Some(text(value)).filter(|text| !text.is_empty());
    let whole = |value: &'a Value| {
        given(value).filter(|message| message.contains(NAME) && message.contains(CODE))
    };
    let subject = given(&pool["EmailSubject"]).unwrap_or(SUBJECT);
    match whole(&response["emailMessage"]) {
        Some(message) => {
            let own = given(&response["emailSubject"]);
            (own.unwrap_or(subject), message)
        }
        None => (subject, whole(&pool["EmailMessage"]).unwrap_or(MESSAGE)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MESSAGE, SUBJECT, chosen};

    #[test]
    fn a_text_without_both_placeholders_is_not_sent() {
        let own = json!({"emailSubject": "Welcome", "emailMessage": "{username}: {####}"});
        let pool = json!({"EmailSubject": "Hello", "EmailMessage": "{####} for {username}"});
        let half = json!({"emailSubject": "Welcome", "emailMessage": "{username}"});
        let only_text = json!({"emailMessage": "{username}: {####}", "emailSubject": null});
        let none = &Value::Null;
        assert_eq!(chosen(none, none), (SUBJECT, MESSAGE));
        assert_eq!(chosen(&half, none), (SUBJECT, MESSAGE));
        assert_eq!(chosen(&half, &pool), ("Hello", "{####} for {username}"));
        assert_eq!(chosen(&own, &pool), ("Welcome", "{username}: {####}"));
        assert_eq!(chosen(&only_text, none), (SUBJECT, "{username}: {####}"));
    }
}
