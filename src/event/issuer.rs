//! The issuers of a user pool's tokens.
//!
//! A user pool has two, and its `IssuerConfiguration` says which one new tokens name.
//! After a change, older tokens name the other one until they expire. So both are accepted
//! at any time. Each publishes the keys of the pool at `ISSUER/.well-known/jwks.json`.
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/federation-endpoints.html#user-pool-oidc-issuer>

use super::PoolId;

/// Which of its two issuers a user pool names in new tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerType {
    /// `https://cognito-idp.REGION.amazonaws.com/POOL`, Cognito's default.
    Original,
    /// `https://issuer-cognito-idp.REGION.amazonaws.com/POOL`, which AWS recommends, also
    /// for multi-Region replication. REGION is the primary one of a replicated pool.
    Updated,
}

/// DNS suffix of the partitions `aws` and `aws-us-gov`.
const DEFAULT_DNS_SUFFIX: &str = "amazonaws.com";
/// DNS suffixes of the other partitions, by the prefix of their Regions' names. A test of
/// `aws/jwks.rs` compares them with the SDK's.
const OTHER_DNS_SUFFIXES: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

impl IssuerType {
    /// Both issuers, the default one first.
    pub const ALL: [Self; 2] = [Self::Original, Self::Updated];

    /// The value of `Type` in `IssuerConfiguration`.
    ///
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html>
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "ORIGINAL",
            Self::Updated => "UPDATED",
        }
    }

    /// `None` for a name that AWS has added later.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The first label of the issuer's host.
    fn host_label(self) -> &'static str {
        match self {
            Self::Original => "cognito-idp",
            Self::Updated => "issuer-cognito-idp",
        }
    }

    /// The issuer of this pool, in the partition of its Region. `None` for an id that does not
    /// have the form `REGION_ID`, such as those of emulators.
    pub fn issuer_of(self, pool: &PoolId) -> Option<String> {
        let (region, id) = pool.as_str().split_once('_')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !is_region(region) || id.is_empty() || !id.chars().all(plain) {
            return None;
        }
        let suffix = OTHER_DNS_SUFFIXES
            .iter()
            .find(|(prefix, _)| region.starts_with(prefix))
            .map_or(DEFAULT_DNS_SUFFIX, |(_, suffix)| suffix);
        Some(format!(
            "https://{}.{region}.{suffix}/{pool}",
            self.host_label()
        ))
    }
}

/// Whether an issuer belongs to AWS. Its Region and pool may be placeholders.
pub(crate) fn is_aws_issuer(issuer: &str) -> bool {
    let (_, rest) = issuer.split_once("://").unwrap_or_default();
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let (label, domain) = host.split_once('.').unwrap_or_default();
    let mut suffixes = OTHER_DNS_SUFFIXES.iter().map(|(_, suffix)| *suffix);
    IssuerType::ALL
        .iter()
        .any(|kind| kind.host_label() == label)
        && (domain.ends_with(DEFAULT_DNS_SUFFIX) || suffixes.any(|suffix| domain.ends_with(suffix)))
}

/// The user pool that has this issuer.
pub(super) fn pool_of(issuer: &str) -> Option<PoolId> {
    let (_, id) = issuer.rsplit_once('/')?;
    let pool = PoolId::new(id)?;
    IssuerType::ALL
        .iter()
        .any(|kind| kind.issuer_of(&pool).as_deref() == Some(issuer))
        .then_some(pool)
}

/// Such as `eu-west-1` and `us-gov-west-1`: the common form of all of the SDK's partitions.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let plain = |part: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !part.is_empty() && part.chars().all(plain)
    };
    let ends_with_a_number = parts
        .last()
        .is_some_and(|part| part.chars().all(|c| c.is_ascii_digit()));
    parts.len() >= 3 && parts.iter().all(plain) && ends_with_a_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exact_aws_issuer_names_its_pool() {
        for (issuer, pool) in [
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_aB3",
                Some("eu-west-1_aB3"),
            ),
            (
                "https://issuer-cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_a",
                Some("cn-north-1_a"),
            ),
            (
                "https://issuer-cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_a",
                Some("eusc-de-east-1_a"),
            ),
            // Another partition's domain, another Region, another scheme, a longer path, …
            (
                "https://cognito-idp.eu-west-1.amazonaws.com.cn/eu-west-1_a",
                None,
            ),
            (
                "https://cognito-idp.cn-north-1.amazonaws.com/cn-north-1_a",
                None,
            ),
            (
                "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-1_a",
                None,
            ),
            (
                "http://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a",
                None,
            ),
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/x/eu-west-1_a",
                None,
            ),
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a/",
                None,
            ),
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a?x",
                None,
            ),
            (
                "https://example-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a",
                None,
            ),
            (
                "https://cognito-idp.evil.example/x.amazonaws.com/eu-west-1_a",
                None,
            ),
            ("https://cognito-idp.evil.amazonaws.com/evil_a", None),
            (
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_",
                None,
            ),
            ("http://127.0.0.1:4566/eu-west-1_a", None),
            ("", None),
        ] {
            let found = pool_of(issuer);
            assert_eq!(found.as_ref().map(PoolId::as_str), pool, "{issuer}");
        }
    }

    #[test]
    fn aws_issuer_with_placeholders_is_recognized() {
        for (issuer, expected) in [
            ("https://cognito-idp.{region}.amazonaws.com/{pool}", true),
            ("https://cognito-idp.{region}.amazonaws.com.cn/{pool}", true),
            (
                "https://issuer-cognito-idp.eu-west-1.amazonaws.com/{pool}",
                true,
            ),
            (
                "http://cognito-idp.localhost.localstack.cloud:4566/{pool}",
                false,
            ),
            ("http://127.0.0.1:9229/{pool}", false),
            (
                "https://example.com/cognito-idp.x.amazonaws.com/{pool}",
                false,
            ),
        ] {
            assert_eq!(is_aws_issuer(issuer), expected, "{issuer}");
        }
    }

    #[test]
    fn emulator_pool_id_has_no_aws_issuer() {
        assert_eq!(PoolId::new("eu-west-1_a/../b"), None);
        for id in ["local_abc", "eu-west-1", "x", "EU-west-1_a", "-_a"] {
            let pool = PoolId::new(id).expect("not empty");
            assert_eq!(IssuerType::Original.issuer_of(&pool), None, "{id}");
        }
    }
}
