//! The options of `usher trigger`, with the checks that clap cannot make.

use std::path::PathBuf;

use crate::attach::{AttachRecord, AttachRequest, FunctionArn, TriggerKind, UserPoolSettings};
use crate::cli::{Usage, operator};
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
    /// Put back the triggers of a record
    Restore(RestoreOptions),
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher trigger attach --pool eu-west-1_AbCdEf123 --function-arn ARN --dry-run
  usher trigger attach --pool eu-west-1_AbCdEf123 --function-arn ARN \\
      --custom-message --pre-token-generation")]
struct AttachOptions {
    /// usher's function `usher-trigger`
    #[arg(long, value_name = "ARN")]
    function_arn: FunctionArn,
    /// Also set the `CustomMessage` trigger, which writes the mail of invitations
    #[arg(long)]
    custom_message: bool,
    /// Also set the `PreTokenGeneration` trigger, which adds groups to first tokens
    #[arg(long)]
    pre_token_generation: bool,
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
    /// usher's function `usher-trigger`
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
    /// Record that `attach` or `detach` wrote
    file: PathBuf,
    /// Also put back every other setting of the record
    #[arg(long)]
    settings: bool,
    /// Undo changes that were made after the record
    #[arg(long)]
    replace: bool,
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
    /// File for the settings before the change
    /// [default: usher-trigger-POOL-TIME.json]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Skip the confirmation prompt
    #[arg(long)]
    yes: bool,
}

/// A checked request.
pub(super) struct TriggerRequest {
    pub(super) pool: PoolId,
    pub(super) request: AttachRequest,
    /// The settings of the record, for a restore.
    pub(super) recorded: Option<UserPoolSettings>,
    /// Whether the settings of the record are put back as well.
    pub(super) restores_settings: bool,
    pub(super) dry_run: bool,
    pub(super) is_confirmed: bool,
    record: Option<PathBuf>,
}

impl Options {
    /// Checks the arguments and reads the record of a restore.
    pub(super) fn request(&self) -> anyhow::Result<TriggerRequest> {
        let common = match &self.command {
            TriggerCommand::Attach(options) => &options.common,
            TriggerCommand::Detach(options) => &options.common,
            TriggerCommand::Restore(options) => &options.common,
        };
        let pool = operator::pool_id(&common.pool)?;
        let (request, recorded) = match &self.command {
            TriggerCommand::Attach(options) => (options.request(&pool)?, None),
            TriggerCommand::Detach(options) => {
                let function = options.function_arn.clone();
                (AttachRequest::Detach { function }, None)
            }
            TriggerCommand::Restore(options) => {
                let (request, recorded) = options.request(&pool)?;
                (request, Some(recorded))
            }
        };
        let restores_settings =
            matches!(&self.command, TriggerCommand::Restore(options) if options.settings);
        Ok(TriggerRequest {
            pool,
            request,
            recorded,
            restores_settings,
            dry_run: common.dry_run,
            is_confirmed: common.yes,
            record: common.record.clone(),
        })
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
        Ok(AttachRequest::Attach {
            function: self.function_arn.clone(),
            triggers,
            replace: self.replace,
        })
    }
}

impl RestoreOptions {
    fn request(&self, pool: &PoolId) -> anyhow::Result<(AttachRequest, UserPoolSettings)> {
        let record = AttachRecord::read(&self.file)?;
        if record.user_pool != pool.as_str() {
            return Err(Usage::error(format!(
                "{} is the record of user pool {}, not of --pool {pool}",
                self.file.display(),
                record.user_pool,
            )));
        }
        let request = AttachRequest::Restore {
            before: record.before.triggers(),
            after: record.triggers_after,
            replace: self.replace,
        };
        Ok((request, record.before))
    }
}

impl TriggerRequest {
    pub(super) fn region(&self) -> &str {
        region_of(&self.pool)
    }

    /// The file for the settings before the change.
    pub(super) fn record_file(&self) -> PathBuf {
        self.record.clone().unwrap_or_else(|| {
            let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
            format!("usher-trigger-{}-{now}.json", self.pool).into()
        })
    }
}

/// The Region of the user pool, which its id begins with.
fn region_of(pool: &PoolId) -> &str {
    pool.as_str().split('_').next().unwrap_or_default()
}
