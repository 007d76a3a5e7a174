//! A queue or a user pool in another Region.

use crate::process::{finished, usher};
use crate::world::World;

#[tokio::test]
async fn a_queue_of_another_region_is_reported() {
    // The command makes no call: there is no endpoint in its environment.
    for (arguments, status) in [(["worker"], 1), (["check"], 1)] {
        let mut command = usher();
        command.args(arguments).envs([
            (
                "USHER_QUEUE__URL",
                "https://sqs.eu-west-1.amazonaws.com/123456789012/usher",
            ),
            ("USHER_PROFILES__ENABLED", "false"),
            ("USHER_HTTP__LISTEN", ""),
        ]);
        let (code, stdout, errors) = finished(command).await;
        let text = format!("{stdout}{errors}");
        assert_eq!(code, Some(status), "{text}");
        for part in ["eu-west-1", "us-east-1", "AWS_REGION"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}

#[tokio::test]
async fn a_user_pool_of_another_region_is_reported() {
    let world = World::new().await;
    let mut check = world.usher(&["check", "--pool", "eu-west-1_Nobody001"]);
    // An emulator's pools are in any Region: only the services have endpoints here.
    check.env_remove("AWS_ENDPOINT_URL").envs([
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &world.url),
        ("AWS_ENDPOINT_URL_DYNAMODB", &world.url),
    ]);
    let (code, stdout, _) = finished(check).await;
    assert_eq!(code, Some(1), "{stdout}");
    let failure = stdout.lines().find(|line| line.contains("FAIL"));
    let failure = failure.unwrap_or_default();
    let expected = " is in eu-west-1, and AWS_REGION is us-east-1";
    assert!(failure.contains("user pool "), "{stdout}");
    assert!(failure.ends_with(expected), "{stdout}");
}
