//! The mail of an invitation.
//!
//! After the Lambda has answered, Cognito replaces its placeholders by user name and code.
//! It neither encodes them for a URL nor escapes them for HTML. So the code is last in the
//! link's fragment, and the default text repeats it for users to copy.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-custom-message.html>

use std::collections::BTreeMap;
use std::fmt::Write;

use askama::filters::{Html, escape as escape_as};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::TriggerHandler;
use super::raw_object::RawObject;
use crate::config::{
    InvitationMail, MailBody, Segment, Template, has_html_reference, is_cognito_character,
};
use crate::event::PoolId;

/// Cognito's own limits, in characters.
const MAX_MAIL_SUBJECT_CHARACTERS: usize = 140;
const MAX_MAIL_BODY_CHARACTERS: usize = 20_000;

impl TriggerHandler {
    /// The event with the mail in its response; `None` where Cognito sends its default
    /// message.
    pub(super) fn add_mail(&self, members: &RawObject<'_>) -> Option<Box<RawValue>> {
        let access = self.access_or_log("invitation sent with Cognito's default message")?;
        let mail = access.mail()?;
        let pool = members.text("userPoolId");
        let pool = pool.as_deref().and_then(PoolId::new);
        if !pool.is_some_and(|pool| access.pools().is_allowed(&pool)) {
            return None;
        }
        let request = members.object("request");
        let (Some(username), Some(code)) = (
            request.text("usernameParameter"),
            request.text("codeParameter"),
        ) else {
            tracing::warn!(
                "CustomMessage event has no placeholders; Cognito sends its default message"
            );
            return None;
        };
        let attributes = request.object("userAttributes");
        let given: BTreeMap<&str, String> = attributes.texts().collect();
        let fields = MailFields {
            link: format!("{}#u={username}&c={code}", mail.accept_url),
            brand: &mail.brand,
            accept_url: &mail.accept_url,
            username: &username,
            code: &code,
            attributes: &given,
        };
        let (subject, body) = render(mail, &fields);
        if body.chars().count() > MAX_MAIL_BODY_CHARACTERS {
            tracing::error!(
                "invitation mail is longer than Cognito allows; Cognito sends its default message"
            );
            return None;
        }
        let mut response: Map<String, Value> = members
            .get("response")
            .and_then(|response| serde_json::from_str(response.get()).ok())
            .unwrap_or_default();
        // Without a subject here, Cognito uses its default one.
        if !subject.trim().is_empty() {
            response.insert("emailSubject".to_owned(), subject.into());
        }
        response.insert("emailMessage".to_owned(), body.into());
        members.with("response", &to_raw_value(&response).ok()?)
    }
}

struct MailFields<'a> {
    link: String,
    brand: &'a str,
    accept_url: &'a str,
    username: &'a str,
    code: &'a str,
    attributes: &'a BTreeMap<&'a str, String>,
}

/// Writes the field of this name as its place in the mail needs it.
type FieldEncoder = fn(&str, &MailFields<'_>) -> String;

fn render(mail: &InvitationMail, fields: &MailFields<'_>) -> (String, String) {
    let subject = fill(&mail.subject, fields, |name, fields| {
        fields.for_subject(name)
    });
    let body = match &mail.body {
        MailBody::Html(template) => fill(template, fields, |name, fields| fields.escaped(name)),
        MailBody::Text(template) => fill_as_html(template, fields),
    };
    (sanitize_subject(&subject), encode_html(&body))
}

/// Plain text that Cognito accepts as a subject: white space and control characters become
/// spaces, and other refused characters are removed.
fn sanitize_subject(text: &str) -> String {
    let accepted = text.chars().filter_map(|c| match c {
        _ if c.is_whitespace() || c.is_control() => Some(' '),
        _ => is_cognito_character(c).then_some(c),
    });
    accepted.take(MAX_MAIL_SUBJECT_CHARACTERS).collect()
}

/// HTML that Cognito accepts as a body: refused characters become numeric references, which
/// are ASCII, or are removed. Characters beyond U+FFFF, such as emoji, become references too,
/// since Cognito may have an older version of Unicode.
fn encode_html(html: &str) -> String {
    let mut accepted = String::with_capacity(html.len());
    for c in html.chars() {
        if is_cognito_character(c) && c <= '\u{ffff}' {
            accepted.push(c);
        } else if has_html_reference(c) {
            let _ = write!(accepted, "&#{};", u32::from(c));
        }
    }
    accepted
}

fn fill(template: &Template, fields: &MailFields<'_>, encode: FieldEncoder) -> String {
    template
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Text(text) => text.clone(),
            Segment::Field(name) => encode(name, fields),
        })
        .collect()
}

/// Cognito sends HTML, so lines end in `<br>`, and the link is an `<a>`. If SES tracks clicks,
/// it sends links, and the code in them, through its own server. `ses:no-track` excludes this
/// link; SES removes the attribute.
///
/// <https://docs.aws.amazon.com/ses/latest/dg/faqs-metrics.html>
fn fill_as_html(template: &Template, fields: &MailFields<'_>) -> String {
    let html: String = template
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Text(text) => escape(text).replace('\n', "<br>\n"),
            Segment::Field(name) if name == "link" => format!(
                "<a ses:no-track href=\"{}\">{}</a>",
                escape(&fields.link),
                escape(fields.accept_url)
            ),
            Segment::Field(name) if name == "code" => {
                format!("<code>{}</code>", fields.escaped(name))
            }
            Segment::Field(name) => fields.escaped(name).replace('\n', "<br>\n"),
        })
        .collect();
    // The default text begins with the brand, which may be empty.
    html.trim_start_matches("<br>\n").to_owned()
}

impl MailFields<'_> {
    fn plain(&self, name: &str) -> String {
        match name {
            "link" => self.link.clone(),
            "brand" => self.brand.to_owned(),
            "accept_url" => self.accept_url.to_owned(),
            "username" => self.username.to_owned(),
            "code" => self.code.to_owned(),
            attribute => self.attributes.get(attribute).cloned().unwrap_or_default(),
        }
    }

    /// For a subject, which must never hold the code: braces are removed from values.
    fn for_subject(&self, name: &str) -> String {
        match name {
            "username" => self.plain(name),
            // Emoji are removed as well: Cognito may have an older version of Unicode, and a
            // subject has no references.
            _ => self
                .plain(name)
                .replace(|c| matches!(c, '{' | '}' | '\u{1f000}'..='\u{1ffff}'), ""),
        }
    }

    /// Escapes the values of users. Cognito's placeholders must stay unchanged.
    fn escaped(&self, name: &str) -> String {
        match name {
            "username" | "code" => self.plain(name),
            "link" | "accept_url" => escape(&self.plain(name)),
            // A value must not become a placeholder.
            _ => escape(&self.plain(name))
                .replace('{', "&#123;")
                .replace('}', "&#125;"),
        }
    }
}

/// The body is a template of the configuration, so askama only escapes here.
fn escape(text: &str) -> String {
    let Ok(escaped) = escape_as(text, Html);
    escaped.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Layers};
    use serde_json::json;

    fn trigger(flags: &[&str]) -> TriggerHandler {
        let url = "invitations.accept_url=https://app.example.com/accept";
        let flags: Vec<String> = [url]
            .iter()
            .chain(flags)
            .map(|&flag| flag.to_owned())
            .collect();
        let layers = Layers::defaults().flags(&flags);
        TriggerHandler::new(
            Err("none".to_owned()),
            config::TriggerConfig::from_layers(&layers).access,
        )
    }

    fn event() -> Value {
        json!({
            "version": 1, "triggerSource": "CustomMessage_AdminCreateUser",
            "userPoolId": "eu-west-1_x", "userName": "ada",
            "request": {
                "userAttributes": {"given_name": "<b>Zoë</b> {####}", "email_verified": true},
                "codeParameter": "{####}", "usernameParameter": "{username}", "linkParameter": null,
            },
            "response": {"smsMessage": "as it was", "emailMessage": null},
        })
    }

    async fn handle(trigger: &TriggerHandler, event: &Value) -> Option<Value> {
        let event = to_raw_value(event).expect("JSON");
        let answer = trigger
            .handle(&event, &crate::event::Trace::default())
            .await
            .response
            .expect("never refused");
        answer.map(|answer| serde_json::from_str(answer.get()).expect("JSON"))
    }

    #[tokio::test]
    async fn link_fragment_holds_user_name_and_code() {
        let answer = handle(&trigger(&[]), &event()).await.expect("a mail");
        let body = answer["response"]["emailMessage"].as_str().expect("text");
        assert!(
            body.contains(
                "<a ses:no-track href=\"https://app.example.com/accept#u={username}&#38;c={####}\">\
                 https://app.example.com/accept</a>"
            ),
            "{body}"
        );
        assert!(body.contains("code: <code>{####}</code><br>\n"), "{body}");
        assert_eq!(answer["response"]["smsMessage"], "as it was");
        assert_eq!(answer["version"], 1);
        assert_eq!(answer["request"], event()["request"]);
    }

    #[tokio::test]
    async fn default_mail_begins_with_the_brand() {
        for (brand, begin) in [
            ("", "You are invited. Open"),
            (
                "<A&B> {####}",
                "&#60;A&#38;B&#62; &#123;####&#125;<br>\n<br>\nYou are invited. Open",
            ),
        ] {
            let flags = [
                &format!("invitations.brand={brand}"),
                "invitations.subject=Invitation to {brand}",
            ];
            let answer = handle(&trigger(&flags), &event()).await.expect("a mail");
            let body = answer["response"]["emailMessage"].as_str().expect("text");
            assert!(body.starts_with(begin), "{body}");
            assert_eq!(body.matches("{####}").count(), 2, "link and code: {body}");
            let subject = answer["response"]["emailSubject"].as_str().expect("text");
            assert!(!subject.contains('{'), "{subject}");
        }
    }

    #[tokio::test]
    async fn attribute_values_are_escaped_and_never_become_placeholders() {
        for body in [
            "invitations.text=Hi {given_name} {link}",
            "invitations.html=<p>Hi {given_name} <a href=\"{link}\">go</a></p>",
        ] {
            let flags = ["invitations.subject=For {given_name}\n{none}!", body];
            let answer = handle(&trigger(&flags), &event()).await.expect("a mail");
            let body = answer["response"]["emailMessage"].as_str().expect("text");
            assert!(
                body.contains("&#60;b&#62;Zoë&#60;/b&#62; &#123;####&#125;"),
                "{body}"
            );
            assert_eq!(body.matches("{####}").count(), 1, "{body}");
            let subject = answer["response"]["emailSubject"].as_str().expect("text");
            assert_eq!(subject, "For <b>Zoë</b> #### !");
        }
    }

    #[tokio::test]
    async fn refused_characters_become_html_references_or_are_removed() {
        // Persian with a non-joiner, French with no-break spaces, an emoji with a joiner, a
        // soft hyphen, and two characters that no mail can hold.
        let name = "می\u{200c}خواهم l\u{a0}«\u{202f}é 👩\u{200d}👧 so\u{ad}ft \u{7}\u{fffe}";
        let mut event = event();
        event["request"]["userAttributes"]["given_name"] = json!(name);
        for body in [
            "invitations.text=\u{200f}{given_name} {link}",
            "invitations.html=<p>\u{200f}{given_name} <a href=\"{link}\">go</a></p>",
        ] {
            let flags = ["invitations.subject=For {given_name}", body];
            let answer = handle(&trigger(&flags), &event).await.expect("a mail");
            let body = answer["response"]["emailMessage"].as_str().expect("text");
            let expected =
                "&#8207;می&#8204;خواهم l&#160;«&#8239;é &#128105;&#8205;&#128103; so&#173;ft  <a";
            assert!(body.contains(expected), "{body}");
            assert!(body.contains("#u={username}&#38;c={####}\">"), "{body}");
            let subject = answer["response"]["emailSubject"].as_str().expect("text");
            assert_eq!(subject, "For میخواهم l « é  soft  ");
            assert!(
                body.chars()
                    .chain(subject.chars())
                    .all(is_cognito_character)
            );
        }
        event["request"]["userAttributes"]["given_name"] = json!("\u{200d}");
        let flags = ["invitations.subject={given_name}"];
        let answer = handle(&trigger(&flags), &event).await.expect("a mail");
        assert_eq!(answer["response"].get("emailSubject"), None);
    }

    #[tokio::test]
    async fn cognitos_default_message_is_used_where_ours_cannot_be() {
        let without = |name: &str| {
            let mut event = event();
            event["request"][name] = Value::Null;
            event
        };
        assert_eq!(handle(&trigger(&[]), &without("codeParameter")).await, None);
        assert_eq!(
            handle(&trigger(&[]), &without("usernameParameter")).await,
            None
        );
        let long = format!("invitations.text={{link}}{}", "x".repeat(20_000));
        assert_eq!(handle(&trigger(&[&long]), &event()).await, None);
        assert_eq!(
            handle(&trigger(&["invitations.text=no link"]), &event()).await,
            None
        );
        assert_eq!(
            handle(&trigger(&["invitations.accept_url="]), &event()).await,
            None
        );
        for (pools, has_mail) in [("eu-west-1_x", true), ("eu-west-1_y", false)] {
            let allowed = format!("pools.allowed={pools}");
            let mail = handle(&trigger(&[&allowed]), &event()).await;
            assert_eq!(mail.is_some(), has_mail, "{pools}");
        }
        let mut other = event();
        other["triggerSource"] = json!("CustomMessage_ForgotPassword");
        assert_eq!(handle(&trigger(&[]), &other).await, None);
    }
}
