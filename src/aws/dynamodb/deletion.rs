//! Amazon `DynamoDB`: deletes profiles, for the load test and `usher users forget`.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::profiles::ProfileTable;
use crate::aws::error::Failure;
use crate::aws::operation::DynamoDbOperation;

impl ProfileTable {
    /// `DeleteItem`: whether the profile existed. With `owner`, an attribute and its value, a
    /// profile stays that has another owner by now.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteItem.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn delete_profile(
        &self,
        id: &str,
        owner: Option<(&str, &str)>,
    ) -> Result<bool, Failure> {
        let mut request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(self.key(), AttributeValue::S(id.to_owned()))
            .return_values(ReturnValue::AllOld);
        if let Some((attribute, value)) = owner {
            request = request
                .condition_expression("#owner = :owner")
                .expression_attribute_names("#owner", attribute)
                .expression_attribute_values(":owner", AttributeValue::S(value.to_owned()));
        }
        let deleted = self.call(DynamoDbOperation::DeleteItem, request.send());
        match deleted.await {
            Ok(answer) => Ok(answer.attributes.is_some_and(|item| !item.is_empty())),
            Err(refused) if refused.failure.code == "ConditionalCheckFailedException" => Ok(false),
            Err(refused) => Err(refused.failure),
        }
    }
}
