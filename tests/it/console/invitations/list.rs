//! The list of people who have not accepted yet.

use serde_json::json;

use super::{ADDRESS, PATH, RIGHT, SECRETS, assert_no_personal_data, console};
use crate::console::actions::{HOSTILE, escaped};
use crate::faults::Fault;

#[tokio::test]
async fn the_list_hides_people_until_asked() {
    let console = console().await;
    let empty = console.get(PATH).await;
    assert!(
        empty.text.contains("No one has an open invitation."),
        "{}",
        empty.text
    );
    console.invite(&RIGHT).await;
    console.world.create_user("person").await;
    let sub = console.sub_of(ADDRESS).await;
    let list = console.get(PATH).await.text;
    let link = format!("/console/people/{}/{sub}", console.world.pool.id);
    for part in [link.as_str(), ">waiting</span>", "valid for 7 days"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    for secret in SECRETS {
        assert!(!list.to_lowercase().contains(secret), "{secret}: {list}");
    }
    // The same action as on the page of the user.
    let resend = format!("action=\"{link}/resend-invitation\"");
    assert!(list.contains(&resend), "{list}");
    let before = console.audit().len();
    let shown = console.post(PATH, &[("names", "on")]).await.text;
    for part in [ADDRESS, ">Zebedee</td>"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let audit = console.audit();
    assert_eq!(audit.len(), before + 1);
    assert_eq!(audit[before]["action"], "invitations_shown");
    assert_eq!(audit[before]["results"], 2);
    // A link cannot ask for them.
    let linked = console.get(&format!("{PATH}?names=on")).await.text;
    assert!(!linked.contains(ADDRESS), "{linked}");
    assert_no_personal_data(&console);
}

#[tokio::test]
async fn the_list_has_states_and_pages() {
    let console = console().await;
    let user = |n: u64, created: i64, enabled: bool| {
        json!({
            "Username": format!("u{n}"), "UserStatus": "FORCE_CHANGE_PASSWORD",
            "Enabled": enabled, "UserCreateDate": created, "UserLastModifiedDate": created,
            "Attributes": [
                {"Name": "sub", "Value": format!("00000000-0000-4000-8000-{n:012}")},
                {"Name": "given_name", "Value": HOSTILE},
                {"Name": "email", "Value": HOSTILE},
            ],
        })
    };
    let now = jiff::Timestamp::now().as_second();
    console.world.faults.plan(move |call| {
        if call.operation != "ListUsers" {
            return None;
        }
        assert_eq!(
            call.input["Filter"],
            "cognito:user_status ^= \"FORCE_CHANGE_PASSWORD\""
        );
        assert_eq!(call.input["Limit"], 60);
        let answer = match call.input["PaginationToken"].as_str() {
            None => json!({"PaginationToken": "a+b/c==\"<", "Users": [
                user(1, now, true), user(2, now - 8 * 86_400, true), user(3, now, false),
            ]}),
            Some(token) => {
                assert_eq!(token, "a+b/c==\"<");
                json!({"Users": [user(4, now, true)]})
            }
        };
        Some(Fault::Pretended(answer))
    });
    let list = console.get(PATH).await.text;
    for (state, count) in [("waiting", 1), ("expired", 1), ("disabled", 1)] {
        assert_eq!(
            list.matches(&format!(">{state}</span>")).count(),
            count,
            "{list}"
        );
    }
    assert_eq!(
        list.matches("/resend-invitation\"").count(),
        2,
        "not to a disabled user"
    );
    assert!(!list.contains(&escaped(HOSTILE)), "{list}");
    let next = [("next", "a+b/c==\"<"), ("names", "on")];
    let page = console.post(PATH, &next).await.text;
    assert!(page.contains("-000000000004\""), "{page}");
    assert!(!page.contains("Next page"), "{page}");
    assert!(
        page.contains(&escaped(HOSTILE)) && !page.contains("<script>"),
        "{page}"
    );
    console.world.faults.plan(|call| {
        (call.operation == "ListUsers")
            .then_some(Fault::Refused("InvalidParameterException", "Invalid token"))
    });
    let failed = console.post(PATH, &next).await;
    assert_eq!(failed.status, 502, "{}", failed.text);
}
