//! Amazon `DynamoDB`: the table of profiles.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeyType, ReturnValuesOnConditionCheckFailure, ScalarAttributeType,
};
use serde_json::{Map, Value};

use super::batch_get::{ReadOptions, Table, batch_get};
use super::item::to_json;
use crate::aws::call::{CallError, call};
use crate::aws::client::Aws;
use crate::aws::error::Failure;
use crate::aws::operation::DynamoDbOperation;
use crate::aws::operation::Target;

/// Creates, reads and deletes profiles, and never changes one.
#[derive(Debug, Clone)]
pub struct ProfileTable {
    pub(super) client: Client,
    pub(super) table: String,
    key: String,
}

/// The result of [`ProfileTable::put_if_absent`].
#[derive(Debug, PartialEq, Eq)]
pub enum PutResult {
    /// The profile did not exist before.
    Created,
    /// A profile existed and is unchanged. Holds the names of its attributes, if `DynamoDB`
    /// returned the old item.
    Existed(Option<BTreeSet<String>>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeySchema {
    /// Name of the partition key, and whether it is a String.
    pub partition: (String, bool),
    /// Name of the sort key, which a profile table must not have.
    pub sort: Option<String>,
}

impl ProfileTable {
    /// `key` is the name of the table's partition key.
    pub fn new(aws: &Aws, table: &str, key: &str) -> Self {
        Self {
            client: aws.dynamodb(),
            table: table.to_owned(),
            key: key.to_owned(),
        }
    }

    /// `PutItem` on condition that no profile has the key `id`. A refusal returns the old
    /// item, at no read cost.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html>
    ///
    /// # Errors
    /// Any except the profile's existence.
    pub async fn put_if_absent(
        &self,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<PutResult, Failure> {
        let item = attributes
            .into_iter()
            .map(|(name, value)| (name, AttributeValue::S(value)))
            .collect();
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .item(&self.key, AttributeValue::S(id.to_owned()))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", &self.key)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send();
        match self.call(DynamoDbOperation::PutItem, request).await {
            Ok(_) => Ok(PutResult::Created),
            Err(CallError {
                error: SdkError::ServiceError(answer),
                ..
            }) if answer.err().is_conditional_check_failed_exception() => {
                let old = match answer.into_err() {
                    PutItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                    _ => None,
                };
                Ok(PutResult::Existed(
                    old.map(|item| item.into_keys().collect()),
                ))
            }
            Err(refused) => Err(refused.failure),
        }
    }

    /// `BatchGetItem` of only the keys, at most 100: which of these profiles exist. Reads
    /// consistently, to see the latest write of a worker.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn existing(&self, ids: &[&str]) -> Result<BTreeSet<String>, Failure> {
        let found = batch_get(&self.client, &self.table(), ids, ReadOptions::KEYS_ONLY).await?;
        Ok(found.into_keys().collect())
    }

    /// `BatchGetItem` of one whole profile; `None` when there is none.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn read(&self, id: &str) -> Result<Option<Map<String, Value>>, Failure> {
        let options = ReadOptions {
            keys_only: false,
            consistent: true,
        };
        let mut found = batch_get(&self.client, &self.table(), &[id], options).await?;
        Ok(found.remove(id).map(to_json))
    }

    /// A `PutItem` whose condition can never hold: shows whether the call is
    /// allowed and the key fits, and writes nothing.
    ///
    /// # Errors
    /// Any except the condition's failure.
    pub(crate) async fn probe_put(&self) -> Result<(), Failure> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(&self.key, AttributeValue::S("usher check".to_owned()))
            .condition_expression("attribute_exists(#key) AND attribute_not_exists(#key)")
            .expression_attribute_names("#key", &self.key)
            .send();
        match self.call(DynamoDbOperation::PutItem, request).await {
            Err(refused) if refused.failure.code != "ConditionalCheckFailedException" => {
                Err(refused.failure)
            }
            _ => Ok(()),
        }
    }

    /// `DescribeTable`: the key schema.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn key_schema(&self) -> Result<KeySchema, Failure> {
        let request = self.client.describe_table().table_name(&self.table).send();
        let answer = self.call(DynamoDbOperation::DescribeTable, request).await?;
        let table = answer.table();
        let schema = table
            .map(aws_sdk_dynamodb::types::TableDescription::key_schema)
            .unwrap_or_default();
        let name_of = |kind: &KeyType| {
            schema
                .iter()
                .find(|element| element.key_type() == kind)
                .map(|element| element.attribute_name().to_owned())
        };
        let partition = name_of(&KeyType::Hash).unwrap_or_default();
        let is_string = table
            .map(aws_sdk_dynamodb::types::TableDescription::attribute_definitions)
            .unwrap_or_default()
            .iter()
            .any(|definition| {
                definition.attribute_name() == partition
                    && *definition.attribute_type() == ScalarAttributeType::S
            });
        Ok(KeySchema {
            partition: (partition, is_string),
            sort: name_of(&KeyType::Range),
        })
    }

    /// Name or ARN of the table.
    pub(crate) fn name(&self) -> &str {
        &self.table
    }

    /// The name of the table's partition key.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn table(&self) -> Table<'_> {
        Table {
            name: &self.table,
            key: &self.key,
        }
    }

    pub(super) fn call<'a, T, E>(
        &'a self,
        operation: DynamoDbOperation,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> impl Future<Output = Result<T, CallError<E>>> + Send + 'a
    where
        T: Send + 'a,
        E: ProvideErrorMetadata + std::error::Error + Send + 'static,
    {
        call(operation, &self.table, request)
    }

    pub(super) fn target(&self, operation: DynamoDbOperation) -> Target<'_> {
        Target {
            operation: operation.into(),
            resource: &self.table,
        }
    }
}
