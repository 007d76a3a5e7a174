//! Users whom an administrator invites.

use serde_json::{Value, json};

use super::{
    TestPool, VALID_PASSWORD, claims, error, new_password_response, suppressed_invitation,
    wrong_password,
};
use crate::dev::hooks::SentMail;

#[tokio::test]
async fn invited_user_must_set_password_and_required_attributes() {
    let schema = json!({"Schema": [
        {"Name": "given_name", "Required": true}, {"Name": "email", "Required": true},
    ]});
    let pool = TestPool::with_settings(schema, json!({}), |_| None).await;
    let temporary = pool.invite("ada").await;
    let challenge = pool.sign_in("ada", &temporary).await.expect("a challenge");
    assert_eq!(challenge["ChallengeName"], "NEW_PASSWORD_REQUIRED");
    let parameters = &challenge["ChallengeParameters"];
    assert_eq!(parameters["USER_ID_FOR_SRP"], "ada");
    assert_eq!(
        parameters["requiredAttributes"],
        "[\"userAttributes.given_name\"]"
    );
    assert_eq!(
        parameters["userAttributes"],
        "{\"email\":\"ada@example.com\",\"email_verified\":\"true\"}"
    );

    let respond = "RespondToAuthChallenge";
    let weak = new_password_response(&challenge, "ada", "weak");
    let (code, message) = pool.call_error(respond, weak).await;
    assert_eq!(code, "InvalidPasswordException");
    assert!(message.ends_with("Password not long enough"));
    let mut answer = new_password_response(&challenge, "ada", VALID_PASSWORD);
    let (code, _) = pool.call_error(respond, answer.clone()).await;
    assert_eq!(code, "InvalidParameterException");
    answer["ChallengeResponses"]["userAttributes.given_name"] = json!("Ada");
    let mut twice = answer.clone();
    twice["ChallengeResponses"]["userAttributes.email"] = json!("eve@example.com");
    let (code, _) = pool.call_error(respond, twice).await;
    assert_eq!(code, "NotAuthorizedException");
    let tokens = pool.call(respond, answer.clone()).await;
    let id = claims(&tokens["AuthenticationResult"]["IdToken"]);
    assert_eq!(id["given_name"], "Ada");
    let (code, _) = pool.call_error(respond, answer).await;
    assert_eq!(code, "NotAuthorizedException", "a session is used once");

    let user = pool.call("AdminGetUser", json!({"Username": "ada"})).await;
    assert_eq!(user["UserStatus"], "CONFIRMED");
    assert_eq!(pool.sign_in("ada", &temporary).await, Err(wrong_password()));
    assert!(pool.sign_in("ada", VALID_PASSWORD).await.is_ok());
    assert_eq!(
        pool.trigger_sources(),
        [
            "TokenGeneration_NewPasswordChallenge",
            "TokenGeneration_Authentication"
        ]
    );
}

#[tokio::test]
async fn expired_challenge_and_password_are_refused_until_resend() {
    let pool = TestPool::new().await;
    let temporary = pool.invite("ada").await;
    let challenge = pool.sign_in("ada", &temporary).await.expect("a challenge");
    pool.cognito.expire_sessions();
    let late = new_password_response(&challenge, "ada", VALID_PASSWORD);
    let (code, _) = pool.call_error("RespondToAuthChallenge", late).await;
    assert_eq!(code, "NotAuthorizedException");
    pool.cognito
        .expire_temporary_password(&pool.id, "ada")
        .await;
    let message = "Temporary password has expired and must be reset by an administrator.";
    assert_eq!(
        pool.sign_in("ada", &temporary).await,
        Err(error("NotAuthorizedException", message))
    );

    let again = json!({
        "Username": "ada", "MessageAction": "RESEND", "DesiredDeliveryMediums": ["EMAIL"],
    });
    let answer = pool.call("AdminCreateUser", again.clone()).await;
    assert_eq!(answer["User"]["UserStatus"], "FORCE_CHANGE_PASSWORD");
    assert!(answer["User"]["Attributes"].is_array());
    assert_eq!(pool.sign_in("ada", &temporary).await, Err(wrong_password()));
    let mail = pool.mails.lock().expect("no panic").remove(0);
    let text = mail
        .body
        .strip_prefix("Your username is ada and temporary password is ");
    let temporary = text
        .and_then(|text| text.strip_suffix('.'))
        .expect("a password");
    let challenge = pool.sign_in("ada", temporary).await.expect("a challenge");
    let answer = new_password_response(&challenge, "ada", VALID_PASSWORD);
    pool.call("RespondToAuthChallenge", answer).await;
    let (code, _) = pool.call_error("AdminCreateUser", again).await;
    assert_eq!(code, "UnsupportedUserStateException");
    let unknown = json!({"Username": "nobody", "MessageAction": "RESEND"});
    let (code, _) = pool.call_error("AdminCreateUser", unknown).await;
    assert_eq!(code, "UserNotFoundException");
}

#[tokio::test]
async fn invitation_uses_the_text_of_the_trigger() {
    let pool = TestPool::with_settings(json!({}), json!({}), |event| {
        assert_eq!(event["triggerSource"], "CustomMessage_AdminCreateUser");
        let request = &event["request"];
        assert_eq!(request["userAttributes"]["email"], "ada@example.com");
        assert_eq!(
            request["userAttributes"]["cognito:user_status"],
            "FORCE_CHANGE_PASSWORD"
        );
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let (name, code) = (text("usernameParameter"), text("codeParameter"));
        Some(json!({
            "emailSubject": "Come in",
            "emailMessage": format!("https://app.example/accept#u={name}&c={code}"),
        }))
    })
    .await;
    let mut input = suppressed_invitation("ada");
    input["DesiredDeliveryMediums"] = json!(["EMAIL"]);
    input["TemporaryPassword"] = json!("Aa1&%#/?+\"");
    pool.call("AdminCreateUser", input.clone()).await;
    assert!(
        pool.mails.lock().expect("no panic").is_empty(),
        "suppressed"
    );
    input["Username"] = json!("bob");
    input["MessageAction"] = Value::Null;
    pool.call("AdminCreateUser", input.clone()).await;
    let mails = pool.mails.lock().expect("no panic").clone();
    let expected = SentMail {
        to: "ada@example.com".to_owned(),
        subject: "Come in".to_owned(),
        body: "https://app.example/accept#u=bob&c=Aa1&%#/?+\"".to_owned(),
        username: "bob".to_owned(),
        code: "Aa1&%#/?+\"".to_owned(),
    };
    assert_eq!(mails, [expected]);
    let (code, _) = pool.call_error("AdminCreateUser", input).await;
    assert_eq!(code, "UsernameExistsException");
}

#[tokio::test]
async fn invalid_text_is_refused_after_the_user_is_created() {
    let pool = TestPool::with_settings(json!({}), json!({}), |event| {
        let wrong = |name: &str| match event["userName"].as_str() {
            Some(user) if user == name => "\u{200d}",
            _ => "é",
        };
        Some(json!({
            "emailSubject": format!("Come in{}", wrong("subject")),
            "emailMessage": format!("{{username}} {{####}}{}", wrong("body")),
        }))
    })
    .await;
    for (name, member) in [("subject", "'emailSubject'"), ("body", "'emailBody'")] {
        let mut input = suppressed_invitation(name);
        input["MessageAction"] = Value::Null;
        input["DesiredDeliveryMediums"] = json!(["EMAIL"]);
        let resend = json!("RESEND");
        for action in [Value::Null, resend] {
            input["MessageAction"] = action;
            let (code, message) = pool.call_error("AdminCreateUser", input.clone()).await;
            assert_eq!(code, "InvalidParameterException");
            assert!(message.contains(member), "{message}");
        }
        let user = pool.call("AdminGetUser", json!({"Username": name})).await;
        assert_eq!(user["UserStatus"], "FORCE_CHANGE_PASSWORD");
    }
    assert!(pool.mails.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn trigger_texts_must_have_valid_lengths_and_types() {
    let pool = TestPool::with_settings(json!({}), json!({}), |event| {
        let text = |name: &str, long: usize| {
            let is_long = event["userName"] == name;
            "x".repeat(if is_long { long } else { 9 })
        };
        let message = format!("{{username}} {{####}} {}", text("body", 20_000));
        let number = event["userName"] == "number";
        Some(json!({
            "emailSubject": text("subject", 141),
            "emailMessage": if number { json!(5) } else { json!(message) },
            "smsMessage": text("sms", 141),
        }))
    })
    .await;
    let invalid_parameter = "InvalidParameterException";
    for (name, code, expected) in [
        ("subject", invalid_parameter, "at 'emailSubject'"),
        ("body", invalid_parameter, "at 'emailBody'"),
        ("sms", invalid_parameter, "at 'smsMessage'"),
        ("number", "InvalidLambdaResponseException", "NUMBER_VALUE"),
    ] {
        let mut input = suppressed_invitation(name);
        input["MessageAction"] = Value::Null;
        input["DesiredDeliveryMediums"] = json!(["EMAIL"]);
        let (found, message) = pool.call_error("AdminCreateUser", input).await;
        assert_eq!(found, code, "{name}");
        assert!(message.contains(expected), "{message}");
    }
    assert!(pool.mails.lock().expect("no panic").is_empty());
}
