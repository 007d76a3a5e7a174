use std::time::Duration;

use super::*;
use crate::aws::Class;

fn denied(operation: &'static str) -> Failure {
    Failure {
        service: Service::Cognito,
        operation,
        resource: "eu-west-1_x".to_owned(),
        code: "AccessDeniedException".to_owned(),
        reason: "access_denied".to_owned(),
        class: Class::Systemic,
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_messages_are_held_and_the_others_released() {
    let breaker = Breaker::new(Health::default(), true);
    assert_eq!(breaker.receive_limit(), usize::MAX);
    let failure = denied("AdminAddUserToGroup");
    let held: Vec<_> = (0..6).map_while(|_| breaker.hold(&failure, true)).collect();
    assert_eq!(held.len(), MAX_PROBES);
    assert_eq!(breaker.receive_limit(), 0);
}

#[tokio::test(start_paused = true)]
async fn readiness_says_why_until_it_is_mended() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let failure = denied("AdminAddUserToGroup");
    let held = breaker.hold(&failure, true).expect("held");
    let why = health.unready_reasons().join("");
    assert!(
        why.contains("AdminAddUserToGroup") && why.contains("AccessDenied"),
        "{why}"
    );
    held.record_recovery();
    assert!(health.unready_reasons().is_empty());
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn held_messages_probe_one_at_a_time_and_all_go_on_once_it_is_mended() {
    let breaker = Breaker::new(Health::default(), true);
    let failure = denied("AdminAddUserToGroup");
    let stop = CancellationToken::new();
    let first = breaker.hold(&failure, true).expect("held");
    let second = breaker.hold(&failure, true).expect("held");
    let probe = first.wait(&stop).await;
    assert!(matches!(probe, HoldDecision::Probe(_)));
    let waiting = tokio::time::timeout(Duration::from_mins(10), second.wait(&stop)).await;
    assert!(waiting.is_err(), "one probe at a time");
    first.record_recovery();
    assert!(matches!(second.wait(&stop).await, HoldDecision::Recovered));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait() {
    let breaker = Breaker::new(Health::default(), true);
    let stop = CancellationToken::new();
    stop.cancel();
    let held = breaker.hold(&denied("PutItem"), true).expect("held");
    assert!(matches!(held.wait(&stop).await, HoldDecision::Stop));
}

#[tokio::test(start_paused = true)]
async fn it_closes_when_nobody_is_held_any_more() {
    let breaker = Breaker::new(Health::default(), true);
    let one = breaker.hold(&denied("PutItem"), true).expect("held");
    let other = breaker
        .hold(&denied("AdminAddUserToGroup"), true)
        .expect("held");
    drop(one);
    assert_eq!(
        breaker.receive_limit(),
        MAX_PROBES - 1,
        "the other is still held"
    );
    drop(other);
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn unknown_pools_leave_room_for_a_good_message_unless_pools_are_named() {
    let unknown = Failure {
        reason: "pool_not_found".to_owned(),
        ..denied("AdminGetUser")
    };
    for (named, room) in [(false, 1), (true, 0)] {
        let breaker = Breaker::new(Health::default(), named);
        let held: Vec<_> = (0..MAX_PROBES)
            .map_while(|_| breaker.hold(&unknown, true))
            .collect();
        assert_eq!(held.len(), MAX_PROBES);
        assert_eq!(breaker.receive_limit(), room);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mending_that_was_none_opens_it_again() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let stop = CancellationToken::new();
    let failure = denied("AdminAddUserToGroup");
    let first = breaker.hold(&failure, true).expect("held");
    let mut second = breaker.hold(&failure, true).expect("held");
    first.record_recovery();
    assert!(matches!(second.wait(&stop).await, HoldDecision::Recovered));
    second.record_failure(&failure);
    assert!(!health.unready_reasons().is_empty(), "it is open again");
    assert_eq!(breaker.receive_limit(), MAX_PROBES - 1);
    assert!(
        matches!(second.wait(&stop).await, HoldDecision::Probe(_)),
        "and waits for its turn"
    );
    drop(second);
    assert!(health.unready_reasons().is_empty());
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_meets_something_else_moves_there() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let mut moved = breaker.hold(&denied("PutItem"), true).expect("held");
    let stays = breaker.hold(&denied("PutItem"), true).expect("held");
    moved.record_failure(&denied("AdminAddUserToGroup"));
    assert_eq!(health.unready_reasons().len(), 2, "both are broken");
    drop(stays);
    assert_eq!(health.unready_reasons().len(), 1);
    drop(moved);
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn while_settling_is_broken_nothing_is_received() {
    let breaker = Breaker::new(Health::default(), true);
    breaker.record_settling_failure(&denied("DeleteMessageBatch"));
    assert_eq!(breaker.receive_limit(), 0);
    breaker.record_recovery(&denied("DeleteMessageBatch"));
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

fn refusal(code: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        reason: code.to_lowercase(),
        class: Class::Permanent,
        ..denied("AdminAddUserToGroup")
    }
}

async fn moment() -> Instant {
    tokio::time::advance(Duration::from_millis(1)).await;
    let now = Instant::now();
    tokio::time::advance(Duration::from_millis(1)).await;
    now
}

#[tokio::test(start_paused = true)]
async fn a_few_refusals_stop_nothing_and_many_in_a_row_do() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let failure = refusal("New");
    let mut held: Vec<_> = (0..MAX_PROBES)
        .map_while(|_| breaker.hold(&failure, true))
        .collect();
    assert_eq!(held.len(), MAX_PROBES);
    for _ in MAX_PROBES..(OUTAGE_FAILURES as usize - 1) {
        assert!(breaker.hold(&failure, true).is_none(), "enough are held");
    }
    assert_eq!(breaker.receive_limit(), usize::MAX);
    assert!(health.unready_reasons().is_empty() && !breaker.is_intake_stopped_by(&failure));
    held[0].record_failure(&failure);
    for _ in 0..OUTAGE_FAILURES {
        assert!(breaker.hold(&failure, false).is_none());
    }
    assert!(
        !breaker.is_intake_stopped_by(&failure),
        "the same ones again"
    );
    assert!(breaker.hold(&failure, true).is_none());
    assert!(breaker.is_intake_stopped_by(&failure));
    assert_eq!(breaker.receive_limit(), 1, "others are still tried");
    let why = health.unready_reasons().join("");
    assert!(
        why.contains("AdminAddUserToGroup") && why.contains("New"),
        "{why}"
    );
    drop(held);
    assert!(health.unready_reasons().is_empty());
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn another_message_that_works_ends_a_row_of_refusals() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let stop = CancellationToken::new();
    let failure = refusal("New");
    let before = moment().await;
    let mut held = breaker.hold(&failure, true).expect("held");
    let since = Instant::now();
    for _ in 1..OUTAGE_FAILURES {
        drop(breaker.hold(&failure, true));
    }
    let after = moment().await;
    // Under way when it was refused, another pool, another service: none of them tells.
    breaker.record_success(Service::Cognito, "eu-west-1_x", before);
    breaker.record_success(Service::Cognito, "eu-west-1_other", after);
    breaker.record_success(Service::DynamoDb, "eu-west-1_x", after);
    assert!(breaker.is_intake_stopped_by(&failure));
    assert!(!breaker.has_succeeded_since(&failure, since));
    breaker.record_success(Service::Cognito, "eu-west-1_x", after);
    assert!(matches!(held.wait(&stop).await, HoldDecision::Recovered));
    assert!(breaker.has_succeeded_since(&failure, since));
    assert!(health.unready_reasons().is_empty());
    assert_eq!(breaker.receive_limit(), usize::MAX);
    // The next row begins from nothing.
    held.record_failure(&failure);
    assert!(!breaker.is_intake_stopped_by(&failure));
}

#[tokio::test(start_paused = true)]
async fn a_lone_refusal_is_the_messages_own_after_a_while_but_not_in_an_outage() {
    let breaker = Breaker::new(Health::default(), true);
    let failure = refusal("New");
    let since = Instant::now();
    // More than there are places for.
    let _held: Vec<_> = (0..5).map(|_| breaker.hold(&failure, true)).collect();
    tokio::time::advance(LONE_REFUSAL_WAIT / 2).await;
    assert!(!breaker.is_message_fault(&failure, since));
    tokio::time::advance(LONE_REFUSAL_WAIT / 2).await;
    assert!(breaker.is_message_fault(&failure, since));
    for _ in 5..OUTAGE_FAILURES {
        drop(breaker.hold(&failure, true));
    }
    assert!(breaker.is_intake_stopped_by(&failure) && !breaker.is_message_fault(&failure, since));
    breaker.record_success(Service::Cognito, "eu-west-1_x", Instant::now());
    assert!(breaker.is_message_fault(&failure, since));
}

#[tokio::test(start_paused = true)]
async fn refusals_count_although_others_have_all_the_places() {
    let breaker = Breaker::new(Health::default(), true);
    let (one, other) = (refusal("One"), refusal("Other"));
    let held: Vec<_> = (0..MAX_PROBES)
        .map_while(|_| breaker.hold(&one, true))
        .collect();
    assert_eq!(held.len(), MAX_PROBES);
    for _ in 0..OUTAGE_FAILURES {
        assert!(breaker.hold(&other, true).is_none());
    }
    assert!(breaker.is_intake_stopped_by(&other) && !breaker.is_intake_stopped_by(&one));
    assert_eq!(breaker.receive_limit(), 1, "others are still tried");
    let after = moment().await;
    breaker.record_success(Service::Cognito, "eu-west-1_x", after);
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn refusals_by_different_codes_are_no_row() {
    let breaker = Breaker::new(Health::default(), true);
    let (one, other) = (refusal("One"), refusal("Other"));
    let _held = [&one, &other].map(|failure| breaker.hold(failure, true).expect("held"));
    for _ in 0..OUTAGE_FAILURES / 2 {
        for failure in [&one, &other] {
            drop(breaker.hold(failure, true));
        }
    }
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn refused_messages_take_no_place_of_a_broken_deployment() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let held: Vec<_> = (0..9)
        .map_while(|_| breaker.hold(&refusal("New"), true))
        .collect();
    assert_eq!(held.len(), MAX_PROBES);
    let denied = breaker.hold(&denied("AdminAddUserToGroup"), true);
    assert!(denied.is_some());
    assert_eq!(breaker.receive_limit(), MAX_PROBES - 1);
    drop(held);
    assert_eq!(health.unready_reasons().len(), 1, "the other is not over");
}
