//! The lower bound: a bare loop over the SDK's clients with default settings that makes
//! only the calls. No rate limit, no back-off, no dead letters, no metrics.

use std::env;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::Client as Cognito;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue::S;
use aws_sdk_sqs::Client as Sqs;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use futures_util::future::join_all;
use serde::Deserialize;

const BATCH: i32 = 10;

struct Floor {
    sqs: Sqs,
    cognito: Cognito,
    dynamodb: DynamoDb,
    queue: String,
    table: String,
    group: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    user_pool_id: String,
    user_name: String,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    user_attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    sub: String,
    email: String,
}

/// Tokio's default, a thread for each core; one with `BENCH_THREADS=1`.
fn main() {
    let mut builder = if env::var("BENCH_THREADS").as_deref() == Ok("1") {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let floor: &'static Floor = Box::leak(Box::new(Floor {
        sqs: Sqs::new(&aws),
        cognito: Cognito::new(&aws),
        dynamodb: DynamoDb::new(&aws),
        queue: var("BENCH_QUEUE_URL"),
        table: var("BENCH_TABLE"),
        group: var("BENCH_GROUP"),
    }));
    let mut left: i32 = var("BENCH_CONCURRENCY").parse().expect("a number");
    // Each loop processes one batch at a time.
    while left > 0 {
        tokio::spawn(floor.work(left.min(BATCH)));
        left -= BATCH;
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a signal handler");
    terminate.recv().await;
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        eprintln!("{name} is not set");
        std::process::exit(2)
    })
}

impl Floor {
    async fn work(&self, max_messages: i32) {
        loop {
            let messages = self.receive(max_messages).await;
            let done = join_all(messages.iter().map(|message| self.provision(message))).await;
            let receipts = messages.iter().zip(done);
            let receipts = receipts.filter_map(|(message, done)| {
                message.receipt_handle.as_deref().filter(|_| done.is_some())
            });
            self.delete(receipts).await;
        }
    }

    async fn receive(&self, max_messages: i32) -> Vec<Message> {
        let answer = self
            .sqs
            .receive_message()
            .queue_url(&self.queue)
            .max_number_of_messages(max_messages)
            .wait_time_seconds(20)
            .visibility_timeout(60)
            .send()
            .await;
        let Ok(answer) = answer else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Vec::new();
        };
        answer.messages.unwrap_or_default()
    }

    async fn provision(&self, message: &Message) -> Option<()> {
        let event: Event = serde_json::from_str(message.body.as_deref()?).ok()?;
        let user = event.request.user_attributes;
        let now = format!("{:.3}", jiff::Timestamp::now());
        let add = self
            .cognito
            .admin_add_user_to_group()
            .user_pool_id(&event.user_pool_id)
            .username(&event.user_name)
            .group_name(&self.group)
            .send();
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .item(
                "profileOwner",
                S(format!("{}::{}", user.sub, event.user_name)),
            )
            .item("id", S(user.sub))
            .item("__typename", S("UserProfile".to_owned()))
            .item("email", S(user.email))
            .item("createdAt", S(now.clone()))
            .item("updatedAt", S(now))
            .condition_expression("attribute_not_exists(id)")
            .send();
        add.await.ok()?;
        let put = put.await;
        let put = match put {
            Ok(_) => true,
            Err(error) => error
                .as_service_error()
                .is_some_and(PutItemError::is_conditional_check_failed_exception),
        };
        put.then_some(())
    }

    async fn delete(&self, receipts: impl Iterator<Item = &str>) {
        let entries: Vec<_> = receipts
            .enumerate()
            .filter_map(|(position, receipt)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(receipt)
                    .build()
                    .ok()
            })
            .collect();
        if !entries.is_empty() {
            let _ = self
                .sqs
                .delete_message_batch()
                .queue_url(&self.queue)
                .set_entries(Some(entries))
                .send()
                .await;
        }
    }
}
