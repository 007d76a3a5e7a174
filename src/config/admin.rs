//! Administrators, the groups that they may grant, and the tokens that the HTTP API accepts.

use std::collections::BTreeSet;

use super::reader::Reader;
use crate::event::{GroupName, IssuerType, PoolId, is_aws_issuer};

/// The section `[admin]` of the configuration.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Members of one of these groups are administrators.
    pub groups: BTreeSet<GroupName>,
    /// The groups that an administrator may add users to and remove them from.
    pub(crate) grantable: GrantableGroups,
    /// App clients whose tokens are accepted; empty means any, and no HTTP API.
    pub client_ids: BTreeSet<String>,
    pub(crate) token_use: TokenUse,
    /// Issuers of an emulator's tokens, with `{region}` and `{pool}`; empty for AWS.
    pub issuers: Vec<String>,
    /// Whether to ask Cognito if a requester is still an administrator.
    pub verify_membership: bool,
    /// Requests a second that the HTTP API accepts.
    pub rate: u32,
    /// Origins that a browser may call the HTTP API from.
    pub cors_origins: Vec<String>,
    /// Name or ARN of the table of requests; `None`: what becomes of them is only in the log.
    pub(crate) requests_table: Option<String>,
}

/// The kind of token that the HTTP API accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenUse {
    /// The claim `client_id` names the app client.
    Access,
    /// The claim `aud` names the app client.
    Id,
}

/// The groups that match a pattern. A privileged group matches only its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantableGroups {
    patterns: Vec<String>,
    privileged: BTreeSet<GroupName>,
}

impl GrantableGroups {
    /// Exactly these groups, also privileged ones.
    pub(crate) fn only(groups: &[GroupName]) -> Self {
        Self {
            patterns: groups
                .iter()
                .map(|group| group.as_str().to_owned())
                .collect(),
            privileged: groups.iter().cloned().collect(),
        }
    }

    /// Whether an administrator may add users to this group or remove them.
    pub(crate) fn allows(&self, group: &GroupName) -> bool {
        self.patterns.iter().any(|pattern| {
            pattern == group.as_str()
                || !self.privileged.contains(group) && matches(pattern, group.as_str())
        })
    }
}

impl AdminConfig {
    /// Whether a member of these groups is an administrator.
    pub(crate) fn is_admin(&self, groups: &BTreeSet<String>) -> bool {
        self.groups
            .iter()
            .any(|group| groups.contains(group.as_str()))
    }

    /// The accepted issuers of a pool's tokens. Empty if the pool is not one of AWS and no
    /// emulator is named.
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

/// `*` matches any text, also an empty one.
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

/// The groups of administrators. They are privileged even if `groups.privileged` does not
/// name them.
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
        requests_table: read_requests_table(read),
    }
}

fn read_requests_table(read: &mut Reader<'_>) -> Option<String> {
    const REQUESTS_TABLE_KEY: &str = "admin.requests_table";
    let table = read.text(REQUESTS_TABLE_KEY);
    if table.is_empty() {
        return None;
    }
    read.check_table_name(REQUESTS_TABLE_KEY, &table);
    if table == read.text("profiles.table") {
        let rule = "must be another table than profiles.table: its items are deleted after 30 days";
        read.reject(REQUESTS_TABLE_KEY, rule);
    }
    Some(table)
}

fn read_client_ids(read: &mut Reader<'_>) -> BTreeSet<String> {
    const CLIENT_IDS_KEY: &str = "admin.client_ids";
    let ids = read.list(CLIENT_IDS_KEY);
    let is_allowed = |id: &String| !id.is_empty() && id.chars().all(|c| c.is_ascii_graphic());
    if !ids.iter().all(is_allowed) {
        read.reject(CLIENT_IDS_KEY, "must be ids of app clients");
    }
    if !ids.is_empty() && read.list("pools.allowed").is_empty() {
        read.reject(
            CLIENT_IDS_KEY,
            "needs pools.allowed: the pools whose tokens are accepted",
        );
    }
    ids.into_iter().collect()
}

fn read_issuers(read: &mut Reader<'_>) -> Vec<String> {
    const ISSUER_KEY: &str = "admin.issuer";
    let issuers = read.list(ISSUER_KEY);
    for issuer in &issuers {
        let is_url = issuer.starts_with("https://") || issuer.starts_with("http://");
        let example = issuer.replace("{region}", "r").replace("{pool}", "p");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]".contains(c);
        if !is_url || !example.chars().all(is_allowed) || !issuer.contains("{pool}") {
            let rule =
                format!("{issuer:?} is not a URL with {{pool}} in it, and perhaps {{region}}");
            read.reject(ISSUER_KEY, rule);
        } else if is_aws_issuer(issuer) {
            // A pool of AWS has two issuers; the one not named would be refused silently.
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
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        let is_host = |host: &str| {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
            !name.is_empty() && name.chars().all(is_allowed) && port.parse::<u16>().is_ok()
        };
        if !host.is_some_and(is_host) {
            let rule = format!("{origin:?} is not an origin, such as \"https://app.example.com\"");
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
    fn a_privileged_group_is_allowed_only_by_its_full_name() {
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
    fn a_star_matches_any_text() {
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
