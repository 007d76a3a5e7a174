//! The embedded table, with features that the underlying service lacks. A condition
//! and its write are one step. A failed condition returns the old item when the
//! request asks for it.

use axum::body::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use winterbaume_core::{MockRequest, MockResponse, MockService};
use winterbaume_dynamodb::DynamoDbService as Service;

#[derive(Default)]
pub(super) struct EmbeddedDynamoDb {
    service: Service,
    /// Held during each call, as any may write. The service checks the condition
    /// before it writes, so two puts could both find no item.
    write_lock: Mutex<()>,
}

impl EmbeddedDynamoDb {
    pub(super) async fn handle(&self, operation: &str, request: MockRequest) -> MockResponse {
        if let Some(member) = unsupported_member(operation, &request) {
            return invalid(&format!(
                "usher dev does not support {member} of {operation}"
            ));
        }
        if operation == "Query"
            && let Some(refusal) = self.missing_index_error(&request).await
        {
            return refusal;
        }
        let response = {
            let _guard = self.write_lock.lock().await;
            self.service.handle(request.clone()).await
        };
        let input: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if input["Select"] == "COUNT" && response.status == 200 {
            return without_items(response);
        }
        if operation != "PutItem" || response.status == 200 {
            return response;
        }
        let refusal: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let wanted = input["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD";
        let failed = refusal["__type"]
            .as_str()
            .is_some_and(|code| code.ends_with("ConditionalCheckFailedException"));
        if !(wanted && failed) {
            return response;
        }
        match self.old_item(&request, &input).await {
            Some(item) => {
                let mut refusal = refusal;
                refusal["Item"] = item;
                MockResponse {
                    body: refusal.to_string().into(),
                    ..response
                }
            }
            None => response,
        }
    }

    /// The error for an unknown index, for which the service answers with status 500.
    async fn missing_index_error(&self, request: &MockRequest) -> Option<MockResponse> {
        let input: Value = serde_json::from_slice(&request.body).ok()?;
        let index = input["IndexName"].as_str()?;
        let table = json!({"TableName": input["TableName"]});
        let table = self.call_json(request, "DescribeTable", &table).await?;
        let exists = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"]
            .iter()
            .filter_map(|kind| table["Table"][kind].as_array())
            .flatten()
            .any(|it| it["IndexName"] == index);
        if exists {
            return None;
        }
        Some(invalid(&format!(
            "The table does not have the specified index: {index}"
        )))
    }

    async fn old_item(&self, request: &MockRequest, put: &Value) -> Option<Value> {
        let table = self
            .call_json(
                request,
                "DescribeTable",
                &json!({"TableName": put["TableName"]}),
            )
            .await?;
        let key: Map<String, Value> = table["Table"]["KeySchema"]
            .as_array()?
            .iter()
            .filter_map(|element| element["AttributeName"].as_str())
            .map(|name| (name.to_owned(), put["Item"][name].clone()))
            .collect();
        let get = json!({"TableName": put["TableName"], "Key": key, "ConsistentRead": true});
        self.call_json(request, "GetItem", &get)
            .await?
            .get("Item")
            .cloned()
    }

    async fn call_json(
        &self,
        request: &MockRequest,
        operation: &str,
        input: &Value,
    ) -> Option<Value> {
        let mut request = request.clone();
        request.headers.insert(
            "x-amz-target",
            format!("DynamoDB_20120810.{operation}").parse().ok()?,
        );
        request.body = Bytes::from(input.to_string());
        let response = self.service.handle(request).await;
        if response.status == 200 {
            serde_json::from_slice(&response.body).ok()
        } else {
            None
        }
    }
}

/// A member that would change the result, and that the service ignores.
fn unsupported_member(operation: &str, request: &MockRequest) -> Option<&'static str> {
    let ignored: &[&str] = match operation {
        "Scan" | "Query" => &[
            "AttributesToGet",
            "ConditionalOperator",
            "QueryFilter",
            "ScanFilter",
            "Segment",
            "TotalSegments",
        ],
        "GetItem" => &["AttributesToGet"],
        "PutItem" | "DeleteItem" => &["ConditionalOperator", "Expected"],
        _ => &[],
    };
    let input: Value = serde_json::from_slice(&request.body).ok()?;
    let is_given = |member: &&&str| !input[**member].is_null();
    if let Some(member) = ignored.iter().find(is_given) {
        return Some(member);
    }
    let select = input["Select"].as_str().unwrap_or("ALL_ATTRIBUTES");
    (!["ALL_ATTRIBUTES", "COUNT"].contains(&select)).then_some("Select")
}

/// The response of a `Scan` or `Query` that only counts.
fn without_items(response: MockResponse) -> MockResponse {
    let mut counts: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if let Some(counts) = counts.as_object_mut() {
        counts.remove("Items");
    }
    MockResponse {
        body: counts.to_string().into(),
        ..response
    }
}

fn invalid(message: &str) -> MockResponse {
    let refusal = json!({
        "__type": "com.amazon.coral.validate#ValidationException",
        "message": message,
    });
    MockResponse::json(400, refusal.to_string())
}
