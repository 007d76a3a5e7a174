//! `usher trigger`

mod options;
mod report;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::{CommandStatus, Global, Usage, confirm, status_line};
use crate::app::attach_clients;
use crate::attach::{PoolBackup, SettingDifference, TriggerPlan, UserPoolSettings};
use crate::aws::{Class, PoolSettings};
use crate::event::PoolId;
use crate::shutdown;
pub(super) use options::Options;
use report::{TriggerReport, Verb, audit, describe_settings, invoke_warning, undo};

/// Reads after a write, until the change is visible.
const MAX_VERIFY_READS: u32 = 5;
const VERIFY_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    // Invalid arguments are reported before the first call to Cognito.
    let request = options.request()?;
    if !request.dry_run && !request.is_confirmed && !std::io::stdin().is_terminal() {
        return Err(Usage::error(
            "not a terminal: confirm with --yes, or see the change with --dry-run",
        ));
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    let (aws, pool_settings) = attach_clients().await?;
    let region = request.region();
    if region != aws.region() {
        return Err(Usage::error(format!(
            "the user pool is in {region}, and the Region of this shell is {}: set AWS_REGION",
            aws.region()
        )));
    }
    let target = TargetPool {
        pool_settings,
        pool: request.pool.clone(),
    };
    let before = target.read().await?;
    let plan = TriggerPlan::new(&request.request, &before.triggers())?;
    // The settings after the write, except the triggers.
    let wanted = match &request.saved {
        Some(saved) if request.restores_settings => before.with_writable_from(saved),
        Some(saved) => {
            report_other_differences(&before.differences(&before.with_writable_from(saved)));
            before.clone()
        }
        None => before.clone(),
    };
    let file = request.file.as_deref();
    let mut report = TriggerReport {
        pool: request.pool.to_string(),
        changes: plan.changes.clone(),
        settings: before.differences(&wanted),
        changed: false,
        backup: None,
        differences: Vec::new(),
        verb: Verb::new(&request.request, file, request.restores_settings),
    };
    if report.is_empty() {
        return report.print(global.output, request.dry_run);
    }
    let unknown = before.unknown_settings();
    if !unknown.is_empty() {
        anyhow::bail!(
            "the user pool has settings that this release does not know ({}), and a write might reset \
             them: set the trigger in the AWS console, or use a newer release",
            unknown.join(", ")
        );
    }
    if let Some(warning) = invoke_warning(&plan.changes, &request.pool, before.arn()) {
        status_line(&warning);
    }
    if request.dry_run {
        return report.print(global.output, true);
    }
    global.output.print_summary(report.plan().trim_end())?;
    if !request.is_confirmed && !confirm("Change the user pool?", &stop).await {
        status_line("nothing was changed");
        return Ok(CommandStatus::Failure);
    }
    let file = request.backup_file();
    let backup = file.display().to_string();
    target.write_backup(&before, &plan, &file, &stop).await?;
    audit(&aws.caller_name().await, &target.pool, &report);
    target.write(&wanted, &plan, &file).await?;
    report.changed = true;
    report.differences = target.verify(&wanted, &plan).await.with_context(|| {
        let undo = undo(&backup, request.pool.as_str(), true);
        format!("the user pool may have been changed; {undo}")
    })?;
    report.backup = Some(backup);
    report.print(global.output, false)
}

/// Lists other settings that differ from the backup. They may have been changed on purpose or
/// lost, so the operator decides.
fn report_other_differences(others: &[SettingDifference]) {
    if others.is_empty() {
        return;
    }
    status_line(&format!(
        "other settings differ from the backup and stay unchanged (--settings restores them):\n{}",
        describe_settings(others).trim_end()
    ));
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

    /// Writes the file for `restore`; fails if the user pool changed since `before` was read.
    async fn write_backup(
        &self,
        before: &UserPoolSettings,
        plan: &TriggerPlan,
        file: &Path,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        // The user pool may have changed while the prompt waited.
        let now = self.read().await?;
        if !before.differences(&now).is_empty() || before.triggers() != now.triggers() {
            anyhow::bail!(
                "the user pool was changed meanwhile; nothing was done. Run the same command again"
            );
        }
        let backup = PoolBackup {
            user_pool: self.pool.as_str().to_owned(),
            at: jiff::Timestamp::now(),
            before: before.clone(),
            triggers_after: plan.triggers.clone(),
        };
        if stop.is_cancelled() {
            anyhow::bail!("stop signal received: nothing was changed");
        }
        backup
            .write(file)
            .with_context(|| format!("cannot write the backup {} (--backup)", file.display()))
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
                status_line(&format!("{error}: checking whether it was done"));
                Ok(())
            }
            Err(error) => {
                // Nothing was changed, so there is nothing to restore.
                let _ = std::fs::remove_file(file);
                let hint = if wanted.has_mfa_without_sms() {
                    ", perhaps because its MFA works without text messages: set the trigger in the AWS console"
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
                    Err(_) => error.context("the MFA configuration may have changed"),
                });
            }
            Err(error) => return Err(error),
        };
        // UpdateUserPool accepts only one second factor, the text message.
        if !wanted.has_same_mfa(&after) {
            status_line("the MFA configuration changed; restoring it");
            let result = self.pool_settings.write_mfa(&self.pool, &wanted.mfa).await;
            result.context("MFA configuration changed and could not be restored")?;
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
            if !differences.is_empty() {
                let settings = describe_settings(&differences);
                status_line(&format!("other settings changed:\n{}", settings.trim_end()));
            }
            let found = serde_json::Value::Object(after.triggers());
            anyhow::bail!("the triggers differ from what was set: {found}");
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
        last.context("the user pool could not be read again")
    }
}
