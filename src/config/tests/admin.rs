//! Keys of administrators, their API and invitation mails.

use super::*;

#[test]
fn groups_of_administrators_are_privileged() {
    assert_eq!(
        violations(&layers(&["admin.groups=BOSSES", "groups.default=BOSSES"])),
        ["groups.default"]
    );
    let config = valid(&["admin.groups=BOSSES"]);
    let allows = |name| {
        config
            .admin
            .grantable
            .allows(&GroupName::new(name).expect("valid"))
    };
    assert!(!allows("BOSSES") && !allows("ADMINS") && allows("STAFF"));
}

#[test]
fn an_admin_api_that_would_accept_any_token_is_refused() {
    let pool = "pools.allowed=eu-west-1_x";
    assert_eq!(
        violations(&layers(&["admin.client_ids=c"])),
        ["admin.client_ids"]
    );
    assert!(
        valid(&["admin.client_ids=c", pool])
            .admin
            .client_ids
            .contains("c")
    );
    for invalid in [
        "admin.issuer=https://example.com",
        "admin.issuer={pool}",
        "admin.token_use=refresh",
        "admin.cors_origins=*",
        "admin.cors_origins=https://a.example/path",
        "admin.cors_origins=https://a:b:c",
        "admin.issuer=https://example.com/{pool}{other}",
        "admin.issuer=http://127.0.0.1:4566/{pool},http://127.0.0.1:4566",
        "admin.issuer=https://cognito-idp.{region}.amazonaws.com.cn/{pool}",
        "admin.issuer=https://issuer-cognito-idp.eu-west-1.amazonaws.com/{pool}",
        "admin.rate=0",
        "admin.grantable_groups=a b",
    ] {
        let key = invalid.split('=').next().expect("a key");
        assert_eq!(violations(&layers(&[invalid])), [key], "{invalid}");
    }
}

#[test]
fn the_issuers_are_those_of_aws_unless_an_emulator_is_named() {
    let issuers = |flags: &[&str], pool: &str| {
        let pool = crate::event::PoolId::new(pool).expect("id");
        valid(flags).admin.issuers_of(&pool)
    };
    assert_eq!(
        issuers(&[], "eu-west-1_x"),
        [
            "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x",
            "https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x",
        ]
    );
    assert_eq!(issuers(&[], "local_x"), [""; 0]);
    assert_eq!(
        issuers(&["admin.issuer=http://127.0.0.1:9229/{pool}"], "local_x"),
        ["http://127.0.0.1:9229/local_x"]
    );
    assert_eq!(
        issuers(
            &["admin.issuer=http://a/{region}/{pool},http://b/{pool}"],
            "r_x"
        ),
        ["http://a/r/r_x", "http://b/r_x"]
    );
}

#[test]
fn the_two_http_servers_need_different_addresses() {
    let same = "http.public_listen=127.0.0.1:8080";
    assert!(!valid(&[same]).has_public_server());
    let api = ["admin.client_ids=c", "pools.allowed=eu-west-1_x"];
    let accept = ["invitations.client_id=c", "pools.allowed=eu-west-1_x"];
    let console = ["console.client_id=c", "pools.allowed=eu-west-1_x"];
    for on in [api, accept, console] {
        assert!(valid(&on).has_public_server());
        let invalid = violations(&layers(&[on[0], on[1], same]));
        assert_eq!(invalid, ["http.public_listen"]);
        let any_port = ["http.listen=127.0.0.1:0", "http.public_listen=127.0.0.1:0"];
        valid(&[on[0], on[1], any_port[0], any_port[1]]);
    }
    for on in [api, accept] {
        let neither = valid(&[on[0], on[1], "http.listen=", "http.public_listen="]);
        assert!(neither.http.listen.is_none() && neither.http.public_listen.is_none());
    }
}

#[test]
fn a_mail_without_link_or_code_is_refused() {
    let text = |text: &str| format!("invitations.text={text}");
    for fine in ["{link}", "{username} {code}", "<{link}> {given_name}"] {
        valid(&[&text(fine)]);
    }
    for invalid in ["", "{username}", "{code}", "{link", "hello"] {
        assert_eq!(
            violations(&layers(&[&text(invalid)])),
            ["invitations.text"],
            "{invalid}"
        );
    }
    for invalid in [
        "invitations.html=<p>{username}</p>",
        "invitations.subject={code}",
        "invitations.accept_url=http://example.com/accept",
        "invitations.accept_url=https://example.com/accept#x",
        "invitations.accept_url=javascript:alert(1)",
        "invitations.accept_url=http://127.0.0.1:80@example.com/",
        "invitations.client_id=c",
        "invitations.done_url=/home",
        "invitations.contact=it@example.com",
        "invitations.client_secret=x",
    ] {
        let key = invalid.split('=').next().expect("a key");
        assert_eq!(violations(&layers(&[invalid])), [key], "{invalid}");
    }
    let mail = valid(&["invitations.accept_url=http://localhost:8080/accept"]);
    assert!(mail.invitations.page.is_none());
}

#[test]
fn a_brand_is_one_short_line() {
    let pages = ["invitations.client_id=c", "pools.allowed=eu-west-1_x"];
    let read = |brand: &str| {
        let page = valid(&[brand, pages[0], pages[1]]).invitations.page;
        page.expect("a page").brand
    };
    assert_eq!(read("invitations.brand="), "");
    assert_eq!(read("invitations.brand= Zoë & <Söhne> "), "Zoë & <Söhne>");
    let longest = "ä".repeat(60);
    assert_eq!(read(&format!("invitations.brand={longest}")), longest);
    for (invalid, rule) in [
        (
            format!("{longest}ä"),
            "must be one line of at most 60 characters",
        ),
        (
            "Two\nlines".to_owned(),
            "must be one line of at most 60 characters",
        ),
        (
            "Ex\u{200b}ample".to_owned(),
            "character 3 is invisible (U+200B)",
        ),
        (
            "\u{202e}elpmaxE".to_owned(),
            "character 1 is invisible (U+202E)",
        ),
    ] {
        let layers = layers(&[&format!("invitations.brand={invalid}")]);
        let InvalidConfig(violations) = Config::from_layers(&layers).expect_err("invalid");
        assert_eq!(violations.len(), 1, "{invalid:?}");
        assert_eq!(violations[0].key, "invitations.brand");
        assert!(violations[0].rule.starts_with(rule), "{violations:?}");
    }
}

#[test]
fn an_invalid_app_client_id_is_refused() {
    const POOL_FLAG: &str = "pools.allowed=eu-west-1_x";
    let longest = "a".repeat(128);
    for fine in ["1h57kf5cpq17m0eml12EXAMPLE", "a_b+c", &longest] {
        valid(&[&format!("invitations.client_id={fine}"), POOL_FLAG]);
    }
    for invalid in ["a-b", "a b", "a.b", "clé", &format!("{longest}a")] {
        let flag = format!("invitations.client_id={invalid}");
        let violations = violations(&layers(&[&flag, POOL_FLAG]));
        assert_eq!(violations, ["invitations.client_id"], "{invalid}");
    }
}

#[test]
fn a_console_needs_a_pool_and_an_address() {
    assert!(valid(&[]).console.is_none(), "off by default");
    let on = ["console.client_id=c", "pools.allowed=eu-west-1_x"];
    let client = valid(&[on[0], on[1], "console.client_secret=s3cret"]).console;
    let client = client.expect("a client");
    assert_eq!(
        (client.id.as_str(), client.secret.as_deref()),
        ("c", Some("s3cret"))
    );
    assert!(!format!("{client:?}").contains("s3cret"));
    for (flags, key) in [
        (vec![on[0]], "console.client_id"),
        (
            vec![on[0], on[1], "http.public_listen="],
            "console.client_id",
        ),
        (vec!["console.client_id=a-b", on[1]], "console.client_id"),
        (vec!["console.client_secret=x"], "console.client_secret"),
    ] {
        assert_eq!(violations(&layers(&flags)), [key], "{flags:?}");
    }
}

#[test]
fn a_character_that_cognito_refuses_is_named_with_its_key() {
    for (flag, key, character) in [
        (
            "invitations.subject=Viens\u{a0}!",
            "invitations.subject",
            "U+00A0",
        ),
        (
            "invitations.subject=👩\u{200d}👧",
            "invitations.subject",
            "U+200D",
        ),
        ("invitations.text={link}\u{7}", "invitations.text", "U+0007"),
        (
            "invitations.text={link}\u{85}x",
            "invitations.text",
            "U+0085",
        ),
        (
            "invitations.html={link}\u{fffe}",
            "invitations.html",
            "U+FFFE",
        ),
    ] {
        let layers = layers(&[flag]);
        assert_eq!(violations(&layers), [key], "{flag:?}");
        let InvalidConfig(violations) = Config::from_layers(&layers).expect_err("invalid");
        assert!(
            violations[0].rule.contains(character),
            "{}",
            violations[0].rule
        );
    }
    // These become references in HTML.
    for flag in [
        "invitations.text={link} \u{a0}می\u{200c}خواهم 👩\u{200d}👧",
        "invitations.html={link}\u{202f}so\u{ad}ft\r\n\tx",
        "invitations.subject=Komm — «é» 👩🏽 ९",
    ] {
        valid(&[flag]);
    }
}
