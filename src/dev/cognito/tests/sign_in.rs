//! Passwords and tokens.

use serde_json::{Value, json};

use super::{
    TestPool, VALID_PASSWORD, claims, error, new_password_response, password_auth,
    suppressed_invitation, wrong_password,
};
use crate::dev::cognito::app_client::secret_hash;

#[tokio::test]
async fn tokens_have_the_claims_of_cognito() {
    let pool = TestPool::new().await;
    let user = pool.create_user("ada").await;
    let answer = pool
        .sign_in("ada", VALID_PASSWORD)
        .await
        .expect("signed in");
    let result = &answer["AuthenticationResult"];
    assert_eq!(result["ExpiresIn"], 3600);
    assert_eq!(result["TokenType"], "Bearer");
    let access = claims(&result["AccessToken"]);
    let names: Vec<&String> = access.as_object().expect("claims").keys().collect();
    assert_eq!(
        names,
        [
            "auth_time",
            "client_id",
            "event_id",
            "exp",
            "iat",
            "iss",
            "jti",
            "origin_jti",
            "scope",
            "sub",
            "token_use",
            "username",
        ]
    );
    assert_eq!(access["iss"], format!("http://127.0.0.1:1/{}", pool.id));
    assert_eq!(access["client_id"], pool.client["ClientId"]);
    assert_eq!(access["token_use"], "access");
    assert_eq!(access["username"], "ada");
    let lifetime = access["exp"].as_i64().zip(access["iat"].as_i64());
    assert_eq!(lifetime.map(|(end, begin)| end - begin), Some(3600));
    let attributes = user["Attributes"].as_array().expect("a list");
    let sub = attributes.iter().find(|one| one["Name"] == "sub");
    assert_eq!(access["sub"], sub.expect("a sub")["Value"]);

    let id = claims(&result["IdToken"]);
    assert_eq!(id["aud"], pool.client["ClientId"]);
    assert_eq!(id["token_use"], "id");
    assert_eq!(id["cognito:username"], "ada");
    assert_eq!(id["email"], "ada@example.com");
    assert_eq!(id["email_verified"], true);

    pool.call("CreateGroup", json!({"GroupName": "ADMINS"}))
        .await;
    let member = json!({"GroupName": "ADMINS", "Username": "ada"});
    pool.call("AdminAddUserToGroup", member).await;
    assert!(
        id["cognito:groups"].is_null(),
        "old tokens stay as they are"
    );
    let refresh = json!({
        "AuthFlow": "REFRESH_TOKEN_AUTH",
        "AuthParameters": {"REFRESH_TOKEN": result["RefreshToken"]},
    });
    let answer = pool.call("InitiateAuth", refresh).await;
    for token in ["AccessToken", "IdToken"] {
        let claims = claims(&answer["AuthenticationResult"][token]);
        assert_eq!(claims["cognito:groups"], json!(["ADMINS"]));
        assert_eq!(claims["auth_time"], access["auth_time"]);
    }
}

#[tokio::test]
async fn only_the_right_password_of_a_confirmed_user_signs_in() {
    let pool = TestPool::new().await;
    pool.create_user("ada").await;
    assert_eq!(
        pool.sign_in("ada", "Wrong-pass-1").await,
        Err(wrong_password())
    );
    assert_eq!(
        pool.sign_in("nobody", VALID_PASSWORD).await,
        Err(wrong_password())
    );
    pool.call("AdminCreateUser", suppressed_invitation("without"))
        .await;
    assert_eq!(
        pool.sign_in("without", VALID_PASSWORD).await,
        Err(wrong_password())
    );

    let new = json!({"Username": "bob", "Password": VALID_PASSWORD});
    pool.call("SignUp", new).await;
    assert_eq!(
        pool.sign_in("bob", VALID_PASSWORD).await,
        Err(error("UserNotConfirmedException", "User is not confirmed."))
    );
    let code = json!({"Username": "bob", "ConfirmationCode": "000000"});
    pool.call("ConfirmSignUp", code).await;
    assert!(pool.sign_in("bob", VALID_PASSWORD).await.is_ok());

    let weak = json!({"Username": "eve", "Password": "weak"});
    let (code, _) = pool.call_error("SignUp", weak).await;
    assert_eq!(code, "InvalidPasswordException");
    let mut by_admin = password_auth("ada", VALID_PASSWORD);
    by_admin["AuthFlow"] = json!("ADMIN_USER_PASSWORD_AUTH");
    pool.call("AdminInitiateAuth", by_admin.clone()).await;
    let (code, _) = pool.call_error("InitiateAuth", by_admin).await;
    assert_eq!(code, "InvalidParameterException");
    pool.call("AdminDisableUser", json!({"Username": "ada"}))
        .await;
    let (code, message) = pool
        .sign_in("ada", VALID_PASSWORD)
        .await
        .expect_err("disabled");
    assert_eq!(
        (&*code, &*message),
        ("NotAuthorizedException", "User is disabled.")
    );
}

#[tokio::test]
async fn sign_out_everywhere_ends_all_sign_ins_of_the_user() {
    let pool = TestPool::new().await;
    let refresh = |token: &Value| json!({"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": {"REFRESH_TOKEN": token}});
    let mut tokens = Vec::new();
    for name in ["ada", "bob"] {
        pool.create_user(name).await;
        let answer = pool.sign_in(name, VALID_PASSWORD).await;
        let answer = answer.expect("signed in");
        tokens.push(answer["AuthenticationResult"]["RefreshToken"].clone());
    }
    let temporary = pool.invite("eve").await;
    let challenge = pool.sign_in("eve", &temporary).await.expect("a challenge");
    for name in ["ada", "eve"] {
        let user = json!({"Username": name});
        pool.call("AdminUserGlobalSignOut", user).await;
    }
    let (code, message) = pool.call_error("InitiateAuth", refresh(&tokens[0])).await;
    assert_eq!(
        (&*code, &*message),
        ("NotAuthorizedException", "Invalid Refresh Token")
    );
    pool.call("InitiateAuth", refresh(&tokens[1])).await;
    let chosen = new_password_response(&challenge, "eve", VALID_PASSWORD);
    let (code, _) = pool.call_error("RespondToAuthChallenge", chosen).await;
    assert_eq!(code, "NotAuthorizedException");
    assert!(pool.sign_in("ada", VALID_PASSWORD).await.is_ok());
    let (code, _) = pool
        .call_error("AdminUserGlobalSignOut", json!({"Username": "nobody"}))
        .await;
    assert_eq!(code, "UserNotFoundException");
}

#[tokio::test]
async fn a_disabled_user_cannot_finish_a_sign_in() {
    let pool = TestPool::new().await;
    let temporary = pool.invite("eve").await;
    let challenge = pool.sign_in("eve", &temporary).await.expect("a challenge");
    let eve = || json!({"Username": "eve"});
    let chosen = new_password_response(&challenge, "eve", VALID_PASSWORD);
    pool.call("AdminDisableUser", eve()).await;
    let refused = pool
        .try_call("RespondToAuthChallenge", chosen.clone())
        .await;
    let disabled = error("NotAuthorizedException", "User is disabled.");
    assert_eq!(refused, Err(disabled));
    pool.call("AdminEnableUser", eve()).await;
    pool.call("RespondToAuthChallenge", chosen).await;
}

#[tokio::test]
async fn a_new_password_signs_in_and_calls_the_trigger() {
    let pool = TestPool::new().await;
    pool.create_user("ada").await;
    pool.call("ForgotPassword", json!({"Username": "ada"}))
        .await;
    let chosen = |password: &str| json!({"Username": "ada", "ConfirmationCode": "000000", "Password": password});
    let (code, _) = pool
        .call_error("ConfirmForgotPassword", chosen("weak"))
        .await;
    assert_eq!(code, "InvalidPasswordException");
    let new = "An-0ther-password";
    pool.call("ConfirmForgotPassword", chosen(new)).await;
    assert!(pool.sign_in("ada", new).await.is_ok());
    let sources = pool.trigger_sources();
    let source = "PostConfirmation_ConfirmForgotPassword";
    assert!(sources.iter().any(|it| it == source), "{sources:?}");
}

#[tokio::test]
async fn client_with_a_secret_must_send_the_secret_hash() {
    let pool = TestPool::with_settings(json!({}), json!({"GenerateSecret": true}), |_| None).await;
    pool.create_user("ada").await;
    let id = pool.client["ClientId"].as_str().expect("an id");
    let secret = pool.client["ClientSecret"].as_str().expect("a secret");
    let (code, message) = pool
        .sign_in("ada", VALID_PASSWORD)
        .await
        .expect_err("no hash");
    assert_eq!(code, "NotAuthorizedException");
    assert!(message.ends_with("SECRET_HASH was not received"));
    let mut input = password_auth("ada", VALID_PASSWORD);
    input["AuthParameters"]["SECRET_HASH"] = json!("d3Jvbmc=");
    let message = format!("Unable to verify secret hash for client {id}");
    assert_eq!(
        pool.call_error("InitiateAuth", input.clone()).await,
        error("NotAuthorizedException", &message)
    );
    input["AuthParameters"]["SECRET_HASH"] = json!(secret_hash(secret, id, "ada"));
    pool.call("InitiateAuth", input).await;
}

#[tokio::test]
async fn trigger_can_replace_the_groups_in_tokens() {
    let pool = TestPool::with_settings(json!({}), json!({}), |event| {
        assert_eq!(event["triggerSource"], "TokenGeneration_Authentication");
        let groups = &event["request"]["groupConfiguration"];
        assert_eq!(
            *groups,
            json!({"groupsToOverride": [], "iamRolesToOverride": [], "preferredRole": null})
        );
        Some(json!({"claimsOverrideDetails": {
            "groupOverrideDetails": {"groupsToOverride": ["EVERYONE"]},
        }}))
    })
    .await;
    pool.create_user("ada").await;
    let answer = pool
        .sign_in("ada", VALID_PASSWORD)
        .await
        .expect("signed in");
    for token in ["AccessToken", "IdToken"] {
        let claims = claims(&answer["AuthenticationResult"][token]);
        assert_eq!(claims["cognito:groups"], json!(["EVERYONE"]));
    }
}

#[tokio::test]
async fn invalid_trigger_response_prevents_tokens() {
    let pool = TestPool::with_settings(json!({}), json!({}), |event| {
        let groups = if event["userName"] == "ada" {
            json!(["two words"])
        } else {
            json!("EVERYONE")
        };
        Some(json!({"claimsOverrideDetails": {
            "groupOverrideDetails": {"groupsToOverride": groups},
        }}))
    })
    .await;
    for name in ["ada", "bob"] {
        pool.create_user(name).await;
        let refusal = pool.sign_in(name, VALID_PASSWORD).await;
        let (code, message) = refusal.expect_err("refused");
        assert_eq!(code, "InvalidLambdaResponseException");
        let prefix = "Unrecognizable lambda output: ";
        assert!(message.starts_with(prefix), "{message}");
    }
}

#[tokio::test]
async fn sign_in_name_must_satisfy_username_constraints() {
    let pool = TestPool::new().await;
    for name in ["a\0b".to_owned(), "a".repeat(129)] {
        let refusal = pool.sign_in(&name, VALID_PASSWORD).await;
        let (code, message) = refusal.expect_err("refused");
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains("Value at 'username'"), "{message}");
    }
}
