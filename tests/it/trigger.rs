//! The Lambda function: the real binary against a Runtime API.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::faults::Fault;
use crate::process::{Process, command};
use crate::world::World;

/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
pub(crate) struct Lambda {
    pub(crate) process: Process,
    events: Events,
    ready: Arc<Semaphore>,
    answers: mpsc::UnboundedReceiver<(bool, Bytes)>,
}

/// Events, each with the trace of its invocation.
type Events = Arc<Mutex<Vec<(String, Option<String>)>>>;

#[derive(Clone)]
struct Api {
    events: Events,
    ready: Arc<Semaphore>,
    answers: mpsc::UnboundedSender<(bool, Bytes)>,
}

async fn next(State(api): State<Api>) -> Response {
    api.ready.acquire().await.expect("open").forget();
    let (event, trace) = api.events.lock().expect("not poisoned").remove(0);
    let trace = trace.map(|trace| [("lambda-runtime-trace-id", trace)]);
    let headers = [
        ("lambda-runtime-aws-request-id", "1"),
        ("lambda-runtime-deadline-ms", "99999999999999"),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:1:function:usher-trigger",
        ),
    ];
    match trace {
        Some(trace) => (headers, trace, event).into_response(),
        None => (headers, event).into_response(),
    }
}

async fn answered(State(api): State<Api>, body: Bytes) -> StatusCode {
    let _ = api.answers.send((true, body));
    StatusCode::ACCEPTED
}

async fn failed(State(api): State<Api>, body: Bytes) -> StatusCode {
    let _ = api.answers.send((false, body));
    StatusCode::ACCEPTED
}

impl Lambda {
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (sender, answers) = mpsc::unbounded_channel();
        let api = Api {
            events: Arc::default(),
            ready: Arc::new(Semaphore::new(0)),
            answers: sender,
        };
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/1/response", post(answered))
            .route("/2018-06-01/runtime/invocation/1/error", post(failed))
            .with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut command = command(env!("CARGO_BIN_EXE_usher-trigger"));
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "usher-trigger"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ]);
        command.envs(variables.iter().copied());
        let process = Process::start(command);
        Self {
            process,
            events: api.events,
            ready: api.ready,
            answers,
        }
    }

    pub(crate) async fn of(world: &World) -> Self {
        Self::start(&[
            ("USHER_QUEUE__URL", world.queue.url()),
            ("AWS_ENDPOINT_URL", &world.url),
        ])
        .await
    }

    /// Invokes the function once and asserts that it does not fail.
    pub(crate) async fn invoke(&mut self, event: &str) -> String {
        self.invoke_in(event, None).await
    }

    /// Like [`Lambda::invoke`], as a part of a trace.
    pub(crate) async fn invoke_in(&mut self, event: &str, trace: Option<&str>) -> String {
        let (ok, answer) = self.call_in(event, trace).await;
        assert!(ok, "{answer}");
        answer
    }

    /// Invokes the function: whether it succeeded, and its answer.
    pub(crate) async fn call(&mut self, event: &str) -> (bool, String) {
        self.call_in(event, None).await
    }

    async fn call_in(&mut self, event: &str, trace: Option<&str>) -> (bool, String) {
        let invocation = (event.to_owned(), trace.map(str::to_owned));
        self.events.lock().expect("not poisoned").push(invocation);
        self.ready.add_permits(1);
        let answer = tokio::time::timeout(Duration::from_secs(30), self.answers.recv()).await;
        let (ok, body) = answer.expect("answers").expect("open");
        (ok, String::from_utf8(body.to_vec()).expect("text"))
    }
}

/// Has an unusual key sequence, spacing, escapes and a number that no double holds. The
/// answer must keep all of them.
pub(crate) const SIGN_UP: &str = r#"{ "version":"1", "userName":"n\u00e9e","big":123456789012345678901234567890,
  "triggerSource":"PostConfirmation_ConfirmSignUp","userPoolId":"us-east-1_Example1",
  "request":{"userAttributes":{"sub":"deadbeef-0000-4000-8000-000000000000","email_verified":true},"clientMetadata":{"a":["b"]}},
  "response":{}, "float":1.0 }"#;

#[tokio::test]
async fn a_sign_up_is_returned_unchanged_and_forwarded() {
    let world = World::new().await;
    let mut lambda = Lambda::of(&world).await;
    assert_eq!(lambda.invoke(SIGN_UP).await, SIGN_UP);
    let messages = world.queue.receive(10).await.expect("received");
    assert_eq!(messages.len(), 1);
    let body = &messages[0].body;
    assert!(!body.contains("clientMetadata"), "{body}");
    for member in [
        r#""version":"1""#,
        r#""userName":"n\u00e9e""#,
        r#""big":123456789012345678901234567890"#,
        r#""userAttributes":{"sub":"deadbeef-0000-4000-8000-000000000000","email_verified":true}"#,
        r#""userPoolId":"us-east-1_Example1""#,
        r#""response":{}"#,
        r#""float":1.0"#,
    ] {
        assert!(body.contains(member), "{member} in {body}");
    }
    assert_eq!(messages[0].attributes["usher.kind"], "PostConfirmation");
    assert!(messages[0].attributes["usher.forwarded_at"].ends_with('Z'));

    // The client's metadata may be larger than a message.
    let metadata = format!(r#"{{"captcha":"{}"}}"#, "x".repeat(3 << 19));
    let event = SIGN_UP.replace(r#"{"a":["b"]}"#, &metadata);
    assert_eq!(lambda.invoke(&event).await, event);
    let messages = world.queue.receive(10).await.expect("received");
    assert_eq!(messages.len(), 1);
    assert!(messages[0].body.len() < 1000);
}

#[tokio::test]
async fn a_new_password_is_forwarded() {
    let world = World::new().await;
    let mut lambda = Lambda::of(&world).await;
    let source = "PostConfirmation_ConfirmForgotPassword";
    let event = SIGN_UP.replace("PostConfirmation_ConfirmSignUp", source);
    assert_eq!(lambda.invoke(&event).await, event);
    let messages = world.queue.receive(10).await.expect("received");
    assert_eq!(messages.len(), 1);
    assert!(messages[0].body.contains(source) && !messages[0].body.contains("clientMetadata"));
}

#[tokio::test]
async fn other_events_pass_through_untouched() {
    let world = World::new().await;
    let mut lambda = Lambda::of(&world).await;
    for source in [
        "PostAuthentication_Authentication",
        "PreSignUp_SignUp",
        "Something_New",
    ] {
        let event = SIGN_UP.replace("PostConfirmation_ConfirmSignUp", source);
        assert_eq!(lambda.invoke(&event).await, event);
    }
    assert_eq!(lambda.invoke("[1, 2]").await, "[1, 2]");
    assert_eq!(world.faults.calls("SendMessage"), 0);
}

#[tokio::test]
async fn an_unreachable_queue_costs_no_sign_up() {
    let world = World::new().await;
    let mut lambda = Lambda::of(&world).await;
    for fault in [Fault::Hang(Duration::from_secs(20)), Fault::ResetBefore] {
        let fault = fault.clone();
        let before = world.faults.calls("SendMessage");
        world.faults.plan(move |_| Some(fault.clone()));
        let begun = Instant::now();
        assert_eq!(lambda.invoke(SIGN_UP).await, SIGN_UP);
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(
            world.faults.calls("SendMessage") - before,
            2,
            "two attempts"
        );
    }
    let log = lambda.process.log();
    let errors: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), 2, "one line each: {log}");
    assert_eq!(errors[0]["pool.id"], "us-east-1_Example1");
    assert_eq!(
        errors[0]["user.sub"],
        "deadbeef-0000-4000-8000-000000000000"
    );
    assert!(!log.contains("n\\u00e9e") && !log.contains("née"));
}

#[tokio::test]
async fn a_failed_send_is_retried_once() {
    let world = World::new().await;
    let mut lambda = Lambda::of(&world).await;
    let mut first = true;
    world.faults.plan(move |_| {
        std::mem::take(&mut first).then_some(Fault::Error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
        ))
    });
    assert_eq!(lambda.invoke(SIGN_UP).await, SIGN_UP);
    assert_eq!(world.queue.receive(10).await.expect("received").len(), 1);
}

#[tokio::test]
async fn a_misconfigured_trigger_costs_no_sign_up() {
    let mut lambda = Lambda::start(&[]).await;
    assert_eq!(lambda.invoke(SIGN_UP).await, SIGN_UP);
    let log = lambda.process.log();
    assert!(
        log.contains("queue.url") && log.contains("not forwarded"),
        "{log}"
    );
}

/// An `AppSync` mutation of a user in this group, from a pool with a realistic id.
pub(crate) fn mutation(field: &str, arguments: &Value, group: &str) -> String {
    let issuer = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example1";
    json!({
        "typeName": "Mutation", "fieldName": field, "arguments": arguments,
        "identity": {
            "claims": {
                "sub": "deadbeef-0000-4000-8000-000000000000", "cognito:groups": [group], "iss": issuer, "client_id": "c",
                "token_use": "access", "username": "admin",
            },
            "groups": [group], "issuer": issuer, "sub": "deadbeef-0000-4000-8000-000000000000", "username": "admin",
        },
        "source": null, "request": {"headers": {"authorization": "secret"}}, "prev": null,
    })
    .to_string()
}

#[tokio::test]
async fn only_an_administrators_mutation_is_queued() {
    let world = World::new().await;
    let mut lambda = Lambda::of(&world).await;
    let arguments = json!({"userId": "ada@mail.example", "groupName": "STAFF"});
    let event = mutation("addUserToGroup", &arguments, "ADMINS");
    let answer: Value = serde_json::from_str(&lambda.invoke(&event).await).expect("JSON");
    assert_eq!(answer["status"], "QUEUED");
    let messages = world.queue.receive(10).await.expect("received");
    assert_eq!(messages[0].attributes["usher.kind"], "AddUserToGroup");
    let body: Value = serde_json::from_str(&messages[0].body).expect("JSON");
    assert_eq!(body["requestId"], answer["requestId"]);
    assert_eq!(
        body["requestedBy"],
        json!({"sub": "deadbeef-0000-4000-8000-000000000000"})
    );
    assert_eq!(
        (&body["username"], &body["groupName"]),
        (&arguments["userId"], &arguments["groupName"])
    );

    for (event, kind) in [
        (
            mutation("addUserToGroup", &arguments, "STAFF"),
            "Unauthorized",
        ),
        (
            mutation("addUserToGroup", &json!({"userId": "x"}), "ADMINS"),
            "BadRequest",
        ),
        (mutation("dropTable", &json!({}), "ADMINS"), "BadRequest"),
        (format!("[{event}]"), "Unauthorized"),
    ] {
        let (ok, answer) = lambda.call(&event).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(!ok && answer["errorType"] == kind, "{answer}");
        let message = answer["errorMessage"].as_str().expect("text");
        assert!(message.starts_with(&format!("{kind}: ")), "{message}");
    }
    assert_eq!(world.faults.calls("SendMessage"), 1);
    world.faults.plan(|_| Some(Fault::ResetBefore));
    let (ok, answer) = lambda.call(&event).await;
    assert!(!ok && answer.contains("Unavailable"), "{answer}");
    let log = lambda.process.log();
    assert!(
        !log.contains("mail.example") && !log.contains("secret"),
        "{log}"
    );
    let errors = log
        .lines()
        .filter(|line| line.contains("\"ERROR\""))
        .count();
    assert_eq!(errors, 1, "a refusal is no error of ours: {log}");
}
