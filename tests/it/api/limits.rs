//! Sizes, rates, routes, and headers for browsers.

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;

use super::Api;
use super::client::description;
use crate::process::{Process, finished, get};
use crate::world::{World, eventually};

#[tokio::test]
async fn only_the_described_routes_exist() {
    let api = Api::start(&[]).await;
    for (path, operations) in description()["paths"].as_object().expect("paths") {
        let path = path
            .replace("{group}", "STAFF")
            .replace("{username}", "nobody");
        for method in ["get", "post", "delete", "put", "patch"] {
            let answer = api
                .client
                .ask(&method.to_uppercase(), &path, None, &[])
                .await;
            let expected = match operations.get(method) {
                None => 405,
                Some(operation) if operation.get("security").is_some() => 200,
                Some(_) => 401,
            };
            assert_eq!(answer.status, expected, "{method} {path}");
        }
    }
    for path in ["/v1", "/v1/", "/v1/users", "/v1/users/a/b", "/v2/users/a"] {
        let bearer = api.ask("GET", path, None).await;
        assert_eq!(bearer.status, 404, "{path}");
    }
    let served = api.client.ask("GET", "/v1/openapi.json", None, &[]).await;
    assert_eq!(&served.body, description());
}

#[tokio::test]
async fn an_invalid_request_names_the_field() {
    let api = Api::start(&[]).await;
    let path = "/v1/groups/STAFF/members";
    let field = |answer: &super::Answer| answer.body["field"].as_str().map(str::to_owned);
    for (path, body, named) in [
        (path, json!({}), "username"),
        (path, json!({"username": ""}), "username"),
        (path, json!({"username": 7}), "username"),
        (path, json!({"userId": "x"}), "body"),
        (
            "/v1/groups/a%20b/members",
            json!({"username": "x"}),
            "group",
        ),
        ("/v1/invitations", json!({}), "email"),
        ("/v1/invitations", json!({"email": "ada"}), "email"),
        (
            "/v1/invitations",
            json!({"email": "a@b.c", "groups": "STAFF"}),
            "body",
        ),
        (
            "/v1/invitations",
            json!({"email": "a@b.c", "attributes": {"sub": "1"}}),
            "attributes",
        ),
    ] {
        let answer = api.ask("POST", path, Some(body)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(field(&answer).as_deref(), Some(named), "{answer:?}");
    }
    for body in ["", "[]", "null", "{"] {
        let headers = authorized(&api, &[("content-type", "application/json")]);
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let answer = api
            .client
            .raw("POST", path, body.as_bytes(), &headers)
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "bad_request"),
            "{body}"
        );
        let headers = authorized(&api, &[("content-type", "text/plain")]);
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let answer = api.client.raw("POST", path, b"{}", &headers).await;
        assert_eq!(answer.status, 415);
    }
    let large = json!({"username": "x".repeat(70_000)});
    let answer = api.ask("POST", path, Some(large)).await;
    assert_eq!((answer.status, answer.code()), (413, "too_large"));
}

fn authorized(api: &Api, headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = vec![("authorization".to_owned(), format!("Bearer {}", api.admin))];
    all.extend(
        headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
    );
    all
}

#[tokio::test]
async fn requests_above_the_rate_get_429() {
    let api = Api::start(&[("admin.rate", "3")]).await;
    let first = api.ask("GET", "/v1/me/profile", None).await;
    assert_eq!(first.status, 404);
    // Concurrently: in sequence they may be slower than the rate.
    let asked = (0..20).map(|_| api.ask("GET", "/v1/me/profile", None));
    let mut statuses = Vec::new();
    for answer in futures_util::future::join_all(asked).await {
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn slow_bodies_do_not_block_the_api() {
    let api = Api::start(&[("admin.rate", "1000")]).await;
    let bearer = format!("Bearer {}", api.admin);
    let mut late = Vec::new();
    for _ in 0..500 {
        let headers = [("authorization", bearer.as_str())];
        late.push(api.client.begin("/v1/groups/STAFF/members", &headers).await);
    }
    let answer = api.ask("GET", "/v1/me/profile", None).await;
    assert_eq!((answer.status, answer.code()), (404, "profile_not_found"));
    drop(late);
}

#[tokio::test]
async fn lookups_above_the_quota_get_429_at_once() {
    let slow = [("quota.user_resource_read", "1"), ("admin.rate", "1000")];
    let api = Api::start(&slow).await;
    api.world.create_user("ada").await;
    let asked = (0..40).map(|_| async {
        let begun = tokio::time::Instant::now();
        let answer = api.ask("GET", "/v1/users/ada", None).await;
        (answer, begun.elapsed())
    });
    let answers = futures_util::future::join_all(asked).await;
    let (shown, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|(answer, _)| answer.status == 200);
    // At one call a second, a wait of five seconds admits about six.
    assert!((1..=7).contains(&shown.len()), "{} of 40", shown.len());
    for (answer, _) in &others {
        assert_eq!((answer.status, answer.code()), (429, "too_many_requests"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    let last = shown.iter().map(|(_, time)| time).max();
    let refused: std::time::Duration = others.iter().map(|(_, time)| *time).sum();
    let average = refused / u32::try_from(others.len()).expect("few");
    assert!(
        last.is_some_and(|last| average < *last),
        "{average:?}, {last:?}"
    );
}

#[tokio::test]
async fn only_listed_origins_get_cors_headers() {
    let preflight = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,idempotency-key",
        ),
    ];
    let path = "/v1/invitations";
    let api = Api::start(&[]).await;
    let answer = api.client.raw("OPTIONS", path, b"", &preflight).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let api = Api::start(&[("admin.cors_origins", "https://app.example.com")]).await;
    let answer = api.client.raw("OPTIONS", path, b"", &preflight).await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    let other = [("origin", "https://evil.example"), preflight[1]];
    let answer = api.client.raw("OPTIONS", path, b"", &other).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn without_clients_no_public_port_is_opened() {
    let world = World::new().await;
    // Another process has the port, which is not an error while no client is configured.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let set = format!("http.public_listen={address}");
    let process = Process::start(world.usher(&["worker", "--set", &set]));
    let health = process.http().await;
    eventually("ready", || async { get(&health, "/readyz").await.0 == 200 }).await;
    for path in ["/v1/openapi.json", "/v1/me/profile", "/accept"] {
        assert_eq!(get(&health, path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn public_and_health_routes_are_separate() {
    let api = Api::start(&[]).await;
    let health = api.process.http().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = api.client.raw("GET", path, b"", &[]).await;
        assert_eq!(answer.status, 404, "{path} for the public");
    }
    assert_eq!(get(&health, "/v1/openapi.json").await.0, 404);
}

/// Idle connections: as many as the server accepts, and more that wait.
#[tokio::test]
async fn a_full_public_port_does_not_block_health() {
    let api = Api::start(&[]).await;
    let (health, public) = (api.process.http().await, api.process.public_http().await);
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    setrlimit(Resource::Nofile, raised).expect("as many as may be");
    let mut idle = Vec::new();
    for _ in 0..700 {
        idle.push(TcpStream::connect(&public).await.expect("connects"));
    }
    let late = tokio::spawn(async move { get(&public, "/v1/openapi.json").await.0 });
    for path in ["/healthz", "/metrics"] {
        assert_eq!(get(&health, path).await.0, 200, "{path}");
    }
    let set = format!("http.listen={health}");
    let (status, text, _) = finished(api.world.usher(&["health", "--set", &set])).await;
    let expected = format!("healthy ({health})\n");
    assert_eq!((status, text), (Some(0), expected));
    assert!(!late.is_finished(), "the public port is full");
    drop(idle);
    assert_eq!(late.await.expect("no panic"), 200);
}

#[tokio::test]
async fn logs_and_metrics_hold_no_personal_data() {
    let mut api = Api::start(&[]).await;
    api.make_group("STAFF").await;
    let invitation = json!({
        "email": "grace.hopper@mail.example", "givenName": "Grace", "familyName": "Hopper",
        "groups": ["STAFF"], "username": "ghopper",
    });
    assert_eq!(
        api.ask("POST", "/v1/invitations", Some(invitation))
            .await
            .status,
        200
    );
    assert_eq!(api.add("STAFF", "ghopper").await.status, 200);
    assert_eq!(api.add("STAFF", "nobody.hopper").await.status, 404);
    assert_eq!(api.ask("GET", "/v1/users/ghopper", None).await.status, 200);
    let (_, metrics) = get(&api.process.http().await, "/metrics").await;
    assert!(metrics.contains("usher_admin_actions_total"), "{metrics}");
    api.process.signal(Signal::TERM);
    assert!(api.process.exit().await.success());
    for text in [metrics, api.process.log()] {
        let text = text.to_lowercase();
        assert!(
            !text.contains("hopper") && !text.contains("mail.example"),
            "{text}"
        );
        assert!(!text.contains(&api.admin.to_lowercase()));
    }
}
