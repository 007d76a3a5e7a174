//! The fields of a form, from a query or the body of a POST.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;

use super::page::Refusal;

/// A list of invitations of 1 MB: a byte of it may take three.
pub(super) const MAX_BYTES: usize = 3_100_000;
const MAX_FIELDS: usize = 2000;
/// The limit of a form that a stranger may send.
pub(super) const MAX_SIGN_IN_BYTES: usize = 32 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

/// The fields of a POST, as a handler takes them.
pub(super) type Fields = Extension<Arc<Form>>;

impl Form {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    pub(super) fn of_query(RawQuery(query): RawQuery) -> Self {
        Self::parse(query.unwrap_or_default().as_bytes())
    }

    pub(super) async fn read(
        headers: &HeaderMap,
        body: Body,
        max_bytes: usize,
    ) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE);
        if kind.is_none_or(|kind| kind != "application/x-www-form-urlencoded") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Refusal::new(
                status,
                "Not a form",
                "The request does not contain a form.",
            ));
        }
        match tokio::time::timeout(BODY_TIMEOUT, read_body(body, max_bytes)).await {
            Ok(Some(body)) if has_few_fields(&body) => Ok(Self::parse(&body)),
            _ => Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The form was not read",
                "It is too large, or did not arrive in time. A list of invitations may have at most 1 MB.",
            )),
        }
    }

    /// All names, with their trimmed values.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.trim()))
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
        let fields = self.fields().filter(move |(field, _)| *field == name);
        let values = fields.map(|(_, value)| value);
        values.filter(|value| !value.is_empty())
    }
}

/// Each field takes memory.
fn has_few_fields(body: &[u8]) -> bool {
    body.split(|byte| *byte == b'&').nth(MAX_FIELDS).is_none()
}

/// `None` if it is too large or was cut off. Reads a large one to its end and drops it: a browser
/// whose connection is closed meanwhile shows no answer.
async fn read_body(body: Body, max_bytes: usize) -> Option<Vec<u8>> {
    let (mut chunks, mut read, mut is_large) = (body.into_data_stream(), Vec::new(), false);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.ok()?;
        is_large |= read.len() + chunk.len() > max_bytes;
        if !is_large {
            read.extend_from_slice(&chunk);
        }
    }
    (!is_large).then_some(read)
}
