//! What became of a queued command: HTTP API, `AppSync` and shell.

use axum::http::StatusCode;
use serde_json::{Value, json};
use usher::app::trigger_handler;
use usher::config::{Layers, TriggerConfig};
use usher::event::Trace;
use usher::trigger::TriggerHandler;

use super::{Api, claims, token};
use crate::faults::{Call, Fault};
use crate::process::finished;
use crate::trigger::mutation;
use crate::world::{World, eventually};

const TABLE: &str = "Requests";
const SETTING: (&str, &str) = ("admin.requests_table", TABLE);
const OTHER_POOL: &str = "us-east-1_Other";

async fn world() -> World {
    let world = World::new().await;
    let created = world.sandbox.create_request_table(TABLE).await;
    created.expect("a table");
    world
}

fn throttle(call: &Call) -> Option<Fault> {
    (call.operation == "AdminAddUserToGroup").then_some(Fault::Error(
        StatusCode::BAD_REQUEST,
        "TooManyRequestsException",
    ))
}

impl Api {
    async fn request(&self, id: &str) -> Value {
        let answer = self.ask("GET", &format!("/v1/requests/{id}"), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    async fn until_status(&self, id: &str, status: &str) -> Value {
        eventually(status, || async {
            let answer = self.ask("GET", &format!("/v1/requests/{id}"), None).await;
            answer.body["status"] == status
        })
        .await;
        self.request(id).await
    }

    /// Sends a command for a group as the Lambda would.
    async fn send_command(&self, id: &str, pool: &str, group: &str) {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": id,
            "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "userPoolId": pool, "username": "ada",
            "groupName": group,
        });
        self.world.send(body.to_string()).await;
    }
}

impl World {
    /// A command of `usher`: exit status, standard output and standard error.
    async fn run_with_table(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let setting = format!("{}={}", SETTING.0, SETTING.1);
        finished(self.usher(&[arguments, &["--set", &setting]].concat())).await
    }
}

fn statuses(request: &Value) -> Vec<&str> {
    let transitions = request["transitions"].as_array().expect("transitions");
    let status = transitions.iter().map(|it| it["status"].as_str());
    status.map(|status| status.expect("a status")).collect()
}

#[tokio::test]
async fn a_202_is_followed_until_it_is_done() {
    let api = Api::start_in(world().await, &[SETTING], None).await;
    api.world.create_user("ada").await;
    api.make_group("STAFF").await;
    api.world.faults.plan(throttle);
    let answer = api.add("STAFF", "ada").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.body["requestId"].as_str().expect("an id").to_owned();
    let queued = api.request(&id).await;
    assert_eq!(queued["status"], "QUEUED");
    assert_eq!(queued["groups"], json!(["STAFF"]));
    api.world.faults.clear();
    let done = api.until_status(&id, "DONE").await;
    assert_eq!(statuses(&done), ["QUEUED", "DONE"]);
    let (status, text, errors) = api.world.run_with_table(&["requests", "show", &id]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        text.contains("\nqueued ") && text.contains("\ndone "),
        "{text}"
    );

    let unknown = api.ask("GET", "/v1/requests/none", None).await;
    assert_eq!((unknown.status, unknown.code()), (404, "request_not_found"));
    let member = token(&api.world, &claims(&api.world, "ada", &["STAFF"]));
    let path = format!("/v1/requests/{id}");
    assert_eq!(api.ask_as(&member, "GET", &path).await.status, 403);
}

#[tokio::test]
async fn a_failed_request_names_its_dead_letter_and_changes_with_a_replay() {
    let api = Api::start_in(world().await, &[SETTING], None).await;
    api.world.create_user("ada").await;
    api.make_group("ADMINS").await;
    api.send_command("power", &api.world.pool.id, "ADMINS")
        .await;
    api.send_command("foreign", OTHER_POOL, "STAFF").await;
    let failed = api.until_status("power", "FAILED").await;
    assert_eq!(failed["reason"], "group_not_grantable");
    let (status, text, _) = api
        .world
        .run_with_table(&["requests", "show", "power"])
        .await;
    assert_eq!(status, Some(1));
    let next = text
        .lines()
        .find_map(|line| line.strip_prefix("next: usher "));
    let next: Vec<&str> = next.expect("a next command").split(' ').collect();
    let (status, shown, errors) = api.world.run_with_table(&next).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(shown.contains("group_not_grantable"), "{shown}");

    // Of the other pool: not shown to these administrators, but to operators.
    let other = ["requests", "show", "foreign", "--output", "json"];
    eventually("the other has failed, too", || async {
        api.world.run_with_table(&other).await.1.contains("FAILED")
    })
    .await;
    let hidden = api.ask("GET", "/v1/requests/foreign", None).await;
    assert_eq!((hidden.status, hidden.code()), (404, "request_not_found"));

    let replay = ["dead-letters", "replay", "--direct", "--yes"];
    let reason = ["--reason", "group_not_grantable"];
    let granted = ["--set", "admin.grantable_groups=*,ADMINS"];
    let replay = [&replay[..], &reason, &granted].concat();
    let (status, _, errors) = api.world.run_with_table(&replay).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(statuses(&api.request("power").await), ["FAILED", "DONE"]);
}

#[tokio::test]
async fn a_table_that_refuses_writes_costs_no_command() {
    let api = Api::start_in(world().await, &[SETTING], None).await;
    api.world.create_user("ada").await;
    api.make_group("STAFF").await;
    let refuse = |call: &Call| {
        let denied = Fault::Error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        (call.operation == "UpdateItem").then_some(denied)
    };
    api.world
        .faults
        .plan(move |call| throttle(call).or_else(|| refuse(call)));
    let answer = api.add("STAFF", "ada").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    api.world.faults.plan(refuse);
    eventually("the command is done", || async {
        api.world.members("STAFF").await == ["ada"]
    })
    .await;
    eventually("its end could not be recorded", || async {
        api.world.faults.calls("UpdateItem") == 2
    })
    .await;
    let id = answer.body["requestId"].as_str().expect("an id");
    let unknown = api.ask("GET", &format!("/v1/requests/{id}"), None).await;
    assert_eq!(unknown.status, 404);
    assert!(api.process.log().contains("admin.requests_table"));
}

#[tokio::test]
async fn without_a_table_the_answers_say_so() {
    let api = Api::start(&[]).await;
    let answer = api.ask("GET", "/v1/requests/r1", None).await;
    assert_eq!((answer.status, answer.code()), (404, "requests_off"));
    let show = finished(api.world.usher(&["requests", "show", "r1"])).await;
    let (status, _, errors) = show;
    assert_eq!(status, Some(78), "{errors}");
    assert!(
        errors.contains("admin.requests_table is not set"),
        "{errors}"
    );
}

/// The answer of the Lambda, or the type of its error.
async fn call(handler: &TriggerHandler, event: &str) -> Result<Value, &'static str> {
    let event = serde_json::value::RawValue::from_string(event.to_owned()).expect("JSON");
    let answer = handler.handle(&event, &Trace::default()).await.response;
    let answer = answer.map_err(|refusal| refusal.kind)?.expect("an answer");
    Ok(serde_json::from_str(answer.get()).expect("JSON"))
}

#[tokio::test]
async fn a_mutation_is_followed_by_its_query() {
    let world = world().await;
    let flags = [
        format!("queue.url={}", world.queue.url()),
        format!("{}={}", SETTING.0, SETTING.1),
    ];
    let settings = TriggerConfig::from_layers(&Layers::defaults().flags(&flags));
    let handler = trigger_handler(Ok(world.aws.clone()), settings);
    let arguments = json!({"userId": "ada", "groupName": "STAFF"});
    let add = mutation("addUserToGroup", &arguments, "ADMINS");
    world
        .faults
        .plan(|call| (call.operation == "SendMessage").then_some(Fault::ResetBefore));
    assert_eq!(call(&handler, &add).await, Err("Unavailable"));
    assert_eq!(world.faults.calls("UpdateItem"), 0, "nothing was queued");
    world.faults.clear();
    let queued = call(&handler, &add).await.expect("queued");
    let asked = json!({"requestId": queued["requestId"]});
    let query = mutation("requestStatus", &asked, "ADMINS");
    assert_eq!(
        call(&handler, &query).await.expect("known")["status"],
        "QUEUED"
    );
    // The pool of the administrator is not one that this worker serves.
    let allowed = ("pools.allowed", world.pool.id.as_str());
    world.work(&[SETTING, allowed]).await;
    let failed = call(&handler, &query).await.expect("known");
    assert_eq!(statuses(&failed), ["QUEUED", "FAILED"]);
    assert_eq!(failed["reason"], "foreign_pool");
    let elsewhere = query.replace("us-east-1_Example1", OTHER_POOL);
    assert_eq!(call(&handler, &elsewhere).await, Ok(Value::Null));
    let member = mutation("requestStatus", &asked, "STAFF");
    assert_eq!(call(&handler, &member).await, Err("Unauthorized"));
}
