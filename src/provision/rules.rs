//! Selects the groups of a sign-up, and says what gives each. Makes no calls.

use std::fmt;

use crate::config::{Condition, GroupName, GroupRule, GroupsConfig};
use crate::event::{Scope, SignUp};

/// The groups within the sign-up's scope, without duplicates: the default groups and those of
/// every rule that holds, in the order of the configuration. A reconcile may name some of the
/// default groups instead. An old message does not bring back a group that is no longer one.
pub(crate) fn groups_for(groups: &GroupsConfig, sign_up: &SignUp) -> Vec<GroupName> {
    let not_privileged = |group: &GroupName| !groups.privileged.contains(group);
    match &sign_up.scope {
        Scope::Full => matching_groups(groups, sign_up),
        Scope::NoProfile | Scope::IfNoProfile => {
            let mut all = matching_groups(groups, sign_up);
            all.retain(not_privileged);
            all
        }
        Scope::Groups(named) => {
            let mut all = groups.default.clone();
            all.retain(|group| named.contains(group) && not_privileged(group));
            all
        }
    }
}

/// A part of the configuration that gives a group to a user.
#[derive(Debug)]
pub(crate) struct GroupSource<'a> {
    pub group: &'a GroupName,
    /// `None` for `groups.default`.
    rule: Option<&'a GroupRule>,
}

impl GroupSource<'_> {
    /// Whether the rule also asks for an app client. Only the event of the sign-up has it.
    pub(crate) fn depends_on_client(&self) -> bool {
        self.rule.is_some_and(GroupRule::asks_for_client)
    }
}

/// The place in the configuration with the names of the conditions, without their values.
impl fmt::Display for GroupSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rule) = self.rule else {
            return f.write_str("groups.default");
        };
        let names = rule.conditions.iter().map(|condition| match condition {
            Condition::EmailDomain(_) => "email_domain".to_owned(),
            Condition::Attribute { name, .. } => format!("attribute {name}"),
            Condition::ClientId(_) => "client_id".to_owned(),
        });
        let names: Vec<String> = names.collect();
        write!(f, "groups.rules {}: {}", rule.place, names.join(" and "))
    }
}

/// What gives a group to a user by their attributes, in the order of the configuration. The app
/// client is not known: a rule that asks for one is included if its other conditions hold.
pub(crate) fn group_sources<'a>(
    default: &'a [GroupName],
    rules: &'a [GroupRule],
    user: &SignUp,
) -> Vec<GroupSource<'a>> {
    let may_hold = |rule: &GroupRule| {
        rule.conditions
            .iter()
            .all(|condition| matches!(condition, Condition::ClientId(_)) || holds(condition, user))
    };
    let default = default.iter();
    let mut sources: Vec<GroupSource<'a>> = default
        .map(|group| GroupSource { group, rule: None })
        .collect();
    for rule in rules {
        if may_hold(rule) {
            let groups = rule.groups.iter();
            sources.extend(groups.map(|group| GroupSource {
                group,
                rule: Some(rule),
            }));
        }
    }
    sources
}

fn matching_groups(groups: &GroupsConfig, sign_up: &SignUp) -> Vec<GroupName> {
    let by_rule = groups
        .rules
        .iter()
        .filter(|rule| is_satisfied(rule, sign_up))
        .flat_map(|rule| &rule.groups);
    let mut all: Vec<GroupName> = Vec::with_capacity(groups.default.len());
    for group in groups.default.iter().chain(by_rule) {
        if !all.contains(group) {
            all.push(group.clone());
        }
    }
    all
}

fn is_satisfied(rule: &GroupRule, sign_up: &SignUp) -> bool {
    let mut conditions = rule.conditions.iter();
    conditions.all(|condition| holds(condition, sign_up))
}

fn holds(condition: &Condition, sign_up: &SignUp) -> bool {
    match condition {
        Condition::EmailDomain(domain) => has_verified_domain(sign_up, domain),
        Condition::Attribute { name, test } => {
            let value = sign_up.attributes.get(name);
            value.is_some_and(|value| test.holds(value)) && is_verified(sign_up, name)
        }
        Condition::ClientId(id) => sign_up.client_id.as_ref() == Some(id),
    }
}

fn has_verified_domain(sign_up: &SignUp, domain: &str) -> bool {
    let email = sign_up.attributes.get("email");
    let is_of_domain = email
        .and_then(|email| email.rsplit_once('@'))
        .is_some_and(|(_, of)| of.to_lowercase() == domain);
    is_of_domain && is_verified(sign_up, "email")
}

/// An address or a number proves nothing until it is verified, and a user can be confirmed
/// without that. Other attributes have no such flag.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html>
fn is_verified(sign_up: &SignUp, attribute: &str) -> bool {
    let flag = match attribute {
        "email" => "email_verified",
        "phone_number" => "phone_number_verified",
        _ => return true,
    };
    let verified = sign_up.attributes.get(flag);
    verified.is_some_and(|verified| verified.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TokenGroups, ValueTest};
    use crate::event::{PoolId, Scope, UserAttributes, Username};

    fn sign_up(client: Option<&str>, attributes: &[(&str, &str)]) -> SignUp {
        SignUp {
            pool: PoolId::new("eu-west-1_x").expect("not empty"),
            username: Username::new("someone").expect("not empty"),
            sub: None,
            client_id: client.map(str::to_owned),
            attributes: attributes.iter().copied().collect::<UserAttributes>(),
            scope: Scope::Full,
        }
    }

    fn group(name: &str) -> GroupName {
        GroupName::new(name).expect("valid")
    }

    fn groups(rules: Vec<(Vec<Condition>, &str)>) -> GroupsConfig {
        GroupsConfig {
            default: vec![group("EVERYONE")],
            rules: (1..)
                .zip(rules)
                .map(|(place, (conditions, name))| GroupRule {
                    place,
                    groups: vec![group(name)],
                    conditions,
                })
                .collect(),
            in_token: TokenGroups::default(),
            privileged: [].into(),
            create_missing: true,
        }
    }

    fn equals(name: &str, value: &str) -> Condition {
        Condition::Attribute {
            name: name.to_owned(),
            test: ValueTest::AnyOf(vec![value.to_owned()]),
        }
    }

    fn sources<'a>(groups: &'a GroupsConfig, user: &SignUp) -> Vec<GroupSource<'a>> {
        group_sources(&groups.default, &groups.rules, user)
    }

    fn given(groups: &GroupsConfig, sign_up: &SignUp) -> Vec<String> {
        groups_for(groups, sign_up)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_domain_counts_only_when_the_address_is_verified() {
        let groups = groups(vec![(
            vec![Condition::EmailDomain("example.com".into())],
            "STAFF",
        )]);
        let with = |email, verified| {
            given(
                &groups,
                &sign_up(None, &[("email", email), ("email_verified", verified)]),
            )
        };
        assert_eq!(with("a@example.com", "true"), ["EVERYONE", "STAFF"]);
        assert_eq!(with("a@EXAMPLE.com", "True"), ["EVERYONE", "STAFF"]);
        assert_eq!(with("a@example.com", "false"), ["EVERYONE"]);
        assert_eq!(with("a@example.com", ""), ["EVERYONE"]);
        assert_eq!(with("a@sub.example.com", "true"), ["EVERYONE"]);
        assert_eq!(with("a@notexample.com", "true"), ["EVERYONE"]);
        assert_eq!(with("a@example.com@evil.org", "true"), ["EVERYONE"]);
        assert_eq!(with("example.com", "true"), ["EVERYONE"]);
    }

    #[test]
    fn an_address_or_a_number_counts_only_when_it_is_verified() {
        for (name, flag, value) in [
            ("email", "email_verified", "a@example.com"),
            ("phone_number", "phone_number_verified", "+15550100"),
        ] {
            let groups = groups(vec![(vec![equals(name, value)], "STAFF")]);
            let with = |more: &[(&str, &str)]| {
                given(&groups, &sign_up(None, &[&[(name, value)], more].concat()))
            };
            assert_eq!(with(&[(flag, "true")]), ["EVERYONE", "STAFF"], "{name}");
            assert_eq!(with(&[(flag, "false")]), ["EVERYONE"], "{name}");
            assert_eq!(with(&[]), ["EVERYONE"], "{name}");
            let other = if name == "email" {
                "phone_number_verified"
            } else {
                "email_verified"
            };
            assert_eq!(with(&[(other, "true")]), ["EVERYONE"], "{name}");
        }
    }

    #[test]
    fn a_value_is_compared_whole_by_its_start_or_as_a_list() {
        let any_of = ["pro", "team"].map(str::to_owned).to_vec();
        let any_of = ValueTest::AnyOf(any_of);
        let prefix = ValueTest::Prefix("pro".to_owned());
        let contains = ValueTest::Contains("pro".to_owned());
        for (value, expected) in [
            ("pro", [true, true, true]),
            ("team", [true, false, false]),
            ("product", [false, true, false]),
            ("[team, pro]", [false, false, true]),
            ("[product, PRO]", [false, false, false]),
            ("", [false, false, false]),
        ] {
            let tests = [&any_of, &prefix, &contains];
            assert_eq!(tests.map(|test| test.holds(value)), expected, "{value}");
        }
    }

    #[test]
    fn all_conditions_of_a_rule_must_hold() {
        let plan = equals("custom:plan", "pro");
        let groups = groups(vec![(vec![plan, Condition::ClientId("web".into())], "PRO")]);
        let pro = [("custom:plan", "pro")];
        assert_eq!(
            given(&groups, &sign_up(Some("web"), &pro)),
            ["EVERYONE", "PRO"]
        );
        assert_eq!(given(&groups, &sign_up(Some("ios"), &pro)), ["EVERYONE"]);
        assert_eq!(given(&groups, &sign_up(None, &pro)), ["EVERYONE"]);
        assert_eq!(
            given(&groups, &sign_up(Some("web"), &[("custom:plan", "Pro")])),
            ["EVERYONE"]
        );
    }

    #[test]
    fn reconcile_scopes_give_no_privileged_or_retired_group() {
        let plan = |plan: &str| equals("custom:plan", plan);
        let rules = vec![(vec![plan("pro")], "PRO"), (vec![plan("pro")], "ADMINS")];
        let groups = GroupsConfig {
            privileged: [group("ADMINS")].into(),
            ..groups(rules)
        };
        let with = |scope| {
            let mut user = sign_up(None, &[("custom:plan", "pro")]);
            user.scope = scope;
            given(&groups, &user)
        };
        assert_eq!(with(Scope::Full), ["EVERYONE", "PRO", "ADMINS"]);
        assert_eq!(with(Scope::NoProfile), ["EVERYONE", "PRO"]);
        assert_eq!(with(Scope::IfNoProfile), ["EVERYONE", "PRO"]);
        let named = ["RETIRED", "ADMINS", "PRO", "EVERYONE", "EVERYONE"]
            .map(group)
            .to_vec();
        assert_eq!(with(Scope::Groups(named)), ["EVERYONE"]);
        assert!(with(Scope::Groups(vec![group("RETIRED")])).is_empty());
    }

    #[test]
    fn each_group_has_the_place_in_the_configuration_that_gives_it() {
        let staff = Condition::EmailDomain("example.com".into());
        let plan = equals("custom:plan", "pro");
        let other_plan = equals("custom:plan", "basic");
        let web = Condition::ClientId("web".into());
        let groups = groups(vec![
            (vec![staff.clone()], "STAFF"),
            (vec![other_plan.clone()], "BASIC"),
            (vec![staff, plan], "EVERYONE"),
            (vec![web.clone()], "WEB"),
            (vec![other_plan, web], "BASIC-WEB"),
        ]);
        let attributes = [
            ("email", "ada@example.com"),
            ("email_verified", "true"),
            ("custom:plan", "pro"),
        ];
        let found: Vec<(String, String, bool)> = sources(&groups, &sign_up(None, &attributes))
            .iter()
            .map(|it| (it.group.to_string(), it.to_string(), it.depends_on_client()))
            .collect();
        let expected = [
            ("EVERYONE", "groups.default", false),
            ("STAFF", "groups.rules 1: email_domain", false),
            (
                "EVERYONE",
                "groups.rules 3: email_domain and attribute custom:plan",
                false,
            ),
            ("WEB", "groups.rules 4: client_id", true),
        ];
        let expected =
            expected.map(|(group, source, client)| (group.to_owned(), source.to_owned(), client));
        assert_eq!(found, expected);
    }

    #[test]
    fn sources_name_every_group_that_a_sign_up_gives() {
        let with_client = |client: &str| vec![Condition::ClientId(client.into())];
        let domain = vec![Condition::EmailDomain("example.com".into())];
        let groups = groups(vec![(with_client("web"), "WEB"), (domain, "STAFF")]);
        for attributes in [
            &[("email", "a@example.com"), ("email_verified", "true")][..],
            &[("email", "a@example.com")],
            &[],
        ] {
            let known: Vec<String> = sources(&groups, &sign_up(None, attributes))
                .iter()
                .filter(|source| !source.depends_on_client())
                .map(|source| source.group.to_string())
                .collect();
            assert_eq!(known, given(&groups, &sign_up(None, attributes)));
        }
    }

    #[test]
    fn a_group_that_several_rules_give_is_given_once() {
        let rule = || (vec![Condition::ClientId("web".into())], "EVERYONE");
        let groups = groups(vec![rule(), rule()]);
        assert_eq!(given(&groups, &sign_up(Some("web"), &[])), ["EVERYONE"]);
    }
}
