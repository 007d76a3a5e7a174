//! The rules that give groups by conditions on a sign-up.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::reader::Reader;
use crate::event::{FEDERATED_STATUS, GroupName, STATUS_ATTRIBUTE, has_item};

/// Groups for users who fulfil every condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRule {
    /// The entry of `groups.rules`, from 1. One with `groups_from` makes a rule for each value.
    pub place: usize,
    /// Never empty.
    pub groups: Vec<GroupName>,
    /// Never empty; all must hold.
    pub conditions: Vec<Condition>,
}

/// One condition of a group rule on the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The verified e-mail address has this domain, in lower case.
    EmailDomain(String),
    /// On the value of a user attribute; `email` and `phone_number` only when they are verified.
    Attribute {
        /// Name of the attribute, such as `custom:plan`.
        name: String,
        /// What the value must be.
        test: ValueTest,
    },
    /// The user signed up through this app client.
    ClientId(String),
}

/// What the value of an attribute must be. Texts are compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueTest {
    /// The whole value is one of these.
    AnyOf(Vec<String>),
    /// The value begins with this.
    Prefix(String),
    /// The value is a list that has this item, as an identity provider's groups.
    Contains(String),
}

impl ValueTest {
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self {
            Self::AnyOf(values) => values.iter().any(|it| it == value),
            Self::Prefix(prefix) => value.starts_with(prefix),
            Self::Contains(item) => has_item(value, item),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::AnyOf(values) => values.is_empty() || values.iter().any(String::is_empty),
            Self::Prefix(text) | Self::Contains(text) => text.is_empty(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    groups: Vec<String>,
    groups_from: Option<RawGroupsFrom>,
    email_domain: Option<String>,
    attribute: Option<String>,
    equals: Option<String>,
    any_of: Option<Vec<String>>,
    prefix: Option<String>,
    contains: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    trusted: bool,
}

/// Groups by the items of an attribute.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroupsFrom {
    attribute: String,
    map: BTreeMap<String, String>,
}

pub(super) fn read(read: &mut Reader<'_>, privileged: &BTreeSet<GroupName>) -> Vec<GroupRule> {
    const RULES_KEY: &str = "groups.rules";
    let Some(entries) = read.value(RULES_KEY).and_then(toml::Value::as_array) else {
        read.reject(
            RULES_KEY,
            "must be a list of tables, written [[groups.rules]]",
        );
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (place, entry) in (1..).zip(entries) {
        let checked = entry
            .clone()
            .try_into::<RawRule>()
            .map_err(|error| vec![error.message().to_owned()])
            .and_then(|raw| raw.check(place, privileged));
        match checked {
            Ok(checked) => rules.extend(checked),
            Err(errors) => {
                for error in errors {
                    read.reject(RULES_KEY, format!("rule {place}: {error}"));
                }
            }
        }
    }
    rules
}

impl RawRule {
    fn check(
        self,
        place: usize,
        privileged: &BTreeSet<GroupName>,
    ) -> Result<Vec<GroupRule>, Vec<String>> {
        let mut errors = Vec::new();
        let conditions = self.conditions(&mut errors);
        let mut group = |name: &String| {
            let group = GroupName::new(name);
            match &group {
                // Clients choose their app client and write their attributes, so the author
                // of the rule must confirm that the condition is safe.
                Some(group) if privileged.contains(group) && !self.trusted => errors.push(format!(
                    "{group} is privileged; a rule that gives it must say trusted = true"
                )),
                Some(_) => {}
                None => errors.push(format!("{name:?}: {}", GroupName::RULE)),
            }
            group
        };
        let groups: Vec<GroupName> = self.groups.iter().filter_map(&mut group).collect();
        let mut rules = Vec::new();
        if !groups.is_empty() {
            rules.push(GroupRule {
                place,
                groups,
                conditions: conditions.clone(),
            });
        }
        for (item, name) in self.groups_from.iter().flat_map(|from| &from.map) {
            let Some(group) = group(name) else { continue };
            rules.push(GroupRule {
                place,
                groups: vec![group],
                conditions: self.with_item(&conditions, item),
            });
        }
        self.check_shape(&conditions, &mut errors);
        if errors.is_empty() {
            Ok(rules)
        } else {
            Err(errors)
        }
    }

    /// The conditions of the rule, and that an identity provider has put this item into the
    /// attribute of `groups_from`. A client that writes mapped attributes lets its users write
    /// them too, but no one can write the status.
    fn with_item(&self, conditions: &[Condition], item: &str) -> Vec<Condition> {
        let from = self.groups_from.iter().flat_map(|from| {
            let item = ValueTest::Contains(item.to_owned());
            let federated = ValueTest::AnyOf(vec![FEDERATED_STATUS.to_owned()]);
            [
                (from.attribute.as_str(), item),
                (STATUS_ATTRIBUTE, federated),
            ]
        });
        let from = from.map(|(name, test)| Condition::Attribute {
            name: name.to_owned(),
            test,
        });
        conditions.iter().cloned().chain(from).collect()
    }

    /// Checks that the rule gives something, and not to everyone.
    fn check_shape(&self, conditions: &[Condition], errors: &mut Vec<String>) {
        if !errors.is_empty() {
            return;
        }
        if let Some(from) = &self.groups_from {
            if !self.groups.is_empty() {
                errors.push("groups and groups_from cannot be in one rule: make two".to_owned());
            }
            if from.attribute.is_empty() || from.map.is_empty() || from.map.contains_key("") {
                errors.push(
                    "groups_from needs an attribute, and a map from its values to groups, such as \
                     { \"idp-staff\" = \"STAFF\" }"
                        .to_owned(),
                );
            }
            return;
        }
        if self.groups.is_empty() {
            errors.push("groups must name at least one group".to_owned());
        }
        if conditions.is_empty() {
            errors.push(
                "needs a condition: email_domain, attribute with equals, any_of, prefix or \
                 contains, or client_id"
                    .to_owned(),
            );
        }
    }

    fn conditions(&self, errors: &mut Vec<String>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        if let Some(domain) = &self.email_domain {
            let domain = domain.trim().to_lowercase();
            if domain.is_empty() || domain.contains('@') {
                errors.push(
                    "email_domain is the part behind the @, such as \"example.com\"".to_owned(),
                );
            }
            conditions.push(Condition::EmailDomain(domain));
        }
        match (&self.attribute, self.value_tests().as_slice()) {
            (Some(name), [test]) if !name.is_empty() && !test.is_empty() => {
                conditions.push(Condition::Attribute {
                    name: name.clone(),
                    test: test.clone(),
                });
            }
            (None, []) => {}
            _ => errors.push(
                "attribute needs one of equals, any_of, prefix and contains, and none is empty"
                    .to_owned(),
            ),
        }
        if let Some(id) = &self.client_id {
            if id.is_empty() {
                errors.push("client_id is empty".to_owned());
            }
            conditions.push(Condition::ClientId(id.clone()));
        }
        conditions
    }

    /// The tests of the attribute.
    fn value_tests(&self) -> Vec<ValueTest> {
        let equals = self
            .equals
            .iter()
            .map(|it| ValueTest::AnyOf(vec![it.clone()]));
        let any_of = self.any_of.iter().map(|it| ValueTest::AnyOf(it.clone()));
        let prefix = self.prefix.iter().map(|it| ValueTest::Prefix(it.clone()));
        let contains = self
            .contains
            .iter()
            .map(|it| ValueTest::Contains(it.clone()));
        equals.chain(any_of).chain(prefix).chain(contains).collect()
    }
}
