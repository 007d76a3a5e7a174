//! Cognito's quota, enforced by the endpoint. `benches/run` measures its utilisation; it
//! is not asserted here.

use std::time::Duration;

use crate::faults::enforced;
use crate::world::World;

#[tokio::test]
async fn at_the_quota_under_two_percent_is_throttled() {
    let world = World::new().await;
    let users = world.create_users(150).await;
    // The group already exists, as on every day except the first.
    world.send(users[0].event.to_string()).await;
    world.work(&[]).await;
    let before = world.faults.calls("AdminAddUserToGroup");
    world.faults.plan(enforced(25.0, 5.0));
    world.send_all(&users[1..]).await;
    world.work(&[("quota.user_update", "25")]).await;
    let calls = world.faults.calls("AdminAddUserToGroup") - before;
    let throttled = world.faults.count("AdminAddUserToGroup");
    assert!(throttled * 50 < calls, "{throttled} of {calls} throttled");
    world.faults.clear();
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn a_shared_quota_is_detected_and_nothing_is_lost() {
    let world = World::new().await;
    let users = world.create_users(60).await;
    world.faults.plan(enforced(20.0, 5.0));
    world.send_all(&users).await;
    let running = world
        .worker(&world.config(&[]), usher::worker::Until::Empty)
        .await;
    running.end(Duration::from_secs(100)).await;
    world.faults.clear();
    world.assert_all_provisioned(&users).await;
}

#[tokio::test]
async fn groups_only_in_tokens_cost_no_call() {
    for (in_token, calls_each) in [("", 3), ("A", 2), ("A,B", 1)] {
        let world = World::new().await;
        let users = world.create_users(5).await;
        let settings = [("groups.default", "A,B,C"), ("groups.in_token", in_token)];
        // The groups exist from the first user on.
        world.send(users[0].event.to_string()).await;
        world.work(&settings).await;
        let before = world.faults.calls("AdminAddUserToGroup");
        world.send_all(&users[1..]).await;
        world.work(&settings).await;
        let calls = world.faults.calls("AdminAddUserToGroup") - before;
        assert_eq!(calls, 4 * calls_each, "{in_token}");
        assert_eq!(world.members("C").await.len(), 5);
        assert_eq!(world.profiles().await.len(), 5);
    }
}
