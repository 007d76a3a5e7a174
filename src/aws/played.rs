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

use super::{App, Aws, Directory, Listing, People, SignIn, Users};
use crate::quota::{Limits, Quota};

/// What comes after how long: a status and a body.
pub(crate) type Answer = (Duration, u16, Value);

type Play = dyn Fn(&str, &Value) -> Answer + Send + Sync;

#[derive(Clone)]
struct Stage(Arc<Play>);

/// The services of one process, over one quota.
pub(crate) struct Played {
    pub(crate) sign_in: SignIn,
    pub(crate) people: People,
    pub(crate) listing: Listing,
    pub(crate) users: Users,
}

/// `play` is given the operation and its input. The rates are the default ones, shared by
/// so many processes.
pub(crate) async fn played(
    processes: u32,
    play: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static,
) -> Played {
    let aws = Aws::played_by(Stage(Arc::new(play))).await;
    let quota = Arc::new(Quota::new(Limits {
        processes: NonZeroU32::new(processes).expect("not zero"),
        user_update: 20.0,
        user_list: 15.0,
        user_resource_read: 25.0,
        user_creation: 25.0,
    }));
    let app = App {
        id: "client".to_owned(),
        secret: None,
    };
    Played {
        sign_in: SignIn::new(&aws, Arc::clone(&quota), app),
        people: Directory::new(&aws, Arc::clone(&quota)).people(),
        listing: Listing::new(&aws, Arc::clone(&quota)),
        users: Users::new(&aws, quota),
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stage")
    }
}

impl HttpClient for Stage {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Stage {
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
