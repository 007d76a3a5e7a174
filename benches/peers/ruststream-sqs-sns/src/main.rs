//! A worker over `ruststream-sqs-sns`: its own receive loop and settlement, with
//! `BENCH_CONCURRENCY` messages at once. The rest uses the SDK's clients with default settings.

use std::env;
use std::num::NonZeroUsize;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::Client as Cognito;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue::S;
use ruststream_sqs_sns::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

struct Clients {
    cognito: Cognito,
    dynamodb: DynamoDb,
    table: String,
    group: String,
}

static CLIENTS: OnceCell<Clients> = OnceCell::const_new();

#[derive(Debug, Deserialize, Serialize, Outgoing)]
#[serde(rename_all = "camelCase")]
struct Event {
    user_pool_id: String,
    user_name: String,
    request: Request,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    user_attributes: Attributes,
}

#[derive(Debug, Deserialize, Serialize)]
struct Attributes {
    sub: String,
    email: String,
}

#[subscriber(SqsQueue)]
async fn provision(event: &Event) -> HandlerOutcome {
    let clients = CLIENTS.get_or_init(clients).await;
    let user = &event.request.user_attributes;
    let now = format!("{:.3}", jiff::Timestamp::now());
    let add = clients
        .cognito
        .admin_add_user_to_group()
        .user_pool_id(&event.user_pool_id)
        .username(&event.user_name)
        .group_name(&clients.group)
        .send();
    let owner = format!("{}::{}", user.sub, event.user_name);
    let put = clients
        .dynamodb
        .put_item()
        .table_name(&clients.table)
        .item("id", S(user.sub.clone()))
        .item("__typename", S("UserProfile".to_owned()))
        .item("email", S(user.email.clone()))
        .item("profileOwner", S(owner))
        .item("createdAt", S(now.clone()))
        .item("updatedAt", S(now))
        .condition_expression("attribute_not_exists(id)")
        .send();
    // As with the other peers: the message is received again after its visibility timeout.
    let failed = HandlerOutcome::retry_after(Duration::from_mins(1));
    if add.await.is_err() {
        return failed;
    }
    let existed = |error: &PutItemError| error.is_conditional_check_failed_exception();
    let put = put.await.map_or_else(
        |error| error.as_service_error().is_some_and(existed),
        |_| true,
    );
    if put { HandlerOutcome::ack() } else { failed }
}

async fn clients() -> Clients {
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    Clients {
        cognito: Cognito::new(&aws),
        dynamodb: DynamoDb::new(&aws),
        table: var("BENCH_TABLE"),
        group: var("BENCH_GROUP"),
    }
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        eprintln!("{name} is not set");
        std::process::exit(2)
    })
}

#[app]
fn app() -> impl App {
    let url = var("BENCH_QUEUE_URL");
    let queue = url.rsplit('/').next().unwrap_or_default().to_owned();
    let workers: NonZeroUsize = var("BENCH_CONCURRENCY").parse().expect("a number");
    RustStream::new(AppInfo::new("bench", "0.0.0")).with_broker(SqsBroker::new(), |b| {
        b.include(
            provision
                .name(queue)
                .workers(workers)
                .wait(Duration::from_secs(20))
                .visibility(Duration::from_mins(1)),
        );
    })
}
