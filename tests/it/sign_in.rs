//! Sign-in to the embedded user pools through the SDK.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use usher::aws::{PoolOptions, SignInResult};
use usher::config::Layers;
use usher::dev::{ADMIN_ACCOUNT, Stack, USER_ACCOUNT, access_token};
use usher::event::{IssuerType, PoolId};

use crate::process::get;
use crate::world::World;

/// The claims of an access token, verified with the keys of the issuer.
async fn verified(issuer: &str, token: &str) -> Option<Value> {
    let url = issuer.strip_prefix("http://").expect("loopback");
    let (host, path) = url.split_once('/').expect("a path");
    let (status, body) = get(host, &format!("/{path}/.well-known/jwks.json")).await;
    assert_eq!(status, 200);
    let jwks: Value = serde_json::from_str(&body).expect("JSON");
    let jwk: Jwk = serde_json::from_value(jwks["keys"][0].clone()).expect("a key");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_aud = false;
    validation.set_issuer(&[issuer]);
    let key = DecodingKey::from_jwk(&jwk).expect("RSA");
    Some(decode(token, &key, &validation).ok()?.claims)
}

#[tokio::test]
async fn an_invited_user_signs_in_with_their_groups() {
    let world = World::new().await;
    let mails = Arc::new(Mutex::new(Vec::new()));
    let mailbox = Arc::clone(&mails);
    world.endpoint.on_mail(Box::new(move |mail| {
        mailbox.lock().expect("no panic").push(mail);
    }));
    let kind = PoolOptions {
        email_usernames: true,
        required_attributes: vec!["given_name".to_owned()],
        ..PoolOptions::default()
    };
    let sandbox = &world.sandbox;
    let pool = sandbox
        .create_pool_with("staff", &kind)
        .await
        .expect("a pool");
    let (address, none) = ("ada@example.com", BTreeMap::new());
    let name = sandbox
        .invite(&pool.id, address, &none, false)
        .await
        .expect("invited");
    sandbox
        .add_to_group(&pool.id, &name, "STAFF")
        .await
        .expect("a member");
    let again = sandbox.invite(&pool.id, address, &none, false).await;
    assert_eq!(again.expect_err("twice").code, "UsernameExistsException");

    let mail = mails.lock().expect("no panic").remove(0);
    assert_eq!(mail.to, address);
    let text = format!("Your username is {address} and temporary password is ");
    let temporary = mail.body.strip_prefix(&text).expect("the usual text");
    let temporary = temporary.strip_suffix('.').expect("the usual text");
    let wrong = sandbox.sign_in(&pool.client, address, "Not-this-1").await;
    assert_eq!(wrong.expect_err("wrong").code, "NotAuthorizedException");
    let signed_in = sandbox.sign_in(&pool.client, address, temporary).await;
    let Ok(SignInResult::NewPasswordRequired {
        session,
        parameters,
    }) = signed_in
    else {
        panic!("{signed_in:?}");
    };
    let required = "[\"userAttributes.given_name\"]";
    assert_eq!(parameters["requiredAttributes"], required);
    let given = BTreeMap::from([("given_name".to_owned(), "Ada".to_owned())]);
    let tokens = sandbox
        .respond_with_password(&pool.client, &session, address, "Long-enough-1", &given)
        .await
        .expect("in");
    let claims = verified(&world.endpoint.issuer_of(&pool.id), &tokens.access).await;
    let claims = claims.expect("a good token");
    assert_eq!(claims["cognito:groups"], json!(["STAFF"]));
    assert_eq!(claims["username"], *name);

    sandbox
        .remove_from_group(&pool.id, &name, "STAFF")
        .await
        .expect("no member");
    let refreshed = sandbox.refresh(&pool.client, &tokens.refresh).await;
    let access = refreshed.expect("new tokens").access;
    let claims = verified(&world.endpoint.issuer_of(&pool.id), &access).await;
    assert!(claims.expect("a good token")["cognito:groups"].is_null());
    world.endpoint.issuer().rotate();
    assert_eq!(
        verified(&world.endpoint.issuer_of(&pool.id), &access).await,
        None
    );
}

#[tokio::test]
async fn the_development_stack_has_an_admin_and_a_user_account() {
    let stack = Stack::start(Some(0), Layers::defaults())
        .await
        .expect("starts");
    stack.sign_up(1).await.expect("a sign-up");
    stack.create_accounts().await.expect("accounts");
    for (account, groups) in [
        (ADMIN_ACCOUNT, json!(["ADMINS", "EVERYONE"])),
        // No worker runs here, so the user is in no group of the pool yet: the trigger adds the
        // rules' groups to the token.
        (USER_ACCOUNT, json!(["EVERYONE"])),
    ] {
        let issuer = stack.endpoint.issuer_of(&stack.pool.id);
        let token = access_token(&stack.sandbox, &stack.pool.client, account).await;
        let claims = verified(&issuer, &token.expect("a token")).await;
        let claims = claims.expect("a good token");
        assert_eq!(claims["username"], account);
        assert_eq!(claims["cognito:groups"], groups);
    }
    let queued = stack.queue.attributes().await.expect("counts").depth;
    assert_eq!(queued.visible, 3, "accounts sign up like users");
    stack.create_accounts().await.expect("the same accounts");
    stack.stop().await;
}

#[tokio::test]
async fn the_development_stack_issues_tokens_of_either_issuer() {
    let stack = Stack::start(Some(0), Layers::defaults())
        .await
        .expect("starts");
    let mut issuers = Vec::new();
    for issuer in IssuerType::ALL {
        stack.set_issuer(issuer).await.expect("a setting");
        stack.create_accounts().await.expect("accounts");
        let token = access_token(&stack.sandbox, &stack.pool.client, ADMIN_ACCOUNT).await;
        let token = token.expect("a token");
        let issuer = stack.endpoint.issuer_of(&stack.pool.id);
        let claims = verified(&issuer, &token).await.expect("a good token");
        issuers.push(claims["iss"].as_str().expect("text").to_owned());
    }
    let pool = PoolId::new(&stack.pool.id).expect("an id");
    assert_eq!(stack.services.config.admin.issuers_of(&pool), issuers);
    assert_ne!(issuers[0], issuers[1]);
    stack.stop().await;
}
