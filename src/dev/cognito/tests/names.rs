//! Names and aliases of users, and their groups.

use serde_json::{Value, json};

use super::{TestPool, VALID_PASSWORD, claims, error, suppressed_invitation};

#[tokio::test]
async fn addresses_are_usernames_where_the_pool_allows_it() {
    let kind = json!({"UsernameAttributes": ["email"]});
    let pool = TestPool::with_settings(kind, json!({}), |_| None).await;
    let input = |name: &str| json!({"Username": name, "DesiredDeliveryMediums": ["EMAIL"]});
    let user = &pool.call("AdminCreateUser", input("Ada@example.com")).await["User"];
    let name = user["Username"].as_str().expect("a name");
    assert_eq!(name.len(), 36);
    let attributes = user["Attributes"].as_array().expect("a list");
    assert!(attributes.contains(&json!({"Name": "sub", "Value": name})));
    assert!(attributes.contains(&json!({"Name": "email", "Value": "Ada@example.com"})));
    let mail = pool.mails.lock().expect("no panic")[0].body.clone();
    assert!(mail.contains("username is Ada@example.com and"), "{mail}");
    let (code, _) = pool
        .call_error("AdminCreateUser", input("ada@example.com"))
        .await;
    assert_eq!(code, "UsernameExistsException");
    let (code, _) = pool.call_error("AdminCreateUser", input("ada")).await;
    assert_eq!(code, "InvalidParameterException");

    let password = json!({
        "Username": "ada@example.com", "Password": VALID_PASSWORD, "Permanent": true,
    });
    pool.call("AdminSetUserPassword", password).await;
    for known_as in ["ada@example.com", name] {
        let answer = pool
            .sign_in(known_as, VALID_PASSWORD)
            .await
            .expect("signed in");
        let access = claims(&answer["AuthenticationResult"]["AccessToken"]);
        assert_eq!(access["username"], name);
    }
    let sign_up = json!({"Username": "bob@example.com", "Password": VALID_PASSWORD});
    pool.call("SignUp", sign_up.clone()).await;
    let (code, _) = pool.call_error("SignUp", sign_up).await;
    assert_eq!(code, "UsernameExistsException");
    let code = json!({"Username": "bob@example.com", "ConfirmationCode": "000000"});
    pool.call("ConfirmSignUp", code).await;
    let answer = pool.sign_in("bob@example.com", VALID_PASSWORD).await;
    let id = claims(&answer.expect("signed in")["AuthenticationResult"]["IdToken"]);
    assert_eq!(id["email_verified"], true);
}

#[tokio::test]
async fn users_are_found_by_sub_until_they_are_deleted() {
    let pool = TestPool::new().await;
    let user = pool.create_user("ada").await;
    let attributes = user["Attributes"].as_array().expect("a list");
    let sub = attributes.iter().find(|one| one["Name"] == "sub");
    let sub = &sub.expect("a sub")["Value"];
    let by_sub = json!({"Username": sub});
    assert_eq!(
        pool.call("AdminGetUser", by_sub.clone()).await["Username"],
        "ada"
    );
    let by_email = json!({"Username": "ada@example.com"});
    let (code, _) = pool.call_error("AdminGetUser", by_email).await;
    assert_eq!(
        code, "UserNotFoundException",
        "an address is not a name here"
    );
    pool.call("AdminDeleteUser", by_sub.clone()).await;
    let (code, _) = pool.call_error("AdminGetUser", by_sub).await;
    assert_eq!(code, "UserNotFoundException");
}

#[tokio::test]
async fn group_changes_need_group_and_user_but_no_membership() {
    let pool = TestPool::new().await;
    let user = pool.create_user("ada").await;
    let attributes = user["Attributes"].as_array().expect("a list");
    let sub = &attributes
        .iter()
        .find(|one| one["Name"] == "sub")
        .expect("a sub")["Value"];
    let member = |name: &Value| json!({"GroupName": "G", "Username": name});
    let remove = "AdminRemoveUserFromGroup";
    let none = error("ResourceNotFoundException", "Group not found.");
    assert_eq!(pool.call_error(remove, member(sub)).await, none);
    assert_eq!(
        pool.call_error("AdminAddUserToGroup", member(sub)).await,
        none
    );
    pool.call("CreateGroup", json!({"GroupName": "G"})).await;
    let (code, _) = pool.call_error(remove, member(&json!("nobody"))).await;
    assert_eq!(code, "UserNotFoundException");
    pool.call(remove, member(sub)).await;
    pool.call("AdminAddUserToGroup", member(sub)).await;
    let list = "AdminListGroupsForUser";
    let groups = pool.call(list, json!({"Username": sub})).await;
    assert_eq!(groups["Groups"][0]["GroupName"], "G");
    pool.call(remove, member(sub)).await;
    let groups = pool.call(list, json!({"Username": "ada"})).await;
    assert_eq!(groups["Groups"], json!([]));
    let (code, _) = pool.call_error(list, json!({"Username": "nobody"})).await;
    assert_eq!(code, "UserNotFoundException");
}

#[tokio::test]
async fn invitation_is_resent_only_by_the_original_name() {
    let again = |name: &str| {
        json!({
            "Username": name, "MessageAction": "RESEND", "DesiredDeliveryMediums": ["EMAIL"],
        })
    };
    let create = "AdminCreateUser";
    let invalid = |message: &str| error("InvalidParameterException", message);
    let either = "Username should be either an email or a phone number.";
    for (attributes, name, message) in [
        (
            json!(["email"]),
            "ada@example.com",
            "Username should be an email.",
        ),
        (
            json!(["phone_number"]),
            "+15550100",
            "Username should be a phone number.",
        ),
        (json!(["email", "phone_number"]), "+15550100", either),
    ] {
        let kind = json!({"UsernameAttributes": attributes});
        let pool = TestPool::with_settings(kind, json!({}), |_| None).await;
        let user = &pool.call(create, suppressed_invitation(name)).await["User"];
        let made_up = user["Username"].as_str().expect("a name").to_owned();
        assert_eq!(
            pool.call_error(create, again(&made_up)).await,
            invalid(message)
        );
        let answer = pool.call(create, again(name)).await;
        assert_eq!(answer["User"]["Username"], *made_up);
        let described = pool
            .cognito
            .describe_pool(&json!({"UserPoolId": pool.id}))
            .await;
        let described: Value =
            serde_json::from_slice(&described.expect("shown").body).expect("JSON");
        assert_eq!(described["UserPool"]["UsernameAttributes"], attributes);
    }
    let pool = TestPool::new().await;
    let user = pool.call(create, suppressed_invitation("ada")).await["User"].clone();
    let attributes = user["Attributes"].as_array().expect("a list");
    let sub = attributes.iter().find(|one| one["Name"] == "sub");
    let sub = sub.expect("a sub")["Value"]
        .as_str()
        .expect("text")
        .to_owned();
    let (code, _) = pool.call_error(create, again(&sub)).await;
    assert_eq!(code, "UserNotFoundException");
    pool.call(create, again("ada")).await;
}

#[tokio::test]
async fn alias_belongs_to_one_user_and_is_no_username() {
    let kind = json!({"AliasAttributes": ["email", "phone_number"]});
    let pool = TestPool::with_settings(kind, json!({}), |_| None).await;
    let create = "AdminCreateUser";
    let verified = |name: &str, attribute: &str, value: &str| {
        json!({
            "Username": name, "MessageAction": "SUPPRESS", "UserAttributes": [
                {"Name": attribute, "Value": value},
                {"Name": format!("{attribute}_verified"), "Value": "true"},
            ],
        })
    };
    for (attribute, value, format) in [
        ("email", "ada@example.com", "email"),
        ("phone_number", "+15550100", "phone number"),
    ] {
        let [first, second] = [1, 2].map(|n| format!("{attribute}-{n}"));
        pool.call(create, verified(&first, attribute, value)).await;
        let user = pool.call("AdminGetUser", json!({"Username": value})).await;
        assert_eq!(user["Username"], *first, "an alias");
        let (code, _) = pool
            .call_error(create, verified(&second, attribute, value))
            .await;
        assert_eq!(code, "UsernameExistsException");
        let (code, message) = pool
            .call_error(create, verified(value, attribute, value))
            .await;
        assert_eq!(code, "InvalidParameterException");
        assert!(
            message.contains(&format!("cannot be of {format} format")),
            "{message}"
        );
        // An unverified attribute does not act as an alias.
        let mut unverified = verified(&second, attribute, value);
        unverified["UserAttributes"][1]["Value"] = json!("false");
        pool.call(create, unverified).await;
    }
}

#[tokio::test]
async fn user_of_a_passwordless_pool_is_confirmed_at_once() {
    let factors = json!({"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]});
    let kind = json!({"Policies": {"SignInPolicy": factors}});
    let pool = TestPool::with_settings(kind, json!({}), |_| None).await;
    let create = "AdminCreateUser";
    let mut input = suppressed_invitation("ada");
    input["MessageAction"] = Value::Null;
    input["DesiredDeliveryMediums"] = json!(["EMAIL"]);
    let answer = pool.call(create, input.clone()).await;
    assert_eq!(answer["User"]["UserStatus"], "CONFIRMED");
    let user = pool.call("AdminGetUser", json!({"Username": "ada"})).await;
    assert_eq!(user["UserStatus"], "CONFIRMED");
    assert!(pool.mails.lock().expect("no panic").is_empty());
    input["MessageAction"] = json!("RESEND");
    let (code, _) = pool.call_error(create, input).await;
    assert_eq!(code, "UnsupportedUserStateException");
    // A user with a temporary password must set a new one.
    let temporary = pool.invite("bob").await;
    let challenge = pool.sign_in("bob", &temporary).await.expect("a challenge");
    assert_eq!(challenge["ChallengeName"], "NEW_PASSWORD_REQUIRED");
}
