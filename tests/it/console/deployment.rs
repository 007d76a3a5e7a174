//! The deployment: `usher check` as a page, and the configuration.

use tokio_util::sync::CancellationToken;

use super::Console;
use crate::faults::Fault;
use crate::world::{World, eventually};

const PATH: &str = "/console/deployment";

async fn console() -> Console {
    let world = World::new().await;
    let allowed = format!("pools.allowed={}", world.pool.id);
    let secret = "invitations.client_secret=s3cr3t";
    let settings = [&*allowed, "invitations.client_id=abc", secret];
    Console::open_with(world, &settings).await
}

#[tokio::test]
async fn a_check_runs_only_when_it_is_asked_for() {
    let console = console().await;
    let page = console.get(PATH).await.text;
    assert!(page.contains("Check now"), "{page}");
    console.get(PATH).await;
    assert_eq!(console.world.faults.calls("AdminAddUserToGroup"), 0);

    let started = console.post(&format!("{PATH}/check"), &[]).await;
    let path = started.header("location").expect("a job").to_owned();
    let answer = || console.get(&path);
    eventually("the findings", || async { answer().await.status == 303 }).await;
    assert_eq!(answer().await.header("location"), Some(PATH));
    assert_eq!(console.world.faults.calls("AdminAddUserToGroup"), 1);
    let page = console.get(PATH).await.text;
    for part in [
        "<h3>Configuration</h3>",
        "<h3>Queue usher</h3>",
        "<h3>Table UserProfile</h3>",
        "<h3>Trigger</h3>",
        "<span class=\"mark ok\">ok</span>",
        "<span class=\"mark warn\">WARN</span>",
        "<span class=\"mark unknown\">skip</span>",
        "has no PostConfirmation trigger",
        "note: attach usher-trigger",
        "<code>usher check</code>",
        "checked <time",
        "Check again",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let words = " warnings, 1 failure</strong>";
    assert!(page.contains(words), "{page}");
    assert_eq!(console.audit().len(), 0);
}

#[tokio::test]
async fn a_stopped_check_keeps_the_findings_before_it() {
    let console = console().await;
    let check = format!("{PATH}/check");
    let started = console.post(&check, &[]).await;
    let path = started.header("location").expect("a job").to_owned();
    let has_ended = || async { !console.get(&path).await.text.contains("data-moves") };
    eventually("the first end", has_ended).await;
    let before = console.get(PATH).await.text;
    let never = CancellationToken::new();
    console
        .world
        .faults
        .plan(move |call| (call.operation == "DescribeTable").then(|| Fault::Until(never.clone())));
    let calls = console.world.faults.calls("DescribeTable");
    let started = console.post(&check, &[]).await;
    eventually("a call that waits", || async {
        console.world.faults.calls("DescribeTable") > calls
    })
    .await;
    let path = started.header("location").expect("a job").to_owned();
    let stopped = console.post(&format!("{path}/stop"), &[]).await;
    let end = console.end_of(&stopped).await;
    assert!(end.contains("stopped: it has no findings"), "{end}");
    let time = |page: &str| {
        page.split("checked <time")
            .nth(1)
            .map(|it| it[..40].to_owned())
    };
    let after = console.get(PATH).await.text;
    assert!(time(&before).is_some());
    assert_eq!(time(&before), time(&after));
}

#[tokio::test]
async fn the_configuration_has_sources_and_no_secrets() {
    let console = console().await;
    let page = console.get(PATH).await.text;
    for part in [
        "<code>invitations.client_secret</code>",
        "<code>&#34;***&#34;</code>",
        ">flag --set</td>",
        ">environment USHER_QUEUE__URL</td>",
        ">default</td>",
        "<code>usher config --changed</code>",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(!page.contains("s3cr3t"), "{page}");
    // What is changed comes first, and the rest only on demand.
    let (changed, all) = page.split_once("<details>").expect("all settings");
    assert!(!changed.contains(">default</td>"), "{changed}");
    assert!(changed.contains("<code>pools.allowed</code>"));
    assert!(all.contains("<code>pools.allowed</code>"));
}
