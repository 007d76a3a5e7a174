//! A stand-in for SQS, Cognito and `DynamoDB` on one port of loopback: it counts every call,
//! delays it, and refuses calls over the quota.
//!
//! It runs on one thread and stores all state in memory. Its address is the first line of
//! its output. It ends when its standard input is closed.

mod answer;
mod clock;
mod cognito;
mod control;
mod counts;
mod dynamodb;
mod latency;
mod queue;
mod quota;
mod sqs;
mod world;

use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use answer::{Fault, Reply, Service, reply};
use clock::Clock;
use world::World;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            result = serve() => result,
            result = parent_gone() => result,
        }
    })
}

/// The parent process closes our input, at the latest when it dies.
async fn parent_gone() -> std::io::Result<()> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("{url}");
    let world = World::new(Clock::start(), url);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let world = Rc::clone(&world);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| handle(Rc::clone(&world), request));
            // The caller handles a broken connection.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn handle(world: Rc<World>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let fault = Fault::new("IncompleteBody", error.to_string());
            return Ok(reply(Service::Control, Err(fault)));
        }
    };
    if let Some(path) = head.uri.path().strip_prefix("/_bench/") {
        let query = head.uri.query().unwrap_or_default();
        let result = control::call(&world, path, query, &body).await;
        return Ok(reply(Service::Control, result));
    }
    // As at AWS, a call continues when its caller disconnects: messages that a broken long poll
    // receives stay hidden.
    let call = tokio::task::spawn_local(async move { call(&world, &head, &body).await });
    Ok(call.await.expect("no call panics"))
}

async fn call(world: &World, head: &Parts, body: &[u8]) -> Reply {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let target = header("x-amz-target").unwrap_or_default();
    let (service, operation) = target.rsplit_once('.').unwrap_or_default();
    let caller = caller(header("authorization").unwrap_or_default());
    let run = {
        let mut state = world.state();
        if operation == "ReceiveMessage" {
            state.receivers.insert(caller.to_owned());
        }
        state.run
    };
    let (service, result) = match service {
        "AmazonSQS" => (Service::Sqs, sqs::call(world, operation, body).await),
        "AWSCognitoIdentityProviderService" => (
            Service::Cognito,
            cognito::call(world, operation, body).await,
        ),
        "DynamoDB_20120810" => (
            Service::DynamoDb,
            dynamodb::call(world, operation, body).await,
        ),
        _ => {
            let fault = Fault::new("UnknownOperationException", "no service is named so");
            (Service::Control, Err(fault))
        }
    };
    let mut state = world.state();
    if state.run == run {
        state.counts.record(caller, operation, &result);
    }
    drop(state);
    reply(service, result)
}

/// The access key id that a request is signed with. Signatures are not checked.
fn caller(authorization: &str) -> &str {
    authorization
        .split_once("Credential=")
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or("anonymous")
}
