//! `GetCallerIdentity` of the embedded endpoint. It uses the query protocol: the
//! request is a form, the response is XML.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use axum::http::{HeaderMap, HeaderValue, header};
use winterbaume_core::MockResponse;

const CALLER_IDENTITY_XML: &str = r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/local</Arn><UserId>local</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#;

pub(super) fn is_get_caller_identity(form: &[u8]) -> bool {
    let form = std::str::from_utf8(form).unwrap_or_default();
    form.split('&')
        .any(|field| field == "Action=GetCallerIdentity")
}

/// Every caller is the same user here.
pub(super) fn get_caller_identity() -> MockResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    MockResponse {
        status: 200,
        headers,
        body: CALLER_IDENTITY_XML.into(),
    }
}
