//! Stopping in the middle: politely, and not.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use crate::faults::Fault;
use crate::process::Process;
use crate::world::{World, eventually};

const DRAIN: &str = "6s";

/// Slow enough to be stopped in the middle, on any machine: by the budget.
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
async fn sigterm_in_the_middle_loses_nothing_and_hides_nothing() {
    let world = World::new().await;
    let people = world.people(500).await;
    world.send_all(&people).await;
    let mut first = worker(&world);
    some_are_done(&world).await;
    let told = Instant::now();
    first.signal(Signal::TERM);
    assert!(first.exit().await.success(), "{}", first.log());
    println!("SIGTERM to exit: {:?}", told.elapsed());
    assert!(
        told.elapsed() < Duration::from_secs(8),
        "{:?}",
        told.elapsed()
    );
    let depth = world.queue.attributes().await.expect("facts").depth;
    assert_eq!(depth.hidden, 0, "left hidden");
    assert!(depth.visible > 0, "it was stopped in the middle");

    world.work(&[]).await;
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn after_sigkill_another_worker_finishes() {
    let world = World::new().await;
    let people = world.people(500).await;
    world.send_all(&people).await;
    let mut first = worker(&world);
    some_are_done(&world).await;
    first.signal(Signal::KILL);
    assert!(!first.exit().await.success());

    // Waits for the visibility timeout of what the first one had.
    world.work(&[]).await;
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn a_worker_that_cannot_finish_in_time_releases_its_messages() {
    let world = World::new().await;
    let people = world.people(40).await;
    world.send_all(&people).await;
    // Long enough that a slow machine has the time to release, too.
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
        world.queue.attributes().await.expect("facts").depth.hidden,
        0
    );
    world.work(&[]).await;
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn what_waits_in_hand_is_not_worked_on_and_given_back_at_once() {
    let world = World::new().await;
    let people = world.people(30).await;
    world.send_all(&people).await;
    let gate = CancellationToken::new();
    let opened = gate.clone();
    world.faults.plan(move |call| {
        let held = call.operation == "AdminAddUserToGroup";
        held.then(|| Fault::Until(opened.clone()))
    });
    let config = world.config(&[("worker.concurrency", "6")]);
    let running = world.worker(&config, usher::worker::Until::Stopped).await;
    eventually("six are in work, and six more in hand", || async {
        world.queue.attributes().await.expect("facts").depth.hidden == 12
    })
    .await;
    // It is told to stop before any call comes back.
    let (report, ()) = tokio::join!(running.stop(), async { gate.cancel() });
    assert_eq!((report.settled, report.released), (6, 6), "{report:?}");
    assert_eq!(
        world.queue.attributes().await.expect("facts").depth.hidden,
        0
    );

    world.faults.mend();
    world.work(&[]).await;
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn a_lost_standard_error_costs_log_lines_and_nothing_else() {
    let world = World::new().await;
    let people = world.people(10).await;
    world.send_all(&people).await;
    let mut command = world.usher(&["worker", "--until-empty"]);
    let mut child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stderr.take());
    let exit = tokio::time::timeout(crate::world::PATIENCE, child.wait()).await;
    assert!(exit.expect("ends").expect("waited").success());
    world.assert_all_provisioned(&people).await;
}
