//! Admin commands that wait on the queue together with sign-ups.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Api;
use crate::faults::{Fault, enforced};
use crate::world::eventually;

#[tokio::test]
async fn a_command_that_fails_now_is_queued_and_done_later() {
    let api = Api::start(&[]).await;
    let users = api.world.create_users(3).await;
    api.make_group("STAFF").await;
    for trouble in ["TooManyRequestsException", "InternalErrorException"] {
        let status = if trouble.starts_with("Too") {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        api.world.faults.plan(move |call| {
            let update = ["AdminAddUserToGroup", "AdminCreateUser"];
            update
                .contains(&call.operation.as_str())
                .then_some(Fault::Error(status, trouble))
        });
        let mut ids = Vec::new();
        for user in &users {
            let answer = api.add("STAFF", &user.name).await;
            assert_eq!(
                (answer.status, &answer.body["status"]),
                (202, &json!("QUEUED"))
            );
            ids.push(answer.body["requestId"].as_str().expect("an id").to_owned());
        }
        let invitation = json!({"email": format!("{trouble}@mail.example"), "groups": ["STAFF"]});
        let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
        assert_eq!(answer.status, 202);
        ids.push(answer.body["requestId"].as_str().expect("an id").to_owned());
        api.world.faults.clear();
        eventually("every command is done", || async {
            let audit = api.audit();
            ids.iter().all(|id| {
                let results: Vec<&Value> = audit
                    .get(id)
                    .into_iter()
                    .flatten()
                    .map(|line| &line["result"])
                    .collect();
                results == ["queued", "done"]
            })
        })
        .await;
    }
    assert_eq!(api.world.members("STAFF").await.len(), 5);
    assert!(api.world.read_dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_command_that_cannot_be_queued_gets_503() {
    let api = Api::start(&[]).await;
    api.world.create_user("ada").await;
    api.world.faults.plan(|call| {
        let down = ["AdminGetUser", "SendMessage"];
        down.contains(&call.operation.as_str())
            .then_some(Fault::Error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
            ))
    });
    let answer = api.add("STAFF", "ada").await;
    assert_eq!((answer.status, answer.code()), (503, "unavailable"));
    assert!(answer.header("retry-after").is_some());
}

/// Sends two hundred commands a second, four times the quota. Each is accepted, if
/// necessary after retries that the API asks for on a slow machine, and each is done.
#[tokio::test]
async fn a_flood_of_commands_at_the_quota_loses_none() {
    const USERS: usize = 50;
    const COMMANDS: usize = 1000;
    let api = Api::start(&[("quota.user_update", "50"), ("admin.rate", "1000")]).await;
    let users = api.world.create_users(USERS).await;
    let groups: Vec<String> = (0..COMMANDS / USERS).map(|n| format!("G{n}")).collect();
    for group in &groups {
        api.make_group(group).await;
    }
    api.world.faults.plan(enforced(50.0, 5.0));
    // At 200 a second, as many wait for Cognito for a second each. On a slow machine more
    // would exceed the time-out of a send to the queue.
    let under_way = tokio::sync::Semaphore::new(200);
    let begun = tokio::time::Instant::now();
    let asking = (0..COMMANDS).map(|n| {
        let (api, user, group) = (&api, &users[n % USERS].name, &groups[n / USERS]);
        let under_way = &under_way;
        async move {
            tokio::time::sleep_until(
                begun + Duration::from_millis(5) * u32::try_from(n).expect("few"),
            )
            .await;
            let _permit = under_way.acquire().await;
            api.add_until_accepted(group, user, &format!("order-{n}"))
                .await
        }
    });
    let answers = futures_util::future::join_all(asking).await;
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    let (done, queued) = (count(200), count(202));
    if let Some(other) = answers
        .iter()
        .find(|answer| ![200, 202].contains(&answer.status))
    {
        println!("one of the others: {other:?}");
    }
    assert_eq!(done + queued, COMMANDS, "every order is accepted");
    assert!(queued > 0, "Cognito was at its limit");
    println!("{done} at once, {queued} queued in {:?}", begun.elapsed());
    let ids: Vec<&str> = answers
        .iter()
        .map(|answer| answer.body["requestId"].as_str().expect("an id"))
        .collect();
    eventually("every command is done", || async {
        let audit = api.audit();
        ids.iter().all(|id| {
            let last = audit.get(*id).and_then(|lines| lines.last());
            last.is_some_and(|line| line["result"] == "done")
        })
    })
    .await;
    for group in &groups {
        assert_eq!(api.world.members(group).await.len(), USERS, "{group}");
    }
    assert!(api.world.read_dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_missing_command_permission_delays_no_sign_up() {
    let api = Api::start(&[("worker.max_attempts", "2")]).await;
    api.make_group("STAFF").await;
    let users = api.world.create_users(12).await;
    api.world.faults.plan(|call| {
        (call.operation == "AdminRemoveUserFromGroup").then_some(Fault::Error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
        ))
    });
    api.world.faults.time_lapse();
    let answer = api
        .ask("DELETE", "/v1/groups/STAFF/members/person-0", None)
        .await;
    assert_eq!((answer.status, answer.code()), (503, "misconfigured"));
    // On the queue, in the form of the Lambda.
    for n in 0..6 {
        let body = json!({
            "usher": 1, "command": "RemoveUserFromGroup", "requestId": format!("r{n}"),
            "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "userPoolId": api.world.pool.id,
            "username": format!("person-{n}"), "groupName": "STAFF",
        });
        api.world.send(body.to_string()).await;
    }
    api.world.send_all(&users).await;
    eventually("all users are provisioned", || async {
        api.world.members("EVERYONE").await.len() == users.len()
    })
    .await;
    eventually("every command has its audit line", || async {
        let audit = api.audit();
        (0..6).all(|n| {
            let lines = audit.get(&format!("r{n}"));
            lines.is_some_and(|lines| {
                lines.len() == 1
                    && lines[0]["result"] == "rejected"
                    && lines[0]["reason"] == "access_denied"
            })
        })
    })
    .await;
    let ready = crate::process::get(&api.process.http().await, "/readyz").await;
    assert_eq!(ready.0, 200, "{ready:?}");
}

#[tokio::test]
async fn sign_ups_do_not_wait_behind_commands() {
    // More than a worker holds, prefetched messages included.
    const COMMANDS: usize = 600;
    let settings = [("quota.user_update", "10"), ("worker.concurrency", "8")];
    let api = Api::start(&settings).await;
    api.make_group("STAFF").await;
    let users = api.world.create_users(30).await;
    // Receives are empty until everything is sent, however long that takes.
    api.world
        .faults
        .plan(|call| (call.operation == "ReceiveMessage").then(|| Fault::Pretended(json!({}))));
    for n in 0..COMMANDS {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": format!("r{n}"),
            "requestedBy": {"sub": "deadbeef-0000-4000-8000-000000000000"}, "userPoolId": api.world.pool.id,
            "username": users[n % users.len()].name, "groupName": "STAFF",
        });
        api.world.send(body.to_string()).await;
    }
    api.world.send_all(&users[..5]).await;
    api.world.faults.clear();
    eventually("all users are provisioned", || async {
        api.world.members("EVERYONE").await.len() == 5
    })
    .await;
    let done = api.audit().len();
    assert!(done < COMMANDS / 2, "{done} orders were done before them");
}
