//! A queue in another Region.

use crate::process::{finished, usher};

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
