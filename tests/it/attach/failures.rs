//! `usher trigger attach` with failing calls and lost settings.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{AttachFixture, USHER};
use crate::faults::{Damaged, Fault};

/// Removes the tags from a write.
fn without_tags(mut input: Value) -> Value {
    let members = input.as_object_mut().expect("an object");
    members.remove("UserPoolTags");
    input
}

#[tokio::test]
async fn a_lost_setting_is_named_and_restored_from_the_backup() {
    let fixture = AttachFixture::new().await;
    let before = fixture.read().await;
    fixture
        .world
        .faults
        .plan(|call| (call.operation == "UpdateUserPool").then_some(Fault::Altered(without_tags)));
    let attach = ["--function-arn", USHER, "--yes", "--backup", "before.json"];
    let (status, out, error) = fixture.trigger("attach", &attach).await;
    assert_eq!(status, Some(1), "{error}");
    assert!(out.contains("changed:\nUserPoolTags"), "{out}");
    assert!(!out.contains("unchanged"), "{out}");
    assert!(out.trim_end().ends_with("--settings"), "{out}");
    assert!(out.contains("trigger restore before.json"), "{out}");

    fixture.world.faults.clear();
    let back = ["before.json", "--yes"];
    let dry = [&back[..], &["--dry-run", "--settings"]].concat();
    let (status, out, error) = fixture.trigger("restore", &dry).await;
    assert_eq!(status, Some(0), "{error}");
    assert!(out.contains("UserPoolTags"), "{out}");
    let (status, _, error) = fixture.trigger("restore", &back).await;
    assert_eq!(status, Some(0), "{error}");
    assert!(error.contains("--settings restores them"), "{error}");
    let (status, out, error) = fixture
        .trigger("restore", &[&back[..], &["--settings"]].concat())
        .await;
    assert_eq!(status, Some(0), "{error} {out}");
    let after = fixture.read().await;
    assert_eq!(before.differences(&after), []);
    assert_eq!(after.triggers(), before.triggers());
}

#[tokio::test]
async fn an_answer_without_settings_is_an_error() {
    for answer in [
        (|_| json!({})) as fn(Value) -> Value,
        |_| json!({"UserPool": {}}),
        |_| json!({"UserPool": {"Id": "us-east-1_another", "Name": "x"}}),
    ] {
        let fixture = AttachFixture::new().await;
        let before = fixture.read().await;
        fixture.world.faults.plan(move |call| {
            (call.operation == "DescribeUserPool").then_some(Fault::Answer(answer))
        });
        let (status, _, error) = fixture
            .trigger("attach", &["--function-arn", USHER, "--yes"])
            .await;
        assert_eq!(status, Some(1));
        assert!(error.contains("not what Cognito answers"), "{error}");
        assert_eq!(
            fixture.world.faults.calls("UpdateUserPool"),
            1,
            "the set-up's own"
        );
        fixture.world.faults.clear();
        assert_eq!(before.differences(&fixture.read().await), []);
    }
}

#[tokio::test]
async fn the_result_of_a_failed_write_is_reported() {
    let (denied, fine) = (StatusCode::BAD_REQUEST, Some(0));
    for (operation, fault, status, expected) in [
        (
            "UpdateUserPool",
            Fault::Error(denied, "AccessDeniedException"),
            Some(1),
            "the user pool was not changed",
        ),
        (
            "UpdateUserPool",
            Fault::ResetAfter,
            Some(0),
            "checking whether it was done",
        ),
        (
            "GetUserPoolMfaConfig",
            Fault::Error(denied, "AccessDeniedException"),
            Some(1),
            "GetUserPoolMfaConfig",
        ),
        (
            "SetUserPoolMfaConfig",
            Fault::Error(denied, "AccessDeniedException"),
            Some(1),
            "to undo: usher trigger restore",
        ),
        (
            "UpdateUserPool",
            Fault::ResetBefore,
            Some(1),
            "the user pool may have been changed",
        ),
        (
            "UpdateUserPool",
            Fault::After(Damaged::NotJson),
            Some(0),
            "UpdateUserPool",
        ),
    ] {
        let fixture = AttachFixture::new().await;
        let planned = fault.clone();
        fixture
            .world
            .faults
            .plan(move |call| (call.operation == operation).then(|| planned.clone()));
        let (ended, _, error) = fixture
            .trigger("attach", &["--function-arn", USHER, "--yes"])
            .await;
        assert_eq!(ended, status, "{operation} {fault:?} {error}");
        assert!(error.contains(expected), "{operation} {fault:?} {error}");
        let refused = expected.contains("not changed") || operation.starts_with("Get");
        assert_eq!(fixture.backups().len(), usize::from(!refused), "{error}");
        fixture.world.faults.clear();
        if operation == "SetUserPoolMfaConfig" {
            // The restore command from the output restores the second factor.
            let backup = fixture.backups().remove(0);
            let back = [&backup, "--settings", "--yes"];
            let (ended, _, error) = fixture.trigger("restore", &back).await;
            assert_eq!(ended, Some(0), "{error}");
            assert_eq!(
                fixture.read().await.mfa["SoftwareTokenMfaConfiguration"]["Enabled"],
                true
            );
        }
        // A second run succeeds in any state that the first run left.
        let (ended, _, error) = fixture
            .trigger("attach", &["--function-arn", USHER, "--yes"])
            .await;
        assert_eq!(ended, fine, "{error}");
        assert_eq!(fixture.read().await.triggers()["PostConfirmation"], USHER);
    }
}

#[tokio::test]
async fn a_pool_changed_meanwhile_is_not_written() {
    let fixture = AttachFixture::new().await;
    let mut reads = 0;
    fixture.world.faults.plan(move |call| {
        if call.operation != "DescribeUserPool" {
            return None;
        }
        reads += 1;
        (reads == 2).then_some(Fault::Answer(|mut answer| {
            answer["UserPool"]["UserPoolTier"] = json!("LITE");
            answer
        }))
    });
    let (status, _, error) = fixture
        .trigger("attach", &["--function-arn", USHER, "--yes"])
        .await;
    assert_eq!(status, Some(1));
    assert!(error.contains("changed meanwhile"), "{error}");
    assert!(fixture.backups().is_empty());
    assert_eq!(
        fixture.world.faults.calls("UpdateUserPool"),
        1,
        "the set-up's own"
    );
}
