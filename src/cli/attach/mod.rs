//! `usher attach`

mod report;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::operator::actor;
use super::{CommandStatus, Global, Usage, confirm, status_line};
use crate::app::attach_clients;
use crate::attach::{
    AttachRecord, AttachRequest, FunctionArn, SettingDifference, TriggerKind, TriggerPlan,
    UserPoolSettings,
};
use crate::aws::{Class, PoolSettings};
use crate::event::PoolId;
use crate::shutdown;
use report::{AttachReport, audit, describe_difference};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Options {
    /// The user pool
    #[arg(long, value_name = "ID")]
    user_pool_id: String,
    /// usher's function: `usher-trigger`
    #[arg(long, value_name = "ARN", required_unless_present = "restore")]
    function_arn: Option<FunctionArn>,
    /// Make it the `CustomMessage` trigger as well, which writes the mail of invitations
    #[arg(long, conflicts_with_all = ["detach", "restore"])]
    custom_message: bool,
    /// Make it the `PreTokenGeneration` trigger as well, which puts groups into first tokens
    #[arg(long, conflicts_with_all = ["detach", "restore"])]
    pre_token_generation: bool,
    /// Put the function out of every trigger that it is in
    #[arg(long, conflicts_with = "restore")]
    detach: bool,
    /// Put back the triggers of this record
    #[arg(long, value_name = "FILE", conflicts_with = "function_arn")]
    restore: Option<PathBuf>,
    /// With --restore: put back every other setting of the record as well
    #[arg(long, requires = "restore")]
    settings: bool,
    /// Put another function out of its place; with --restore, undo later changes, too
    #[arg(long, conflicts_with = "detach")]
    replace: bool,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Where the settings of before are kept
    /// [default: usher-attach-POOL-TIME.json]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Reads after a write, until the change is visible.
const MAX_VERIFY_READS: u32 = 5;
const VERIFY_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let pool = PoolId::new(&options.user_pool_id)
        .ok_or_else(|| Usage::error("--user-pool-id is empty"))?;
    // Invalid arguments are reported before the first call to Cognito.
    let (request, recorded) = options.request()?;
    if !options.dry_run && !options.yes && !std::io::stdin().is_terminal() {
        return Err(Usage::error(
            "there is no terminal to ask on: say --yes, or --dry-run to look at it",
        ));
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    let (aws, pool_settings) = attach_clients().await?;
    let region = options.region();
    if region != aws.region() {
        return Err(Usage::error(format!(
            "the user pool is in {region}, and the Region of this shell is {}: set AWS_REGION",
            aws.region()
        )));
    }
    let target = TargetPool {
        pool_settings,
        pool,
    };
    let before = target.read().await?;
    let plan = TriggerPlan::new(&request, &before.triggers())?;
    // The settings after the write, except the triggers.
    let wanted = match recorded {
        Some(recorded) if options.settings => before.with_writable_from(&recorded),
        Some(recorded) => {
            report_other_differences(&before.differences(&before.with_writable_from(&recorded)));
            before.clone()
        }
        None => before.clone(),
    };
    let mut report = AttachReport {
        user_pool: options.user_pool_id.clone(),
        changes: plan.changes.clone(),
        settings: before.differences(&wanted),
        ..AttachReport::default()
    };
    if report.is_empty() {
        return report.print(global.output, options.dry_run);
    }
    let unknown = before.unknown_settings();
    if !unknown.is_empty() {
        anyhow::bail!(
            "the user pool has settings that this release does not know ({}), and a write might reset \
             them: set the trigger in the console, or use a newer release",
            unknown.join(", ")
        );
    }
    if options.dry_run {
        return report.print(global.output, true);
    }
    for line in report.lines() {
        status_line(&line);
    }
    if plan.has_new_functions() {
        status_line(&format!(
            "The function's policy must let cognito-idp.amazonaws.com invoke it for {}: without that, every \
             sign-up ends in an error.",
            before.arn().unwrap_or("this user pool")
        ));
    }
    if !options.yes && !confirm("Change the user pool?", &stop).await {
        status_line("nothing was changed");
        return Ok(CommandStatus::Failure);
    }
    let file = options.record_file();
    let restore_hint = format!(
        "the way back: usher attach --user-pool-id {} --restore {} --settings",
        options.user_pool_id,
        file.display()
    );
    target.write_record(&before, &plan, &file, &stop).await?;
    audit(&actor(&aws).await, &target.pool, &report);
    target.write(&wanted, &plan, &file).await?;
    report.changed = true;
    report.record = Some(file.display().to_string());
    report.differences = target
        .verify(&wanted, &plan)
        .await
        .with_context(|| format!("the user pool may have been changed; {restore_hint}"))?;
    report.print(global.output, false)
}

impl Options {
    /// The request, and the recorded settings with `--restore`.
    fn request(&self) -> anyhow::Result<(AttachRequest, Option<UserPoolSettings>)> {
        if let Some(file) = &self.restore {
            let record = AttachRecord::read(file)?;
            if record.user_pool != self.user_pool_id {
                return Err(Usage::error(format!(
                    "{} is the record of user pool {}, and --user-pool-id says {}",
                    file.display(),
                    record.user_pool,
                    self.user_pool_id
                )));
            }
            let request = AttachRequest::Restore {
                before: record.before.triggers(),
                after: record.triggers_after,
                replace: self.replace,
            };
            return Ok((request, Some(record.before)));
        }
        let function = self
            .function_arn
            .clone()
            .ok_or_else(|| Usage::error("--function-arn is missing"))?;
        if self.detach {
            return Ok((AttachRequest::Detach { function }, None));
        }
        let region = self.region();
        if function.region() != region {
            return Err(Usage::error(format!(
                "the function is in {} and the user pool in {region}: a trigger must be in the pool's Region",
                function.region()
            )));
        }
        let mut triggers = vec![TriggerKind::PostConfirmation];
        triggers.extend(self.custom_message.then_some(TriggerKind::CustomMessage));
        triggers.extend(
            self.pre_token_generation
                .then_some(TriggerKind::PreTokenGeneration),
        );
        let request = AttachRequest::Attach {
            function,
            triggers,
            replace: self.replace,
        };
        Ok((request, None))
    }

    /// The Region of the user pool, which its id begins with.
    fn region(&self) -> &str {
        self.user_pool_id.split('_').next().unwrap_or_default()
    }

    fn record_file(&self) -> PathBuf {
        self.record.clone().unwrap_or_else(|| {
            let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
            format!("usher-attach-{}-{now}.json", self.user_pool_id).into()
        })
    }
}

/// Lists other settings that differ from the record. They may have been changed on purpose or
/// lost, so the operator decides.
fn report_other_differences(others: &[SettingDifference]) {
    if others.is_empty() {
        return;
    }
    status_line(
        "other settings differ from the record and stay as they are (--settings puts them back):",
    );
    for difference in others {
        status_line(&describe_difference(difference));
    }
}

struct TargetPool {
    pool_settings: PoolSettings,
    pool: PoolId,
}

impl TargetPool {
    async fn read(&self) -> anyhow::Result<UserPoolSettings> {
        Ok(UserPoolSettings {
            pool: self.pool_settings.read(&self.pool).await?,
            mfa: self.pool_settings.read_mfa(&self.pool).await?,
        })
    }

    /// Writes the file for `--restore`; fails if the user pool changed since `before` was read.
    async fn write_record(
        &self,
        before: &UserPoolSettings,
        plan: &TriggerPlan,
        file: &Path,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        // The user pool may have changed while the prompt waited.
        let now = self.read().await?;
        if !before.differences(&now).is_empty() || before.triggers() != now.triggers() {
            anyhow::bail!("the user pool was changed meanwhile: nothing was done; run this again");
        }
        let record = AttachRecord {
            user_pool: self.pool.as_str().to_owned(),
            at: jiff::Timestamp::now(),
            before: before.clone(),
            triggers_after: plan.triggers.clone(),
        };
        if stop.is_cancelled() {
            anyhow::bail!("stop signal received: nothing was changed");
        }
        record
            .write(file)
            .with_context(|| format!("cannot write the record {} (--record)", file.display()))
    }

    /// Writes the triggers. After a transient error the write may have succeeded, so it is
    /// verified like any other.
    async fn write(
        &self,
        wanted: &UserPoolSettings,
        plan: &TriggerPlan,
        file: &Path,
    ) -> anyhow::Result<()> {
        let input = wanted.update_input(&plan.triggers);
        match self.pool_settings.write(&self.pool, &input).await {
            Err(error) if error.failure.class == Class::Transient => {
                status_line(&format!("{error}: whether it was done is looked at now"));
                Ok(())
            }
            Err(error) => {
                // Nothing was changed, so there is nothing to restore.
                let _ = std::fs::remove_file(file);
                let hint = if wanted.has_mfa_without_sms() {
                    ", perhaps since its second factor goes without text messages: set the trigger in the console"
                } else {
                    ""
                };
                let message = format!("the user pool was not changed{hint}");
                Err(anyhow::Error::from(error).context(message))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Returns other settings that changed, and sets a lost second factor again. Fails unless the
    /// triggers are as planned.
    async fn verify(
        &self,
        wanted: &UserPoolSettings,
        plan: &TriggerPlan,
    ) -> anyhow::Result<Vec<SettingDifference>> {
        let mut after = match self.read_with_retry().await {
            Ok(after) => after,
            Err(error) if wanted.has_mfa() => {
                // A lost second factor weakens sign-in, so it is set again in any case.
                let result = self.pool_settings.write_mfa(&self.pool, &wanted.mfa).await;
                return Err(match result {
                    Ok(()) => error,
                    Err(_) => error.context("the second factor may not be asked for as before"),
                });
            }
            Err(error) => return Err(error),
        };
        // UpdateUserPool accepts only one second factor, the text message.
        if !wanted.has_same_mfa(&after) {
            status_line("the second factor is not asked for as before; it is set again");
            let result = self.pool_settings.write_mfa(&self.pool, &wanted.mfa).await;
            result.context(
                "the second factor is not asked for as before, and could not be set again",
            )?;
            after = self.read_with_retry().await?;
        }
        for _ in 1..MAX_VERIFY_READS {
            if after.triggers() == plan.triggers && wanted.differences(&after).is_empty() {
                break;
            }
            tokio::time::sleep(VERIFY_PAUSE).await;
            after = self.read_with_retry().await?;
        }
        let differences = wanted.differences(&after);
        if after.triggers() != plan.triggers {
            for difference in &differences {
                status_line(&format!("DIFFERENT: {}", describe_difference(difference)));
            }
            let found = serde_json::Value::Object(after.triggers());
            anyhow::bail!("the triggers are not as they were set, but {found}");
        }
        Ok(differences)
    }

    /// Tries up to `MAX_VERIFY_READS` times, whatever the error.
    async fn read_with_retry(&self) -> anyhow::Result<UserPoolSettings> {
        let mut last = self.read().await;
        for _ in 1..MAX_VERIFY_READS {
            if last.is_ok() {
                break;
            }
            tokio::time::sleep(VERIFY_PAUSE).await;
            last = self.read().await;
        }
        last.context("it could not be looked at again")
    }
}
