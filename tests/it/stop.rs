//! Stopping a busy worker: by SIGTERM, and by SIGKILL.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use crate::faults::Fault;
use crate::process::Process;
use crate::world::{World, eventually};

const DRAIN: &str = "6s";

/// A worker whose budget makes it slow enough to be stopped before the end.
fn worker(world: &World) -> Process {
    let mut command = world.usher(&["worker"]);
    command
        .env("USHER_QUOTA__USER_UPDATE", "100")
        .env("USHER_WORKER__DRAIN", DRAIN);
    Process::start(command)
}

async fn some_are_done(world: &World) {
    eventually("some are done", || async {
        world.faults.calls("AdminAddUserToGroup") > 150
    })
    .await;
}

#[tokio::test]
async fn sigterm_loses_no_message_and_leaves_none_hidden() {
    let world = World::new().await;
    let users = world.create_users(500).await;
    world.send_all(&users).await;
    let mut first = worker(&world);
    some_are_done(&world).await;
    let signalled = Instant::now();
    first.signal(Signal::TERM);
    assert!(first.exit().await.success(), "{}", first.log());
    println!("SIGTERM to exit: {:?}", signalled.elapsed());
    assert!(
        signalled.elapsed() < Duration::from_secs(8),
        "{:?}",
        signalled.elapsed()
    );
    let depth = world.queue.attributes().await.expect("attributes").depth;
    assert_eq!(depth.hidden, 0, "left hidden");
    assert!(depth.visible > 0, "it was stopped in the middle");

    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn sigint_says_what_it_waits_for() {
    let world = World::new().await;
    let mut command = world.usher(&["worker", "--set", "queue.wait=1s"]);
    command.args(["--set", "http.listen="]);
    let mut worker = Process::start(command);
    eventually("it waits for messages", || async {
        world.faults.calls("ReceiveMessage") > 0
    })
    .await;
    worker.signal(Signal::INT);
    assert!(worker.exit().await.success(), "{}", worker.log());
    let log = worker.log();
    let line = log.lines().find(|line| line.contains("SIGINT"));
    let line = line.expect("a line about the signal");
    for part in [
        "finishing what is in progress",
        "a second signal stops at once",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn after_sigkill_another_worker_finishes() {
    let world = World::new().await;
    let users = world.create_users(500).await;
    world.send_all(&users).await;
    let mut first = worker(&world);
    some_are_done(&world).await;
    first.signal(Signal::KILL);
    assert!(!first.exit().await.success());

    // Waits until the visibility timeout of the first worker's messages expires.
    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_worker_that_cannot_finish_in_time_releases_its_messages() {
    let world = World::new().await;
    let users = world.create_users(40).await;
    world.send_all(&users).await;
    // Long enough for the releases on a slow machine.
    let config = world.config(&[("quota.user_update", "0.5"), ("worker.drain", "15s")]);
    let running = world.worker(&config, usher::worker::Until::Stopped).await;
    eventually("it works", || async {
        world.faults.calls("AdminAddUserToGroup") > 0
    })
    .await;
    let report = running.stop().await;
    assert!(report.released > 0, "{report:?}");
    assert!(report.drained_in <= Duration::from_secs(17), "{report:?}");
    assert_eq!(
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .hidden,
        0
    );
    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn prefetched_messages_are_released_at_once() {
    let world = World::new().await;
    let users = world.create_users(30).await;
    world.send_all(&users).await;
    let release = CancellationToken::new();
    let released = release.clone();
    world.faults.plan(move |call| {
        let held = call.operation == "AdminAddUserToGroup";
        held.then(|| Fault::Until(released.clone()))
    });
    let config = world.config(&[("worker.concurrency", "6")]);
    let running = world.worker(&config, usher::worker::Until::Stopped).await;
    eventually("six are in progress, and six are prefetched", || async {
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .hidden
            == 12
    })
    .await;
    // The stop comes before any call returns.
    let (report, ()) = tokio::join!(running.stop(), async { release.cancel() });
    assert_eq!((report.settled, report.released), (6, 6), "{report:?}");
    assert_eq!(
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .hidden,
        0
    );

    world.faults.clear();
    world.work(&[]).await;
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_lost_standard_error_costs_log_lines_and_nothing_else() {
    let world = World::new().await;
    let users = world.create_users(10).await;
    world.send_all(&users).await;
    let mut command = world.usher(&["worker", "--until-empty"]);
    let mut child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stderr.take());
    let exit = tokio::time::timeout(crate::world::PATIENCE, child.wait()).await;
    assert!(exit.expect("ends").expect("waited").success());
    world.assert_all_provisioned(&users).await;
}
