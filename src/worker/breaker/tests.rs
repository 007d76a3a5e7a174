use std::time::Duration;

use super::*;
use crate::aws::{Class, CognitoOperation, DynamoDbOperation, SqsOperation};

fn denied(operation: impl Into<Operation>) -> Failure {
    Failure {
        operation: operation.into(),
        resource: "eu-west-1_x".into(),
        code: "AccessDeniedException".to_owned(),
        reason: Reason::AccessDenied,
        class: Class::Systemic,
        explanation: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_messages_are_held_and_the_others_released() {
    let breaker = Breaker::new(Health::default(), true);
    assert_eq!(breaker.receive_limit(), usize::MAX);
    let failure = denied(CognitoOperation::AdminAddUserToGroup);
    let held: Vec<_> = (0..6).map_while(|_| breaker.hold(&failure, true)).collect();
    assert_eq!(held.len(), MAX_HELD);
    assert_eq!(breaker.receive_limit(), 0);
}

#[tokio::test(start_paused = true)]
async fn readiness_names_the_failure_until_recovery() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let failure = denied(CognitoOperation::AdminAddUserToGroup);
    let held = breaker.hold(&failure, true).expect("held");
    let reasons = health.unready_reasons().join("");
    assert!(
        reasons.contains("AdminAddUserToGroup") && reasons.contains("AccessDenied"),
        "{reasons}"
    );
    held.record_recovery();
    assert!(health.unready_reasons().is_empty());
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn held_messages_probe_singly_and_all_retry_after_recovery() {
    let breaker = Breaker::new(Health::default(), true);
    let failure = denied(CognitoOperation::AdminAddUserToGroup);
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
    let held = breaker
        .hold(&denied(DynamoDbOperation::PutItem), true)
        .expect("held");
    assert!(matches!(held.wait(&stop).await, HoldDecision::Stop));
}

#[tokio::test(start_paused = true)]
async fn breaker_closes_when_no_message_is_held() {
    let breaker = Breaker::new(Health::default(), true);
    let one = breaker
        .hold(&denied(DynamoDbOperation::PutItem), true)
        .expect("held");
    let other = breaker
        .hold(&denied(CognitoOperation::AdminAddUserToGroup), true)
        .expect("held");
    drop(one);
    assert_eq!(
        breaker.receive_limit(),
        MAX_HELD - 1,
        "the other is still held"
    );
    drop(other);
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn unknown_pools_stop_intake_only_if_pools_are_configured() {
    let unknown = Failure {
        reason: Reason::PoolNotFound,
        ..denied(CognitoOperation::AdminGetUser)
    };
    for (has_allowed_pools, limit) in [(false, 1), (true, 0)] {
        let breaker = Breaker::new(Health::default(), has_allowed_pools);
        let held: Vec<_> = (0..MAX_HELD)
            .map_while(|_| breaker.hold(&unknown, true))
            .collect();
        assert_eq!(held.len(), MAX_HELD);
        assert_eq!(breaker.receive_limit(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn failure_after_recovery_opens_the_breaker_again() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let stop = CancellationToken::new();
    let failure = denied(CognitoOperation::AdminAddUserToGroup);
    let first = breaker.hold(&failure, true).expect("held");
    let mut second = breaker.hold(&failure, true).expect("held");
    first.record_recovery();
    assert!(matches!(second.wait(&stop).await, HoldDecision::Recovered));
    second.record_failure(&failure);
    assert!(!health.unready_reasons().is_empty(), "it is open again");
    assert_eq!(breaker.receive_limit(), MAX_HELD - 1);
    assert!(
        matches!(second.wait(&stop).await, HoldDecision::Probe(_)),
        "and waits to probe"
    );
    drop(second);
    assert!(health.unready_reasons().is_empty());
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn held_message_moves_to_its_latest_failure() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let mut moved = breaker
        .hold(&denied(DynamoDbOperation::PutItem), true)
        .expect("held");
    let stays = breaker
        .hold(&denied(DynamoDbOperation::PutItem), true)
        .expect("held");
    moved.record_failure(&denied(CognitoOperation::AdminAddUserToGroup));
    assert_eq!(health.unready_reasons().len(), 2, "both are broken");
    drop(stays);
    assert_eq!(health.unready_reasons().len(), 1);
    drop(moved);
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn while_settling_is_broken_nothing_is_received() {
    let breaker = Breaker::new(Health::default(), true);
    breaker.record_settling_failure(&denied(SqsOperation::DeleteMessageBatch));
    assert_eq!(breaker.receive_limit(), 0);
    breaker.record_recovery(&denied(SqsOperation::DeleteMessageBatch));
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

fn refusal(code: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        reason: code.to_lowercase().into(),
        class: Class::Permanent,
        ..denied(CognitoOperation::AdminAddUserToGroup)
    }
}

async fn distinct_instant() -> Instant {
    tokio::time::advance(Duration::from_millis(1)).await;
    let now = Instant::now();
    tokio::time::advance(Duration::from_millis(1)).await;
    now
}

#[tokio::test(start_paused = true)]
async fn only_many_refusals_in_a_row_stop_intake() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let failure = refusal("New");
    let mut held: Vec<_> = (0..MAX_HELD)
        .map_while(|_| breaker.hold(&failure, true))
        .collect();
    assert_eq!(held.len(), MAX_HELD);
    for _ in MAX_HELD..(OUTAGE_FAILURES as usize - 1) {
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
        "repeated refusals of the same messages"
    );
    assert!(breaker.hold(&failure, true).is_none());
    assert!(breaker.is_intake_stopped_by(&failure));
    assert_eq!(breaker.receive_limit(), 1, "others are still tried");
    let reasons = health.unready_reasons().join("");
    assert!(
        reasons.contains("AdminAddUserToGroup") && reasons.contains("New"),
        "{reasons}"
    );
    drop(held);
    assert!(health.unready_reasons().is_empty());
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn success_of_another_message_ends_a_row_of_refusals() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let stop = CancellationToken::new();
    let failure = refusal("New");
    let before = distinct_instant().await;
    let mut held = breaker.hold(&failure, true).expect("held");
    let since = Instant::now();
    for _ in 1..OUTAGE_FAILURES {
        drop(breaker.hold(&failure, true));
    }
    let after = distinct_instant().await;
    // Started before the refusal, another pool, another service: none is evidence.
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
    // The next row counts from zero.
    held.record_failure(&failure);
    assert!(!breaker.is_intake_stopped_by(&failure));
}

#[tokio::test(start_paused = true)]
async fn lone_refusal_is_message_fault_after_wait_except_in_outage() {
    let breaker = Breaker::new(Health::default(), true);
    let failure = refusal("New");
    let since = Instant::now();
    // More messages than may be held.
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
async fn refusals_count_even_if_no_probe_place_is_free() {
    let breaker = Breaker::new(Health::default(), true);
    let (one, other) = (refusal("One"), refusal("Other"));
    let held: Vec<_> = (0..MAX_HELD)
        .map_while(|_| breaker.hold(&one, true))
        .collect();
    assert_eq!(held.len(), MAX_HELD);
    for _ in 0..OUTAGE_FAILURES {
        assert!(breaker.hold(&other, true).is_none());
    }
    assert!(breaker.is_intake_stopped_by(&other) && !breaker.is_intake_stopped_by(&one));
    assert_eq!(breaker.receive_limit(), 1, "others are still tried");
    let after = distinct_instant().await;
    breaker.record_success(Service::Cognito, "eu-west-1_x", after);
    assert_eq!(breaker.receive_limit(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn refusals_with_different_codes_count_separately() {
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
async fn refused_messages_take_no_place_of_systemic_failures() {
    let health = Health::default();
    let breaker = Breaker::new(health.clone(), true);
    let held: Vec<_> = (0..9)
        .map_while(|_| breaker.hold(&refusal("New"), true))
        .collect();
    assert_eq!(held.len(), MAX_HELD);
    let denied = breaker.hold(&denied(CognitoOperation::AdminAddUserToGroup), true);
    assert!(denied.is_some());
    assert_eq!(breaker.receive_limit(), MAX_HELD - 1);
    drop(held);
    assert_eq!(
        health.unready_reasons().len(),
        1,
        "the systemic failure remains"
    );
}
