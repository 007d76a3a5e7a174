//! Responses to calls, in the AWS JSON protocols.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub(crate) type Reply = Response<Full<Bytes>>;

/// An error as a service sends it.
#[derive(Debug)]
pub(crate) struct Fault {
    /// `__type`, with its namespace where the service has one.
    pub(crate) kind: String,
    pub(crate) message: String,
    /// The error's code in SQS's older query protocol.
    pub(crate) query_error: Option<&'static str>,
    pub(crate) more: Option<Value>,
}

impl Fault {
    pub(crate) fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
            query_error: None,
            more: None,
        }
    }

    pub(crate) fn is_throttle(&self) -> bool {
        self.kind == "TooManyRequestsException"
    }
}

/// The error for a request that cannot be parsed.
pub(crate) fn unreadable(error: &serde_json::Error) -> Fault {
    Fault::new("SerializationException", error.to_string())
}

pub(crate) fn reply(service: Service, result: Result<Vec<u8>, Fault>) -> Reply {
    let builder = Response::builder()
        .header("content-type", service.content_type())
        .header("x-amzn-requestid", id());
    let (builder, body) = match result {
        Ok(body) => (builder, body),
        Err(fault) => {
            let mut body = json!({"__type": fault.kind, "message": fault.message});
            if let (Some(body), Some(Value::Object(more))) = (body.as_object_mut(), fault.more) {
                body.extend(more);
            }
            let builder = builder.status(StatusCode::BAD_REQUEST);
            let builder = match fault.query_error {
                Some(code) => builder.header("x-amzn-query-error", format!("{code};Sender")),
                None => builder,
            };
            (builder, body.to_string().into_bytes())
        }
    };
    let builder = match service {
        // botocore checks it.
        Service::DynamoDb => builder.header("x-amz-crc32", crc32fast::hash(&body).to_string()),
        _ => builder,
    };
    builder
        .body(Full::new(Bytes::from(body)))
        .expect("the parts are valid")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Sqs,
    Cognito,
    DynamoDb,
    /// The interface under `/_bench`.
    Control,
}

impl Service {
    fn content_type(self) -> &'static str {
        match self {
            Self::Cognito => "application/x-amz-json-1.1",
            Self::Sqs | Self::DynamoDb => "application/x-amz-json-1.0",
            Self::Control => "application/json",
        }
    }
}

/// A random id in the format of AWS.
pub(crate) fn id() -> String {
    uuid(fastrand::u128(..))
}

pub(crate) fn uuid(bits: u128) -> String {
    // Version 4, variant 8.
    let bits = bits & !(0xf << 76) & !(0xf << 60) | 0x4 << 76 | 0x8 << 60;
    let mut text = format!("{bits:032x}");
    for position in [20, 16, 12, 8] {
        text.insert(position, '-');
    }
    text
}
