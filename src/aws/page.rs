//! Lists page by page.

use super::error::Failure;
use super::operation::Target;

/// One page of a list, with the token of the next page.
#[derive(Debug)]
pub struct Page<T> {
    /// At most 60 from Cognito. A page may be empty although others follow.
    pub(crate) items: Vec<T>,
    /// Token of the next page; `None` after the last page.
    pub next: Option<String>,
}

/// Returns the token of the page after the page of `asked`; `None` at the end. A list that
/// returns the token of the request would repeat its page forever.
///
/// # Errors
/// `repeated_token`, which is permanent.
pub(super) fn next_page<T, Q>(
    target: Target<'_>,
    asked: Option<&Q>,
    answered: Option<T>,
) -> Result<Option<T>, Failure>
where
    T: PartialEq<Q>,
    Q: ?Sized,
{
    match answered {
        Some(token) if asked.is_some_and(|asked| token == *asked) => {
            Err(Failure::repeated_token(target))
        }
        answered => Ok(answered),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::aws::cognito::fake::{FakeCognito, fake_cognito};
    use crate::event::{GroupName, PoolId, Sub, Username};
    use crate::reason::Reason;
    use crate::retry::retry_inline;

    /// A Cognito whose lists never end, and the number of its calls.
    async fn endless() -> (FakeCognito, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let respond = move |_: &str, _: &Value| {
            counted.fetch_add(1, Ordering::Relaxed);
            let page = json!({
                "Users": [], "Groups": [], "PaginationToken": "again", "NextToken": "again",
            });
            (Duration::ZERO, 200, page)
        };
        (fake_cognito(1, respond).await, calls)
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_token_ends_a_list_after_the_second_page() {
        let (services, calls) = endless().await;
        let cognito = &services.cognito;
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let sub = Sub::new("b662d2e4-d0a1-7098-4973-20a5d6ff5a12").expect("an id");
        let ada = Username::new("ada").expect("a name");
        let group = GroupName::new("STAFF").expect("a name");
        let assert_repeated = |failure: crate::aws::Failure| {
            assert_eq!(failure.reason, Reason::RepeatedToken);
            assert_eq!(calls.swap(0, Ordering::Relaxed), 2, "{failure}");
        };
        assert_repeated(
            retry_inline(|| cognito.username_of(&pool, &sub))
                .await
                .expect_err("endless"),
        );
        assert_repeated(
            retry_inline(|| cognito.groups_of(&pool, &ada))
                .await
                .expect_err("endless"),
        );

        let first = cognito.list_users(&pool, None).await.expect("a page");
        assert_repeated(
            retry_inline(|| cognito.list_users(&pool, first.next.as_deref()))
                .await
                .expect_err("endless"),
        );
        let first = cognito
            .list_members(&pool, &group, None)
            .await
            .expect("a page");
        let second = || cognito.list_members(&pool, &group, first.next.as_deref());
        assert_repeated(retry_inline(second).await.expect_err("endless"));
        let first = cognito
            .list_by_email_prefix(&pool, "load", None)
            .await
            .expect("a page");
        let second = || cognito.list_by_email_prefix(&pool, "load", first.next.as_deref());
        assert_repeated(retry_inline(second).await.expect_err("endless"));
    }
}
