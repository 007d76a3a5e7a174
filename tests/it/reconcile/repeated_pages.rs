//! Lists whose token leads to the same page again. Here each ends after some pages, so that
//! a caller who follows them fails the test instead of hanging.

use serde_json::{Value, json};
use usher::aws::Sandbox;
use usher::reason::Reason;

use super::command::reconcile;
use super::other_profile_id::confirmed;
use crate::faults::{Call, Fault};
use crate::world::{TABLE, World};

/// The page on which such a list ends.
const PAGES: u32 = 10;

/// A plan that answers `operation` with the same page again.
fn again(operation: &'static str, page: Value) -> impl FnMut(&Call) -> Option<Fault> + Send {
    let mut pages = 0;
    move |call| {
        let is_list = call.operation == operation;
        pages += u32::from(is_list);
        (is_list && pages < PAGES).then(|| Fault::Pretended(page.clone()))
    }
}

#[tokio::test]
async fn a_run_over_an_endless_list_ends_with_an_error() {
    for (operation, page) in [
        (
            "ListUsers",
            json!({"Users": [], "PaginationToken": "again"}),
        ),
        (
            "ListUsersInGroup",
            json!({"Users": [], "NextToken": "again"}),
        ),
        (
            "Scan",
            json!({"Items": [], "LastEvaluatedKey": {"id": {"S": "again"}}}),
        ),
    ] {
        let world = World::new().await;
        confirmed(&world, "ada").await;
        world.faults.plan(again(operation, page.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        let (status, _, errors) = world.reconcile(folder.path(), &["--groups"]).await;
        assert_eq!(status, Some(1), "{operation}: {errors}");
        assert!(errors.contains("RepeatedToken"), "{operation}: {errors}");
        assert_eq!(world.faults.calls(operation), 2, "{operation}");

        world.faults.plan(again(operation, page));
        world.send(reconcile(&world)).await;
        world.work(&[]).await;
        let [dead_letter] = &world.read_dead_letters().await[..] else {
            panic!("{operation}")
        };
        assert_eq!(dead_letter.attributes["usher.reason"], "repeated_token");
        assert_eq!(world.faults.calls(operation), 4, "{operation}");
    }
}

#[tokio::test]
async fn a_scan_with_an_unexpected_key_is_an_error() {
    for key in [json!({"id": {"N": "7"}}), json!({"pk": {"S": "ada"}})] {
        let world = World::new().await;
        confirmed(&world, "ada").await;
        let page = json!({"Items": [], "LastEvaluatedKey": key});
        world.faults.plan(again("Scan", page.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        let (status, _, errors) = world.reconcile(folder.path(), &[]).await;
        assert_eq!(status, Some(1), "{key}: {errors}");
        assert!(errors.contains("Scan on UserProfile"), "{key}: {errors}");
        assert_eq!(world.faults.calls("Scan"), 1, "{key}");
        world.assert_queue_empty().await;

        world.faults.plan(again("Scan", page));
        world.send(reconcile(&world)).await;
        world.work(&[]).await;
        let [dead_letter] = &world.read_dead_letters().await[..] else {
            panic!("{key}")
        };
        assert_eq!(dead_letter.attributes["usher.reason"], "table_mismatch");
        assert_eq!(world.profiles().await.len(), 0, "{key}");
    }
}

#[tokio::test]
async fn a_scan_ends_with_an_empty_key() {
    let world = World::new().await;
    confirmed(&world, "ada").await;
    let page = json!({"Items": [], "LastEvaluatedKey": {}});
    world.faults.plan(again("Scan", page));
    let folder = tempfile::tempdir().expect("a folder");
    let (status, stdout, errors) = world.reconcile(folder.path(), &[]).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        stdout.ends_with("1 missing a profile, groups not compared (--groups); 1 queued\n"),
        "{stdout}"
    );
    assert_eq!(world.faults.calls("Scan"), 1);
}

#[tokio::test]
async fn reading_back_an_endless_list_ends_with_an_error() {
    let world = World::new().await;
    let (pool, faults) = (&world.pool.id, &world.faults);
    // The world's own sandbox bypasses the faults.
    let sandbox = Sandbox::new(&world.aws);
    let users = json!({"Users": [], "PaginationToken": "again"});
    faults.plan(again("ListUsers", users));
    let users = sandbox.users(pool).await;
    assert_eq!(users.expect_err("endless").reason, Reason::RepeatedToken);

    let mut members = again(
        "ListUsersInGroup",
        json!({"Users": [], "NextToken": "again"}),
    );
    faults.plan(move |call| match call.operation.as_str() {
        "ListGroups" => Some(Fault::Pretended(
            json!({"Groups": [{"GroupName": "STAFF"}]}),
        )),
        _ => members(call),
    });
    let groups = sandbox.groups(pool).await;
    assert_eq!(groups.expect_err("endless").reason, Reason::RepeatedToken);

    let page = json!({"Items": [], "LastEvaluatedKey": {"id": {"S": "again"}}});
    faults.plan(again("Scan", page));
    let profiles = sandbox.profiles(TABLE, "id").await;
    assert_eq!(profiles.expect_err("endless").reason, Reason::RepeatedToken);
}
