//! `usher attach` where something goes wrong on the way.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Scene, USHER};
use crate::faults::{Fault, Spoiled};

/// A write that costs the pool its tags.
fn without_tags(mut input: Value) -> Value {
    let members = input.as_object_mut().expect("an object");
    members.remove("UserPoolTags");
    input
}

#[tokio::test]
async fn a_setting_that_got_lost_is_named_and_comes_back_from_the_record() {
    let scene = Scene::new().await;
    let before = scene.read().await;
    scene
        .world
        .faults
        .plan(|call| (call.operation == "UpdateUserPool").then_some(Fault::Altered(without_tags)));
    let attach = ["--function-arn", USHER, "--yes", "--record", "before.json"];
    let (status, out, error) = scene.attach(&attach).await;
    assert_eq!(status, Some(1), "{error}");
    assert!(out.contains("DIFFERENT: UserPoolTags"), "{out}");
    assert!(out.contains("--restore before.json"), "{out}");

    scene.world.faults.mend();
    let back = ["--restore", "before.json", "--yes"];
    let dry = [&back[..], &["--dry-run", "--settings"]].concat();
    let (status, out, error) = scene.attach(&dry).await;
    assert_eq!(status, Some(0), "{error}");
    assert!(out.contains("UserPoolTags"), "{out}");
    let (status, _, error) = scene.attach(&back).await;
    assert_eq!(status, Some(0), "{error}");
    assert!(error.contains("--settings puts them back"), "{error}");
    let (status, out, error) = scene.attach(&[&back[..], &["--settings"]].concat()).await;
    assert_eq!(status, Some(0), "{error} {out}");
    let after = scene.read().await;
    assert_eq!(before.differences(&after), []);
    assert_eq!(after.triggers(), before.triggers());
}

#[tokio::test]
async fn an_answer_without_settings_never_passes_for_a_pool_without_settings() {
    for answer in [
        (|_| json!({})) as fn(Value) -> Value,
        |_| json!({"UserPool": {}}),
        |_| json!({"UserPool": {"Id": "us-east-1_another", "Name": "x"}}),
    ] {
        let scene = Scene::new().await;
        let before = scene.read().await;
        scene.world.faults.plan(move |call| {
            (call.operation == "DescribeUserPool").then_some(Fault::Answer(answer))
        });
        let (status, _, error) = scene.attach(&["--function-arn", USHER, "--yes"]).await;
        assert_eq!(status, Some(1));
        assert!(error.contains("not what Cognito answers"), "{error}");
        assert_eq!(
            scene.world.faults.calls("UpdateUserPool"),
            1,
            "the set-up's own"
        );
        scene.world.faults.mend();
        assert_eq!(before.differences(&scene.read().await), []);
    }
}

#[tokio::test]
async fn what_became_of_a_write_is_told_as_far_as_it_is_known() {
    let (denied, fine) = (StatusCode::BAD_REQUEST, Some(0));
    for (operation, fault, status, said) in [
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
            "whether it was done is looked at now",
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
            "the way back: usher attach",
        ),
        (
            "UpdateUserPool",
            Fault::ResetBefore,
            Some(1),
            "the user pool may have been changed",
        ),
        (
            "UpdateUserPool",
            Fault::After(Spoiled::NotJson),
            Some(0),
            "UpdateUserPool",
        ),
    ] {
        let scene = Scene::new().await;
        let planned = fault.clone();
        scene
            .world
            .faults
            .plan(move |call| (call.operation == operation).then(|| planned.clone()));
        let (ended, _, error) = scene.attach(&["--function-arn", USHER, "--yes"]).await;
        assert_eq!(ended, status, "{operation} {fault:?} {error}");
        assert!(error.contains(said), "{operation} {fault:?} {error}");
        let refused = said.contains("not changed") || operation.starts_with("Get");
        assert_eq!(scene.records().len(), usize::from(!refused), "{error}");
        scene.world.faults.mend();
        if operation == "SetUserPoolMfaConfig" {
            // What is printed as the way back brings the second factor back.
            let record = scene.records().remove(0);
            let back = ["--restore", &record, "--settings", "--yes"];
            let (ended, _, error) = scene.attach(&back).await;
            assert_eq!(ended, Some(0), "{error}");
            assert_eq!(
                scene.read().await.mfa["SoftwareTokenMfaConfiguration"]["Enabled"],
                true
            );
        }
        // Run again, it comes to its end whatever the first run left.
        let (ended, _, error) = scene.attach(&["--function-arn", USHER, "--yes"]).await;
        assert_eq!(ended, fine, "{error}");
        assert_eq!(scene.read().await.triggers()["PostConfirmation"], USHER);
    }
}

#[tokio::test]
async fn a_pool_that_somebody_else_changes_meanwhile_is_left_alone() {
    let scene = Scene::new().await;
    let mut looks = 0;
    scene.world.faults.plan(move |call| {
        if call.operation != "DescribeUserPool" {
            return None;
        }
        looks += 1;
        (looks == 2).then_some(Fault::Answer(|mut answer| {
            answer["UserPool"]["UserPoolTier"] = json!("LITE");
            answer
        }))
    });
    let (status, _, error) = scene.attach(&["--function-arn", USHER, "--yes"]).await;
    assert_eq!(status, Some(1));
    assert!(error.contains("changed meanwhile"), "{error}");
    assert!(scene.records().is_empty());
    assert_eq!(
        scene.world.faults.calls("UpdateUserPool"),
        1,
        "the set-up's own"
    );
}
