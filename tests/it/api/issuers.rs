//! The two issuers of a user pool: tokens of both are accepted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use usher::admin::{JwksCache, TokenError, TokenVerifier};
use usher::aws::{JwksClient, SignInResult};
use usher::config::{Config, Layers};
use usher::dev::Issuer;
use usher::event::IssuerType;

use super::Api;

/// Serves the same keys at every URL, and records the URLs of the requests.
#[derive(Debug, Clone)]
struct Published {
    keys: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HttpConnector for Published {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let url = request.uri().to_owned();
        self.asked.lock().expect("no panic").push(url);
        let status = StatusCode::try_from(200).expect("a status");
        let keys = SdkBody::from(self.keys.as_str());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, keys)))
    }
}

const POOLS: [(&str, &str); 4] = [
    ("eu-west-1.amazonaws.com", "eu-west-1_a"),
    ("cn-north-1.amazonaws.com.cn", "cn-north-1_b"),
    ("us-gov-west-1.amazonaws.com", "us-gov-west-1_c"),
    ("eusc-de-east-1.amazonaws.eu", "eusc-de-east-1_d"),
];

#[tokio::test]
async fn both_issuers_are_accepted_in_every_partition() {
    let signer = Issuer::default();
    let published = Published {
        keys: signer.jwks().to_string(),
        asked: Arc::default(),
    };
    let pools: Vec<&str> = POOLS.iter().map(|(_, pool)| *pool).collect();
    let flags = [
        "queue.url=https://sqs.eu-west-1.amazonaws.com/1/usher".to_owned(),
        "profiles.enabled=false".to_owned(),
        format!("pools.allowed={}", pools.join(",")),
        "admin.client_ids=c".to_owned(),
    ];
    let config = Config::from_layers(&Layers::defaults().flags(&flags)).expect("valid");
    let sets = JwksClient::with_connector(SharedHttpConnector::new(published.clone()));
    let verifier = TokenVerifier::new(&config.admin, &config.pools.allowed, |issuers| {
        JwksCache::new(sets, issuers)
    });
    let token = |issuer: &str| {
        let end = jiff::Timestamp::now().as_second() + 3600;
        let claims = json!({
            "sub": "s", "iss": issuer, "client_id": "c", "token_use": "access",
            "exp": end, "username": "ada", "cognito:groups": ["ADMINS"],
        });
        signer.sign(&claims, None)
    };
    let mut expected = BTreeSet::new();
    for (domain, pool) in POOLS {
        for host in ["cognito-idp", "issuer-cognito-idp"] {
            let issuer = format!("https://{host}.{domain}/{pool}");
            let caller = verifier.verify(&token(&issuer)).await.expect(&issuer);
            assert_eq!(caller.pool.as_str(), pool);
            expected.insert(format!("{issuer}/.well-known/jwks.json"));
        }
    }
    // No other issuer is accepted, and no key is requested from one.
    for issuer in [
        "https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_other",
        "https://issuer-cognito-idp.eu-west-2.amazonaws.com/eu-west-1_a",
        "https://cognito-idp.cn-north-1.amazonaws.com/cn-north-1_b",
        "http://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a",
        "https://issuer-cognito-idp.eu-west-1.amazonaws.com.evil.example/eu-west-1_a",
        "https://evil.example/eu-west-1_a",
        "https://evil.example#.amazonaws.com/eu-west-1_a",
        "http://169.254.169.254/eu-west-1_a",
    ] {
        let refused = verifier.verify(&token(issuer)).await;
        assert_eq!(refused.err(), Some(TokenError::Issuer), "{issuer}");
    }
    let asked = published.asked.lock().expect("no panic").clone();
    assert_eq!(asked.len(), expected.len(), "each once: {asked:?}");
    assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn after_an_issuer_switch_both_issuers_are_accepted() {
    let api = Api::start(&[]).await;
    let world = &api.world;
    let (pool, password) = (&world.pool, "A-passw0rd-1");
    world.create_user("boss").await;
    let sandbox = &world.sandbox;
    let set = sandbox.set_password(&pool.id, "boss", password).await;
    set.expect("a password");
    let joined = sandbox.add_to_group(&pool.id, "boss", "ADMINS").await;
    joined.expect("a member");
    let mut issuers = Vec::new();
    let mut tokens = Vec::new();
    for issuer in IssuerType::ALL {
        let set = sandbox.set_issuer_and_trigger(&pool.id, issuer, None).await;
        set.expect("a setting");
        let signed_in = sandbox.sign_in(&pool.client, "boss", password).await;
        let Ok(SignInResult::Tokens(signed_in)) = signed_in else {
            panic!("{signed_in:?}");
        };
        let claims = signed_in.access.split('.').nth(1).expect("claims");
        issuers.push(issuer_in(claims));
        tokens.push(signed_in.access);
    }
    assert_eq!(issuers[0], format!("{}/{}", world.url, pool.id));
    assert_ne!(issuers[0], issuers[1]);
    for token in tokens {
        let answer = api.ask_as(&token, "GET", "/v1/users/boss").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

fn issuer_in(claims: &str) -> String {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
    let claims: Value = serde_json::from_slice(&claims.expect("base64")).expect("JSON");
    claims["iss"].as_str().expect("an issuer").to_owned()
}
