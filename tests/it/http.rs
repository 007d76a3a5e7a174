//! Health, readiness and metrics of a worker.

use rustix::process::Signal;

use crate::process::{Process, get};
use crate::world::{World, eventually};

#[tokio::test]
async fn a_worker_serves_health_and_metrics() {
    let world = World::new().await;
    let users = world.create_users(25).await;
    world.send_all(&users).await;
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
        "usher_quota_wait_seconds_count{category=\"user_update\"}",
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
    let expected = format!("healthy ({http})\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    process.signal(Signal::INT);
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

#[tokio::test]
async fn a_missing_table_or_pool_shows_in_readiness_before_any_message() {
    let world = World::new().await;
    for (setting, name) in [
        ("profiles.table=Nosuch", "Nosuch"),
        ("pools.allowed=us-east-1_Nosuch", "us-east-1_Nosuch"),
    ] {
        let mut process = Process::start(world.usher(&["worker", "--set", setting]));
        let http = process.http().await;
        eventually("unready", || async {
            let (status, reasons) = get(&http, "/readyz").await;
            status == 503 && reasons.contains("missing: ") && reasons.contains(name)
        })
        .await;
        process.signal(Signal::TERM);
        assert!(process.exit().await.success());
    }
}

#[tokio::test]
async fn a_worker_writes_cloudwatch_metrics_when_configured() {
    let world = World::new().await;
    let users = world.create_users(7).await;
    world.send_all(&users).await;
    for namespace in ["usher", ""] {
        let set = format!("metrics.cloudwatch={namespace}");
        let arguments = ["worker", "--until-empty", "--set", &set];
        let (status, _, error) = crate::process::finished(world.usher(&arguments)).await;
        assert_eq!(status, Some(0), "{error}");
        let lines: Vec<serde_json::Value> = error
            .lines()
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .filter(|line: &serde_json::Value| line.get("_aws").is_some())
            .collect();
        if namespace.is_empty() {
            assert!(lines.is_empty(), "{lines:?}");
            continue;
        }
        let sum = |metric: &str| -> u64 {
            let counts = lines.iter().map(|line| line[metric].as_u64());
            counts.map(|count| count.expect("a count")).sum()
        };
        assert_eq!((sum("Done"), sum("Rejected"), sum("Panics")), (7, 0, 0));
        let queue = world.queue.url().rsplit('/').next();
        assert_eq!(lines[0]["Queue"].as_str(), queue);
        assert_eq!(
            lines[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"],
            "usher"
        );
    }
}
