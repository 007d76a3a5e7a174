//! Logs, metrics and dead-letter attributes hold no personal data.

use axum::http::StatusCode;
use serde_json::json;

use crate::faults::Fault;
use crate::process::Process;
use crate::world::World;

#[tokio::test]
async fn logs_metrics_and_dead_letters_hold_no_personal_data() {
    let world = World::new().await;
    // A message of an unknown pool may be released for ten minutes before a valid one succeeds.
    world.faults.time_lapse();
    let mut secrets = Vec::new();
    for n in 0..30 {
        let name = format!("Zebulon-{n}@Quagmire.example");
        let phone = format!("+1555010{n:04}");
        let mut user = world.create_user(&name).await;
        let attributes = &mut user.event["request"]["userAttributes"];
        attributes["phone_number"] = json!(phone);
        attributes["given_name"] = json!(format!("Zebedee{n}"));
        match n % 6 {
            // Every outcome: done, user deleted, cut off, foreign, refused.
            0 => user.event["userName"] = json!(format!("Vanished-{n}@Quagmire.example")),
            1 => user.event["triggerSource"] = json!("UserMigration_Authentication"),
            2 => user.event["userPoolId"] = json!("us-east-1_Strange01"),
            _ => {}
        }
        let body = user.event.to_string();
        let cut = if n % 6 == 3 {
            body.len() - 5
        } else {
            body.len()
        };
        world.send(&body[..cut]).await;
        world.send(&body[..cut]).await;
        secrets.extend([name, phone]);
    }
    secrets.extend(["Zebulon", "Zebedee", "Quagmire", "Vanished", "+1555"].map(str::to_owned));
    let refused = [4, 10].map(|n| json!(format!("Zebulon-{n}@Quagmire.example")));
    let mut calls = 0;
    world.faults.plan(move |call| {
        calls += 1;
        match call.operation.as_str() {
            "AdminAddUserToGroup" if refused.contains(&call.input["Username"]) => Some(
                Fault::Error(StatusCode::BAD_REQUEST, "InvalidParameterException"),
            ),
            "PutItem" if calls % 5 == 0 => Some(Fault::ResetAfter),
            _ => None,
        }
    });
    let mut command = world.usher(&["worker", "--until-empty"]);
    command
        .env("USHER_WORKER__MAX_ATTEMPTS", "2")
        .env("RUST_LOG", "trace");
    let mut process = Process::start(command);
    let http = process.http().await;
    let mut metrics = String::new();
    // A refused sign-up becomes a dead letter when a later one succeeds.
    let mut sent = tokio::time::Instant::now();
    let mut later = world.create_users(5).await.into_iter();
    // Read until the worker ends, so that the last metrics cover every outcome.
    while let Some(text) = crate::process::try_get(&http, "/metrics").await {
        metrics = text;
        let depth = world.queue.attributes().await.expect("attributes").depth;
        if depth.visible == 0
            && depth.hidden > 0
            && sent.elapsed() > std::time::Duration::from_secs(1)
            && let Some(user) = later.next()
        {
            sent = tokio::time::Instant::now();
            world.send(user.event.to_string()).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(metrics.contains("outcome=\"rejected\""), "{metrics}");
    let status = process.exit().await;
    let log = process.log();
    assert!(status.success(), "{log}");
    assert!(log.lines().count() >= 60, "one line a message: {log}");
    assert!(log.contains("rejected") && log.contains("\"outcome\":\"done\""));

    let tools = tools(&world).await;
    assert!(
        tools.contains("user_not_found") && tools.contains("usher::audit"),
        "{tools}"
    );

    let dead_letters = world.read_dead_letters().await;
    assert!(!dead_letters.is_empty());
    let attributes = format!(
        "{:?}",
        dead_letters
            .iter()
            .map(|l| &l.attributes)
            .collect::<Vec<_>>()
    );
    for secret in &secrets {
        for (place, text) in [
            ("log", &log),
            ("tools", &tools),
            ("metrics", &metrics),
            ("letters", &attributes),
        ] {
            assert!(
                !text.to_lowercase().contains(&secret.to_lowercase()),
                "{secret} in the {place}",
            );
        }
    }
}

/// The output and logs of the operator's commands about these dead letters and users.
async fn tools(world: &World) -> String {
    let id = {
        let dead_letter = world
            .dead_letters
            .receive(1)
            .await
            .expect("received")
            .remove(0);
        let receipt = [(
            dead_letter.receipt_handle.as_str(),
            std::time::Duration::ZERO,
        )];
        world
            .dead_letters
            .change_visibility(&receipt)
            .await
            .expect("visible again");
        dead_letter.id
    };
    let mut text = String::new();
    for arguments in [
        &["dead-letters", "list"][..],
        &["dead-letters", "list", "--output", "json"],
        &["dead-letters", "show", &id],
        &["dead-letters", "replay", "--dry-run", "--verbose"],
        &[
            "dead-letters",
            "replay",
            "--direct",
            "--all",
            "--limit",
            "5",
            "--yes",
        ],
        &["reconcile", "--dry-run", "--pool", &world.pool.id],
    ] {
        let mut command = world.usher(arguments);
        let output = command
            .env("RUST_LOG", "trace")
            .output()
            .await
            .expect("runs");
        text += &String::from_utf8_lossy(&output.stdout);
        text += &String::from_utf8_lossy(&output.stderr);
    }
    text
}
