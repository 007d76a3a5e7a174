//! What can be done about a user. Buttons and handlers ask the same table, [`Action::refusal`].

use std::slice;

use crate::admin::UserView;
use crate::config::{AdminConfig, Config, GroupName};
use crate::users::{Additions, UserReport, groups_command, pool_option};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Provision,
    AddToGroup,
    RemoveFromGroup,
    ResendInvitation,
    SignOut,
    Disable,
    Enable,
}

impl Action {
    const ALL: [Self; 7] = [
        Self::Provision,
        Self::AddToGroup,
        Self::RemoveFromGroup,
        Self::ResendInvitation,
        Self::SignOut,
        Self::Disable,
        Self::Enable,
    ];

    /// The actions that need no group, in the order of the page.
    pub(super) const WITHOUT_GROUP: [Self; 5] = [
        Self::Provision,
        Self::ResendInvitation,
        Self::Enable,
        Self::SignOut,
        Self::Disable,
    ];

    /// The action whose path ends with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// The last part of its path.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::AddToGroup => "add-to-group",
            Self::RemoveFromGroup => "remove-from-group",
            Self::ResendInvitation => "resend-invitation",
            Self::SignOut => "sign-out",
            Self::Disable => "disable",
            Self::Enable => "enable",
        }
    }

    /// The text of its button.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Provision => "Provision now",
            Self::AddToGroup => "Add to group",
            Self::RemoveFromGroup => "Remove from group",
            Self::ResendInvitation => "Resend the invitation",
            Self::SignOut => "Sign out everywhere",
            Self::Disable => "Disable",
            Self::Enable => "Enable",
        }
    }

    /// The style of its button.
    pub(super) fn style(self) -> &'static str {
        match self {
            Self::Provision | Self::Enable => "primary",
            Self::Disable | Self::RemoveFromGroup => "danger",
            _ => "secondary",
        }
    }

    pub(super) fn needs_group(self) -> bool {
        matches!(self, Self::AddToGroup | Self::RemoveFromGroup)
    }

    /// Why it is not possible for this user now.
    pub(super) fn refusal<'a>(
        self,
        view: &UserView,
        report: &'a UserReport,
        group: Option<&GroupName>,
    ) -> Option<&'a str> {
        let user = &view.user;
        let is_member = group.is_some_and(|group| view.groups.contains(group));
        match self {
            Self::Provision => report.additions().err(),
            Self::AddToGroup if is_member => Some("the user is in the group"),
            Self::RemoveFromGroup if !is_member => Some("the user is not in the group"),
            Self::ResendInvitation if !user.is_invited() => Some("no invitation is open"),
            Self::ResendInvitation | Self::Disable if !user.enabled => Some("the user is disabled"),
            Self::Enable if user.enabled => Some("the user is enabled"),
            _ => None,
        }
    }

    /// Why an administrator may not do it: they would lose their own power, or take from others what
    /// they may not give.
    pub(super) fn forbidden(
        self,
        admin: &AdminConfig,
        view: &UserView,
        is_self: bool,
        group: Option<&GroupName>,
    ) -> Option<&'static str> {
        let grantable = &admin.grantable;
        match self {
            Self::Disable | Self::Enable if is_self => {
                Some("you cannot disable or enable yourself")
            }
            Self::RemoveFromGroup
                if is_self && group.is_some_and(|it| admin.groups.contains(it)) =>
            {
                Some("you cannot remove yourself from the administrators")
            }
            Self::AddToGroup | Self::RemoveFromGroup
                if !group.is_some_and(|it| grantable.allows(it)) =>
            {
                Some("administrators may not give or take this group")
            }
            Self::Disable | Self::Enable | Self::SignOut
                if !is_self && !view.groups.iter().all(|it| grantable.allows(it)) =>
            {
                Some("the user is in a group that administrators may not give or take")
            }
            _ => None,
        }
    }

    /// What it will do.
    pub(super) fn effect(self, report: &UserReport, group: Option<&GroupName>) -> String {
        let group = group.map_or("", GroupName::as_str);
        match self {
            Self::Provision => {
                let adds = report.additions().map(Additions::describe);
                let adds = adds.unwrap_or_default();
                format!("A sign-up of this user goes on the queue. A worker then adds {adds}.")
            }
            Self::AddToGroup => format!(
                "The user becomes a member of {group}. Applications see it in the next token."
            ),
            Self::RemoveFromGroup => {
                format!("The user leaves {group}. Earlier tokens name it until they expire.")
            }
            Self::ResendInvitation => "Cognito sends the invitation again, with a new code. The \
                                       earlier code is no longer valid."
                .to_owned(),
            Self::SignOut => "Cognito no longer accepts the access tokens and refresh tokens of \
                              this user. An application that verifies tokens itself accepts them \
                              until they expire. The user can sign in again at once."
                .to_owned(),
            Self::Disable => "The user can no longer sign in, and Cognito revokes their access \
                              tokens. Groups and profile stay."
                .to_owned(),
            Self::Enable => "The user can sign in again.".to_owned(),
        }
    }

    /// What it has done.
    pub(super) fn done(self, group: Option<&GroupName>) -> String {
        let group = group.map_or("", GroupName::as_str);
        match self {
            Self::Provision => "queued".to_owned(),
            Self::AddToGroup => format!("the user is a member of {group}"),
            Self::RemoveFromGroup => format!("the user is no longer a member of {group}"),
            Self::ResendInvitation => "Cognito has sent the mail".to_owned(),
            Self::SignOut => "the user is signed out".to_owned(),
            Self::Disable => "the user is disabled".to_owned(),
            Self::Enable => "the user is enabled".to_owned(),
        }
    }

    /// The command that does the same. It names the user by `sub`: a user name may be an address.
    pub(super) fn command(
        self,
        config: &Config,
        report: &UserReport,
        sub: &str,
        group: Option<&GroupName>,
    ) -> String {
        let pool = &report.pool;
        let groups = group.map_or(&[][..], slice::from_ref);
        let pool_option = pool_option(config, pool);
        let aws = |verb: &str| {
            // The Admin calls know federated users only by name.
            let is_federated = report.user.status == "EXTERNAL_PROVIDER";
            let name = if is_federated { "USER" } else { sub };
            format!("aws cognito-idp {verb} --user-pool-id {pool} --username {name}")
        };
        match self {
            Self::Provision => format!("usher users show {sub}{pool_option} --fix"),
            Self::AddToGroup => groups_command(config, pool, "add", sub, groups),
            Self::RemoveFromGroup => groups_command(config, pool, "remove", sub, groups),
            // `usher users invite --resend` also adds groups and writes the profile.
            Self::ResendInvitation => format!(
                "aws cognito-idp admin-create-user --user-pool-id {pool} --username USER \
                 --message-action RESEND --desired-delivery-mediums EMAIL"
            ),
            Self::SignOut => aws("admin-user-global-sign-out"),
            Self::Disable => aws("admin-disable-user"),
            Self::Enable => aws("admin-enable-user"),
        }
    }
}
