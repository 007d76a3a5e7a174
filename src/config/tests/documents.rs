//! The file, and its text in `USHER_CONFIG_TOML`.

use std::path::Path;

use super::*;

fn with_text(text: &str) -> Layers {
    layers(&[]).file_or_text(None, Some(OsStr::new(text)))
}

fn errors(layers: &Layers) -> String {
    let invalid = Config::from_layers(layers).expect_err("invalid");
    invalid.to_string()
}

#[test]
fn the_text_of_a_file_sets_what_a_file_sets() {
    let layers = with_text(
        "[worker]\nconcurrency = 2\n\n[[groups.rules]]\ngroups = [\"BETA\"]\n\
         email_domain = \"example.com\"\n[profiles.attributes]\nowner = \"{sub}\"\n",
    );
    let config = Config::from_layers(&layers).expect("valid");
    assert_eq!(config.worker.concurrency.get(), 2);
    assert_eq!(config.groups.rules.len(), 1);
    assert_eq!(config.profiles.expect("on").attributes.len(), 1);
    let shown: BTreeMap<String, String> = layers
        .effective()
        .into_iter()
        .map(|setting| (setting.key, setting.source))
        .collect();
    for (key, line) in [
        ("worker.concurrency", 2),
        ("groups.rules", 4),
        ("profiles.attributes", 7),
    ] {
        assert_eq!(
            shown[key],
            format!("environment USHER_CONFIG_TOML, line {line}")
        );
    }
}

#[test]
fn variables_override_the_text() {
    let layers = with_text("worker.concurrency = 2")
        .environment([("USHER_WORKER__CONCURRENCY".to_owned(), "3".to_owned())]);
    let config = Config::from_layers(&layers).expect("valid");
    assert_eq!(config.worker.concurrency.get(), 3);
}

#[test]
fn an_error_in_the_text_names_variable_and_line() {
    for (text, error) in [
        (
            "# ours\n[worker]\nconcurrency = 0\n",
            "worker.concurrency = 0 (environment USHER_CONFIG_TOML, line 3): must be a whole number",
        ),
        (
            "[worker]\n\nconcurency = 1\n",
            "worker.concurency (environment USHER_CONFIG_TOML, line 3): no such key",
        ),
        (
            "[worker]\nconcurrency = [\n",
            "USHER_CONFIG_TOML (environment USHER_CONFIG_TOML, line 2): is not TOML: ",
        ),
        (
            "\n\n[pools]\nallowed = 99999999999999999999\n",
            "USHER_CONFIG_TOML (environment USHER_CONFIG_TOML, line 4): is not TOML: ",
        ),
        (
            " \n",
            "USHER_CONFIG_TOML (environment USHER_CONFIG_TOML): is empty",
        ),
    ] {
        let found = errors(&with_text(text));
        assert!(found.contains(error), "{error}\nis missing in\n{found}");
    }
}

#[test]
fn an_error_in_a_file_names_its_line() {
    let found = errors(&with_file("[worker]\n# eight\nmax_attempts = \"8x\"\n"));
    assert!(found.contains("/usher.toml, line 3): must be"), "{found}");
}

#[test]
fn a_file_and_a_text_at_once_are_a_violation() {
    let file = Path::new("/etc/usher.toml");
    let both = layers(&[]).file_or_text(Some(file), Some(OsStr::new("worker.concurrency = 2")));
    let found = errors(&both);
    let error = "USHER_CONFIG_TOML (environment USHER_CONFIG_TOML): is set together with \
                 USHER_CONFIG: unset one of them";
    assert!(found.contains(error), "{found}");
    let neither = layers(&[]).file_or_text(None, None);
    assert!(Config::from_layers(&neither).is_ok());
}

#[test]
fn the_variables_of_file_and_text_name_no_key() {
    let layers = layers(&[]).environment([
        ("USHER_CONFIG".to_owned(), "/etc/usher.toml".to_owned()),
        (
            "USHER_CONFIG_TOML".to_owned(),
            "worker.drain = 1".to_owned(),
        ),
    ]);
    assert!(Config::from_layers(&layers).is_ok());
}

#[cfg(unix)]
#[test]
fn a_text_that_is_not_unicode_is_a_violation() {
    use std::os::unix::ffi::OsStrExt;
    let text = OsStr::from_bytes(b"# caf\xe9");
    let layers = layers(&[]).file_or_text(None, Some(text));
    assert_eq!(violations(&layers), ["USHER_CONFIG_TOML"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_what_names_it() {
    let path = Path::new("/nonexistent/usher.toml");
    for (layers, named) in [
        (layers(&[]).file(path), "--config (file /nonexistent"),
        (
            layers(&[]).file_or_text(Some(path), None),
            "USHER_CONFIG (file /nonexistent",
        ),
    ] {
        let found = errors(&layers);
        assert!(found.contains(named), "{named}: {found}");
    }
}
