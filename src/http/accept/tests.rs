//! `/accept` under more requests than the budgets admit, and the password rules on the page.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::aws::cognito::fake::{FakeResponse, fake_cognito};
use crate::config::AppClient;

const VALID_CODE: &str = "the-code";

/// A fake Cognito that answers after a tenth of a second.
fn cognito(operation: &str, input: &Value) -> FakeResponse {
    let (status, body) = match operation {
        "InitiateAuth" if input["AuthParameters"]["PASSWORD"] == VALID_CODE => {
            let challenge = json!({
                "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "s".repeat(20),
                "ChallengeParameters": {"requiredAttributes": "[]"},
            });
            (200, challenge)
        }
        "InitiateAuth" => {
            let why = "Incorrect username or password.";
            let error = json!({"__type": "NotAuthorizedException", "message": why});
            (400, error)
        }
        "RespondToAuthChallenge" => (200, json!({"AuthenticationResult": {}})),
        "ListUsers" => (200, json!({"Users": []})),
        _ => (400, json!({"__type": "UserNotFoundException"})),
    };
    (Duration::from_millis(100), status, body)
}

async fn page(
    processes: u32,
    respond: impl Fn(&str, &Value) -> FakeResponse + Send + Sync + 'static,
) -> Arc<AcceptService> {
    page_for(&["eu-west-1_x"], processes, respond).await
}

async fn page_for(
    pools: &[&str],
    processes: u32,
    respond: impl Fn(&str, &Value) -> FakeResponse + Send + Sync + 'static,
) -> Arc<AcceptService> {
    let services = fake_cognito(processes, respond).await;
    let settings = AcceptPage {
        brand: String::new(),
        client: AppClient {
            id: "client".to_owned(),
            secret: None,
        },
        done_url: None,
        contact: None,
    };
    let user_lookup = UserLookup::new(services.cognito, None);
    let pools = pools.iter().filter_map(|id| PoolId::new(id)).collect();
    let admission = Admission::new(CancellationToken::new());
    Arc::new(AcceptService::new(
        &settings,
        services.sign_in,
        user_lookup,
        pools,
        admission,
    ))
}

fn request(body: &Value) -> Request {
    Request::post("/")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request")
}

async fn accept_as(page: Arc<AcceptService>, name: String, code: &str) -> Response {
    let attributes = json!({"address": "x".repeat(2048)});
    let body = json!({
        "username": name, "code": code, "password": "p", "attributes": attributes,
    });
    let answer = accept(State(page), request(&body)).await;
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// The responses to a minute of requests.
struct Flood {
    /// The most tasks that the server had in progress at once.
    tasks: usize,
    /// Status and duration of each response.
    answers: Vec<(u16, Duration)>,
}

impl Flood {
    fn slowest(&self) -> Duration {
        self.answers
            .iter()
            .map(|answer| answer.1)
            .max()
            .expect("answers")
    }

    fn count(&self, status: u16) -> usize {
        let answers = self.answers.iter();
        answers.filter(|answer| answer.0 == status).count()
    }

    /// Responses that ask the client to try again.
    fn retryable(&self) -> usize {
        self.count(429) + self.count(503)
    }
}

/// Sends `rate` requests a second for a minute, each with its own number.
async fn flood<F>(page: &AcceptService, rate: u32, send: impl Fn(u32) -> F) -> Flood
where
    F: Future<Output = Response> + Send + 'static,
{
    let mut clients = JoinSet::new();
    let mut tasks = 0;
    for n in 0..60 * rate {
        let response = send(n);
        clients.spawn(async move {
            let started = Instant::now();
            let answer = response.await;
            (answer.status().as_u16(), started.elapsed())
        });
        tokio::time::sleep(Duration::from_secs(1) / rate).await;
        tasks = tasks.max(page.admission.running_tasks());
    }
    let answers = clients.join_all().await;
    Flood { tasks, answers }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_acceptances_leaves_no_queue() {
    for code in ["wrong", VALID_CODE] {
        let page = page(2, cognito).await;
        // Twice the rate at which two processes may sign users in.
        let send = |n| accept_as(Arc::clone(&page), format!("person-{n}"), code);
        let flood = flood(&page, 20, send).await;
        assert!(flood.tasks <= 20, "{} in progress", flood.tasks);
        assert!(
            flood.slowest() < Duration::from_secs(3),
            "{:?}",
            flood.slowest()
        );
        let (answered, expected) = (if code == VALID_CODE { 200 } else { 403 }, 300..=306);
        assert!(
            expected.contains(&flood.count(answered)),
            "{}",
            flood.count(answered)
        );
        assert_eq!(flood.count(answered) + flood.retryable(), 1200);

        // A user comes right after the flood, and tries again when the page says so.
        let started = Instant::now();
        let ada = loop {
            let answer = accept_as(Arc::clone(&page), "ada".to_owned(), VALID_CODE).await;
            match answer.headers().get(header::RETRY_AFTER) {
                Some(seconds) => {
                    let seconds = seconds.to_str().expect("text").parse().expect("seconds");
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
                None => break answer,
            }
        };
        assert_eq!(ada.status(), 200);
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(
            (
                page.admission.permits_in_use(),
                page.admission.running_tasks()
            ),
            (0, 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_used_up_by_others_leaves_no_queue() {
    let throttled = |_: &str, _: &Value| {
        let error = json!({"__type": "TooManyRequestsException", "message": "Rate exceeded"});
        (Duration::from_millis(100), 400, error)
    };
    let page = page(1, throttled).await;
    let send = |n| accept_as(Arc::clone(&page), format!("person-{n}"), VALID_CODE);
    let flood = flood(&page, 20, send).await;
    assert!(flood.tasks <= 60, "{} in progress", flood.tasks);
    assert_eq!(flood.retryable(), 1200, "each is asked to try again");
    assert!(flood.count(503) > 0, "throttling is not the user's fault");
    assert!(
        flood.slowest() < Duration::from_secs(10),
        "{:?}",
        flood.slowest()
    );
}

#[tokio::test(start_paused = true)]
async fn hanging_calls_hold_only_their_own_permits() {
    let hung = |_: &str, _: &Value| (Duration::from_mins(5), 200, json!({}));
    let page = page(1, hung).await;
    let send = |n| accept_as(Arc::clone(&page), format!("person-{n}"), VALID_CODE);
    let flood = flood(&page, 20, send).await;
    assert!(flood.tasks <= 70, "{} in progress", flood.tasks);
    assert!(
        flood.slowest() < Duration::from_secs(10),
        "{:?}",
        flood.slowest()
    );
    assert_eq!(page.admission.permits_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_new_code_requests_leaves_no_queue() {
    let page = page(30, cognito).await;
    let send = |n| {
        let page = Arc::clone(&page);
        async move {
            let body = json!({"username": format!("Person-{n}@mail.example")});
            let answer = request_new_code(State(page), request(&body)).await;
            answer.unwrap_or_else(IntoResponse::into_response)
        }
    };
    let flood = flood(&page, 5, send).await;
    assert!(flood.tasks <= 3, "{} in progress", flood.tasks);
    // One in twelve seconds: half of 15 calls a second, for 30 processes, three for each search.
    assert!((4..=6).contains(&flood.count(202)), "{}", flood.count(202));
    assert_eq!(flood.count(202) + flood.count(429), 300);
}

#[test]
fn attributes_are_bounded_by_what_a_pool_holds() {
    let check = |attributes: BTreeMap<String, String>| {
        let problem = check_attributes(&attributes).err()?;
        problem.to_json()["field"].as_str().map(str::to_owned)
    };
    let one = |name: usize, value: usize| BTreeMap::from([("ä".repeat(name), "ä".repeat(value))]);
    let many = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect();
    for (attributes, fits) in [
        (BTreeMap::new(), true),
        (one(32, 2048), true),
        (one(33, 1), false),
        (one(0, 1), false),
        (one(1, 2049), false),
        (many(67), true),
        (many(68), false),
    ] {
        let field = (!fits).then(|| "attributes".to_owned());
        assert_eq!(check(attributes), field);
    }
}

/// The answers of `DescribeUserPool`, one after the other, and how often it was called.
fn described(
    answers: Vec<FakeResponse>,
) -> (
    Arc<AtomicUsize>,
    impl Fn(&str, &Value) -> FakeResponse + Send + Sync + 'static,
) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let respond = move |operation: &str, _: &Value| {
        assert_eq!(operation, "DescribeUserPool");
        answers[counted.fetch_add(1, Ordering::Relaxed)].clone()
    };
    (calls, respond)
}

fn pool_with(policy: &Value) -> FakeResponse {
    let pool = json!({"UserPool": {"Policies": {"PasswordPolicy": policy}}});
    (Duration::from_millis(100), 200, pool)
}

/// The attributes of the page that hold the password rules.
async fn shown_rules(page: &Arc<AcceptService>) -> String {
    let response = get_page(State(Arc::clone(page))).await;
    assert_eq!(response.status(), 200);
    let html = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let html = String::from_utf8(html.expect("a page").to_vec()).expect("UTF-8");
    let rules = html.split_once("data-min-length=").expect("the rules").1;
    rules.split_once('>').expect("an end").0.to_owned()
}

#[tokio::test(start_paused = true)]
async fn password_rules_are_read_once_in_ten_minutes() {
    let denied = json!({"__type": "AccessDeniedException"});
    let (calls, respond) = described(vec![
        pool_with(&json!({
            "MinimumLength": 12, "RequireUppercase": true, "RequireLowercase": false,
            "RequireNumbers": true, "RequireSymbols": true,
        })),
        (Duration::ZERO, 400, denied),
        pool_with(&json!({"MinimumLength": 6})),
    ]);
    let page = page(1, respond).await;
    let first = r#""12" data-required="uppercase number symbol""#;
    assert_eq!(shown_rules(&page).await, first);
    assert_eq!(shown_rules(&page).await, first);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(
        shown_rules(&page).await,
        first,
        "a failed read changes nothing"
    );
    assert_eq!(shown_rules(&page).await, first);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(shown_rules(&page).await, r#""6" data-required="""#);
}

#[tokio::test(start_paused = true)]
async fn page_without_known_password_rules_is_served_in_time() {
    let none = r#""" data-required="""#;
    let denied = json!({"__type": "AccessDeniedException"});
    for answer in [
        (Duration::ZERO, 400, denied),
        (Duration::from_mins(5), 200, json!({})),
        (Duration::ZERO, 200, json!({"UserPool": {}})),
    ] {
        let (calls, respond) = described(vec![answer]);
        let page = page(1, respond).await;
        let started = Instant::now();
        for _ in 0..100 {
            assert_eq!(shown_rules(&page).await, none);
        }
        assert!(started.elapsed() < Duration::from_secs(3));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
    let (calls, respond) = described(Vec::new());
    let page = page_for(&["eu-west-1_x", "eu-west-1_y"], 1, respond).await;
    assert_eq!(shown_rules(&page).await, none, "the user's pool is unknown");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}
