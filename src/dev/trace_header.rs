//! `AWSTraceHeader`, which the queues underneath do not know: they keep it among the
//! message attributes, under a name that nobody else uses.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>

use axum::body::Bytes;
use serde_json::Value;
use winterbaume_core::MockResponse;

const SYSTEM_ATTRIBUTE: &str = "AWSTraceHeader";
const STORED_ATTRIBUTE: &str = "usher.dev.AWSTraceHeader";

/// The call as the queues underneath take it.
pub(super) fn rewrite_request(body: Bytes) -> Bytes {
    // Most calls have none, and are not read twice.
    let Some(mut call) = parse_if_contains(&body, SYSTEM_ATTRIBUTE) else {
        return body;
    };
    rewrite_message(&mut call);
    let entries = call.get_mut("Entries").and_then(Value::as_array_mut);
    entries.into_iter().flatten().for_each(rewrite_message);
    call.to_string().into()
}

fn rewrite_message(message: &mut Value) {
    let members = message.as_object_mut();
    let attributes = members.and_then(|members| members.remove("MessageSystemAttributes"));
    if let Some(mut attributes) = attributes {
        message["MessageAttributes"][STORED_ATTRIBUTE] = attributes[SYSTEM_ATTRIBUTE].take();
    }
}

/// The answer as SQS gives it to this call.
pub(super) fn rewrite_response(call: &Bytes, answer: MockResponse) -> MockResponse {
    let Some(mut body) = parse_if_contains(&answer.body, STORED_ATTRIBUTE) else {
        return answer;
    };
    let asked: Value = serde_json::from_slice(call).unwrap_or_default();
    let is_asked = ["MessageSystemAttributeNames", "AttributeNames"]
        .into_iter()
        .filter_map(|names| asked[names].as_array())
        .flatten()
        .any(|name| name == SYSTEM_ATTRIBUTE || name == "All");
    for message in body["Messages"].as_array_mut().into_iter().flatten() {
        let attributes = message["MessageAttributes"].as_object_mut();
        let header = attributes.and_then(|attributes| attributes.remove(STORED_ATTRIBUTE));
        if let Some(mut header) = header.filter(|_| is_asked) {
            message["Attributes"][SYSTEM_ATTRIBUTE] = header["StringValue"].take();
        }
    }
    let body = body.to_string().into();
    MockResponse { body, ..answer }
}

/// A body that mentions the word.
fn parse_if_contains(body: &[u8], word: &str) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let body = text.contains(word).then(|| serde_json::from_str(text));
    body?.ok()
}
