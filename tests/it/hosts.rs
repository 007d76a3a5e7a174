//! The host in a queue's URL: calls go to it, unless an endpoint is configured for SQS.

use usher::dev::EmbeddedEndpoint;

use crate::process::finished;
use crate::trigger::{Lambda, SIGN_UP};
use crate::world::World;

impl World {
    /// `usher` without a configured endpoint for SQS, as with an interface endpoint without
    /// private DNS.
    fn without_endpoint(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = self.usher(arguments);
        command.env_remove("AWS_ENDPOINT_URL").envs([
            ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &self.url),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.url),
            ("AWS_ENDPOINT_URL_STS", &self.url),
        ]);
        command
    }

    /// The URL of the same queue at another address of the endpoint that counts no calls.
    async fn uncounted(&self, url: &str) -> String {
        let listener = EmbeddedEndpoint::listen(0).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let routes = self.endpoint.router();
        tokio::spawn(EmbeddedEndpoint::serve(listener, routes, <_>::default()));
        url.replace(&self.url, &format!("http://{address}"))
    }
}

#[tokio::test]
async fn calls_of_a_queue_go_to_the_host_in_its_url() {
    let world = World::new().await;
    let users = world.create_users(3).await;
    world.send_all(&users).await;
    let (status, _, errors) = finished(world.without_endpoint(&["worker", "--until-empty"])).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(world.faults.calls("ReceiveMessage") > 0);
    world.assert_all_provisioned(&users).await;
    let mut lambda = Lambda::start(&[("USHER_QUEUE__URL", world.queue.url())]).await;
    assert_eq!(lambda.invoke(SIGN_UP).await, SIGN_UP);
    assert_eq!(world.faults.calls("SendMessage"), 1);
    assert_eq!(
        world
            .queue
            .attributes()
            .await
            .expect("attributes")
            .depth
            .visible,
        1
    );
}

#[tokio::test]
async fn fips_and_dual_stack_do_not_apply_to_other_hosts() {
    let world = World::new().await;
    let mut list = world.without_endpoint(&["dead-letters", "list"]);
    list.env("AWS_USE_FIPS_ENDPOINT", "true")
        .env("AWS_USE_DUALSTACK_ENDPOINT", "true");
    let (status, stdout, errors) = finished(list).await;
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(stdout, "no dead letters found\n");
}

#[tokio::test]
async fn a_configured_dead_letter_url_keeps_its_host() {
    let world = World::new().await;
    world
        .dead_letters
        .send(usher::aws::Outgoing {
            body: "{".to_owned(),
            ..Default::default()
        })
        .await
        .expect("sent");
    let list = |dead_letter_url: Option<&str>| {
        let mut command = world.without_endpoint(&["dead-letters", "list"]);
        command.envs(dead_letter_url.map(|url| ("USHER_QUEUE__DEAD_LETTER_URL", url)));
        finished(command)
    };
    // A dead-letter queue from the redrive policy is called at the source queue's host.
    let (status, stdout, errors) = list(None).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(stdout.contains("1 dead letter"), "{stdout}");
    let counted = world.faults.calls("ReceiveMessage");
    assert!(counted > 0);
    let elsewhere = world.uncounted(world.dead_letters.url()).await;
    let (status, stdout, errors) = list(Some(&elsewhere)).await;
    assert_eq!(status, Some(0), "{errors}");
    assert!(stdout.contains("1 dead letter"), "{stdout}");
    assert_eq!(world.faults.calls("ReceiveMessage"), counted);
}

#[tokio::test]
async fn a_configured_endpoint_overrides_the_host_in_the_url() {
    let world = World::new().await;
    // No process listens on this port, as if the name resolved only in containers.
    let silent = tokio::net::TcpSocket::new_v4().expect("a socket");
    silent
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let silent_url = format!("http://{}", silent.local_addr().expect("an address"));
    let elsewhere = "https://sqs.eu-west-1.amazonaws.com";
    for (variable, host) in [
        ("AWS_ENDPOINT_URL", &*silent_url),
        ("AWS_ENDPOINT_URL_SQS", &*silent_url),
        ("AWS_ENDPOINT_URL", elsewhere),
        ("AWS_ENDPOINT_URL_SQS", elsewhere),
    ] {
        let url = world.queue.url().replace(&world.url, host);
        let mut check = world.without_endpoint(&["check"]);
        check
            .env("USHER_QUEUE__URL", &url)
            .env(variable, &world.url)
            .args(["--pool", &world.pool.id]);
        let (status, stdout, errors) = finished(check).await;
        assert_eq!(status, Some(0), "{variable}, {host}: {stdout}{errors}");
    }
}
