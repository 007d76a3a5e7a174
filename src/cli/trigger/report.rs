//! The output and the audit lines of `usher trigger`.

use serde::Serialize;
use serde_json::Value;

use crate::attach::{SettingDifference, TriggerChange};
use crate::cli::{CommandStatus, Output};
use crate::event::PoolId;

#[derive(Debug, Default, Serialize)]
pub(super) struct AttachReport {
    pub(super) user_pool: String,
    pub(super) changes: Vec<TriggerChange>,
    /// Other settings that are put back.
    pub(super) settings: Vec<SettingDifference>,
    pub(super) changed: bool,
    /// The file with the earlier settings.
    pub(super) record: Option<String>,
    /// Other settings that the write changed; must be empty.
    pub(super) differences: Vec<SettingDifference>,
}

/// Logs each change before the write, whose result may stay unknown.
pub(super) fn audit(actor: &str, pool: &PoolId, report: &AttachReport) {
    for change in &report.changes {
        tracing::info!(
            target: "usher::audit",
            action = "attach",
            actor,
            pool.id = pool.as_str(),
            trigger = change.trigger.as_str(),
            before = change.before.as_deref(),
            after = change.after.as_deref(),
            "a trigger of the user pool is being changed",
        );
    }
    for difference in &report.settings {
        tracing::info!(
            target: "usher::audit",
            action = "attach",
            actor,
            pool.id = pool.as_str(),
            setting = difference.setting.as_str(),
            "a setting of the user pool is being put back",
        );
    }
}

impl AttachReport {
    pub(super) fn print(&self, output: Output, dry_run: bool) -> anyhow::Result<CommandStatus> {
        output.print(self, || self.text(dry_run))?;
        Ok(CommandStatus::success_if(self.differences.is_empty()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.settings.is_empty()
    }

    /// One line for each planned change.
    pub(super) fn lines(&self) -> Vec<String> {
        let triggers = self.changes.iter().map(|change| {
            let TriggerChange {
                trigger,
                before,
                after,
            } = change;
            describe(trigger, before.as_deref(), after.as_deref(), "(none)")
        });
        triggers
            .chain(self.settings.iter().map(describe_difference))
            .collect()
    }

    fn text(&self, dry_run: bool) -> String {
        if self.is_empty() {
            return "The triggers are as asked; nothing changed".to_owned();
        }
        let mut lines = Vec::new();
        if dry_run {
            lines.extend(self.lines());
            lines.push("dry run: nothing was changed".to_owned());
        }
        lines.extend(
            self.record
                .as_ref()
                .map(|record| self.describe_write(record)),
        );
        lines.join("\n")
    }

    /// What a write that is recorded in `record` has changed.
    fn describe_write(&self, record: &str) -> String {
        let restore = format!("usher trigger restore {record} --pool {}", self.user_pool);
        if self.differences.is_empty() {
            return format!(
                "Triggers updated; all other settings verified unchanged. To undo: {restore}"
            );
        }
        let differences = self.differences.iter().map(describe_difference);
        let mut lines: Vec<String> = differences.map(|it| format!("DIFFERENT: {it}")).collect();
        lines.push(format!(
            "Triggers updated, but these settings changed unexpectedly. To restore them: {restore} \
             --settings"
        ));
        lines.join("\n")
    }
}

/// The setting, its old value and its new value.
pub(super) fn describe_difference(difference: &SettingDifference) -> String {
    let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    let (before, after) = (text(&difference.before), text(&difference.after));
    describe(
        &difference.setting,
        before.as_deref(),
        after.as_deref(),
        "not set",
    )
}

fn describe(name: &str, before: Option<&str>, after: Option<&str>, none: &str) -> String {
    let (before, after) = (before.unwrap_or(none), after.unwrap_or(none));
    format!("{name:<24}  {before} -> {after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_is_apart_from_its_values() {
        let report = AttachReport {
            changes: ["PostConfirmation", "PreTokenGenerationConfig"]
                .map(|trigger| TriggerChange {
                    trigger: trigger.to_owned(),
                    before: None,
                    after: Some("arn".to_owned()),
                })
                .to_vec(),
            ..AttachReport::default()
        };
        assert_eq!(
            report.lines(),
            [
                "PostConfirmation          (none) -> arn",
                "PreTokenGenerationConfig  (none) -> arn",
            ]
        );
    }
}
