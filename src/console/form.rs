//! The fields of a form, from a query or the body of a POST.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};

use super::page::Refusal;

/// A filter and a reason in words.
const MAX_BODY_BYTES: usize = 32 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

/// Those of a POST, as a handler takes them.
pub(super) type Fields = Extension<Arc<Form>>;

impl Form {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE);
        if kind.is_none_or(|kind| kind != "application/x-www-form-urlencoded") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Refusal::new(
                status,
                "Not a form",
                "The request has no form.",
            ));
        }
        match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await {
            Ok(Ok(body)) => Ok(Self::parse(&body)),
            _ => Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The form was not read",
                "It is too large, or did not arrive in time.",
            )),
        }
    }

    /// The trimmed value; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Whether a person typed this number.
    pub(super) fn has_typed(&self, number: u64) -> bool {
        let typed = self.get("typed").replace([',', ' '], "");
        typed == number.to_string()
    }

    /// The value as it was typed; empty if there is none.
    pub(super) fn untrimmed(&self, name: &str) -> &str {
        let mut fields = self.0.iter();
        let found = fields.find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value)
    }

    /// The values that are not empty.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.0.iter().filter(move |(field, _)| field == name);
        let values = fields.map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty())
    }
}
