//! A failure is named once, by its cause.

use axum::http::StatusCode;
use tokio::net::TcpListener;

use super::{check, run, state};
use crate::faults::Fault;
use crate::process::finished;
use crate::world::World;

#[tokio::test]
async fn a_hanging_credentials_endpoint_is_named() {
    let world = World::new().await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = hanging.local_addr().expect("an address");
    let mut command = world.usher(&["check"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("USHER_PROFILES__ENABLED", "false")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("http://{address}/credentials"),
        );
    let (code, findings) = run(command).await;
    assert_eq!((code, state(&findings, "queue")), (Some(1), "fail"));
    let (_, detail) = &findings["queue"];
    let expected = "no AWS credentials: a source did not answer in time";
    assert!(detail.starts_with(expected), "{detail}");
}

#[tokio::test]
async fn a_cause_of_every_failure_is_one_line() {
    let world = World::new().await;
    let unreachable = "cannot reach http://127.0.0.1:1 (AWS_ENDPOINT_URL): connection refused";
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    for (removed, endpoint, cause) in [
        (&[][..], "http://127.0.0.1:1", unreachable),
        (
            &[],
            "http://nosuch.invalid",
            "cannot reach http://nosuch.invalid (AWS_ENDPOINT_URL): the host name cannot be resolved",
        ),
        (
            &keys,
            &world.url,
            "no AWS credentials: none found (sources: environment, profile, web identity, ECS, EC2); \
             set AWS_PROFILE, run \"aws sso login\", or give the task or instance a role",
        ),
        (
            &["AWS_REGION"],
            &world.url,
            "no AWS Region: set AWS_REGION, or AWS_PROFILE to a profile that has one",
        ),
    ] {
        let mut command = world.usher(&["check", "--pool", &world.pool.id]);
        command.env("AWS_ENDPOINT_URL", endpoint);
        for variable in removed {
            command.env_remove(variable);
        }
        let (code, stdout, _) = finished(command).await;
        assert_eq!(code, Some(1));
        // Each line is an entry of a log: a filter finds the cause with the word.
        let mut failures = stdout.lines().filter(|line| line.contains("FAIL"));
        let failure = failures.next().unwrap_or_default();
        assert!(failure.contains(cause), "{cause} is not in {stdout}");
        assert_eq!(failures.next(), None, "{stdout}");
        assert!(!stdout.contains("sqs:"), "{stdout}");
        assert!(stdout.ends_with("1 failure\n"), "{stdout}");
    }
    // Every other command says the same.
    let mut list = world.usher(&["dead-letters", "list"]);
    list.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let (_, _, errors) = finished(list).await;
    assert!(errors.contains(unreachable), "{errors}");
}

#[tokio::test]
async fn a_refused_key_stops_each_section_at_its_first_call() {
    let world = World::new().await;
    world.faults.plan(|_| {
        let code = "UnrecognizedClientException";
        Some(Fault::Error(StatusCode::BAD_REQUEST, code))
    });
    let (code, findings) = check(&world, &[]).await;
    assert_eq!(code, Some(1));
    let (state, detail) = &findings["queue"];
    assert_eq!(state, "fail");
    assert!(detail.ends_with("UnrecognizedClientException"), "{detail}");
    assert_eq!(findings.len(), 6, "{findings:?}");
}
