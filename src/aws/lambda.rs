//! The SDK's settings in a Lambda, only from the environment.
//!
//! The SDK's own loader also tries profile files, SSO, STS and the metadata of EC2. No function
//! has any of them, and they are a fifth of the program. Lambda sets the credentials as variables.
//! Only `SnapStart` uses an address instead, and it takes no archive of an OS-only runtime.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

use super::client::{Aws, NoRegion};

impl Aws {
    /// Reads the Region and the credentials that Lambda sets in the environment.
    ///
    /// Of the SDK's other variables, it reads those that matter for sending to SQS: endpoints,
    /// and the name for the user agent.
    ///
    /// # Errors
    /// `NoRegion::InLambda`
    pub fn in_lambda(variable: impl Fn(&str) -> Option<String>) -> Result<Self, NoRegion> {
        let credentials = EnvironmentVariableCredentialsProvider::new();
        let sdk = settings(variable)
            .ok_or(NoRegion::InLambda)?
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        Ok(Self::without_retries(sdk.build()))
    }
}

/// `None` without a Region.
fn settings(variable: impl Fn(&str) -> Option<String>) -> Option<SdkConfig> {
    let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let is_on = |name: &str| variable(name).map(|value| value.trim().eq_ignore_ascii_case("true"));
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))?;
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region));
    // <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    if is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") != Some(true) {
        let url = variable("AWS_ENDPOINT_URL_SQS").or_else(|| variable("AWS_ENDPOINT_URL"));
        sdk.set_endpoint_url(url);
    }
    sdk.set_use_fips(is_on("AWS_USE_FIPS_ENDPOINT"));
    sdk.set_use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"));
    sdk.set_app_name(variable("AWS_SDK_UA_APP_ID").and_then(|name| AppName::new(name).ok()));
    Some(sdk.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_from(variables: &[(&str, &str)]) -> Option<SdkConfig> {
        let variables = |name: &str| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        };
        settings(variables)
    }

    fn region(variables: &[(&str, &str)]) -> Option<String> {
        Some(settings_from(variables)?.region()?.to_string())
    }

    #[test]
    fn the_region_comes_from_either_variable() {
        let (first, second) = (
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-2"),
        );
        assert_eq!(region(&[second, first]).as_deref(), Some("eu-west-1"));
        assert_eq!(region(&[second]).as_deref(), Some("eu-west-2"));
        assert_eq!(
            region(&[("AWS_REGION", ""), second]).as_deref(),
            Some("eu-west-2")
        );
        assert_eq!(region(&[("AWS_REGION", " ")]), None);
        assert!(Aws::in_lambda(|_| None).is_err());
    }

    #[test]
    fn sqs_endpoint_overrides_the_general_one() {
        let endpoint = |variables: &[(&str, &str)]| {
            let variables = [&[("AWS_REGION", "eu-west-1")], variables].concat();
            settings_from(&variables)
                .expect("a Region")
                .endpoint_url()
                .map(str::to_owned)
        };
        let (sqs, all) = (
            ("AWS_ENDPOINT_URL_SQS", "http://sqs"),
            ("AWS_ENDPOINT_URL", "http://all"),
        );
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[all]).as_deref(), Some("http://all"));
        assert_eq!(endpoint(&[all, sqs]).as_deref(), Some("http://sqs"));
        let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True");
        assert_eq!(endpoint(&[all, sqs, ignored]), None);
        let not_ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
        assert_eq!(endpoint(&[all, not_ignored]).as_deref(), Some("http://all"));
    }

    #[test]
    fn fips_and_dual_stack_are_enabled_by_true() {
        let enabled = settings_from(&[
            ("AWS_REGION", "us-gov-west-1"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "TRUE"),
            ("AWS_SDK_UA_APP_ID", "sign-ups"),
        ])
        .expect("a Region");
        assert_eq!(
            (enabled.use_fips(), enabled.use_dual_stack()),
            (Some(true), Some(true))
        );
        assert_eq!(
            enabled.app_name().map(ToString::to_string).as_deref(),
            Some("sign-ups")
        );
        let unset = settings_from(&[("AWS_REGION", "eu-west-1")]).expect("a Region");
        assert_eq!((unset.use_fips(), unset.use_dual_stack()), (None, None));
    }
}
