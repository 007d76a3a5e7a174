//! The options of `usher trigger`, with the checks that clap cannot make.

use std::path::PathBuf;

use crate::attach::{AttachRequest, FunctionArn, PoolBackup, TriggerKind, UserPoolSettings};
use crate::cli::{Usage, target};
use crate::event::PoolId;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    #[command(subcommand)]
    command: TriggerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TriggerCommand {
    /// Set the function as a trigger of the user pool
    Attach(AttachOptions),
    /// Remove the function from all triggers of the user pool
    Detach(DetachOptions),
    /// Restore the triggers that a backup file holds
    Restore(RestoreOptions),
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher trigger attach --pool eu-west-1_AbCdEf123 --function-arn ARN --dry-run
  usher trigger attach --pool eu-west-1_AbCdEf123 --function-arn ARN \\
      --custom-message --pre-token-generation")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
struct AttachOptions {
    /// ARN of the Lambda function usher-trigger
    #[arg(long, value_name = "ARN")]
    function_arn: FunctionArn,
    /// Also set the CustomMessage trigger, which writes the mail of invitations
    #[arg(long)]
    custom_message: bool,
    /// Also set the PreTokenGeneration trigger, which adds groups to tokens, and queues users of an
    /// identity provider whom no sign-up has reached
    #[arg(long)]
    pre_token_generation: bool,
    /// Also set the PostAuthentication trigger, which only queues users of an identity provider
    #[arg(long)]
    post_authentication: bool,
    /// Replace a trigger that points to another function
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    common: ChangeOptions,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher trigger detach --pool eu-west-1_AbCdEf123 --function-arn ARN --dry-run
  usher trigger detach --pool eu-west-1_AbCdEf123 --function-arn ARN")]
struct DetachOptions {
    /// ARN of the Lambda function usher-trigger
    #[arg(long, value_name = "ARN")]
    function_arn: FunctionArn,
    #[command(flatten)]
    common: ChangeOptions,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher trigger restore before.json --pool eu-west-1_AbCdEf123 --dry-run
  usher trigger restore before.json --pool eu-west-1_AbCdEf123 --settings")]
struct RestoreOptions {
    /// Backup file that attach, detach or restore wrote
    file: PathBuf,
    /// Also restore every other setting that the backup holds
    #[arg(long)]
    settings: bool,
    /// Restore even if the triggers were changed since the backup
    #[arg(long)]
    discard_changes: bool,
    #[command(flatten)]
    common: ChangeOptions,
}

#[derive(Debug, clap::Args)]
struct ChangeOptions {
    /// User pool
    #[arg(long, value_name = "ID")]
    pool: String,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// File to save the settings to before the change
    /// [default: usher-trigger-POOL-TIME.json]
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// Skip the confirmation prompt
    #[arg(long)]
    yes: bool,
}

/// A checked request.
pub(super) struct TriggerRequest {
    pub(super) pool: PoolId,
    pub(super) request: AttachRequest,
    /// The file and the settings of the backup, for a restore.
    pub(super) file: Option<String>,
    pub(super) saved: Option<UserPoolSettings>,
    /// Whether the settings of the backup are restored as well.
    pub(super) restores_settings: bool,
    pub(super) dry_run: bool,
    pub(super) is_confirmed: bool,
    backup: Option<PathBuf>,
}

impl Options {
    /// Checks the arguments and reads the backup of a restore.
    pub(super) fn request(&self) -> anyhow::Result<TriggerRequest> {
        let common = match &self.command {
            TriggerCommand::Attach(options) => &options.common,
            TriggerCommand::Detach(options) => &options.common,
            TriggerCommand::Restore(options) => &options.common,
        };
        let pool = target::pool_id(&common.pool)?;
        let (request, saved) = match &self.command {
            TriggerCommand::Attach(options) => (options.request(&pool)?, None),
            TriggerCommand::Detach(options) => {
                let function = options.function_arn.clone();
                (AttachRequest::Detach { function }, None)
            }
            TriggerCommand::Restore(options) => {
                let (request, saved) = options.request(&pool)?;
                (request, Some(saved))
            }
        };
        let restores_settings =
            matches!(&self.command, TriggerCommand::Restore(options) if options.settings);
        Ok(TriggerRequest {
            pool,
            request,
            file: self.file(),
            saved,
            restores_settings,
            dry_run: common.dry_run,
            is_confirmed: common.yes,
            backup: common.backup.clone(),
        })
    }

    /// The file of a restore.
    fn file(&self) -> Option<String> {
        match &self.command {
            TriggerCommand::Restore(options) => Some(options.file.display().to_string()),
            _ => None,
        }
    }
}

impl AttachOptions {
    fn request(&self, pool: &PoolId) -> anyhow::Result<AttachRequest> {
        let (region, function_region) = (region_of(pool), self.function_arn.region());
        if function_region != region {
            return Err(Usage::error(format!(
                "the function is in {function_region} and the user pool in {region}: a trigger must be in the pool's Region",
            )));
        }
        let mut triggers = vec![TriggerKind::PostConfirmation];
        triggers.extend(self.custom_message.then_some(TriggerKind::CustomMessage));
        triggers.extend(
            self.pre_token_generation
                .then_some(TriggerKind::PreTokenGeneration),
        );
        triggers.extend(
            self.post_authentication
                .then_some(TriggerKind::PostAuthentication),
        );
        Ok(AttachRequest::Attach {
            function: self.function_arn.clone(),
            triggers,
            replace: self.replace,
        })
    }
}

impl RestoreOptions {
    fn request(&self, pool: &PoolId) -> anyhow::Result<(AttachRequest, UserPoolSettings)> {
        let backup = PoolBackup::read(&self.file)?;
        if backup.user_pool != pool.as_str() {
            return Err(Usage::error(format!(
                "{} is the backup of user pool {}, not of --pool {pool}",
                self.file.display(),
                backup.user_pool,
            )));
        }
        let request = AttachRequest::Restore {
            before: backup.before.triggers(),
            after: backup.triggers_after,
            replace: self.discard_changes,
        };
        Ok((request, backup.before))
    }
}

impl TriggerRequest {
    pub(super) fn region(&self) -> &str {
        region_of(&self.pool)
    }

    /// The file for the settings before the change.
    pub(super) fn backup_file(&self) -> PathBuf {
        self.backup.clone().unwrap_or_else(|| {
            let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
            format!("usher-trigger-{}-{now}.json", self.pool).into()
        })
    }
}

/// The Region of the user pool, which its id begins with.
fn region_of(pool: &PoolId) -> &str {
    pool.as_str().split('_').next().unwrap_or_default()
}
