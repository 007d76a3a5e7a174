//! A queue in another Region.

use crate::process::{finished, usher};

#[tokio::test]
async fn a_queue_of_another_region_is_named_as_such() {
    // No call is made: nothing here leads to an endpoint.
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
        let (code, said, errors) = finished(command).await;
        let text = format!("{said}{errors}");
        assert_eq!(code, Some(status), "{text}");
        for part in ["eu-west-1", "us-east-1", "AWS_REGION"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
