//! Amazon `DynamoDB`: whether the items of the table of requests have a time to live.

use aws_sdk_dynamodb::types::TimeToLiveStatus;

use super::request_table::RequestTable;
use crate::aws::call::call;
use crate::aws::error::Failure;
use crate::aws::operation::DynamoDbOperation;

impl RequestTable {
    /// `DescribeTimeToLive`: the attribute with the time to live; `None` if it is off.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTimeToLive.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn time_to_live(&self) -> Result<Option<String>, Failure> {
        let request = self.client.describe_time_to_live().table_name(&self.table);
        let operation = DynamoDbOperation::DescribeTimeToLive;
        let answer = call(operation, &self.table, request.send()).await?;
        let description = answer.time_to_live_description;
        let is_on = |status: &TimeToLiveStatus| {
            matches!(
                status,
                TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling
            )
        };
        Ok(description
            .filter(|it| it.time_to_live_status.as_ref().is_some_and(is_on))
            .and_then(|it| it.attribute_name))
    }
}
