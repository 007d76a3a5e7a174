//! The mail of an invitation, and the page behind its link.

use super::Template;
use super::app_client::{self, AppClient};
use super::reader::Reader;
use super::template::Segment;
use crate::event::{InvisibleCharacter, has_html_reference, is_cognito_character};

/// It is one line on a telephone.
const MAX_BRAND_CHARS: usize = 60;

#[derive(Debug, Clone)]
pub(crate) struct InvitationsConfig {
    /// `None` if another service accepts invitations.
    pub page: Option<AcceptPage>,
}

#[derive(Debug, Clone)]
pub(crate) struct InvitationMail {
    /// Who invites; may be empty.
    pub brand: String,
    /// URL of the page behind the link, without a fragment.
    pub accept_url: String,
    /// Plain text; it never holds the code or the link.
    pub subject: Template,
    pub body: MailBody,
}

/// The template of a body, which decides how values are inserted.
#[derive(Debug, Clone)]
pub(crate) enum MailBody {
    /// Plain text, which is converted to simple HTML.
    Text(Template),
    /// HTML; inserted values are escaped.
    Html(Template),
}

/// The page `/accept`, where a user chooses a password.
#[derive(Debug, Clone)]
pub(crate) struct AcceptPage {
    /// Who invites; may be empty.
    pub brand: String,
    /// The app client through which the page signs users in.
    pub client: AppClient,
    /// URL of the link that is shown after success.
    pub done_url: Option<String>,
    /// URL or `mailto:` address of the administrators.
    pub contact: Option<String>,
}

pub(super) fn read(read: &mut Reader<'_>) -> InvitationsConfig {
    let brand = read_brand(read);
    // Only the trigger writes the mail; the worker reads the same file and reports its errors.
    let _ = read_mail(read, brand.clone());
    InvitationsConfig {
        page: read_page(read, brand),
    }
}

/// Who invites: one line of plain text, or empty.
pub(super) fn read_brand(read: &mut Reader<'_>) -> String {
    const KEY: &str = "invitations.brand";
    let brand = read.text(KEY);
    if let Some(invisible) = InvisibleCharacter::find_in_value(&brand) {
        read.reject(KEY, invisible.to_string());
    } else if brand.contains(char::is_control) || brand.chars().count() > MAX_BRAND_CHARS {
        let rule = format!("must be one line of at most {MAX_BRAND_CHARS} characters");
        read.reject(KEY, rule);
    }
    brand
}

/// Cognito sends its own message if a mail lacks a placeholder, so the placeholders are
/// checked here.
pub(super) fn read_mail(read: &mut Reader<'_>, brand: String) -> Option<InvitationMail> {
    let accept_url = read_web_url(read, "invitations.accept_url", &["https://"]);
    if accept_url.as_ref().is_some_and(|url| url.contains('#')) {
        let rule = "must have no fragment: the code goes there";
        read.reject("invitations.accept_url", rule);
    }
    let subject = read_template(read, "invitations.subject");
    if has_field(&subject, "code") || has_field(&subject, "link") {
        let rule = "must not hold {code} or {link}: a subject is shown to everyone";
        read.reject("invitations.subject", rule);
    }
    // In HTML, a reference replaces any other character that Cognito does not accept.
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
    let (MailBody::Text(template) | MailBody::Html(template)) = &body;
    if read.is_valid(key)
        && !(has_field(template, "link")
            || has_field(template, "username") && has_field(template, "code"))
    {
        let rule = "must hold {link}, or both {username} and {code}: Cognito would send its own \
                    message instead";
        read.reject(key, rule);
    }
    Some(InvitationMail {
        brand,
        accept_url: accept_url?,
        subject,
        body,
    })
}

fn read_page(read: &mut Reader<'_>, brand: String) -> Option<AcceptPage> {
    let done_url = read_web_url(read, "invitations.done_url", &["https://"]);
    let contact = read_web_url(read, "invitations.contact", &["https://", "mailto:"]);
    let client = app_client::read(read, "invitations", "ask for a new code")?;
    Some(AcceptPage {
        brand,
        client,
        done_url,
        contact,
    })
}

fn read_template(read: &mut Reader<'_>, key: &str) -> Template {
    let text = read.text(key);
    Template::parse(&text).unwrap_or_else(|error| {
        // Without the template text, which may be long.
        let reason = error.rsplit(": ").next().unwrap_or_default().to_owned();
        read.reject(key, reason);
        Template {
            segments: Vec::new(),
        }
    })
}

/// Rejects the first character that cannot be sent: `AdminCreateUser` would always fail.
fn reject_characters(read: &mut Reader<'_>, key: &str, can_be_sent: fn(char) -> bool) {
    let text = read.value(key).and_then(|text| text.as_str());
    let invalid = text.and_then(|text| text.chars().find(|&c| !can_be_sent(c)));
    if let Some(c) = invalid {
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

/// A URL for a browser. Plain HTTP is accepted for this machine only.
fn read_web_url(read: &mut Reader<'_>, key: &str, schemes: &[&str]) -> Option<String> {
    let url = read.text(key);
    if url.is_empty() {
        return None;
    }
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let has_scheme = |scheme: &&str| {
        url.strip_prefix(*scheme)
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    };
    let is_local = local.iter().any(|host| {
        url.strip_prefix(host)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    // The host of a URL with an @ is not the one at its start.
    let is_allowed = |c: char| {
        c.is_ascii_graphic()
            && !"\"'<>\\`{}|^".contains(c)
            && (c != '@' || url.starts_with("mailto:"))
    };
    if !(schemes.iter().any(has_scheme) || is_local) || !url.chars().all(is_allowed) {
        read.reject(
            key,
            format!("must be a URL that begins with {}", schemes.join(" or ")),
        );
    }
    Some(url)
}
