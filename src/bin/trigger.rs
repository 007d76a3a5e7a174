//! `usher-trigger`: the Lambda function for a user pool's triggers and for `AppSync`.

use std::sync::Arc;

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use usher::app::trigger_handler;
use usher::aws::Aws;
use usher::config::{self, Layers, log_filter};
use usher::event::Trace;
use usher::telemetry::{self, LogFormat, LogOptions};
use usher::trigger::{TriggerHandler, TriggerOutput};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(
        LogOptions::<std::io::Empty> {
            format: Some(LogFormat::Json),
            filter: log_filter(),
            colors: false,
            audit_file: None,
        },
        std::io::stderr,
    );
    let trigger = Arc::new(build_trigger_handler());
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let trigger = Arc::clone(&trigger);
        async move {
            // The SDK sends it with each call as `X-Amzn-Trace-Id`; the message gets it here.
            let trace = Trace::from_xray(event.context.xray_trace_id.as_deref());
            let TriggerOutput { response, metric } = trigger.handle(&event.payload, &trace).await;
            if let Some(metric) = metric {
                println!("{metric}");
            }
            match response {
                Ok(changed) => Ok(changed.unwrap_or(event.payload)),
                Err(refusal) => Err(Diagnostic {
                    error_type: refusal.kind.to_owned(),
                    error_message: refusal.to_string(),
                }),
            }
        }
    }))
    .await
}

/// A trigger that cannot start fails every sign-up, so it starts with any configuration.
/// One that cannot be read switches off everything except forwarding.
fn build_trigger_handler() -> TriggerHandler {
    let layers = Layers::defaults().config_file(None).process_environment();
    let settings = config::TriggerConfig::from_layers(&layers);
    let aws = Aws::in_lambda(config::env_var);
    trigger_handler(aws.map_err(|error| error.to_string()), settings)
}
