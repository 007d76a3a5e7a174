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

/// Groups of a user pool that were listed a moment ago.
#[derive(Debug, Default)]
pub(crate) struct ListedGroups {
    pub(crate) names: BTreeSet<GroupName>,
    /// Whether the pool has no others.
    pub(crate) is_complete: bool,
}

impl ListedGroups {
    /// Whether the pool has the group, if that is known.
    fn has(&self, group: &GroupName) -> Option<bool> {
        let is_listed = self.names.contains(group);
        (is_listed || self.is_complete).then_some(is_listed)
    }
}

impl GroupPlan {
    /// Makes one call for each group that a row names and that is not known from `listed`.
    pub(crate) async fn new(
        services: &Services,
        pool: &PoolId,
        invitations: impl Iterator<Item = &Invitation>,
        listed: &ListedGroups,
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
            let exists = match listed.has(&group) {
                Some(exists) => exists,
                None => plan.look_up(services, pool, &group).await,
            };
            if !exists {
                plan.refusals.insert(group, "group_not_found");
            } else if !services.config.admin.grantable.allows(&group) {
                plan.refusals.insert(group, "group_not_grantable");
            }
        }
        Ok(plan)
    }

    /// False only if Cognito says that there is no such group.
    async fn look_up(&mut self, services: &Services, pool: &PoolId, group: &GroupName) -> bool {
        let cognito = services.cognito();
        let found = retry_inline(|| cognito.has_group(pool, group)).await;
        found.unwrap_or_else(|failure| {
            let text = format!("cannot tell whether group {group} exists: {failure}");
            self.unknown.push(text);
            true
        })
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::aws::cognito::fake::fake_aws;
    use crate::config::Layers;
    use crate::event::InvitationDraft;

    #[tokio::test]
    async fn only_groups_that_were_not_listed_are_looked_up() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let aws = fake_aws(move |operation, input| {
            assert_eq!(operation, "GetGroup");
            let name = input["GroupName"].as_str().expect("a name").to_owned();
            seen.lock().expect("no panic").push(name);
            let missing = json!({"__type": "ResourceNotFoundException"});
            (Duration::ZERO, 400, missing)
        });
        let flag = "admin.grantable_groups=*".to_owned();
        let config = Config::for_command(&Layers::defaults().flags(&[flag]), &[]).expect("valid");
        let services = Services::new(config, aws.await);
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let draft = InvitationDraft {
            email: "ada@mail.example".to_owned(),
            groups: Some(vec!["A".to_owned(), "B".to_owned()]),
            ..InvitationDraft::default()
        };
        let invitation = Invitation::new(draft).expect("valid");
        let a = || GroupName::parse("A").expect("a name");
        for (is_complete, calls) in [(true, &[][..]), (false, &["B"])] {
            let listed = ListedGroups {
                names: [a()].into(),
                is_complete,
            };
            let invitations = std::iter::once(&invitation);
            let plan = GroupPlan::new(&services, &pool, invitations, &listed).await;
            let refused: Vec<_> = plan.expect("a plan").refusals.into_iter().collect();
            let b = GroupName::parse("B").expect("a name");
            assert_eq!(refused, [(b, "group_not_found")]);
            assert_eq!(*asked.lock().expect("no panic"), calls);
        }
    }
}
