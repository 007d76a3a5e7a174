//! What the embedded endpoint has to have in common with the services.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use usher::aws::{Profiles, Put};

use crate::world::{TABLE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_conditional_puts_at_once_one_writes() {
    let world = World::new().await;
    let profiles = Profiles::new(&world.aws, TABLE, "id");
    for user in 0..100 {
        let mut puts = JoinSet::new();
        for _ in 0..8 {
            let profiles = profiles.clone();
            let id = user.to_string();
            puts.spawn(async move { profiles.put_if_absent(&id, BTreeMap::new()).await });
        }
        let created = puts
            .join_all()
            .await
            .into_iter()
            .filter(|put| matches!(put, Ok(Put::Created)))
            .count();
        assert_eq!(created, 1, "of user {user}");
    }
}
