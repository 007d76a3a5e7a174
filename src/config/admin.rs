//! Who may ask for what.

use std::collections::BTreeSet;

use super::reader::Reader;
use crate::event::{GroupName, IssuerType, PoolId, is_aws_issuer};

/// `[admin]`
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Members of one of these are administrators.
    pub groups: BTreeSet<GroupName>,
    /// The groups that an administrator may give and take.
    pub(crate) grantable: GrantableGroups,
    /// App clients whose tokens are taken; empty means any, and no HTTP API.
    pub client_ids: BTreeSet<String>,
    /// Which token the HTTP API takes.
    pub(crate) token_use: TokenUse,
    /// Issuers of an emulator's tokens, with `{region}` and `{pool}`; empty for AWS.
    pub issuers: Vec<String>,
    /// Whether Cognito is asked if an administrator still is one.
    pub verify_membership: bool,
    /// Requests a second that the HTTP API takes.
    pub rate: u32,
    /// Origins that a browser may call the HTTP API from.
    pub cors_origins: Vec<String>,
}

/// A kind of token, and the claim that names its app client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenUse {
    /// For calling an API; `client_id`.
    Access,
    /// For knowing who somebody is; `aud`.
    Id,
}

/// The groups that may be given: those that a pattern matches, but a group with
/// power only when a pattern is its very name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantableGroups {
    patterns: Vec<String>,
    privileged: BTreeSet<GroupName>,
}

impl GrantableGroups {
    /// Just these groups, whatever power they have.
    pub(crate) fn only(groups: &[GroupName]) -> Self {
        Self {
            patterns: groups
                .iter()
                .map(|group| group.as_str().to_owned())
                .collect(),
            privileged: groups.iter().cloned().collect(),
        }
    }

    /// Whether an administrator may give or take this group.
    pub(crate) fn allows(&self, group: &GroupName) -> bool {
        self.patterns.iter().any(|pattern| {
            pattern == group.as_str()
                || !self.privileged.contains(group) && matches(pattern, group.as_str())
        })
    }
}

impl AdminConfig {
    /// Whether one of these groups makes an administrator.
    pub(crate) fn is_admin(&self, groups: &BTreeSet<String>) -> bool {
        self.groups
            .iter()
            .any(|group| groups.contains(group.as_str()))
    }

    /// The issuers whose tokens of a pool are accepted. None for a pool that is not of
    /// AWS while no emulator is named.
    pub fn issuers_of(&self, pool: &PoolId) -> Vec<String> {
        if self.issuers.is_empty() {
            return IssuerType::ALL
                .into_iter()
                .filter_map(|kind| kind.issuer_of(pool))
                .collect();
        }
        let region = pool.as_str().split('_').next().unwrap_or_default();
        self.issuers
            .iter()
            .map(|issuer| {
                issuer
                    .replace("{region}", region)
                    .replace("{pool}", pool.as_str())
            })
            .collect()
    }
}

/// `*` stands for any text, also for none.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The groups that make an administrator. They are groups with power whether
/// or not `groups.privileged` names them.
pub(super) fn read_groups(read: &mut Reader<'_>) -> BTreeSet<GroupName> {
    const ADMIN_GROUPS_KEY: &str = "admin.groups";
    let groups: BTreeSet<GroupName> = super::groups::read_names(read, ADMIN_GROUPS_KEY)
        .into_iter()
        .collect();
    if groups.is_empty() && read.is_valid(ADMIN_GROUPS_KEY) {
        read.reject(ADMIN_GROUPS_KEY, "must name at least one group");
    }
    groups
}

pub(super) fn read(
    read: &mut Reader<'_>,
    groups: BTreeSet<GroupName>,
    privileged: BTreeSet<GroupName>,
) -> AdminConfig {
    let mut patterns = read.list("admin.grantable_groups");
    for pattern in &patterns {
        if GroupName::new(pattern).is_none() {
            let rule = format!("{pattern:?}: a group's name, with * for any text");
            read.reject("admin.grantable_groups", rule);
        }
    }
    patterns.retain(|pattern| !pattern.is_empty());
    let token_use = match read.text("admin.token_use").as_str() {
        "id" => TokenUse::Id,
        "access" => TokenUse::Access,
        _ => {
            if read.is_valid("admin.token_use") {
                read.reject("admin.token_use", "must be \"access\" or \"id\"");
            }
            TokenUse::Access
        }
    };
    AdminConfig {
        groups,
        grantable: GrantableGroups {
            patterns,
            privileged,
        },
        client_ids: read_client_ids(read),
        token_use,
        issuers: read_issuers(read),
        verify_membership: read.boolean("admin.verify_membership"),
        rate: read.integer("admin.rate", 1..=10_000),
        cors_origins: read_cors_origins(read),
    }
}

fn read_client_ids(read: &mut Reader<'_>) -> BTreeSet<String> {
    const CLIENT_IDS_KEY: &str = "admin.client_ids";
    let ids = read.list(CLIENT_IDS_KEY);
    let plain = |id: &String| !id.is_empty() && id.chars().all(|c| c.is_ascii_graphic());
    if !ids.iter().all(plain) {
        read.reject(CLIENT_IDS_KEY, "must be ids of app clients");
    }
    if !ids.is_empty() && read.list("pools.allowed").is_empty() {
        read.reject(
            CLIENT_IDS_KEY,
            "needs pools.allowed: the pools whose tokens are taken",
        );
    }
    ids.into_iter().collect()
}

fn read_issuers(read: &mut Reader<'_>) -> Vec<String> {
    const ISSUER_KEY: &str = "admin.issuer";
    let issuers = read.list(ISSUER_KEY);
    for issuer in &issuers {
        let is_url = issuer.starts_with("https://") || issuer.starts_with("http://");
        let filled = issuer.replace("{region}", "r").replace("{pool}", "p");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]".contains(c);
        if !is_url || !filled.chars().all(plain) || !issuer.contains("{pool}") {
            let rule = format!("{issuer:?} is no URL with {{pool}} in it, and perhaps {{region}}");
            read.reject(ISSUER_KEY, rule);
        } else if is_aws_issuer(issuer) {
            // One of the two would be refused, without a word.
            read.reject(
                ISSUER_KEY,
                "is for emulators: leave it empty, both issuers of a user pool of AWS are known",
            );
        }
    }
    issuers
}

fn read_cors_origins(read: &mut Reader<'_>) -> Vec<String> {
    const CORS_ORIGINS_KEY: &str = "admin.cors_origins";
    let origins = read.list(CORS_ORIGINS_KEY);
    for origin in &origins {
        let host = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        let is_host = |host: &str| {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
            !name.is_empty() && name.chars().all(plain) && port.parse::<u16>().is_ok()
        };
        if !host.is_some_and(is_host) {
            let rule = format!("{origin:?} is no origin, such as \"https://app.example.com\"");
            read.reject(CORS_ORIGINS_KEY, rule);
        }
    }
    origins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupName {
        GroupName::new(name).expect("valid")
    }

    fn grantable(patterns: &[&str]) -> GrantableGroups {
        GrantableGroups {
            patterns: patterns.iter().map(|&text| text.to_owned()).collect(),
            privileged: [group("ADMINS"), group("OWNERS")].into(),
        }
    }

    #[test]
    fn a_group_with_power_is_given_only_when_it_is_named() {
        let all = grantable(&["*"]);
        assert!(all.allows(&group("STAFF")));
        assert!(!all.allows(&group("ADMINS")));
        let named = grantable(&["*", "ADMINS"]);
        assert!(named.allows(&group("ADMINS")));
        assert!(!named.allows(&group("OWNERS")));
        assert!(!grantable(&["ADM*"]).allows(&group("ADMINS")));
        assert!(!grantable(&[]).allows(&group("STAFF")));
        let only = GrantableGroups::only(&[group("OWNERS"), group("a*")]);
        assert!(only.allows(&group("OWNERS")) && only.allows(&group("a*")));
        assert!(!only.allows(&group("STAFF")) && !only.allows(&group("ADMINS")));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("team-*", "team-a", true),
            ("team-*", "team-", true),
            ("team-*", "a-team-b", false),
            ("*-readers", "a-readers", true),
            ("*-readers", "readers", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("STAFF", "STAFF", true),
            ("STAFF", "STAFF2", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
