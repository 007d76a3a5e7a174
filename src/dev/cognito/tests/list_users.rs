//! Searches in a pool.

use serde_json::{Value, json};

use super::TestPool;

fn names(answer: &Value) -> Vec<&str> {
    let users = answer["Users"].as_array().expect("users");
    users
        .iter()
        .map(|user| user["Username"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn a_filter_finds_users_by_name_attribute_and_status() {
    let pool = TestPool::new().await;
    for name in ["ada", "adam", "bob"] {
        pool.create_user(name).await;
    }
    let mut invited = super::suppressed_invitation("eve");
    invited["UserAttributes"] = json!([{"Name": "email", "Value": "eve@example.com"}]);
    pool.call("AdminCreateUser", invited).await;
    pool.call("AdminDisableUser", json!({"Username": "bob"}))
        .await;
    let ada = pool.call("AdminGetUser", json!({"Username": "ada"})).await;
    let sub = ada["UserAttributes"]
        .as_array()
        .and_then(|attributes| attributes.iter().find(|it| it["Name"] == "sub"))
        .and_then(|it| it["Value"].as_str())
        .expect("a sub");
    for (filter, expected) in [
        ("username = \"ada\"", &["ada"][..]),
        ("\"username\" ^= \"ada\"", &["ada", "adam"]),
        ("email=\"eve@example.com\"", &["eve"]),
        ("email = \"EVE@example.com\"", &[]),
        (&format!("sub = \"{sub}\""), &["ada"]),
        ("status = \"Disabled\"", &["bob"]),
        ("cognito:user_status = \"force_change_password\"", &["eve"]),
    ] {
        let input = json!({"UserPoolId": pool.id, "Filter": filter});
        assert_eq!(
            names(&pool.call("ListUsers", input).await),
            expected,
            "{filter}"
        );
    }
    for filter in ["custom:plan = \"pro\"", "email", "email = ada", "=\"x\""] {
        let input = json!({"UserPoolId": pool.id, "Filter": filter});
        let (code, _) = pool.call_error("ListUsers", input).await;
        assert_eq!(code, "InvalidParameterException", "{filter}");
    }
}

#[tokio::test]
async fn users_come_in_pages_with_the_chosen_attributes() {
    let pool = TestPool::new().await;
    for name in ["ada", "bob", "eve"] {
        pool.create_user(name).await;
    }
    let first = json!({"UserPoolId": pool.id, "Limit": 2, "AttributesToGet": ["email"]});
    let first = pool.call("ListUsers", first).await;
    assert_eq!(names(&first), ["ada", "bob"]);
    let attributes = json!([{"Name": "email", "Value": "ada@example.com"}]);
    assert_eq!(first["Users"][0]["Attributes"], attributes);
    let next = json!({"UserPoolId": pool.id, "PaginationToken": first["PaginationToken"]});
    let next = pool.call("ListUsers", next).await;
    assert_eq!(names(&next), ["eve"]);
    assert!(next["PaginationToken"].is_null());
}
