//! `usher users show`: what one user has and lacks, which rule says so, and the command that
//! repairs it.
//!
//! `find` looks the user up, `memberships` compares groups, `profile` looks for the profile, and
//! `letters` reads the dead letters. `repair` queues the sign-up of `--fix`. `facts` holds all of
//! it and says what to do next, and `report` prints it.

mod facts;
mod find;
mod letters;
mod memberships;
mod profile;
mod repair;
mod report;

use crate::admin::UserView;
use crate::app::Services;
use crate::cli::operator;
use crate::cli::{CommandStatus, Global, Usage};
use crate::config::{Config, Required};
use crate::event::{Sub, Username};
use crate::reconcile::SingleUser;
use crate::shutdown;
use facts::{Facts, UserArgument};
use find::Found;
use letters::DeadLetters;
use memberships::Memberships;
use profile::Profile;
use repair::{Fix, RepairPlan};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher users show ada@example.com
  usher users show ada --fix
  usher users show 42296c21-5207-4a93-8e3b-d3fc17fff32d -o json")]
pub(super) struct Options {
    /// User name, sub, or e-mail address
    #[arg(value_name = "ADDRESS|NAME|SUB")]
    user: String,
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Queue the sign-up of this user, as usher reconcile does, if it adds anything that is missing
    #[arg(long)]
    fix: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(options.required())?;
    let pool = operator::pool(options.pool.as_deref(), &config)?;
    let asked = Username::parse(&options.user).map_err(|rule| Usage::error(rule.to_string()))?;
    let stop = shutdown::on_signal(&global.force_exit)?;
    let services = Services::from_environment(config).await?;
    let view = match find::find(&services, &pool, &asked).await? {
        Found::One(view) => view,
        Found::Several(users) => {
            report::print_several(global, &pool, &users)?;
            return Ok(CommandStatus::Failure);
        }
    };
    let config = &services.config;
    let memberships = Memberships::new(&config.groups, &pool, &view);
    let mut user = single_user(config, &view);
    let profile = Profile::find(&services, &pool, &mut user, &stop).await?;
    let dead_letters = DeadLetters::read(&services, view.user.sub.as_ref(), &stop).await;
    let plan = RepairPlan::new(
        &config.groups,
        &pool,
        &view.user,
        &user,
        &memberships.missing,
    );
    let fix = if options.fix {
        repair::fix(&services, &pool, &view.user, &plan, &profile, &stop).await?
    } else {
        Fix::NotAsked
    };
    let facts = Facts {
        pool: &pool,
        user: &view.user,
        memberships: &memberships,
        profile: &profile,
        dead_letters: &dead_letters,
        plan: &plan,
        fix: &fix,
    };
    let next = facts.next_steps(&options.argument(&view), &config.admin.grantable);
    report::print(global, &facts, &next)
}

/// The user as reconcile would check them, with the default groups compared.
fn single_user(config: &Config, view: &UserView) -> SingleUser {
    let default = config.groups.default.iter();
    let missing = default.filter(|group| !view.groups.contains(group));
    let has_profile = view.profile.is_some() || config.profiles.is_none();
    SingleUser::new(
        view.user.to_listed(),
        missing.cloned().collect(),
        has_profile,
    )
}

impl Options {
    fn required(&self) -> &'static [Required] {
        if self.fix {
            &[Required::Queue, Required::Profiles]
        } else {
            &[Required::Profiles]
        }
    }

    /// The arguments that mean this user in another command line: what was typed, or the `sub`
    /// if a shell would read that differently.
    fn argument(&self, view: &UserView) -> UserArgument {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._+-=:,/".contains(c);
        let sub = view.user.sub.as_ref().and_then(Sub::loggable);
        let name = match sub {
            Some(sub) if !self.user.chars().all(is_plain) => sub,
            _ => &self.user,
        };
        UserArgument {
            name: name.to_owned(),
            pool: self.pool.clone(),
        }
    }
}
