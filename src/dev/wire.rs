//! The AWS JSON protocols: the header that names the operation, and error responses.

use winterbaume_core::MockResponse;

/// Names service and operation.
pub(super) const TARGET_HEADER: &str = "x-amz-target";

pub(super) fn error_response(code: &str, message: &str) -> MockResponse {
    MockResponse::json(
        400,
        serde_json::json!({"__type": code, "message": message}).to_string(),
    )
}
