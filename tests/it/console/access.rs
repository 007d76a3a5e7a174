//! Who is served, and what others get.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Console, FORM, encoded};
use crate::world::World;

pub(super) const ACTIONS: [&str; 13] = [
    "/console/dead-letters/read",
    "/console/dead-letters/dry-run",
    "/console/dead-letters/replay",
    "/console/dead-letters/drop",
    "/console/dead-letters/export",
    "/console/dead-letters/91e29d26/body",
    "/console/invitations",
    "/console/invitations/new",
    "/console/invitations/file",
    "/console/reconcile/dry-run",
    "/console/reconcile/run",
    "/console/deployment/check",
    "/console/jobs/1/stop",
];
/// The other routes, and a path that is none.
pub(super) const PAGES: [&str; 14] = [
    "/",
    "/console",
    "/console/dead-letters",
    "/console/dead-letters/91e29d26",
    "/console/invitations",
    "/console/invitations/new",
    "/console/invitations/file",
    "/console/reconcile",
    "/console/deployment",
    "/console/jobs/1",
    "/console/jobs/1/results",
    "/console/used-link",
    "/console/console.css",
    "/nothing",
];

#[tokio::test]
async fn only_the_link_opens_the_console() {
    let console = Console::open(World::new().await).await;
    let wrong = format!("{}0", &console.link_token[1..]);
    for (path, status) in [
        ("/console".to_owned(), 401),
        ("/console/dead-letters".to_owned(), 401),
        (format!("/?token={wrong}"), 401),
        ("/?token=".to_owned(), 401),
        ("/?other".to_owned(), 401),
        ("/".to_owned(), 303),
        ("/console/console.css".to_owned(), 200),
        ("/nothing".to_owned(), 404),
    ] {
        let answer = console.client.raw("GET", &path, b"", &[]).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe-") && !policy.contains('*'));
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let secrets = [&console.token, &console.link_token];
        assert!(
            secrets.iter().all(|it| !answer.text.contains(*it)),
            "{path}"
        );
    }
    let (name, value) = console.cookie.split_once('=').expect("a value");
    let others = [
        format!("{name}={}", console.link_token),
        format!("{name}={}", console.token),
        format!("{name}="),
        format!("other={value}"),
    ];
    for cookie in others {
        let headers = [("cookie", cookie.as_str())];
        let answer = console.client.raw("GET", "/console", b"", &headers).await;
        assert_eq!(answer.status, 401, "{cookie}");
    }
    let both = format!("other=1; {}", console.cookie);
    let headers = [("cookie", both.as_str())];
    let answer = console.client.raw("GET", "/console", b"", &headers).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_link_works_once() {
    let console = Console::start(World::new().await, &[]).await;
    let link = format!("/?token={}", console.link_token);
    let head = console.client.raw("HEAD", &link, b"", &[]).await;
    assert_eq!((head.status, head.header("set-cookie")), (405, None));
    let open = || console.client.raw("GET", &link, b"", &[]);
    let (one, other) = tokio::join!(open(), open());
    let (first, second) = if one.status == 200 {
        (one, other)
    } else {
        (other, one)
    };
    let cookie = first.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("a value");
    assert_eq!((second.status, second.header("set-cookie")), (303, None));
    let next = second.header("location").expect("a page");
    let refused = console.client.raw("GET", next, b"", &[]).await;
    assert_eq!(refused.status, 401);
    for part in ["This link was already used", "stop the console at once"] {
        assert!(refused.text.contains(part), "{}", refused.text);
    }
    // The browser that opened it sends its cookie only to `/console`.
    assert_eq!(open().await.header("location"), Some(next));
    let headers = [("cookie", cookie)];
    let led_in = console.client.raw("GET", next, b"", &headers).await;
    assert_eq!(led_in.header("location"), Some("/console"));
}

#[tokio::test]
async fn another_host_gets_nothing() {
    let console = Console::open(World::new().await).await;
    let port = console.address.rsplit(':').next().expect("a port");
    for (host, status) in [
        (format!("localhost:{port}"), "421"),
        (format!("127.0.0.1:{port}"), "200"),
        (format!("rebound.example:{port}"), "421"),
        ("127.0.0.1".to_owned(), "421"),
        ("localhost:1".to_owned(), "421"),
        (format!("127.0.0.1:{port}\r\nhost: localhost:{port}"), "421"),
    ] {
        let mut stream = TcpStream::connect(&console.address)
            .await
            .expect("connects");
        let request = format!(
            "GET /console HTTP/1.1\r\nhost: {host}\r\ncookie: {}\r\nconnection: close\r\n\r\n",
            console.cookie
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert_eq!(answer.get(9..12), Some(status), "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_post_of_another_page_is_refused_and_a_get_changes_nothing() {
    let world = World::new().await;
    world.put_dead_letter("{", "not_json", "").await;
    let console = Console::open(world).await;
    let fields = console.read(1).await;
    let own = format!("http://{}", console.address);
    let port = console.address.rsplit(':').next().expect("a port");
    let same_site = format!(
        "http://127.0.0.1:{}",
        port.parse::<u16>().expect("a number") ^ 1
    );
    let (cookie, token) = (console.cookie.as_str(), console.token.as_str());
    let chosen: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, it)| (*name, it.as_str()))
        .collect();
    let more = [("typed", "1"), ("note", "of a test")];
    let body = |token| encoded(&[&[("token", token)], &chosen[..], &more].concat());
    for (origin, site, kind, cookie, sent_token, status) in [
        (&*own, "cross-site", FORM.1, cookie, token, 403),
        (&*own, "same-site", FORM.1, cookie, token, 403),
        (&*own, "none", FORM.1, cookie, token, 403),
        (&*own, "", FORM.1, cookie, token, 403),
        (&*same_site, "same-origin", FORM.1, cookie, token, 403),
        (
            "https://evil.example",
            "same-origin",
            FORM.1,
            cookie,
            token,
            403,
        ),
        ("", "same-origin", FORM.1, cookie, token, 403),
        ("null", "cross-site", FORM.1, cookie, token, 403),
        (&*own, "same-origin", FORM.1, "", token, 401),
        (&*own, "same-origin", FORM.1, cookie, "", 403),
        (&*own, "same-origin", FORM.1, cookie, cookie, 403),
        (&*own, "same-origin", "text/plain", cookie, token, 415),
    ] {
        let headers = [
            ("origin", origin),
            ("sec-fetch-site", site),
            ("content-type", kind),
            ("cookie", cookie),
        ];
        let headers: Vec<_> = headers
            .into_iter()
            .filter(|(_, it)| !it.is_empty())
            .collect();
        for path in ACTIONS {
            let body = body(sent_token);
            let answer = console
                .client
                .raw("POST", path, body.as_bytes(), &headers)
                .await;
            assert_eq!(answer.status, status, "{path} {headers:?}");
        }
    }
    for path in ACTIONS {
        let path = format!("{path}?{}", body(token));
        let answer = console.get(&path).await;
        let expected = match path.split('?').next() {
            Some("/console/dead-letters/replay" | "/console/dead-letters/drop") => 200,
            // The form has no pool.
            Some("/console/reconcile/run") => 422,
            Some(path) if path.starts_with("/console/invitations") => 422,
            _ => 405,
        };
        assert_eq!(answer.status, expected, "{path}");
    }
    assert_eq!(
        console.get("/console/jobs/2").await.status,
        404,
        "no job was started"
    );
    assert_eq!((console.visible().await, console.audit().len()), (1, 0));
    // The same request from its own page.
    let dropped = console.act("drop", &super::with(&fields, &more)).await;
    console.end_of(&dropped).await;
    assert_eq!((console.visible().await, console.audit().len()), (0, 1));
}

#[tokio::test]
async fn a_large_form_is_refused() {
    let console = Console::open(World::new().await).await;
    let text = "x".repeat(3_200_000);
    let answer = console
        .post("/console/dead-letters/read", &[("reason", &text)])
        .await;
    assert_eq!(answer.status, 413);
}
