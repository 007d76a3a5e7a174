//! Authentication: which tokens the API accepts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, future, stream};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Api, claims, sub_of, token};

const PATH: &str = "/v1/groups/STAFF/members";

/// Builds a token of this header and these claims with the signature that `sign` makes.
fn by_hand(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[tokio::test]
async fn an_invalid_token_is_refused() {
    let api = Api::start(&[]).await;
    let world = &api.world;
    let good = claims(world, "admin", &["ADMINS"]);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token(world, &claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("claims").remove(name);
        token(world, &claims)
    };
    let now = jiff::Timestamp::now().as_second();
    let kid = world.endpoint.issuer().jwk()["kid"].clone();
    let hs256 = |secret: Vec<u8>| {
        by_hand(&json!({"alg": "HS256", "kid": kid}), &good, move |text| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("any length");
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        })
    };
    let right = token(world, &good);
    let mut forged = right.clone();
    let place = forged.len() - 10..forged.len() - 8;
    let other = if forged[place.clone()] == *"AA" {
        "BB"
    } else {
        "AA"
    };
    forged.replace_range(place, other);
    let other_claims = {
        let mut parts: Vec<&str> = right.split('.').collect();
        let mut changed = good.clone();
        changed["username"] = json!("somebody-else");
        let changed = URL_SAFE_NO_PAD.encode(changed.to_string());
        parts[1] = &changed;
        parts.join(".")
    };
    for (what, token) in [
        (
            "another issuer",
            with(
                "iss",
                json!("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_other"),
            ),
        ),
        (
            "another pool",
            with("iss", json!(format!("{}/us-east-1_other", world.url))),
        ),
        ("no issuer", without("iss")),
        ("expired", with("exp", json!(now - 120))),
        ("no end", without("exp")),
        ("not yet", with("nbf", json!(now + 600))),
        ("another client", with("client_id", json!("other"))),
        ("no client", without("client_id")),
        ("an id token", with("token_use", json!("id"))),
        ("no use", without("token_use")),
        ("nobody", without("sub")),
        ("no name", without("username")),
        (
            "no algorithm",
            by_hand(&json!({"alg": "none"}), &good, |_| Vec::new()),
        ),
        (
            "none, with the kid",
            by_hand(&json!({"alg": "none", "kid": kid}), &good, |_| Vec::new()),
        ),
        (
            "HS256 with the public key",
            hs256(world.endpoint.issuer().public_der()),
        ),
        (
            "HS256 with the PEM",
            hs256(world.endpoint.issuer().public_pem().into_bytes()),
        ),
        (
            "an unknown key",
            world.endpoint.issuer().sign(&good, Some("unheard-of")),
        ),
        (
            "no kid",
            by_hand(&json!({"alg": "RS256"}), &good, |_| vec![0; 256]),
        ),
        ("a wrong signature", forged),
        ("other claims", other_claims),
        ("cut off", right[..right.len() - 20].to_owned()),
        ("no token", "x".to_owned()),
        ("dots", "a.b.c".to_owned()),
    ] {
        let answer = api.ask_as(&token, "POST", PATH).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
        assert!(!answer.text.contains("key"), "{what}: tells too much");
    }
    // No call reached Cognito meanwhile.
    assert_eq!(world.faults.calls("AdminGetUser"), 0);
    assert_eq!(api.ask_as(&right, "POST", PATH).await.status, 404, "let in");
}

#[tokio::test]
async fn a_valid_token_without_admin_group_is_refused() {
    let api = Api::start(&[]).await;
    let world = &api.world;
    for (what, token) in [
        ("no groups", token(world, &claims(world, "admin", &[]))),
        (
            "other groups",
            token(world, &claims(world, "admin", &["STAFF", "admins"])),
        ),
    ] {
        let answer = api.ask_as(&token, "POST", PATH).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "not_administrator"),
            "{what}"
        );
    }
    let mut odd = claims(world, "admin", &[]);
    odd["cognito:groups"] = json!("ADMINS");
    let odd = token(world, &odd);
    assert_eq!(api.ask_as(&odd, "POST", PATH).await.status, 401);
    let answer = api
        .client
        .ask("POST", PATH, Some(json!({"username": "x"})), &[])
        .await;
    assert_eq!((answer.status, answer.code()), (401, "no_token"));
    let basic = [("authorization", "Basic YTpi")];
    let answer = api
        .client
        .ask("POST", PATH, Some(json!({"username": "x"})), &basic)
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_rotated_key_is_fetched_and_the_old_one_is_refused() {
    let api = Api::start(&[]).await;
    let world = &api.world;
    let good = claims(world, "admin", &["ADMINS"]);
    let old = token(world, &good);
    assert_eq!(api.ask_as(&old, "POST", PATH).await.status, 404);
    world.endpoint.issuer().rotate();
    let new = token(world, &good);
    assert_eq!(api.ask_as(&new, "POST", PATH).await.status, 404);
    assert_eq!(api.ask_as(&old, "POST", PATH).await.status, 401);
}

#[tokio::test]
async fn an_id_token_is_accepted_when_configured() {
    let api = Api::start(&[("admin.token_use", "id")]).await;
    let world = &api.world;
    let access = claims(world, "admin", &["ADMINS"]);
    let mut id = access.clone();
    id["token_use"] = json!("id");
    id["aud"] = access["client_id"].clone();
    id["cognito:username"] = json!("admin");
    let (access, id) = (token(world, &access), token(world, &id));
    assert_eq!(api.ask_as(&id, "POST", PATH).await.status, 404);
    assert_eq!(api.ask_as(&access, "POST", PATH).await.status, 401);
}

#[tokio::test]
async fn verify_membership_refuses_a_removed_administrator() {
    let api = Api::start(&[("admin.verify_membership", "true")]).await;
    let world = &api.world;
    world.create_user("admin").await;
    let right = token(world, &claims(world, "admin", &["ADMINS"]));
    let answer = api.ask_as(&right, "POST", PATH).await;
    assert_eq!((answer.status, answer.code()), (403, "not_administrator"));
    api.make_group("ADMINS").await;
    world
        .sandbox
        .add_to_group(&world.pool.id, "admin", "ADMINS")
        .await
        .expect("joined");
    assert_eq!(api.ask_as(&right, "POST", PATH).await.status, 404, "let in");
}

#[tokio::test]
async fn unreachable_keys_answer_503() {
    let api = Api::start(&[("admin.issuer", "http://127.0.0.1:1/{pool}")]).await;
    let world = &api.world;
    let mut good = claims(world, "admin", &["ADMINS"]);
    good["iss"] = json!(format!("http://127.0.0.1:1/{}", world.pool.id));
    let answer = api.ask_as(&token(world, &good), "POST", PATH).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn forged_tokens_do_not_block_an_administrator() {
    let api = Api::start(&[]).await;
    let world = &api.world;
    let admin = claims(world, "admin", &["ADMINS"]);
    let first = token(world, &admin);
    assert_eq!(api.ask_as(&first, "POST", PATH).await.status, 404, "let in");
    let kid = world.endpoint.issuer().jwk()["kid"].clone();
    let header = json!({"alg": "RS256", "kid": kid});
    let flood = stream::iter(0..1_000).map(|n| {
        let mut claims = admin.clone();
        claims["sub"] = json!(sub_of(&format!("stranger-{n}")));
        let forged = by_hand(&header, &claims, |_| vec![1; 256]);
        let api = &api;
        async move { api.ask_as(&forged, "POST", PATH).await }
    });
    let flood = flood.buffer_unordered(32).collect::<Vec<_>>();
    let visits = stream::iter(0..40).then(|n| {
        let mut renewed = admin.clone();
        renewed["jti"] = json!(format!("renewed-{n}"));
        let renewed = token(world, &renewed);
        let api = &api;
        async move { api.ask_as(&renewed, "POST", PATH).await.status }
    });
    let begun = std::time::Instant::now();
    let (flood, visits) = future::join(flood, visits.collect::<Vec<_>>()).await;
    // A hundred a second, with a burst of a hundred.
    let at_most = 100.0 * (begun.elapsed().as_secs_f64() + 1.0);
    assert_eq!(visits, [404; 40], "let in each time");
    let (checked, limited): (Vec<_>, Vec<_>) =
        flood.iter().partition(|answer| answer.status == 401);
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let count = checked.len() as f64;
    assert!(count > 0.0 && count <= at_most, "{count} of {at_most}");
    for answer in limited {
        assert_eq!((answer.status, answer.code()), (429, "too_many_requests"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}
