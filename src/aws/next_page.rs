//! Where the next page of a list begins.

use super::call::Target;
use super::error::Failure;

/// The token of the page after the one that `asked` led to; `None` at the end. A list that
/// answers with the token that it was asked with gives the same page for ever.
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

    use crate::aws::fake_cognito::{FakeCognito, fake_cognito};
    use crate::event::{GroupName, PoolId, Sub, Username};
    use crate::retry::retry_inline;

    /// Cognito whose lists have no end; how often it was called.
    async fn endless() -> (FakeCognito, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let play = move |_: &str, _: &Value| {
            counted.fetch_add(1, Ordering::Relaxed);
            let page = json!({
                "Users": [], "Groups": [], "PaginationToken": "again", "NextToken": "again",
            });
            (Duration::ZERO, 200, page)
        };
        (fake_cognito(1, play).await, calls)
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_repeats_its_token_ends_with_an_error_after_the_second_page() {
        let (services, calls) = endless().await;
        let (listing, users) = (&services.listing, &services.users);
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let sub = Sub::new("b662d2e4-d0a1-7098-4973-20a5d6ff5a12").expect("an id");
        let ada = Username::new("ada").expect("a name");
        let group = GroupName::new("STAFF").expect("a name");
        let told = |failure: crate::aws::Failure| {
            assert_eq!(failure.reason, "repeated_token");
            assert_eq!(calls.swap(0, Ordering::Relaxed), 2, "{failure}");
        };
        told(
            retry_inline(|| listing.username_of(&pool, &sub))
                .await
                .expect_err("endless"),
        );
        told(
            retry_inline(|| listing.groups_of(&pool, &ada))
                .await
                .expect_err("endless"),
        );

        let first = listing.users(&pool, None).await.expect("a page");
        told(
            retry_inline(|| listing.users(&pool, first.next.as_deref()))
                .await
                .expect_err("endless"),
        );
        let first = listing.members(&pool, &group, None).await.expect("a page");
        let second = || listing.members(&pool, &group, first.next.as_deref());
        told(retry_inline(second).await.expect_err("endless"));
        let first = users
            .with_email_prefix(&pool, "load", None)
            .await
            .expect("a page");
        let second = || users.with_email_prefix(&pool, "load", first.next.as_deref());
        told(retry_inline(second).await.expect_err("endless"));
    }
}
