//! `usher-trigger`: the Lambda behind a user pool's `PostConfirmation` trigger.

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use usher::aws::Aws;
use usher::config::{Layers, log_filter, trigger_queue_url};
use usher::telemetry::{self, LogFormat};
use usher::trigger::{Forwarded, Forwarder};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(Some(LogFormat::Json), log_filter());
    let forwarder = Arc::new(forwarder().await);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let forwarder = Arc::clone(&forwarder);
        async move {
            if let Forwarded::Failed { metric } = forwarder.handle(&event.payload).await {
                println!("{metric}");
            }
            Ok::<_, Error>(event.payload)
        }
    }))
    .await
}

/// A trigger that cannot start would fail every sign-up, so it starts without
/// a queue and says so at each event.
async fn forwarder() -> Forwarder {
    let layers = Layers::defaults().process_environment();
    let aws = Aws::from_environment()
        .await
        .map_err(|error| error.to_string());
    let url = trigger_queue_url(&layers).map_err(|error| error.to_string());
    match aws.and_then(|aws| Ok((aws.for_trigger(), url?))) {
        Ok((aws, url)) => Forwarder::new(&aws, &url),
        Err(why) => Forwarder::broken(why),
    }
}
