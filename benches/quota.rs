//! How much of Cognito's quota a worker uses, and how often it is throttled.
//!
//! The whole path against the embedded endpoint, which answers
//! `TooManyRequestsException` to every `AdminAddUserToGroup` beyond 25 a second
//! (a token bucket of two). Prints figures and asserts none.
//!
//!     cargo bench --bench quota

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests"
)]

#[path = "../tests/it/crowd.rs"]
mod crowd;
#[path = "../tests/it/faults/mod.rs"]
mod faults;
#[path = "../tests/it/world.rs"]
mod world;

use std::time::Instant;

use world::World;

const QUOTA: u32 = 25;
const SIGN_UPS: u32 = 500;

#[tokio::main]
async fn main() {
    let world = World::new().await;
    let people = world.people(SIGN_UPS as usize + 1).await;
    // The first creates the group; the quota is not about that.
    world.send(people[0].event.to_string()).await;
    world.work(&[]).await;
    world.send_all(&people[1..]).await;

    let before = world.faults.calls("AdminAddUserToGroup");
    world.faults.plan(faults::enforced(f64::from(QUOTA), 2.0));
    let begun = Instant::now();
    let config = world.config(&[("quota.user_update", "25")]);
    let running = world.worker(&config, usher::worker::Until::Stopped).await;
    let granted = || {
        let calls = world.faults.calls("AdminAddUserToGroup") - before;
        calls - world.faults.count("AdminAddUserToGroup")
    };
    world::eventually("all are added", || async {
        granted() >= u64::from(SIGN_UPS)
    })
    .await;
    let seconds = begun.elapsed().as_secs_f64();
    running.stop().await;
    let calls = world.faults.calls("AdminAddUserToGroup") - before;
    let throttled = world.faults.count("AdminAddUserToGroup");
    world.faults.mend();
    world.assert_all_provisioned(&people).await;

    let rate = f64::from(SIGN_UPS) / seconds;
    println!("{SIGN_UPS} sign-ups in {seconds:.2} s: {rate:.2} a second");
    println!(
        "{:.1} % of the quota of {QUOTA} a second",
        100.0 * rate / f64::from(QUOTA)
    );
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let share = 100.0 * throttled as f64 / calls as f64;
    println!("{throttled} of {calls} calls throttled: {share:.2} %");
}
