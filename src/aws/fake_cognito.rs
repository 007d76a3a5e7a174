//! Amazon Cognito as a test plays it, in this process: without sockets the test's clock
//! can be paused.

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

use super::{Aws, ClientCredentials, Directory, Listing, SignIn, UserManager, Users};
use crate::quota::{Limits, Quota};

/// What comes after how long: a status and a body.
pub(crate) type FakeResponse = (Duration, u16, Value);

type FakeHandler = dyn Fn(&str, &Value) -> FakeResponse + Send + Sync;

#[derive(Clone)]
struct FakeHttpClient(Arc<FakeHandler>);

/// The services of one process, over one quota.
pub(crate) struct FakeCognito {
    pub(crate) sign_in: SignIn,
    pub(crate) user_manager: UserManager,
    pub(crate) listing: Listing,
    pub(crate) users: Users,
}

/// `play` is given the operation and its input. The rates are the default ones, shared by
/// so many processes.
pub(crate) async fn fake_cognito(
    processes: u32,
    play: impl Fn(&str, &Value) -> FakeResponse + Send + Sync + 'static,
) -> FakeCognito {
    let aws = Aws::with_http_client(FakeHttpClient(Arc::new(play))).await;
    let quota = Arc::new(Quota::new(Limits {
        processes: NonZeroU32::new(processes).expect("not zero"),
        user_update: 20.0,
        user_list: 15.0,
        user_resource_read: 25.0,
        user_creation: 25.0,
    }));
    let app = ClientCredentials {
        id: "client".to_owned(),
        secret: None,
    };
    FakeCognito {
        sign_in: SignIn::new(&aws, Arc::clone(&quota), app),
        user_manager: Directory::new(&aws, Arc::clone(&quota)).user_manager(),
        listing: Listing::new(&aws, Arc::clone(&quota)),
        users: Users::new(&aws, quota),
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
        let (after, status, body) = (self.0)(operation, &input);
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(after).await;
            let status = status
                .try_into()
                .map_err(|error| ConnectorError::other(Box::new(error), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
        })
    }
}
