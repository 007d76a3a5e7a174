//! Amazon `DynamoDB`: the owners of profiles, for any partition key.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::profiles::ProfileTable;
use crate::aws::classify::Class;
use crate::aws::error::Failure;
use crate::aws::operation::DynamoDbOperation;
use crate::aws::page::{Page, next_page};
use crate::reason::Reason;
use crate::retry::retry_inline;

impl ProfileTable {
    /// `Scan` of the key and this attribute, one page, of all profiles that have both as a
    /// String. Begins after the profile with the key `after`. Costs as much as reading whole
    /// profiles.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html>
    ///
    /// # Errors
    /// As any call; `repeated_token` where the next page is the same, `table_mismatch` where it
    /// begins after another key.
    pub(crate) async fn scan_owners(
        &self,
        attribute: &str,
        after: Option<&str>,
        limit: Option<i32>,
    ) -> Result<Page<(String, String)>, Failure> {
        let start = after.map(|key| {
            let key = AttributeValue::S(key.to_owned());
            HashMap::from([(self.key().to_owned(), key)])
        });
        let request = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression("#key, #owner")
            .expression_attribute_names("#key", self.key())
            .expression_attribute_names("#owner", attribute)
            .set_exclusive_start_key(start)
            .set_limit(limit)
            .send();
        let answer = self.call(DynamoDbOperation::Scan, request).await?;
        let items = answer.items.unwrap_or_default().into_iter();
        // An empty key also means the end.
        let last = answer.last_evaluated_key.filter(|key| !key.is_empty());
        let next = last.map(|mut key| {
            let key = string_value(key.remove(self.key()));
            key.ok_or_else(|| self.key_mismatch())
        });
        Ok(Page {
            items: items
                .filter_map(|mut item| {
                    let key = string_value(item.remove(self.key()))?;
                    Some((key, string_value(item.remove(attribute))?))
                })
                .collect(),
            next: next_page(
                self.target(DynamoDbOperation::Scan),
                after,
                next.transpose()?,
            )?,
        })
    }

    /// `Query` of an index whose partition key is this attribute: whether a profile has one of
    /// these values. Makes one call for each value, until one is found. An index is eventually
    /// consistent.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html>
    ///
    /// # Errors
    /// As any call; `table_mismatch` when there is no such index, or it has another key.
    pub(crate) async fn has_owner(
        &self,
        index: &str,
        attribute: &str,
        values: &[String],
    ) -> Result<bool, Failure> {
        for value in values {
            let keys = retry_inline(|| self.keys_of_owner(index, attribute, value, Some(1)));
            if !keys.await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `Query` of an index whose partition key is this attribute: the keys of the profiles that
    /// have this value, one page. An index is eventually consistent.
    ///
    /// # Errors
    /// As [`Self::has_owner`].
    pub(crate) async fn keys_of_owner(
        &self,
        index: &str,
        attribute: &str,
        value: &str,
        limit: Option<i32>,
    ) -> Result<Vec<String>, Failure> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .key_condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", attribute)
            .expression_attribute_values(":owner", AttributeValue::S(value.to_owned()))
            .projection_expression("#key")
            .expression_attribute_names("#key", self.key())
            .set_limit(limit)
            .send();
        let answer = self.call(DynamoDbOperation::Query, request).await?;
        let items = answer.items.unwrap_or_default().into_iter();
        Ok(items
            .filter_map(|mut item| string_value(item.remove(self.key())))
            .collect())
    }

    /// The next page begins after an item with another partition key.
    fn key_mismatch(&self) -> Failure {
        let target = self.target(DynamoDbOperation::Scan);
        Failure::for_call(target, "OtherKey", Reason::TableMismatch, Class::Systemic)
    }
}

fn string_value(value: Option<AttributeValue>) -> Option<String> {
    match value? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}
