//! What administrators ask for.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Api, claims, sub_of, token};
use crate::faults::{Fault, enforced};
use crate::world::eventually;

#[tokio::test]
async fn a_user_is_put_into_a_group_and_taken_out() {
    let api = Api::start(&[]).await;
    let ada = api.world.person("ada").await;
    api.make_group("STAFF").await;
    let answer = api.add("STAFF", "ada").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["user"]["sub"], ada.sub);
    assert_eq!(api.world.members("STAFF").await, ["ada"]);
    // Again, and by sub.
    assert_eq!(api.add("STAFF", "ada").await.status, 200);

    let answer = api
        .ask("DELETE", "/v1/groups/STAFF/members/ada", None)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(api.world.members("STAFF").await.is_empty());

    for (group, user, code) in [
        ("STAFF", "nobody", "user_not_found"),
        ("NONE", "ada", "group_not_found"),
    ] {
        let answer = api.add(group, user).await;
        assert_eq!((answer.status, answer.code()), (404, code));
        let path = format!("/v1/groups/{group}/members/{user}");
        let answer = api.ask("DELETE", &path, None).await;
        assert_eq!((answer.status, answer.code()), (404, code));
    }
    let answer = api.add("ADMINS", "ada").await;
    assert_eq!((answer.status, answer.code()), (403, "group_not_grantable"));

    let audit = api.audit();
    let line = &audit[answer.body["requestId"].as_str().expect("an id")][0];
    assert_eq!(line["actor"], sub_of("admin"));
    assert_eq!(
        (&line["result"], &line["action"]),
        (&json!("rejected"), &json!("AddUserToGroup"))
    );
    let done = audit
        .values()
        .flatten()
        .filter(|line| line["result"] == "done");
    assert!(done.clone().count() == 3 && done.clone().all(|line| line["user.sub"] == ada.sub));
    assert_eq!(
        api.world.queue.facts().await.expect("facts").depth.visible,
        0
    );
}

#[tokio::test]
async fn a_person_is_invited_with_groups_attributes_and_a_profile() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let invitation = json!({
        "email": "ada@mail.example", "username": "ada", "givenName": "Ada",
        "familyName": "Lovelace", "attributes": {"nickname": "A"}, "groups": ["STAFF"],
    });
    let answer = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["created"], true);
    assert_eq!(answer.body["mail"], "sent");
    assert_eq!(answer.body["groups"], json!(["EVERYONE", "STAFF"]));
    assert_eq!(answer.body["user"]["status"], "FORCE_CHANGE_PASSWORD");
    let sub = answer.body["user"]["sub"]
        .as_str()
        .expect("a sub")
        .to_owned();
    for group in ["EVERYONE", "STAFF"] {
        assert_eq!(api.world.members(group).await, ["ada"]);
    }
    let records = api.world.records().await;
    assert_eq!(records[&sub]["profileOwner"], format!("{sub}::ada"));
    assert_eq!(records[&sub]["email"], "ada@mail.example");

    let again = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!((again.status, &again.body["created"]), (200, &json!(false)));
    assert_eq!(again.body["mail"], "not_sent");
    let mut resend = invitation.clone();
    resend["resend"] = json!(true);
    let again = api
        .ask("POST", "/v1/invitations", Some(resend.clone()))
        .await;
    assert_eq!((again.status, &again.body["mail"]), (200, &json!("sent")));
    let again = api.ask("POST", "/v1/invitations/ada/resend", None).await;
    assert_eq!((again.status, &again.body["mail"]), (200, &json!("sent")));

    // Somebody who has a password.
    let (pool, password) = (&api.world.pool.id, "A-new-passw0rd");
    let set = api.world.sandbox.set_password(pool, "ada", password).await;
    set.expect("a password");
    let again = api.ask("POST", "/v1/invitations/ada/resend", None).await;
    assert_eq!((again.status, again.code()), (409, "already_accepted"));
    let again = api.ask("POST", "/v1/invitations", Some(resend)).await;
    assert_eq!(
        (again.status, &again.body["mail"]),
        (200, &json!("not_sent"))
    );
    let again = api
        .ask("POST", "/v1/invitations", Some(invitation.clone()))
        .await;
    assert_eq!((again.status, &again.body["created"]), (200, &json!(false)));

    let mut other = invitation;
    other["email"] = json!("grace@mail.example");
    let refused = api
        .ask("POST", "/v1/invitations", Some(other.clone()))
        .await;
    assert_eq!((refused.status, refused.code()), (409, "username_taken"));
    other["username"] = json!("grace");
    for (groups, status) in [(json!(["NONE"]), 404), (json!(["ADMINS"]), 403)] {
        other["groups"] = groups;
        let refused = api
            .ask("POST", "/v1/invitations", Some(other.clone()))
            .await;
        assert_eq!(refused.status, status, "{refused:?}");
    }
    let missing = api.ask("GET", "/v1/users/grace", None).await;
    assert_eq!(missing.status, 404, "nobody was made");
}

#[tokio::test]
async fn a_user_who_was_made_although_cognito_says_it_failed_is_looked_for() {
    let api = Api::start(&[]).await;
    // The answer to the first creation is an error, and the user is there.
    let mut failed = false;
    api.world.faults.plan(move |call| {
        let first = call.operation == "AdminCreateUser" && !std::mem::replace(&mut failed, true);
        first.then_some(Fault::ResetAfter)
    });
    let invitation = json!({"email": "ada@mail.example", "username": "ada"});
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!(
        (answer.status, &answer.body["mail"]),
        (200, &json!("unknown"))
    );
    assert_eq!(api.world.members("EVERYONE").await, ["ada"]);
}

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

/// Two hundred a second, with the quota at its limit: every one is answered, and every
/// one that was accepted ends done.
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
    // Fewer than the API has seats for, however slow this machine is.
    let under_way = tokio::sync::Semaphore::new(400);
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
            api.add(group, person).await
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
async fn the_same_key_gets_the_same_answer() {
    let api = Api::start(&[]).await;
    api.world.person("ada").await;
    api.make_group("STAFF").await;
    let key = [("idempotency-key", "k-1")];
    let body = || Some(json!({"username": "ada"}));
    let path = "/v1/groups/STAFF/members";
    let first = api.ask_with("POST", path, body(), &key).await;
    let calls = api.world.faults.calls("AdminAddUserToGroup");
    let second = api.ask_with("POST", path, body(), &key).await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(api.world.faults.calls("AdminAddUserToGroup"), calls);
    let other = api
        .ask_with("POST", path, Some(json!({"username": "x"})), &key)
        .await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency_key_reused")
    );
    let empty = [("idempotency-key", "")];
    assert_eq!(api.ask_with("POST", path, body(), &empty).await.status, 400);
    // The same key of somebody else is another.
    let grace = token(&api.world, &claims(&api.world, "grace", &["ADMINS"]));
    let bearer = format!("Bearer {grace}");
    let headers = [("authorization", bearer.as_str()), key[0]];
    let theirs = api.client.ask("POST", path, body(), &headers).await;
    assert_eq!(theirs.header("idempotency-replayed"), None);
    assert_ne!(theirs.body["requestId"], first.body["requestId"]);
}

#[tokio::test]
async fn a_rule_gives_no_power_through_attributes_that_an_administrator_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usher.toml");
    let rules = "[[groups.rules]]\ngroups = [\"ADMINS\", \"STAFF\"]\nattribute = \"nickname\"\n\
                 equals = \"boss\"\ntrusted = true\n";
    std::fs::write(&file, rules).expect("written");
    let api = Api::start_with(&[], Some(&file)).await;
    let invitation = json!({
        "email": "ada@mail.example", "username": "ada", "attributes": {"nickname": "boss"},
    });
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!(
        answer.body["groups"],
        json!(["EVERYONE", "STAFF"]),
        "{answer:?}"
    );
    assert!(api.world.members("ADMINS").await.is_empty());
}

#[tokio::test]
async fn somebody_who_signed_up_with_an_address_of_others_gets_nothing() {
    let api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    // Their address was never verified.
    api.world.person("ada").await;
    let invitation = json!({
        "email": "ada@mail.example", "username": "ada", "groups": ["STAFF"],
    });
    let answer = api.ask("POST", "/v1/invitations", Some(invitation)).await;
    assert_eq!((answer.status, answer.code()), (409, "username_taken"));
    assert!(api.world.members("STAFF").await.is_empty());
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
async fn sign_ups_do_not_wait_behind_a_thousand_orders() {
    const ORDERS: usize = 300;
    let api = Api::start(&[("quota.user_update", "20")]).await;
    api.make_group("STAFF").await;
    let people = api.world.people(ORDERS / 10).await;
    for n in 0..ORDERS {
        let body = json!({
            "usher": 1, "command": "AddUserToGroup", "requestId": format!("r{n}"),
            "requestedBy": {"sub": "s"}, "userPoolId": api.world.pool.id,
            "username": people[n % people.len()].name, "groupName": "STAFF",
        });
        api.world.send(body.to_string()).await;
    }
    api.world.send_all(&people[..5]).await;
    eventually("everybody is provisioned", || async {
        api.world.members("EVERYONE").await.len() == 5
    })
    .await;
    let done = api.audit().len();
    assert!(done < ORDERS / 2, "{done} orders were done before them");
}
