//! `usher attach`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::ask::agreed;
use super::operator::actor;
use super::{Ended, Global, Output, Usage, print, print_json};
use crate::attach::{Change, Difference, FunctionArn, Plan, Record, Settings, Slot, Wish};
use crate::aws::{Aws, PoolSettings};
use crate::event::PoolId;
use crate::shutdown;
use crate::telemetry::note;

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

/// How long a change may take to be seen.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What became of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    user_pool: String,
    changes: Vec<Change>,
    changed: bool,
    /// The file with the settings of before.
    record: Option<String>,
    /// Other settings that are not as they were; must be empty.
    differences: Vec<Difference>,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let pool = PoolId::new(&options.user_pool_id)
        .ok_or_else(|| Usage::error("--user-pool-id is empty"))?;
    let wish = options.wish(&pool)?;
    if !options.dry_run && !options.yes && !std::io::stdin().is_terminal() {
        return Err(Usage::error(
            "there is no terminal to ask on: say --yes, or --dry-run to look at it",
        ));
    }
    let stop = shutdown::on_signal(&global.at_once)?;
    let aws = Aws::from_environment().await?;
    let at = At {
        services: PoolSettings::new(&aws),
        pool,
    };
    let before = at.read().await?;
    let plan = Plan::make(&wish, &before.triggers())?;
    let mut report = Report {
        user_pool: options.user_pool_id.clone(),
        changes: plan.changes.clone(),
        ..Report::default()
    };
    if plan.changes.is_empty() || options.dry_run {
        return report.print(global.output, options.dry_run);
    }
    let unknown = before.unknown();
    if !unknown.is_empty() {
        anyhow::bail!(
            "the user pool has settings that this release does not know ({}), and a write might reset \
             them: set the trigger in the console, or use a newer release",
            unknown.join(", ")
        );
    }
    for change in &plan.changes {
        note(&change.line());
    }
    if !options.yes && !agreed("Change the user pool's triggers?", &stop).await {
        note("nothing was changed");
        return Ok(Ended::Badly);
    }
    let file = options.record_file();
    at.change(&before, &plan, &file, &stop).await?;
    audit(&actor(&aws).await, &at.pool, &plan.changes);
    report.changed = true;
    report.record = Some(file.display().to_string());
    report.differences = at.verify(&before, &plan).await?;
    report.print(global.output, false)
}

impl Options {
    fn wish(&self, pool: &PoolId) -> anyhow::Result<Wish> {
        if let Some(file) = &self.restore {
            let record = Record::read(file)?;
            if record.user_pool != self.user_pool_id {
                return Err(Usage::error(format!(
                    "{} is the record of user pool {}, and --user-pool-id says {}",
                    file.display(),
                    record.user_pool,
                    self.user_pool_id
                )));
            }
            return Ok(Wish::Restore {
                before: record.before.triggers(),
                after: record.triggers_after,
                replace: self.replace,
            });
        }
        let function = self
            .function_arn
            .clone()
            .ok_or_else(|| Usage::error("--function-arn is missing"))?;
        if self.detach {
            return Ok(Wish::Detach { function });
        }
        let region = pool.as_str().split('_').next().unwrap_or_default();
        if function.region() != region {
            return Err(Usage::error(format!(
                "the function is in {} and the user pool in {region}: a trigger must be in the pool's Region",
                function.region()
            )));
        }
        let mut slots = vec![Slot::PostConfirmation];
        slots.extend(self.custom_message.then_some(Slot::CustomMessage));
        slots.extend(
            self.pre_token_generation
                .then_some(Slot::PreTokenGeneration),
        );
        Ok(Wish::Attach {
            function,
            slots,
            replace: self.replace,
        })
    }

    fn record_file(&self) -> PathBuf {
        self.record.clone().unwrap_or_else(|| {
            let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
            format!("usher-attach-{}-{now}.json", self.user_pool_id).into()
        })
    }
}

/// The user pool, where it is.
struct At {
    services: PoolSettings,
    pool: PoolId,
}

impl At {
    async fn read(&self) -> anyhow::Result<Settings> {
        Ok(Settings {
            pool: self.services.read(&self.pool).await?,
            mfa: self.services.read_mfa(&self.pool).await?,
        })
    }

    /// Writes the way back to the disk, and then the triggers.
    async fn change(
        &self,
        before: &Settings,
        plan: &Plan,
        file: &Path,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        // Somebody may have changed something while the question stood there.
        let now = self.read().await?;
        if !before.differences(&now).is_empty() || before.triggers() != now.triggers() {
            anyhow::bail!("the user pool was changed meanwhile: nothing was done; run this again");
        }
        let record = Record {
            user_pool: self.pool.as_str().to_owned(),
            at: jiff::Timestamp::now(),
            before: before.clone(),
            triggers_after: plan.triggers.clone(),
        };
        record
            .write(file)
            .with_context(|| format!("cannot write the record {} (--record)", file.display()))?;
        if stop.is_cancelled() {
            anyhow::bail!("told to stop: nothing was changed");
        }
        let sent = before.with_triggers(&plan.triggers);
        Ok(self.services.write(&self.pool, &sent).await?)
    }

    /// Settings that were not to change, and did.
    async fn verify(&self, before: &Settings, plan: &Plan) -> anyhow::Result<Vec<Difference>> {
        let mut after = self
            .read()
            .await
            .context("changed, but not looked at again")?;
        for _ in 1..LOOKS {
            if after.triggers() == plan.triggers {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            after = self
                .read()
                .await
                .context("changed, but not looked at again")?;
        }
        if after.triggers() != plan.triggers {
            anyhow::bail!("the triggers are not as they were set: look at them in the console");
        }
        // UpdateUserPool knows of one second factor alone, the text message.
        if !before.asks_like(&after) {
            note("the second factor is not asked for as before; it is set again");
            let set = self.services.write_mfa(&self.pool, &before.mfa).await;
            set.context("the second factor could not be set again")?;
            after = self.read().await?;
        }
        Ok(before.differences(&after))
    }
}

fn audit(actor: &str, pool: &PoolId, changes: &[Change]) {
    for change in changes {
        tracing::info!(
            target: "usher::audit",
            action = "attach",
            actor,
            pool.id = pool.as_str(),
            trigger = change.trigger,
            function.before = change.before.as_deref(),
            function.after = change.after.as_deref(),
            "a trigger of the user pool was changed",
        );
    }
}

impl Change {
    fn line(&self) -> String {
        let named = |function: &Option<String>| function.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{:<20}{}  ->  {}",
            self.trigger,
            named(&self.before),
            named(&self.after)
        )
    }
}

impl Report {
    fn print(&self, output: Output, dry_run: bool) -> anyhow::Result<Ended> {
        match output {
            Output::Json => print_json(self)?,
            Output::Text => print(&self.text(dry_run))?,
        }
        Ok(if self.differences.is_empty() {
            Ended::Well
        } else {
            Ended::Badly
        })
    }

    fn text(&self, dry_run: bool) -> String {
        if self.changes.is_empty() {
            return "the triggers are as they should be; nothing to do\n".to_owned();
        }
        let mut lines: Vec<String> = Vec::new();
        if dry_run {
            lines.extend(self.changes.iter().map(Change::line));
            lines.push("nothing was changed (--dry-run)".to_owned());
        }
        if let Some(record) = &self.record {
            lines.push(format!(
                "changed; every other setting was compared. The way back: usher attach --user-pool-id {} --restore {record}",
                self.user_pool
            ));
        }
        let said = |value: &Option<serde_json::Value>| {
            value
                .as_ref()
                .map_or_else(|| "not set".to_owned(), ToString::to_string)
        };
        for difference in &self.differences {
            lines.push(format!(
                "DIFFERENT: {} was {} and is {}",
                difference.setting,
                said(&difference.before),
                said(&difference.after)
            ));
        }
        lines.join("\n") + "\n"
    }
}
