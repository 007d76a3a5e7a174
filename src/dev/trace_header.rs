//! `AWSTraceHeader`, which the underlying queues do not support. It is stored among the
//! message attributes, under a name that no caller uses.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>

use axum::body::Bytes;
use serde_json::Value;
use winterbaume_core::MockResponse;

const SYSTEM_ATTRIBUTE: &str = "AWSTraceHeader";
const STORED_ATTRIBUTE: &str = "usher.dev.AWSTraceHeader";

/// The request as the underlying queues take it.
pub(super) fn rewrite_request(body: Bytes) -> Bytes {
    // Most requests have none; they are not parsed twice.
    let Some(mut request) = parse_if_contains(&body, SYSTEM_ATTRIBUTE) else {
        return body;
    };
    rewrite_message(&mut request);
    let entries = request.get_mut("Entries").and_then(Value::as_array_mut);
    entries.into_iter().flatten().for_each(rewrite_message);
    request.to_string().into()
}

fn rewrite_message(message: &mut Value) {
    let members = message.as_object_mut();
    let attributes = members.and_then(|members| members.remove("MessageSystemAttributes"));
    if let Some(mut attributes) = attributes {
        message["MessageAttributes"][STORED_ATTRIBUTE] = attributes[SYSTEM_ATTRIBUTE].take();
    }
}

/// The response as SQS sends it to this request.
pub(super) fn rewrite_response(request: &Bytes, response: MockResponse) -> MockResponse {
    let Some(mut body) = parse_if_contains(&response.body, STORED_ATTRIBUTE) else {
        return response;
    };
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let is_requested = ["MessageSystemAttributeNames", "AttributeNames"]
        .into_iter()
        .filter_map(|names| request[names].as_array())
        .flatten()
        .any(|name| name == SYSTEM_ATTRIBUTE || name == "All");
    for message in body["Messages"].as_array_mut().into_iter().flatten() {
        let attributes = message["MessageAttributes"].as_object_mut();
        let header = attributes.and_then(|attributes| attributes.remove(STORED_ATTRIBUTE));
        if let Some(mut header) = header.filter(|_| is_requested) {
            message["Attributes"][SYSTEM_ATTRIBUTE] = header["StringValue"].take();
        }
    }
    let body = body.to_string().into();
    MockResponse { body, ..response }
}

/// The parsed body, if it contains `word`.
fn parse_if_contains(body: &[u8], word: &str) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let body = text.contains(word).then(|| serde_json::from_str(text));
    body?.ok()
}
