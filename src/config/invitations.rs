//! How people are invited: the mail, and the page that it leads to.

use super::Template;
use super::reader::Reader;
use super::template::Segment;
use crate::event::{has_html_reference, is_cognito_character};

/// `[invitations]`
#[derive(Debug, Clone)]
pub(crate) struct InvitationsConfig {
    /// The page of this service; `None` when people accept elsewhere.
    pub page: Option<AcceptPage>,
}

/// The mail that carries an invitation.
#[derive(Debug, Clone)]
pub(crate) struct InvitationMail {
    /// Where the link leads, without a fragment.
    pub accept_url: String,
    /// In plain text.
    pub subject: Template,
    /// What stands in it.
    pub body: MailBody,
}

/// A body and the way that values are put into it.
#[derive(Debug, Clone)]
pub(crate) enum MailBody {
    /// Plain text, which becomes simple HTML.
    Text(Template),
    /// HTML, in which values are escaped.
    Html(Template),
}

/// The page that takes the new password.
#[derive(Clone)]
pub(crate) struct AcceptPage {
    /// The app client that people sign in through.
    pub client_id: String,
    /// Its secret, where it has one.
    pub client_secret: Option<String>,
    /// Where people are led afterwards.
    pub done_url: Option<String>,
    /// Where the administrators can be reached.
    pub contact: Option<String>,
}

/// Without the secret.
impl std::fmt::Debug for AcceptPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceptPage")
            .field("client_id", &self.client_id)
            .field("done_url", &self.done_url)
            .field("contact", &self.contact)
            .finish_non_exhaustive()
    }
}

pub(super) fn read(read: &mut Reader<'_>) -> InvitationsConfig {
    // The trigger sends the mail. The worker reads the same file, so it reports what is wrong.
    let _ = read_mail(read);
    InvitationsConfig {
        page: read_page(read),
    }
}

/// Cognito sends its own message instead of one that lacks a placeholder, so
/// the mail is checked here.
pub(super) fn read_mail(read: &mut Reader<'_>) -> Option<InvitationMail> {
    let accept_url = read_web_url(read, "invitations.accept_url", &["https://"]);
    if accept_url.as_ref().is_some_and(|url| url.contains('#')) {
        let rule = "must have no fragment: the code goes there";
        read.reject("invitations.accept_url", rule);
    }
    let subject = read_template(read, "invitations.subject");
    if has_field(&subject, "code") || has_field(&subject, "link") {
        let rule = "must not hold {code} or {link}: a subject is shown to everybody";
        read.reject("invitations.subject", rule);
    }
    // HTML has a reference for every other character that Cognito does not accept.
    reject_characters(read, "invitations.subject", is_cognito_character);
    for key in ["invitations.html", "invitations.text"] {
        reject_characters(read, key, |c| {
            is_cognito_character(c) || has_html_reference(c)
        });
    }
    let html = read_template(read, "invitations.html");
    let text = read_template(read, "invitations.text");
    let (key, body) = if html.segments.is_empty() {
        ("invitations.text", MailBody::Text(text))
    } else {
        ("invitations.html", MailBody::Html(html))
    };
    let (MailBody::Text(whole) | MailBody::Html(whole)) = &body;
    if read.is_valid(key)
        && !(has_field(whole, "link") || has_field(whole, "username") && has_field(whole, "code"))
    {
        let rule = "must hold {link}, or both {username} and {code}: Cognito would send its own \
                    message instead";
        read.reject(key, rule);
    }
    Some(InvitationMail {
        accept_url: accept_url?,
        subject,
        body,
    })
}

fn read_page(read: &mut Reader<'_>) -> Option<AcceptPage> {
    let client_id = read.text("invitations.client_id");
    let client_secret = read.text("invitations.client_secret");
    let page = AcceptPage {
        client_id,
        client_secret: (!client_secret.is_empty()).then_some(client_secret),
        done_url: read_web_url(read, "invitations.done_url", &["https://"]),
        contact: read_web_url(read, "invitations.contact", &["https://", "mailto:"]),
    };
    if page.client_id.is_empty() {
        if page.client_secret.is_some() {
            read.reject("invitations.client_secret", "needs invitations.client_id");
        }
        return None;
    }
    if read.list("pools.allowed").is_empty() {
        let rule = "needs pools.allowed: the pools whose people ask for a new code";
        read.reject("invitations.client_id", rule);
    }
    if !is_client_id(&page.client_id) {
        let rule = "must be the id of an app client: 1 to 128 letters, digits, _ and +";
        read.reject("invitations.client_id", rule);
    }
    Some(page)
}

/// `[\w+]+`, as Cognito has it.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html>
fn is_client_id(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+');
    (1..=128).contains(&id.len()) && id.chars().all(fits)
}

fn read_template(read: &mut Reader<'_>, key: &str) -> Template {
    let text = read.text(key);
    Template::parse(&text).unwrap_or_else(|wrong| {
        // The text may be long: what is wrong with it is enough.
        let reason = wrong.rsplit(": ").next().unwrap_or_default().to_owned();
        read.reject(key, reason);
        Template {
            segments: Vec::new(),
        }
    })
}

/// The first character that cannot be sent: `AdminCreateUser` would fail for every person.
fn reject_characters(read: &mut Reader<'_>, key: &str, can_be_sent: fn(char) -> bool) {
    let text = read.value(key).and_then(|text| text.as_str());
    let wrong = text.and_then(|text| text.chars().find(|&c| !can_be_sent(c)));
    if let Some(c) = wrong {
        let rule = format!(
            "must not hold U+{:04X}, which Cognito does not accept there: leave it out, or write \
             a plain space",
            u32::from(c)
        );
        read.reject(key, rule);
    }
}

fn has_field(template: &Template, name: &str) -> bool {
    template
        .segments
        .iter()
        .any(|segment| matches!(segment, Segment::Field(field) if field == name))
}

/// A URL for people. Plain HTTP is for this machine alone.
fn read_web_url(read: &mut Reader<'_>, key: &str, schemes: &[&str]) -> Option<String> {
    let url = read.text(key);
    if url.is_empty() {
        return None;
    }
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let fits = |begin: &&str| {
        url.strip_prefix(*begin)
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    };
    let is_local = local.iter().any(|host| {
        url.strip_prefix(host)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    // An @ would lead to another host than the one that is read first.
    let plain = |c: char| {
        c.is_ascii_graphic()
            && !"\"'<>\\`{}|^".contains(c)
            && (c != '@' || url.starts_with("mailto:"))
    };
    if !(schemes.iter().any(fits) || is_local) || !url.chars().all(plain) {
        read.reject(
            key,
            format!("must be a URL that begins with {}", schemes.join(" or ")),
        );
    }
    Some(url)
}
