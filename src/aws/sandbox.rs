//! Calls that only `usher dev` and the tests need: they create queues, pool and table, sign
//! users up and read the results. Compiled only with the `dev` feature.

mod users;

use std::collections::BTreeMap;

use aws_sdk_cognitoidentityprovider::types::{AttributeType as UserAttribute, MessageActionType};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::QueueAttributeName;

use super::call::{WithoutPermit, call};
use super::client::Aws;
use super::dynamodb::RequestTable;
use super::error::Failure;
use super::operation::{Operation, Service, Target};
use super::page::next_page;

pub use self::users::{PoolOptions, SignInResult, Tokens};

/// The password of every user who signs up. Not a secret: the users are in an emulator, or in a
/// pool for tests that drops them.
pub(crate) const SIGN_UP_PASSWORD: &str = "A-passw0rd-for-this-machine";

/// 14 days, the longest that SQS allows: longer than the 4 days of the queue.
const DEAD_LETTER_RETENTION_SECONDS: &str = "1209600";

/// Fills and reads an AWS account or an emulator.
#[derive(Debug, Clone)]
pub struct Sandbox {
    sqs: aws_sdk_sqs::Client,
    cognito: aws_sdk_cognitoidentityprovider::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

/// A user pool with one app client.
#[derive(Debug, Clone)]
pub struct SandboxPool {
    /// The id of the user pool.
    pub id: String,
    /// The id of the app client.
    pub client: String,
    /// The app client's secret, where it has one.
    pub secret: Option<String>,
}

impl Sandbox {
    /// Uses the SDK configuration of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self {
            sqs: aws.any_sqs(),
            cognito: aws.cognito(),
            dynamodb: aws.dynamodb(),
        }
    }

    /// Creates a queue whose messages move to its dead-letter queue after
    /// `max_receive_count` receives. Returns both URLs.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_queues(
        &self,
        name: &str,
        max_receive_count: u32,
    ) -> Result<(String, String), Failure> {
        let dead_letter_name = format!("{name}-dead-letters");
        let retention = QueueAttributeName::MessageRetentionPeriod;
        let request = self
            .sqs
            .create_queue()
            .queue_name(&dead_letter_name)
            .attributes(retention, DEAD_LETTER_RETENTION_SECONDS)
            .send();
        let dead_letter_url = call_service(&(Service::Sqs, "CreateQueue"), request)
            .await?
            .queue_url
            .unwrap_or_default();
        let request = self
            .sqs
            .get_queue_attributes()
            .queue_url(&dead_letter_url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send();
        let answer = call_service(&(Service::Sqs, "GetQueueAttributes"), request).await?;
        let arn = answer
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::QueueArn))
            .cloned()
            .unwrap_or_default();
        let redrive = serde_json::json!({
            "deadLetterTargetArn": arn, "maxReceiveCount": max_receive_count.to_string(),
        });
        let request = self
            .sqs
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
            .send();
        let queue = call_service(&(Service::Sqs, "CreateQueue"), request)
            .await?
            .queue_url;
        Ok((queue.unwrap_or_default(), dead_letter_url))
    }

    /// Creates a table with one String partition key.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_table(&self, name: &str, key: &str) -> Result<(), Failure> {
        self.create_table_with(name, key, None).await
    }

    /// Creates a table of requests.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_request_table(&self, name: &str) -> Result<(), Failure> {
        self.create_table(name, RequestTable::KEY).await?;
        let specification = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name(RequestTable::TIME_TO_LIVE)
            .build()
            .ok();
        let request = self.dynamodb.update_time_to_live().table_name(name);
        let request = request.set_time_to_live_specification(specification).send();
        call_service(&(Service::DynamoDb, "UpdateTimeToLive"), request).await?;
        Ok(())
    }

    /// Creates a table with an index, given by its name and its partition key.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_table_with(
        &self,
        name: &str,
        key: &str,
        index: Option<(&str, &str)>,
    ) -> Result<(), Failure> {
        let keys = [Some(key), index.map(|(_, key)| key)];
        let definitions = keys.into_iter().flatten().filter_map(|key| {
            let definition = AttributeDefinition::builder().attribute_name(key);
            definition
                .attribute_type(ScalarAttributeType::S)
                .build()
                .ok()
        });
        let index = index.and_then(|(name, key)| {
            let all = Projection::builder().projection_type(ProjectionType::All);
            GlobalSecondaryIndex::builder()
                .index_name(name)
                .key_schema(partition_key(key)?)
                .projection(all.build())
                .build()
                .ok()
        });
        let request = self
            .dynamodb
            .create_table()
            .table_name(name)
            .set_attribute_definitions(Some(definitions.collect()))
            .set_key_schema(partition_key(key).map(|element| vec![element]))
            .set_global_secondary_indexes(index.map(|index| vec![index]))
            .billing_mode(BillingMode::PayPerRequest)
            .send();
        call_service(&(Service::DynamoDb, "CreateTable"), request)
            .await
            .map(|_| ())
    }

    /// `SignUp` and `ConfirmSignUp`, as an app calls them.
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn sign_up(
        &self,
        client: &str,
        username: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let request = self
            .cognito
            .sign_up()
            .client_id(client)
            .username(username)
            .password(SIGN_UP_PASSWORD)
            .set_user_attributes(Some(user_attributes(attributes)))
            .send();
        call_service(&(Service::Cognito, "SignUp"), request).await?;
        let request = self
            .cognito
            .confirm_sign_up()
            .client_id(client)
            .username(username)
            .confirmation_code("000000")
            .send();
        call_service(&(Service::Cognito, "ConfirmSignUp"), request)
            .await
            .map(|_| ())
    }

    /// Creates a user without a sign-up; an existing user stays unchanged.
    ///
    /// # Errors
    /// Any except the user's existence.
    pub async fn create_user(
        &self,
        pool: &str,
        username: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let request = self
            .cognito
            .admin_create_user()
            .user_pool_id(pool)
            .username(username)
            .message_action(MessageActionType::Suppress)
            .set_user_attributes(Some(user_attributes(attributes)))
            .send();
        match call_service(&(Service::Cognito, "AdminCreateUser"), request).await {
            Err(failure) if failure.code == "UsernameExistsException" => Ok(()),
            result => result.map(|_| ()),
        }
    }

    /// The `sub` of every user, by user name.
    ///
    /// # Errors
    /// As any call.
    pub async fn users(&self, pool: &str) -> Result<BTreeMap<String, String>, Failure> {
        let mut users = BTreeMap::new();
        let mut token = None;
        loop {
            let request = self
                .cognito
                .list_users()
                .user_pool_id(pool)
                .set_pagination_token(token.clone())
                .send();
            let page = call_service(&(Service::Cognito, "ListUsers"), request).await?;
            for user in page.users() {
                let sub = user
                    .attributes()
                    .iter()
                    .find(|attribute| attribute.name() == "sub");
                users.insert(
                    user.username().unwrap_or_default().to_owned(),
                    sub.and_then(|sub| sub.value())
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
            let target = target(&(Service::Cognito, "ListUsers"));
            token = next_page(target, token.as_deref(), page.pagination_token)?;
            if token.is_none() {
                return Ok(users);
            }
        }
    }

    /// Every group with the names of its members, sorted.
    ///
    /// # Errors
    /// As any call.
    pub async fn groups(&self, pool: &str) -> Result<BTreeMap<String, Vec<String>>, Failure> {
        let request = self.cognito.list_groups().user_pool_id(pool).send();
        let groups = call_service(&(Service::Cognito, "ListGroups"), request).await?;
        let mut members = BTreeMap::new();
        for group in groups.groups() {
            let name = group.group_name().unwrap_or_default();
            members.insert(name.to_owned(), self.members(pool, name).await?);
        }
        Ok(members)
    }

    async fn members(&self, pool: &str, group: &str) -> Result<Vec<String>, Failure> {
        let mut members = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .cognito
                .list_users_in_group()
                .user_pool_id(pool)
                .group_name(group)
                .set_next_token(token.clone())
                .send();
            let page = call_service(&(Service::Cognito, "ListUsersInGroup"), request).await?;
            members.extend(
                page.users()
                    .iter()
                    .filter_map(|user| user.username())
                    .map(str::to_owned),
            );
            let target = target(&(Service::Cognito, "ListUsersInGroup"));
            token = next_page(target, token.as_deref(), page.next_token)?;
            if token.is_none() {
                members.sort();
                return Ok(members);
            }
        }
    }

    /// Every profile of the table by its key, only with String attributes.
    ///
    /// # Errors
    /// As any call.
    pub async fn profiles(
        &self,
        table: &str,
        key: &str,
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, Failure> {
        let mut profiles = BTreeMap::new();
        let mut start = None;
        loop {
            let request = self
                .dynamodb
                .scan()
                .table_name(table)
                .consistent_read(true)
                .set_exclusive_start_key(start.clone())
                .send();
            let page = call_service(&(Service::DynamoDb, "Scan"), request).await?;
            for item in page.items() {
                let profile: BTreeMap<String, String> = item
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone())))
                    .collect();
                profiles.insert(profile.get(key).cloned().unwrap_or_default(), profile);
            }
            let target = target(&(Service::DynamoDb, "Scan"));
            start = next_page(target, start.as_ref(), page.last_evaluated_key)?;
            if start.is_none() {
                return Ok(profiles);
            }
        }
    }

    /// Writes a profile, and replaces an existing one.
    ///
    /// # Errors
    /// As any call.
    pub async fn put_profile(
        &self,
        table: &str,
        profile: BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let item = profile
            .into_iter()
            .map(|(name, value)| (name, AttributeValue::S(value)));
        let request = self
            .dynamodb
            .put_item()
            .table_name(table)
            .set_item(Some(item.collect()))
            .send();
        call_service(&(Service::DynamoDb, "PutItem"), request)
            .await
            .map(|_| ())
    }
}

fn partition_key(key: &str) -> Option<KeySchemaElement> {
    let element = KeySchemaElement::builder().attribute_name(key);
    element.key_type(KeyType::Hash).build().ok()
}

fn user_attributes(attributes: &BTreeMap<String, String>) -> Vec<UserAttribute> {
    attributes
        .iter()
        .filter_map(|(name, value)| {
            UserAttribute::builder()
                .name(name)
                .value(value)
                .build()
                .ok()
        })
        .collect()
}

/// An operation by service and name.
type SandboxOperation = &'static (Service, &'static str);

impl From<SandboxOperation> for Operation {
    fn from(operation: SandboxOperation) -> Self {
        Self::Sandbox(operation)
    }
}

impl WithoutPermit for SandboxOperation {}

const RESOURCE: &str = "the sandbox";

async fn call_service<T, E>(
    operation: SandboxOperation,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
) -> Result<T, Failure>
where
    T: Send,
    E: ProvideErrorMetadata + std::error::Error + Send + 'static,
{
    Ok(call(operation, RESOURCE, request).await?)
}

fn target(operation: SandboxOperation) -> Target<'static> {
    Target {
        operation: operation.into(),
        resource: RESOURCE,
    }
}
