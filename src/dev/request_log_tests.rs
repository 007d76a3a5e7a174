//! The table of requests at the embedded endpoint.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::EmbeddedEndpoint;
use crate::aws::{Aws, RequestTable, Sandbox, Transition};
use crate::event::{AdminCommand, AdminOperation, Membership, PoolId};
use crate::provision::{
    AlreadyDone, Outcome, Rejection, RequestLog, RequestLookupError, RequestView,
};

const TABLE: &str = "requests";

struct Fixture {
    log: RequestLog,
    table: RequestTable,
    _stop: tokio_util::sync::DropGuard,
}

async fn fixture() -> Fixture {
    let listener = EmbeddedEndpoint::listen(0).await.expect("a free port");
    let endpoint = EmbeddedEndpoint::new(listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    let serving = EmbeddedEndpoint::serve(listener, endpoint.router(), stop.clone());
    tokio::spawn(serving);
    let aws = Aws::at_endpoint(endpoint.url()).await;
    let created = Sandbox::new(&aws).create_request_table(TABLE).await;
    created.expect("a table");
    let table = RequestTable::new(&aws, TABLE);
    Fixture {
        log: RequestLog::new(Some(table.clone())),
        table,
        _stop: stop.drop_guard(),
    }
}

fn command(id: &str, pool: &str) -> AdminCommand {
    let member = Membership::new(("u", "zoltan@example.com"), ("g", "STAFF"));
    AdminCommand {
        request_id: id.to_owned(),
        requested_by: "deadbeef-0000-4000-8000-000000000000".to_owned(),
        requested_at: "2026-08-07T12:00:00.123Z".parse().ok(),
        pool: pool_id(pool),
        operation: AdminOperation::AddToGroup(member.expect("valid")),
    }
}

fn pool_id(id: &str) -> PoolId {
    PoolId::new(id).expect("not empty")
}

fn rejected() -> Outcome {
    Outcome::Rejected(Rejection::foreign_pool())
}

impl Fixture {
    async fn read(&self, id: &str) -> RequestView {
        self.log.find(id, None).await.expect("a request")
    }

    async fn statuses(&self, id: &str) -> Vec<String> {
        let view = self.read(id).await;
        let last = view.transitions.last().map(|it| it.status.clone());
        assert_eq!(Some(view.status), last);
        view.transitions.into_iter().map(|it| it.status).collect()
    }

    async fn is_unknown(&self, id: &str, pool: Option<&PoolId>) -> bool {
        let found = self.log.find(id, pool).await;
        matches!(found, Err(RequestLookupError::NotFound))
    }
}

#[tokio::test]
async fn a_request_is_queued_fails_and_is_done_after_a_replay() {
    let fixture = fixture().await;
    let command = command("r1", "eu-west-1_x");
    assert!(fixture.is_unknown("r1", None).await);
    fixture.log.record_queued(&command).await;
    assert_eq!(fixture.statuses("r1").await, ["QUEUED"]);
    fixture
        .log
        .record_result(&command, &rejected(), "m-1")
        .await;
    let failed = fixture.read("r1").await;
    assert!(failed.has_failed());
    assert_eq!(failed.reason.as_deref(), Some("foreign_pool"));
    assert_eq!(failed.transitions[1].message_id.as_deref(), Some("m-1"));
    let done = Outcome::AlreadyDone(AlreadyDone::Duplicate);
    fixture.log.record_result(&command, &done, "m-2").await;
    let view = fixture.read("r1").await;
    assert_eq!((view.status.as_str(), view.reason), ("DONE", None));
    assert_eq!(view.requested_at, "2026-08-07T12:00:00.123Z");
    assert_eq!(
        (view.command.as_str(), view.groups),
        ("AddUserToGroup", vec!["STAFF".to_owned()])
    );
    let statuses = fixture.statuses("r1").await;
    assert_eq!(statuses, ["QUEUED", "FAILED", "DONE"]);
    let item = fixture.table.read("r1").await.expect("read");
    let item = format!("{item:?}");
    assert!(
        !item.contains("zoltan") && !item.contains("b662d2e4"),
        "{item}"
    );
}

#[tokio::test]
async fn a_result_that_comes_before_the_record_of_the_send_stays() {
    let fixture = fixture().await;
    let command = command("r1", "eu-west-1_x");
    fixture
        .log
        .record_result(&command, &Outcome::Done, "m")
        .await;
    fixture.log.record_queued(&command).await;
    assert_eq!(fixture.statuses("r1").await, ["DONE"]);
}

/// A client can use one `Idempotency-Key` twice, and then both requests have one id.
#[tokio::test]
async fn an_id_that_is_used_again_later_is_queued_again() {
    let fixture = fixture().await;
    let command = command("r1", "eu-west-1_x");
    let earlier = Transition {
        status: "FAILED",
        at: Timestamp::now() - Duration::from_mins(2),
        reason: Some("throttled"),
        message_id: None,
        unless_changed_since: None,
    };
    for _ in 0..2 {
        // The second call stands for a retry after a lost answer.
        let added = fixture.table.add_transition(&command, &earlier).await;
        added.expect("added");
    }
    fixture.log.record_queued(&command).await;
    assert_eq!(fixture.statuses("r1").await, ["FAILED", "QUEUED"]);
}

#[tokio::test]
async fn a_request_belongs_to_the_pool_that_wrote_it_first() {
    let fixture = fixture().await;
    let (own, other) = (pool_id("eu-west-1_x"), pool_id("eu-west-1_y"));
    fixture
        .log
        .record_queued(&command("r1", "eu-west-1_x"))
        .await;
    let foreign = command("r1", "eu-west-1_y");
    fixture.log.record_queued(&foreign).await;
    fixture.log.record_result(&foreign, &rejected(), "m").await;
    assert_eq!(fixture.statuses("r1").await, ["QUEUED"]);
    assert!(fixture.log.find("r1", Some(&own)).await.is_ok());
    assert!(fixture.is_unknown("r1", Some(&other)).await);
}

/// `DynamoDB` deletes an item days after its time to live has ended.
#[tokio::test]
async fn a_request_is_unknown_after_thirty_days() {
    let fixture = fixture().await;
    for (id, hours, is_unknown) in [("old", 30 * 24, true), ("older", 30 * 24 - 1, false)] {
        let ended = Transition {
            status: "DONE",
            at: Timestamp::now() - Duration::from_hours(hours),
            reason: None,
            message_id: None,
            unless_changed_since: None,
        };
        let command = command(id, "eu-west-1_x");
        let added = fixture.table.add_transition(&command, &ended).await;
        added.expect("added");
        assert_eq!(fixture.is_unknown(id, None).await, is_unknown, "{id}");
    }
}

#[tokio::test]
async fn the_checks_of_the_table_write_nothing() {
    let fixture = fixture().await;
    fixture.table.probe_update().await.expect("allowed");
    assert!(fixture.is_unknown("usher check", None).await);
    let attribute = fixture.table.time_to_live().await.expect("read");
    assert_eq!(attribute.as_deref(), Some("expiresAt"));
}
