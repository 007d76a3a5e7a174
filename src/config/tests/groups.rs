//! Default groups, rules, and groups of tokens.

use super::*;

#[test]
fn a_rule_with_a_privileged_group_must_be_trusted() {
    let rule = |more: &str| with_file(&format!("[[groups.rules]]\ngroups = [\"ADMINS\"]\n{more}"));
    for condition in [
        "email_domain = \"example.com\"",
        "attribute = \"custom:a\"\nequals = \"b\"",
        "client_id = \"c\"",
    ] {
        assert_eq!(
            violations(&rule(condition)),
            ["groups.rules"],
            "{condition}"
        );
        let trusted = rule(&format!("{condition}\ntrusted = true"));
        let config = Config::from_layers(&trusted).expect("valid");
        assert_eq!(config.groups.rules.len(), 1);
    }
}

#[test]
fn invalid_group_rules_are_refused() {
    for rule in [
        "groups = [\"A\"]",
        "groups = []\nclient_id = \"c\"",
        "groups = [\"A\"]\nattribute = \"a\"",
        "groups = [\"A\"]\nemail_domain = \"a@b\"",
        "groups = [\"A\"]\nclient_metadata = \"x\"",
        "groups = [\"A B\"]\nclient_id = \"c\"",
        "groups = [\"A\"]\nattribute = \"a\"\nany_of = []",
        "groups = [\"A\"]\nattribute = \"a\"\nany_of = [\"b\", \"\"]",
        "groups = [\"A\"]\nattribute = \"a\"\nprefix = \"\"",
        "groups = [\"A\"]\nattribute = \"a\"\nequals = \"b\"\ncontains = \"c\"",
        "groups = [\"A\"]\ncontains = \"c\"",
        "groups_from = { attribute = \"a\", map = {} }",
        "groups_from = { attribute = \"\", map = { b = \"B\" } }",
        "groups_from = { attribute = \"a\", map = { \"\" = \"B\" } }",
        "groups_from = { attribute = \"a\", map = { b = \"B B\" } }",
        "groups_from = { attribute = \"a\", map = { b = \"ADMINS\" } }",
        "groups_from = { attribute = \"a\" }",
        "groups = [\"A\"]\ngroups_from = { attribute = \"a\", map = { b = \"B\" } }",
    ] {
        let layers = with_file(&format!("[[groups.rules]]\n{rule}"));
        assert_eq!(violations(&layers), ["groups.rules"], "{rule}");
    }
}

#[test]
fn groups_from_makes_a_rule_for_each_value_with_all_conditions() {
    let file = "[[groups.rules]]\ngroups = [\"WEB\"]\nclient_id = \"web\"\n
        [[groups.rules]]\nclient_id = \"sso\"\ntrusted = true
        groups_from = { attribute = \"custom:idp\", map = { \"it-admins\" = \"ADMINS\", all = \"A\" } }";
    let config = Config::from_layers(&with_file(file)).expect("valid");
    let found: Vec<(usize, String, usize)> = config.groups.rules[1..]
        .iter()
        .map(|rule| {
            (
                rule.place,
                rule.groups[0].to_string(),
                rule.conditions.len(),
            )
        })
        .collect();
    let expected = [(2, "A".to_owned(), 3), (2, "ADMINS".to_owned(), 3)];
    assert_eq!(found, expected);
}

#[test]
fn groups_in_tokens_are_not_written_and_cost_no_call() {
    let rules = "[[groups.rules]]\ngroups = [\"PRO\", \"TEAM\"]\nattribute = \"a\"\nequals = \"b\"
        [quota]\nuser_update = 24\n[groups]\ndefault = [\"A\", \"B\", \"C\"]";
    // A table begins with its own keys.
    let (rule, tables) = rules.split_once("[quota]").expect("two parts");
    let with = |in_token: &str| {
        let text = format!("[quota]{tables}\nin_token = {in_token}\n{rule}");
        Config::from_layers(&with_file(&text)).expect("valid")
    };
    for (in_token, rate, default) in [
        ("[]", 8.0, "A B C"),
        ("[\"A\"]", 12.0, "B C"),
        ("[\"A\", \"C\", \"TEAM\"]", 24.0, "B"),
    ] {
        let config = with(in_token);
        let names: Vec<&str> = config
            .groups
            .default
            .iter()
            .map(GroupName::as_str)
            .collect();
        assert_eq!(
            (config.sign_up_rate(), names.join(" ").as_str()),
            (rate, default)
        );
    }
    let groups = with("[\"A\", \"C\", \"TEAM\"]").groups;
    assert_eq!(groups.rules[0].groups.len(), 1);
    assert_eq!(groups.in_token.rules[0].groups[0].as_str(), "TEAM");
}

#[test]
fn a_group_in_tokens_must_be_given_and_harmless() {
    for file in [
        "[groups]\nin_token = [\"NOBODY\"]",
        "[groups]\nin_token = [\"WEB\"]\n[[groups.rules]]\ngroups = [\"WEB\"]\nclient_id = \"c\"",
        "[groups]\nin_token = [\"ADMINS\"]\n[[groups.rules]]\ngroups = [\"ADMINS\"]\n\
         attribute = \"a\"\nequals = \"b\"\ntrusted = true",
    ] {
        assert_eq!(violations(&with_file(file)), ["groups.in_token"], "{file}");
    }
}
