mod admin;
mod documents;
mod groups;
mod schema;

use super::layers::Setting;
use super::violation::ConfigSource;
use super::*;

fn layers(flags: &[&str]) -> Layers {
    let needed = [
        "queue.url=https://sqs.eu-west-1.amazonaws.com/1/usher",
        "profiles.table=Profiles",
    ];
    let flags: Vec<String> = needed
        .iter()
        .chain(flags)
        .map(|flag| (*flag).to_owned())
        .collect();
    Layers::defaults().flags(&flags)
}

fn valid(flags: &[&str]) -> Config {
    Config::from_layers(&layers(flags)).expect("valid")
}

fn violations(layers: &Layers) -> Vec<String> {
    let InvalidConfig(violations) = Config::from_layers(layers).expect_err("invalid");
    violations
        .into_iter()
        .map(|violation| violation.key)
        .collect()
}

fn with_file(text: &str) -> Layers {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("usher.toml");
    std::fs::write(&path, text).expect("written");
    layers(&[]).file(&path)
}

#[test]
fn the_defaults_have_the_documented_values() {
    let config = valid(&[]);
    assert_eq!(config.queue.visibility, Duration::from_mins(1));
    assert_eq!(config.queue.wait, Duration::from_secs(20));
    assert_eq!(config.queue.dead_letter_url, None);
    assert!(config.pools.allowed.is_empty());
    assert_eq!(
        config.groups.default,
        [GroupName::new("EVERYONE").expect("valid")]
    );
    assert!(config.groups.create_missing);
    assert_eq!(config.worker.concurrency.get(), 64);
    assert_eq!(config.worker.max_attempts, 8);
    assert_eq!(config.worker.drain, Duration::from_secs(25));
    assert_eq!(config.quota, crate::quota::Limits::default());
    let http = config.http;
    assert_eq!(http.listen.expect("on").to_string(), "127.0.0.1:8080");
    let public = http.public_listen.expect("on");
    assert_eq!(public.to_string(), "127.0.0.1:8081");
    let profiles = config.profiles.expect("on");
    assert_eq!(profiles.key, "id");
    let owner = profiles.owner.as_ref().map(OwnerAttribute::name);
    assert_eq!(owner, Some("profileOwner"));
    assert!(profiles.without_sign_up && profiles.owner_index.is_none());
    let names: Vec<&String> = profiles.attributes.keys().collect();
    assert_eq!(
        names,
        [
            "__typename",
            "createdAt",
            "email",
            "profileOwner",
            "updatedAt"
        ]
    );
}

#[test]
fn only_queue_and_table_have_no_default() {
    assert_eq!(
        violations(&Layers::defaults()),
        ["queue.url", "profiles.table"]
    );
}

#[test]
fn a_missing_setting_is_a_violation_only_where_it_is_required() {
    use Required::{DeadLetterQueue, Profiles, Queue};
    let dead_letter_url = "queue.dead_letter_url=https://sqs.eu-west-1.amazonaws.com/1/letters";
    for (flag, required, missing) in [
        (None, &[][..], &[][..]),
        (None, &[Queue], &["queue.url"]),
        (None, &[Profiles], &["profiles.table"]),
        (None, &[Profiles, Queue], &["queue.url", "profiles.table"]),
        (None, &[DeadLetterQueue], &["queue.url"]),
        (Some(dead_letter_url), &[DeadLetterQueue], &[]),
        (
            Some(dead_letter_url),
            &[DeadLetterQueue, Queue],
            &["queue.url"],
        ),
        (Some("profiles.enabled=false"), &[Profiles], &[]),
        // A value that breaks its rule is never accepted.
        (Some("queue.url=usher"), &[], &["queue.url"]),
        (Some("profiles.table=a b"), &[], &["profiles.table"]),
    ] {
        let flags: Vec<String> = flag.map(str::to_owned).into_iter().collect();
        let config = Config::for_command(&Layers::defaults().flags(&flags), required);
        let InvalidConfig(found) = config.err().unwrap_or(InvalidConfig(Vec::new()));
        let found: Vec<&str> = found.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(found, missing, "{flag:?} {required:?}");
    }
}

#[test]
fn every_error_is_reported_at_once_with_its_source() {
    let layers = layers(&[
        "worker.concurrency=0",
        "groups.default=A B,ADMINS",
        "nonsense.key=1",
    ])
    .environment([
        ("USHER_QUEUE__VISIBILITY".to_owned(), "soon".to_owned()),
        ("USHER_PROFILES__ATTRIBUTES".to_owned(), "x".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ]);
    let Err(invalid) = Config::from_layers(&layers) else {
        panic!("invalid")
    };
    let text = invalid.to_string();
    for part in [
        "worker.concurrency = \"0\" (flag --set): must be a whole number between 1 and 4096",
        "queue.visibility = \"soon\" (environment USHER_QUEUE__VISIBILITY): must be a duration",
        "nonsense.key (flag --set): no such key",
        "\"A B\": a group name has",
        "ADMINS is privileged",
        "profiles.attributes (environment USHER_PROFILES__ATTRIBUTES): can be set only in a file",
    ] {
        assert!(text.contains(part), "{part}\nis missing in\n{text}");
    }
    assert_eq!(invalid.0.len(), 6, "{text}");
}

#[test]
fn a_later_layer_overrides_an_earlier_one() {
    let layers = Layers::defaults()
        .environment([("USHER_WORKER__CONCURRENCY".to_owned(), "2".to_owned())])
        .flags(&["worker.concurrency=3".to_owned()]);
    let settings: BTreeMap<&str, &Setting> = layers.settings().collect();
    assert_eq!(settings["worker.concurrency"].source, ConfigSource::Flag);
    assert_eq!(
        settings["worker.max_attempts"].source,
        ConfigSource::Default
    );
}

#[test]
fn lists_are_comma_separated_outside_of_files() {
    let config = valid(&[
        "groups.default=EVERYONE, BETA,",
        "pools.allowed=eu-west-1_a,eu-west-1_b",
    ]);
    assert_eq!(config.groups.default.len(), 2);
    assert_eq!(config.pools.allowed.len(), 2);
    assert!(valid(&["groups.default="]).groups.default.is_empty());
    for (key, value) in [
        ("pools.allowed", ","),
        ("pools.allowed", " "),
        ("admin.client_ids", " , "),
        ("groups.default", ",,"),
        ("groups.default", r#"["EVERYONE"]"#),
        ("groups.privileged", "ADMINS;FINANCE"),
        ("groups.privileged", "ADM*"),
        ("admin.groups", "*"),
        ("pools.allowed", "eu-west-1_a b"),
    ] {
        let invalid = violations(&layers(&[&format!("{key}={value}")]));
        assert_eq!(invalid, [key], "{value:?}");
    }
}

#[test]
fn an_empty_file_is_a_violation_and_one_without_keys_is_not() {
    for text in ["", " \n\n"] {
        assert_eq!(violations(&with_file(text)), ["--config"]);
    }
    assert!(Config::from_layers(&with_file("# nothing is set here\n")).is_ok());
}

#[test]
fn the_drain_must_be_longer_than_the_long_poll() {
    assert_eq!(violations(&layers(&["worker.drain=24s"])), ["worker.drain"]);
    valid(&["worker.drain=6s", "queue.wait=1s"]);
    assert_eq!(violations(&layers(&["queue.wait=1500ms"])), ["queue.wait"]);
}

#[test]
fn credentials_in_a_queue_url_are_dropped() {
    for url in ["https://me:s3c@ret/pw@host/1/q", "https://host/1/q"] {
        let config = valid(&[&format!("queue.url={url}")]);
        assert_eq!(config.queue.url.as_deref(), Ok("https://host/1/q"), "{url}");
    }
}

#[test]
fn a_fifo_queue_and_an_invalid_url_are_refused() {
    for url in [
        "https://sqs.eu-west-1.amazonaws.com/1/q.fifo",
        "usher",
        "https://host/",
        "arn:aws:sqs:x:1:q",
    ] {
        assert_eq!(
            violations(&layers(&[&format!("queue.url={url}")])),
            ["queue.url"],
            "{url}"
        );
    }
}

#[test]
fn values_that_would_fail_every_message_are_refused() {
    let own = "queue.dead_letter_url=https://sqs.eu-west-1.amazonaws.com/1/usher";
    for (flag, key) in [
        (own, "queue.dead_letter_url"),
        ("profiles.table=User Profile", "profiles.table"),
        ("profiles.owner_index=by owner", "profiles.owner_index"),
        (
            "profiles.without_sign_up=sometimes",
            "profiles.without_sign_up",
        ),
        ("groups.default=EVERY\u{200b}ONE", "groups.default"),
        ("quota.user_update=NaN", "quota.user_update"),
        ("quota.user_update=inf", "quota.user_update"),
    ] {
        assert_eq!(violations(&layers(&[flag])), [key], "{flag}");
    }
    for pools in ["[\"\"]", "[\"eu-west-1_a b\"]"] {
        let layers = with_file(&format!("[pools]\nallowed = {pools}"));
        assert_eq!(violations(&layers), ["pools.allowed"], "{pools}");
    }
    let trimmed = with_file("[pools]\nallowed = [\" eu-west-1_a \"]");
    let config = Config::from_layers(&trimmed).expect("valid");
    assert!(
        config
            .pools
            .is_allowed(&PoolId::new("eu-west-1_a").expect("not empty"))
    );
}

#[test]
fn a_file_replaces_the_whole_profile_map() {
    let config =
        Config::from_layers(&with_file("[profiles.attributes]\nowner = \"{sub}\"")).expect("valid");
    let names: Vec<String> = config
        .profiles
        .expect("on")
        .attributes
        .into_keys()
        .collect();
    assert_eq!(names, ["owner"]);
    for invalid in [
        "id = \"{sub}\"",
        "a = \"{\"",
        "a = \"}\"",
        "a = \"{}\"",
        "a = \"{x\"",
        "a = 1",
    ] {
        let layers = with_file(&format!("[profiles.attributes]\n{invalid}"));
        assert_eq!(violations(&layers), ["profiles.attributes"], "{invalid}");
    }
}

#[test]
fn a_missing_file_and_invalid_toml_are_violations() {
    assert_eq!(
        violations(&layers(&[]).file("/nonexistent/usher.toml".as_ref())),
        ["--config"]
    );
    assert_eq!(violations(&with_file("queue = [")), ["--config"]);
}

#[test]
fn the_manual_explains_every_key_and_its_limits() {
    for (key, _) in Layers::defaults().settings() {
        let name = key.rsplit('.').next().expect("a name");
        let mut lines = DEFAULTS.lines().peekable();
        let mut explained = false;
        while let Some(line) = lines.next() {
            let next = lines.peek().copied().unwrap_or_default();
            explained |= line.starts_with('#')
                && (next.starts_with(&format!("{name} =")) || next == format!("[{key}]"));
        }
        assert!(explained, "{key} has no comment above it");
    }
}

#[test]
fn credentials_in_a_url_are_not_shown() {
    let shown = redact(
        "queue.url",
        &toml::Value::from("http://user:secret@host:1/q"),
    );
    assert_eq!(shown, toml::Value::from("http://***@host:1/q"));
    let secret = redact("invitations.client_secret", &toml::Value::from("s3cret"));
    assert_eq!(secret, toml::Value::from("***"));
}

/// The access settings of the Lambda, or the keys of the violations.
fn access(layers: &Layers) -> Result<AccessConfig, Vec<String>> {
    let TriggerConfig { access, .. } = TriggerConfig::from_layers(layers);
    access.map_err(|InvalidConfig(violations)| violations.into_iter().map(|it| it.key).collect())
}

#[test]
fn an_invalid_configuration_leaves_the_trigger_only_its_queue() {
    let variable = |name: &str| layers(&[]).environment([(name.to_owned(), "X".to_owned())]);
    for (layers, key) in [
        (
            layers(&[]).file("/nonexistent/usher.toml".as_ref()),
            "--config",
        ),
        (with_file("admin = ["), "--config"),
        (with_file("[admn]\ngroups = [\"X\"]"), "admn.groups"),
        (with_file("[admn]"), "admn"),
        (with_file("admin = 5"), "admin"),
        (with_file("[admin]\ngroup = [\"X\"]"), "admin.group"),
        (with_file("[admin.groups]\nX = true"), "admin.groups.X"),
        (with_file("[admin.groups]"), "admin.groups"),
        (variable("USHER_ADMN__GROUPS"), "admn.groups"),
        (variable("USHER_ADMIN_GROUPS"), "admin_groups"),
        (variable("USHER_CONFG"), "confg"),
        (variable("USHER_"), ""),
        (variable("USHER_GROUPS__RULES"), "groups.rules"),
        (layers(&["admin.groups="]), "admin.groups"),
        (layers(&["groups.default=A B"]), "groups.default"),
        (layers(&["pools.allowed=a b"]), "pools.allowed"),
        (layers(&["invitations.text=no link"]), "invitations.text"),
        (layers(&["admin.rate=many"]), "admin.rate"),
    ] {
        let trigger = TriggerConfig::from_layers(&layers);
        assert!(trigger.queue_url.is_ok(), "{key}");
        let keys = access(&layers).expect_err(key);
        assert_eq!(keys, [key]);
    }
    let keys = access(&layers(&["queue.url=usher"])).expect_err("no URL");
    assert_eq!(keys, ["queue.url"]);
}

#[test]
fn the_trigger_ignores_values_of_other_sections() {
    let layers = with_file("[http]\nlisten = \"\"\n[load]\n[profiles]\n[quota]\nprocesses = 3")
        .environment([
            ("USHER_CONFIG".to_owned(), "/var/task/usher.toml".to_owned()),
            ("USHER_WORKER__DRAIN".to_owned(), "40s".to_owned()),
            ("USHER".to_owned(), "somebody else's".to_owned()),
        ]);
    let read = access(&layers).expect("readable");
    assert!(read.mail().is_none() && read.pools().allowed.is_empty());
    let bare = TriggerConfig::from_layers(&Layers::defaults());
    assert!(bare.queue_url.is_err() && bare.access.is_ok());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_a_violation() {
    let name = |bytes: &[u8]| {
        use std::os::unix::ffi::OsStrExt;
        std::ffi::OsStr::from_bytes(bytes).to_owned()
    };
    let layers = layers(&[]).os_environment([
        (name(b"USHER_ADMIN__GROUPS"), name(b"OWN\xffERS")),
        (name(b"USHER_ADMIN__RATE\xff"), name(b"1")),
        (name(b"PATH\xff"), name(b"/bin\xff")),
        (name(b"USHER_CONFIG"), name(b"/odd\xff")),
    ]);
    assert_eq!(violations(&layers), ["admin.groups", "admin.rate\u{fffd}"]);
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    for (key, nearest) in [
        ("worker.max_atempts", "worker.max_attempts"),
        ("qeue.url", "queue.url"),
        ("profile.table", "profiles.table"),
    ] {
        let layers = layers(&[]).flags(&[format!("{key}=1")]);
        let rule = &layers.violations()[0].rule;
        assert_eq!(*rule, format!("no such key; did you mean {nearest}?"));
    }
}

#[test]
fn no_color_and_dumb_terminals_switch_colors_off() {
    let allowed = |no_color: Option<&str>, term: Option<&str>| {
        are_colors_allowed(no_color.map(OsStr::new), term.map(OsStr::new))
    };
    assert!(allowed(None, None));
    assert!(allowed(Some(""), Some("xterm-256color")));
    assert!(!allowed(Some("1"), Some("xterm-256color")));
    assert!(!allowed(None, Some("dumb")));
}

#[test]
fn credentials_in_a_list_of_urls_are_hidden() {
    let urls = toml::Value::Array(vec![
        "https://me:secret@host/x".into(),
        "https://host".into(),
    ]);
    let shown = redact("admin.issuer", &urls).to_string();
    assert_eq!(shown, r#"["https://***@host/x", "https://host"]"#);
}
