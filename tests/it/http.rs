//! Health, readiness, metrics.

use nix::sys::signal::Signal;

use crate::process::{Process, get};
use crate::world::{World, eventually};

#[tokio::test]
async fn a_running_worker_shows_its_health_and_its_metrics() {
    let world = World::new().await;
    let people = world.people(25).await;
    world.send_all(&people).await;
    let mut process = Process::start(world.usher(&["worker"]));
    let http = process.http().await;
    eventually("ready", || async { get(&http, "/readyz").await.0 == 200 }).await;
    eventually("all counted", || async {
        let line = "usher_messages_total{outcome=\"done\",reason=\"\"} 25";
        get(&http, "/metrics").await.1.contains(line)
    })
    .await;
    assert_eq!(get(&http, "/healthz").await, (200, "alive\n".to_owned()));
    assert_eq!(get(&http, "/nothing").await.0, 404);
    let (_, text) = get(&http, "/metrics").await;
    for metric in [
        "usher_message_queue_seconds_bucket",
        "usher_message_work_seconds_bucket",
        "usher_receive_messages_bucket",
        "usher_aws_calls_total{service=\"dynamodb\",operation=\"PutItem\",error=\"\"} 25",
        "usher_aws_call_seconds_bucket",
        "usher_quota_rate{category=\"user_update\"} 1000",
    ] {
        assert!(text.contains(metric), "{metric} is missing in\n{text}");
    }

    eventually("nothing in flight", || async {
        get(&http, "/metrics")
            .await
            .1
            .contains("usher_messages_in_flight 0\n")
    })
    .await;

    let output = world
        .usher(&["health", "--set", &format!("http.listen={http}")])
        .output()
        .await;
    let output = output.expect("runs");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "alive\n");
    process.signal(Signal::SIGINT);
    assert!(process.exit().await.success());
    let output = world
        .usher(&["health", "--set", &format!("http.listen={http}")])
        .output()
        .await;
    assert_eq!(
        output.expect("runs").status.code(),
        Some(1),
        "nobody answers any more"
    );
}
