//! A fake AWS in this process: without sockets, a test can pause its clock.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use super::{Cognito, SignIn};
use crate::aws::client::Aws;
use crate::config::AppClient;
use crate::quota::{Limits, Quota};

/// Delay, HTTP status and body.
pub(crate) type FakeResponse = (Duration, u16, Value);

type FakeHandler = dyn Fn(&str, &Value) -> FakeResponse + Send + Sync;

#[derive(Clone)]
struct FakeHttpClient(Arc<FakeHandler>);

/// Clients of the fake that share one quota.
pub(crate) struct FakeCognito {
    pub(crate) sign_in: SignIn,
    pub(crate) cognito: Cognito,
}

/// `respond` gets the operation and its input.
pub(crate) async fn fake_aws(
    respond: impl Fn(&str, &Value) -> FakeResponse + Send + Sync + 'static,
) -> Aws {
    Aws::with_http_client(FakeHttpClient(Arc::new(respond))).await
}

/// As [`fake_aws`]. The rates are the default rates, shared by
/// `processes`.
pub(crate) async fn fake_cognito(
    processes: u32,
    respond: impl Fn(&str, &Value) -> FakeResponse + Send + Sync + 'static,
) -> FakeCognito {
    let aws = fake_aws(respond).await;
    let quota = Arc::new(Quota::new(Limits {
        processes: NonZeroU32::new(processes).expect("not zero"),
        ..Limits::default()
    }));
    let cognito = Cognito::new(&aws, quota);
    let app_client = AppClient {
        id: "client".to_owned(),
        secret: None,
    };
    FakeCognito {
        sign_in: SignIn::new(cognito.clone(), app_client),
        cognito,
    }
}

impl fmt::Debug for FakeHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stage")
    }
}

impl HttpClient for FakeHttpClient {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for FakeHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let input = request.body().bytes().unwrap_or_default();
        let input = serde_json::from_slice(input).unwrap_or_default();
        let (delay, status, body) = (self.0)(operation, &input);
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(delay).await;
            let status = status
                .try_into()
                .map_err(|error| ConnectorError::other(Box::new(error), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
        })
    }
}
