//! Orders that wait on the queue, and sign-ups beside them.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Api;
use crate::faults::{Fault, enforced};
use crate::world::eventually;

#[tokio::test]
async fn what_cognito_does_not_do_now_is_queued_and_ends_done() {
    let api = Api::start(&[]).await;
    let people = api.world.people(3).await;
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
        for person in &people {
            let answer = api.add("STAFF", &person.name).await;
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
        api.world.faults.mend();
        eventually("every order ends done", || async {
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
    assert!(api.world.letters().await.is_empty());
}

#[tokio::test]
async fn what_nobody_takes_is_not_promised() {
    let api = Api::start(&[]).await;
    api.world.person("ada").await;
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

/// Two hundred a second, with the quota at its limit: every one is accepted, by a client that
/// asks again when it is told to, as on a slow machine; and every one ends done.
#[tokio::test]
async fn a_flood_of_orders_at_the_quota_loses_none() {
    const PEOPLE: usize = 50;
    const ORDERS: usize = 1000;
    let api = Api::start(&[("quota.user_update", "50"), ("admin.rate", "1000")]).await;
    let people = api.world.people(PEOPLE).await;
    let groups: Vec<String> = (0..ORDERS / PEOPLE).map(|n| format!("G{n}")).collect();
    for group in &groups {
        api.make_group(group).await;
    }
    api.world.faults.plan(enforced(50.0, 5.0));
    // As many as 200 a second make while each waits a second for Cognito. More would only
    // wait for this machine where it is slow, and longer than a send to the queue may take.
    let under_way = tokio::sync::Semaphore::new(200);
    let begun = tokio::time::Instant::now();
    let asking = (0..ORDERS).map(|n| {
        let (api, person, group) = (&api, &people[n % PEOPLE].name, &groups[n / PEOPLE]);
        let under_way = &under_way;
        async move {
            tokio::time::sleep_until(
                begun + Duration::from_millis(5) * u32::try_from(n).expect("few"),
            )
            .await;
            let _place = under_way.acquire().await;
            api.add_until_accepted(group, person, &format!("order-{n}"))
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
    assert_eq!(done + queued, ORDERS, "every order is accepted");
    assert!(queued > 0, "Cognito was at its limit");
    println!("{done} at once, {queued} queued in {:?}", begun.elapsed());
    let ids: Vec<&str> = answers
        .iter()
        .map(|answer| answer.body["requestId"].as_str().expect("an id"))
        .collect();
    eventually("every order ends done", || async {
        let audit = api.audit();
        ids.iter().all(|id| {
            let last = audit.get(*id).and_then(|lines| lines.last());
            last.is_some_and(|line| line["result"] == "done")
        })
    })
    .await;
    for group in &groups {
        assert_eq!(api.world.members(group).await.len(), PEOPLE, "{group}");
    }
    assert!(api.world.letters().await.is_empty());
}

#[tokio::test]
async fn a_permission_that_orders_lack_holds_up_no_sign_up() {
    let api = Api::start(&[("worker.max_attempts", "2")]).await;
    api.make_group("STAFF").await;
    let people = api.world.people(12).await;
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
    // From the queue, as the Lambda puts them there.
    for n in 0..6 {
        let body = json!({
            "usher": 1, "command": "RemoveUserFromGroup", "requestId": format!("r{n}"),
            "requestedBy": {"sub": "s"}, "userPoolId": api.world.pool.id,
            "username": format!("person-{n}"), "groupName": "STAFF",
        });
        api.world.send(body.to_string()).await;
    }
    api.world.send_all(&people).await;
    eventually("everybody is provisioned", || async {
        api.world.members("EVERYONE").await.len() == people.len()
    })
    .await;
    eventually("the orders end, with their lines", || async {
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
async fn sign_ups_do_not_wait_behind_orders() {
    // More than a worker takes at once, with those that wait in it.
    const ORDERS: usize = 600;
    let settings = [("quota.user_update", "10"), ("worker.concurrency", "8")];
    let api = Api::start(&settings).await;
    api.make_group("STAFF").await;
    let people = api.world.people(30).await;
    // None is done before all are there, however long the sending takes.
    api.world
        .faults
        .plan(|call| (call.operation == "ReceiveMessage").then(|| Fault::Pretended(json!({}))));
    for n in 0..ORDERS {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": format!("r{n}"),
            "requestedBy": {"sub": "s"}, "userPoolId": api.world.pool.id,
            "username": people[n % people.len()].name, "groupName": "STAFF",
        });
        api.world.send(body.to_string()).await;
    }
    api.world.send_all(&people[..5]).await;
    api.world.faults.mend();
    eventually("everybody is provisioned", || async {
        api.world.members("EVERYONE").await.len() == 5
    })
    .await;
    let done = api.audit().len();
    assert!(done < ORDERS / 2, "{done} orders were done before them");
}
