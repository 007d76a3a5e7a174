//! Cognito's quota, enforced by the endpoint. How much of it is used is
//! measured by `benches/run` and not asserted here.

use std::time::Duration;

use crate::faults::enforced;
use crate::world::World;

#[tokio::test]
async fn at_the_quota_hardly_a_call_is_throttled() {
    let world = World::new().await;
    let people = world.people(150).await;
    // The group exists, as it does on every day but the first.
    world.send(people[0].event.to_string()).await;
    world.work(&[]).await;
    let before = world.faults.calls("AdminAddUserToGroup");
    world.faults.plan(enforced(25.0, 5.0));
    world.send_all(&people[1..]).await;
    world.work(&[("quota.user_update", "25")]).await;
    let calls = world.faults.calls("AdminAddUserToGroup") - before;
    let throttled = world.faults.count("AdminAddUserToGroup");
    assert!(throttled * 50 < calls, "{throttled} of {calls} throttled");
    world.faults.mend();
    world.assert_all_provisioned(&people).await;
}

#[tokio::test]
async fn a_quota_that_others_use_too_is_found_out_and_nothing_is_lost() {
    let world = World::new().await;
    let people = world.people(60).await;
    world.faults.plan(enforced(20.0, 5.0));
    world.send_all(&people).await;
    let running = world
        .worker(&world.config(&[]), usher::worker::Until::Empty)
        .await;
    running.end(Duration::from_secs(100)).await;
    world.faults.mend();
    world.assert_all_provisioned(&people).await;
}
