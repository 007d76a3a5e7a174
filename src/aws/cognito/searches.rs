//! Amazon Cognito user pools: finds users by an attribute. Searches are eventually consistent.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-manage-user-accounts.html>

use std::borrow::Cow;

use super::lists::MAX_PAGE_ITEMS;
use super::{Cognito, ListedUser};
use crate::aws::error::Failure;
use crate::aws::operation::CognitoOperation;
use crate::aws::page::Page;
use crate::event::{PoolId, Username};
use crate::retry::retry_inline;

/// Cognito's limit for a filter, in characters.
const MAX_FILTER_CHARS: usize = 256;

impl Cognito {
    /// `ListUsers` with a filter: the users with this user name, e-mail address, phone number
    /// or `sub`. An address is also searched for in lower case: a filter is exact, and users
    /// type capitals. No user has a value that is too long for a filter. Makes at most
    /// [`Self::MAX_SEARCH_CALLS`] calls, without retries. Eventually consistent.
    ///
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-manage-user-accounts.html>
    ///
    /// # Errors
    /// As any call.
    pub(crate) async fn search_users(
        &self,
        pool: &PoolId,
        name: &Username,
    ) -> Result<Vec<ListedUser>, Failure> {
        for (attribute, value) in search_terms(name) {
            let Some(filter) = filter_of(attribute, "=", &value) else {
                continue;
            };
            let found = retry_inline(|| {
                let request = self
                    .client
                    .list_users()
                    .user_pool_id(pool.as_str())
                    .filter(filter.as_str())
                    .limit(MAX_PAGE_ITEMS)
                    .send();
                self.call(CognitoOperation::ListUsers, pool, request)
            });
            let mut users: Vec<ListedUser> = ListedUser::from_page(found.await?.users).collect();
            // Not every emulator filters.
            users.retain(|user| match attribute {
                "username" => user.username.reveal() == value,
                attribute => {
                    let actual = user.attributes.get(attribute);
                    actual.is_some_and(|actual| actual.eq_ignore_ascii_case(&value))
                }
            });
            if !users.is_empty() {
                return Ok(users);
            }
        }
        Ok(Vec::new())
    }

    /// Limit of calls for one [`Self::search_users`], without retries.
    pub(crate) const MAX_SEARCH_CALLS: u32 = 3;

    /// `ListUsers` of users whose attribute begins with `prefix`, one page. An empty prefix finds
    /// all users.
    ///
    /// # Errors
    /// `invalid_parameter` for a token that has expired; `repeated_token` where the next page
    /// is the same.
    pub(crate) async fn list_by_prefix(
        &self,
        pool: &PoolId,
        attribute: &'static str,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<Page<ListedUser>, Failure> {
        let Some(filter) = filter_of(attribute, "^=", prefix) else {
            return Page::from_users(pool, None, None, None);
        };
        let request = self
            .client
            .list_users()
            .user_pool_id(pool.as_str())
            .set_filter((!prefix.is_empty()).then_some(filter))
            .limit(MAX_PAGE_ITEMS)
            .set_pagination_token(token.map(str::to_owned))
            .send();
        let page = self
            .call(CognitoOperation::ListUsers, pool, request)
            .await?;
        Page::from_users(pool, token, page.users, page.pagination_token)
    }
}

/// The attributes to search, the likely one first, each with the value.
fn search_terms(username: &Username) -> Vec<(&'static str, Cow<'_, str>)> {
    let name = username.reveal();
    let is_number = |digits: &str| digits.chars().all(|c| c.is_ascii_digit());
    let mut searched = Vec::new();
    if name.contains('@') {
        searched.push(("email", name.into()));
        let lower = name.to_lowercase();
        if lower != name {
            searched.push(("email", lower.into()));
        }
    } else if name.strip_prefix('+').is_some_and(is_number) {
        searched.push(("phone_number", name.into()));
    } else if username.is_uuid() {
        searched.push(("sub", name.into()));
    }
    searched.push(("username", name.into()));
    searched
}

/// `None` for a filter that is longer than Cognito accepts.
///
/// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html>
fn filter_of(attribute: &str, comparison: &str, value: &str) -> Option<String> {
    let filter = format!("{attribute} {comparison} \"{}\"", escape(value));
    (filter.chars().count() <= MAX_FILTER_CHARS).then_some(filter)
}

/// Escapes a value between quotation marks in a filter.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::aws::cognito::fake::fake_cognito;

    #[test]
    fn name_is_searched_for_by_its_form() {
        let uuid = "0f8e3a52-7b1d-4c60-9a2e-5d4c3b2a1f00";
        for (name, expected) in [
            ("Ada", &[("username", "Ada")][..]),
            (
                "+4930123",
                &[("phone_number", "+4930123"), ("username", "+4930123")],
            ),
            (
                "a@x.example",
                &[("email", "a@x.example"), ("username", "a@x.example")],
            ),
            (
                "A@x.example",
                &[
                    ("email", "A@x.example"),
                    ("email", "a@x.example"),
                    ("username", "A@x.example"),
                ],
            ),
            (uuid, &[("sub", uuid), ("username", uuid)]),
        ] {
            let username = Username::new(name).expect("not empty");
            let searched = search_terms(&username);
            let searched: Vec<_> = searched
                .iter()
                .map(|(by, value)| (*by, value.as_ref()))
                .collect();
            assert_eq!(searched, expected, "{name}");
            assert!(searched.len() <= Cognito::MAX_SEARCH_CALLS as usize);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_filter_that_is_too_long_is_not_sent() {
        let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&asked);
        let respond = move |_: &str, input: &Value| {
            let filter = input["Filter"].as_str().expect("a filter");
            seen.lock().expect("no panic").push(filter.chars().count());
            (Duration::ZERO, 200, json!({"Users": []}))
        };
        let services = fake_cognito(1, respond).await;
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        // A quotation mark takes two characters of a filter.
        let longest = "\"".repeat(121) + "é";
        for name in [longest, "\"".repeat(122)] {
            let name = Username::parse(&name).expect("a name");
            let found = services.cognito.search_users(&pool, &name).await;
            assert!(found.expect("an answer").is_empty());
        }
        assert_eq!(*asked.lock().expect("no panic"), [256]);
    }

    #[tokio::test(start_paused = true)]
    async fn email_search_ignores_case_in_the_pool() {
        let respond = |_: &str, _: &Value| {
            let user = json!({
                "Username": "ada", "UserStatus": "CONFIRMED", "Enabled": true,
                "Attributes": [{"Name": "email", "Value": "Ada@Example.com"}],
            });
            (Duration::ZERO, 200, json!({"Users": [user]}))
        };
        let services = fake_cognito(1, respond).await;
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        for (asked, expected) in [("ada@example.com", 1), ("eve@example.com", 0)] {
            let name = Username::parse(asked).expect("a name");
            let found = services.cognito.search_users(&pool, &name).await;
            assert_eq!(found.expect("an answer").len(), expected, "{asked}");
        }
    }

    #[test]
    fn filter_value_cannot_end_its_quotation_marks() {
        assert_eq!(escape(r#"a" or "b"#), r#"a\" or \"b"#);
        assert_eq!(escape(r"a\"), r"a\\");
    }
}
