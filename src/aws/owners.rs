//! Amazon `DynamoDB`: whose records a table holds, whatever their keys are.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, Select};

use super::call::call;
use super::error::Failure;
use super::listing::Page;
use super::profiles::Profiles;

impl Profiles {
    /// `Scan` of one attribute, one page: its values, of all records that have it as a String.
    /// Begins after the record with the key `after`. Costs as much as reading the records
    /// whole.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html>
    ///
    /// # Errors
    /// As any call.
    pub async fn owners(
        &self,
        attribute: &str,
        after: Option<&str>,
        limit: Option<i32>,
    ) -> Result<Page<String>, Failure> {
        let start = after.map(|key| {
            let key = AttributeValue::S(key.to_owned());
            HashMap::from([(self.key().to_owned(), key)])
        });
        let request = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression("#owner")
            .expression_attribute_names("#owner", attribute)
            .set_exclusive_start_key(start)
            .set_limit(limit)
            .send();
        let answer = call(self.target("Scan"), request)
            .await
            .map_err(|(failure, _)| failure)?;
        let text = |value: AttributeValue| match value {
            AttributeValue::S(text) => Some(text),
            _ => None,
        };
        let items = answer.items.unwrap_or_default().into_iter();
        let next = answer.last_evaluated_key.unwrap_or_default();
        Ok(Page {
            items: items
                .filter_map(|mut item| text(item.remove(attribute)?))
                .collect(),
            next: next.into_iter().find_map(|(name, value)| {
                let is_key = name == self.key();
                text(value).filter(|_| is_key)
            }),
        })
    }

    /// `Query` of an index whose partition key is this attribute: whether a record has one of
    /// these values. An index is eventually consistent.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html>
    ///
    /// # Errors
    /// As any call; `table_mismatch` when there is no such index, or it has another key.
    pub async fn has_owner(
        &self,
        index: &str,
        attribute: &str,
        values: &BTreeSet<String>,
    ) -> Result<bool, Failure> {
        for value in values {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(index)
                .key_condition_expression("#owner = :owner")
                .expression_attribute_names("#owner", attribute)
                .expression_attribute_values(":owner", AttributeValue::S(value.clone()))
                .select(Select::Count)
                .limit(1)
                .send();
            let answer = call(self.target("Query"), request)
                .await
                .map_err(|(failure, _)| failure)?;
            if answer.count() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
