//! The groups that invitations will give, before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::Services;
use crate::config::{Config, GroupName};
use crate::event::{Invitation, PoolId, Scope, SignUp, UserAttributes, Username};
use crate::provision::groups_of_invited;
use crate::retry::retry_inline;

/// The groups of many invitations.
#[derive(Debug, Default)]
pub(crate) struct GroupPlan {
    /// The number of rows whose users would be added to a group.
    pub(crate) rows: BTreeMap<GroupName, usize>,
    /// The groups that refuse a row which names them, with the reason.
    pub(crate) refusals: BTreeMap<GroupName, &'static str>,
    /// Why it is not known whether a group exists.
    pub(crate) unknown: Vec<String>,
}

impl GroupPlan {
    /// Makes one call for each group that a row names.
    pub(crate) async fn new(
        services: &Services,
        pool: &PoolId,
        invitations: impl Iterator<Item = &Invitation>,
    ) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        let mut named = BTreeSet::new();
        for invitation in invitations {
            for group in planned_groups(&services.config, pool, invitation)? {
                *plan.rows.entry(group).or_default() += 1;
            }
            named.extend(invitation.groups.iter().cloned());
        }
        for group in named {
            plan.look_up(services, pool, group).await;
        }
        Ok(plan)
    }

    async fn look_up(&mut self, services: &Services, pool: &PoolId, group: GroupName) {
        let cognito = services.cognito();
        match retry_inline(|| cognito.has_group(pool, &group)).await {
            Ok(true) => {}
            Ok(false) => {
                self.refusals.insert(group, "group_not_found");
                return;
            }
            Err(failure) => {
                let text = format!("whether {group} exists is not known: {failure}");
                self.unknown.push(text);
            }
        }
        if !services.config.admin.grantable.allows(&group) {
            self.refusals.insert(group, "group_not_grantable");
        }
    }

    /// Whether the invitation asks for a group that is missing or not grantable.
    pub(crate) fn refuses(&self, invitation: &Invitation) -> bool {
        let mut groups = invitation.groups.iter();
        groups.any(|group| self.refusals.contains_key(group))
    }
}

/// The groups of the rules, and then those that only the invitation names.
fn planned_groups(
    config: &Config,
    pool: &PoolId,
    invitation: &Invitation,
) -> anyhow::Result<Vec<GroupName>> {
    let sign_up = sign_up(pool, invitation)?;
    Ok(groups_of_invited(config, &sign_up, invitation))
}

/// The sign-up that the group rules will see.
fn sign_up(pool: &PoolId, invitation: &Invitation) -> anyhow::Result<SignUp> {
    let given = invitation.attributes.iter();
    let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
    let email = [("email", &*invitation.email), ("email_verified", "true")];
    let username = invitation.sign_in_name().or_else(|| Username::new("-"));
    Ok(SignUp {
        pool: pool.clone(),
        username: username.ok_or_else(|| anyhow::anyhow!("a row without a name"))?,
        sub: None,
        client_id: None,
        attributes: given.chain(email).collect::<UserAttributes>(),
        scope: Scope::Full,
    })
}
