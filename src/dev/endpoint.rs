//! The embedded AWS endpoint: SQS, Cognito and `DynamoDB` on one loopback port.
//! The `X-Amz-Target` header of the AWS JSON protocols selects the service.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use winterbaume_core::{MockRequest, MockResponse, MockService};
use winterbaume_sqs::SqsService;

use super::cognito::{self, EmbeddedCognito};
use super::constraints;
use super::dynamodb::EmbeddedDynamoDb;
use super::hooks::{MailFn, TriggerFn};
use super::issuer::Issuer;
use super::running::RUNNING_DEV_PATH;
use super::sqs::EmbeddedQueues;
use super::wire::{TARGET_HEADER, error_response};
use super::{sts, trace_header};

/// The embedded services. Their state is dropped with the last clone.
#[derive(Clone)]
pub struct EmbeddedEndpoint(Arc<EmbeddedServices>);

struct EmbeddedServices {
    sqs: SqsService,
    cognito: EmbeddedCognito,
    dynamodb: EmbeddedDynamoDb,
    base_url: String,
    /// What `GET /dev` answers, in JSON.
    description: OnceLock<String>,
}

const SQS_TARGET_PREFIX: &str = "AmazonSQS.";
const DYNAMODB_TARGET_PREFIX: &str = "DynamoDB_20120810.";
const SQS_HOST: &str = "https://sqs.us-east-1.amazonaws.com";

impl EmbeddedEndpoint {
    /// Creates empty services whose queue URLs and issuers start with `address`.
    pub fn new(address: SocketAddr) -> Self {
        let base = format!("http://{address}");
        Self(Arc::new(EmbeddedServices {
            sqs: SqsService::with_backend(Arc::new(EmbeddedQueues::default())),
            cognito: EmbeddedCognito::new(&base),
            dynamodb: EmbeddedDynamoDb::default(),
            base_url: base,
            description: OnceLock::new(),
        }))
    }

    /// Binds the port on loopback; 0 lets the system choose one.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn listen(port: u16) -> std::io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    }

    /// The base URL, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.0.base_url
    }

    /// Sets the trigger of all pools. Later calls have no effect.
    pub fn on_trigger(&self, trigger: Box<TriggerFn>) {
        let _ = self.0.cognito.hooks.trigger.set(trigger);
    }

    /// Sets the JSON text that `GET /dev` answers. Later calls have no effect. Until then the
    /// status is 503.
    pub(crate) fn describe(&self, description: String) {
        let _ = self.0.description.set(description);
    }

    /// Sets where mail goes. Later calls have no effect. Until then, mail is dropped.
    pub fn on_mail(&self, deliver: Box<MailFn>) {
        let _ = self.0.cognito.hooks.mail.set(deliver);
    }

    /// The issuer that signs the tokens of all pools.
    pub fn issuer(&self) -> &Issuer {
        &self.0.cognito.issuer
    }

    /// The `iss` claim of new tokens of this pool. The pool's
    /// `IssuerConfiguration` selects it.
    pub fn issuer_of(&self, pool: &str) -> String {
        self.0.cognito.issuer_of(pool)
    }

    /// Both issuers of a pool, with `{pool}` for its id, for `admin.issuer`.
    pub fn issuer_templates(&self) -> [String; 2] {
        cognito::issuer_templates(&self.0.base_url)
    }

    /// Marks a user's temporary password as expired.
    pub async fn expire_temporary_password(&self, pool: &str, username: &str) {
        self.0
            .cognito
            .expire_temporary_password(pool, username)
            .await;
    }

    /// The endpoint's routes. Further layers can be added.
    pub fn router(&self) -> Router {
        Router::new()
            .route(RUNNING_DEV_PATH, get(description))
            .route("/{pool}/.well-known/jwks.json", get(jwks))
            .route(
                "/issuer-cognito-idp/{pool}/.well-known/jwks.json",
                get(jwks),
            )
            .fallback(dispatch)
            .layer(from_fn(check_constraints))
            .with_state(self.clone())
    }

    /// Serves requests until `stop` is cancelled.
    ///
    /// # Errors
    /// When the listener fails permanently.
    pub async fn serve(
        listener: TcpListener,
        routes: Router,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        axum::serve(listener, routes)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    }
}

/// Refuses a request that breaks the constraints of its service's model, as the service does,
/// and passes every other request on. [`EmbeddedEndpoint::router`] has this layer. A layer over
/// the router that answers requests itself needs this layer again above it.
pub async fn check_constraints(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match constraints::check(target_of(&parts.headers), &body) {
        Ok(()) => next.run(Request::from_parts(parts, body.into())).await,
        Err(refusal) => into_response(*refusal),
    }
}

async fn dispatch(
    State(endpoint): State<EmbeddedEndpoint>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let services = &endpoint.0;
    let target = target_of(&headers);
    let response = if target.starts_with(SQS_TARGET_PREFIX) {
        let request = service_request(
            SQS_HOST,
            &headers,
            trace_header::rewrite_request(body.clone()),
        );
        let response = trace_header::rewrite_response(&body, services.sqs.handle(request).await);
        with_queue_urls(response, &services.base_url)
    } else if let Some(operation) = target.strip_prefix(cognito::COGNITO_TARGET_PREFIX) {
        services.cognito.handle(operation, &body).await
    } else if let Some(operation) = target.strip_prefix(DYNAMODB_TARGET_PREFIX) {
        let request = service_request("https://dynamodb.us-east-1.amazonaws.com", &headers, body);
        services.dynamodb.handle(operation, request).await
    } else if sts::is_get_caller_identity(&body) {
        sts::get_caller_identity()
    } else {
        error_response(
            "UnknownOperationException",
            "this endpoint serves SQS, Cognito and DynamoDB in the AWS JSON protocols",
        )
    };
    into_response(response)
}

/// Names service and operation, in the AWS JSON protocols.
fn target_of(headers: &HeaderMap) -> &str {
    let target = headers
        .get(TARGET_HEADER)
        .and_then(|target| target.to_str().ok());
    target.unwrap_or_default()
}

/// <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html>
async fn jwks(State(endpoint): State<EmbeddedEndpoint>, Path(pool): Path<String>) -> Response {
    let cognito = &endpoint.0.cognito;
    into_response(if cognito.has_pool(&pool) {
        MockResponse::json(200, cognito.issuer.jwks().to_string())
    } else {
        let message = format!("User pool {pool} does not exist.");
        MockResponse::json(404, serde_json::json!({"message": message}).to_string())
    })
}

async fn description(State(endpoint): State<EmbeddedEndpoint>) -> Response {
    match endpoint.0.description.get() {
        Some(description) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, description.clone()).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
    }
}

/// The services keep one state for each Region in the host name. This endpoint
/// uses one Region, whichever the client signs for.
fn service_request(host: &str, headers: &HeaderMap, body: Bytes) -> MockRequest {
    MockRequest {
        method: "POST".to_owned(),
        uri: format!("{host}/"),
        headers: headers.clone(),
        body,
    }
}

/// Queue URLs name this endpoint, since some clients send requests to them.
fn with_queue_urls(response: MockResponse, base: &str) -> MockResponse {
    match std::str::from_utf8(&response.body) {
        Ok(text) if text.contains(SQS_HOST) => {
            let body = text.replace(SQS_HOST, base).into();
            MockResponse { body, ..response }
        }
        _ => response,
    }
}

fn into_response(response: MockResponse) -> Response {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut answer = (status, Body::from(response.body)).into_response();
    *answer.headers_mut() = response.headers;
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    answer
}
