//! The output and the audit lines of `usher trigger`.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::attach::{AttachRequest, SettingDifference, TriggerChange};
use crate::cli::{CommandStatus, Output, plural, table};
use crate::config::in_shell_quotes;
use crate::event::PoolId;

#[derive(Debug, Serialize)]
pub(super) struct TriggerReport {
    pub(super) pool: String,
    pub(super) changes: Vec<TriggerChange>,
    /// Other settings that are restored.
    pub(super) settings: Vec<SettingDifference>,
    pub(super) changed: bool,
    /// The file with the earlier settings.
    pub(super) backup: Option<String>,
    /// Other settings that the write changed; must be empty.
    pub(super) differences: Vec<SettingDifference>,
    #[serde(skip)]
    pub(super) verb: Verb,
}

/// What is done, with the file of a restore.
#[derive(Debug)]
pub(super) enum Verb {
    Attach,
    Detach,
    Restore { file: String, with_settings: bool },
}

impl Verb {
    pub(super) fn new(request: &AttachRequest, file: Option<&str>, with_settings: bool) -> Self {
        match request {
            AttachRequest::Attach { .. } => Self::Attach,
            AttachRequest::Detach { .. } => Self::Detach,
            AttachRequest::Restore { .. } => Self::Restore {
                file: file.unwrap_or_default().to_owned(),
                with_settings,
            },
        }
    }

    /// The name in audit lines.
    fn action(&self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Restore { .. } => "restore",
        }
    }

    fn nothing_to_do(&self) -> String {
        match self {
            Self::Attach => "already attached; nothing changed".to_owned(),
            Self::Detach => "not attached; nothing changed".to_owned(),
            Self::Restore { file, .. } => format!("already as in {file}; nothing changed"),
        }
    }

    /// What was done, in a pool whose other settings are as they were.
    fn done(&self) -> String {
        match self {
            Self::Attach | Self::Detach => {
                "triggers updated; all other settings are unchanged".to_owned()
            }
            Self::Restore {
                file,
                with_settings,
            } => {
                let settings = if *with_settings { " and settings" } else { "" };
                format!("triggers{settings} restored from {file}; all other settings are unchanged")
            }
        }
    }
}

/// The command that restores the settings of a backup.
pub(super) fn undo(backup: &str, pool: &str, with_settings: bool) -> String {
    let settings = if with_settings { " --settings" } else { "" };
    let backup = in_shell_quotes(backup);
    format!("to undo: usher trigger restore {backup} --pool {pool}{settings}")
}

/// Logs each change before the write, whose result may stay unknown.
pub(super) fn audit(actor: &str, pool: &PoolId, report: &TriggerReport) {
    for change in &report.changes {
        tracing::info!(
            target: "usher::audit",
            action = report.verb.action(),
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
            action = report.verb.action(),
            actor,
            pool.id = pool.as_str(),
            setting = difference.setting.as_str(),
            "a setting of the user pool is being restored",
        );
    }
}

impl TriggerReport {
    pub(super) fn print(&self, output: Output, dry_run: bool) -> anyhow::Result<CommandStatus> {
        output.print(self, || self.text(dry_run))?;
        Ok(CommandStatus::success_if(self.differences.is_empty()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.settings.is_empty()
    }

    /// A row for each planned change.
    pub(super) fn plan(&self) -> String {
        let triggers = self.changes.iter().map(|change| {
            let TriggerChange {
                trigger,
                before,
                after,
            } = change;
            row(trigger, before.as_deref(), after.as_deref())
        });
        let settings = self.settings.iter().map(row_of_setting);
        let rows: Vec<_> = triggers.chain(settings).collect();
        table(&rows, usize::MAX)
    }

    fn text(&self, dry_run: bool) -> String {
        if self.is_empty() {
            return self.verb.nothing_to_do();
        }
        if dry_run {
            let triggers = plural(self.changes.len() as u64, "trigger");
            let settings = plural(self.settings.len() as u64, "other setting");
            return format!(
                "{}dry run: {triggers} and {settings} would change",
                self.plan()
            );
        }
        let Some(backup) = &self.backup else {
            return String::new();
        };
        if self.differences.is_empty() {
            let undo = undo(backup, &self.pool, !self.settings.is_empty());
            return format!("{}\n{undo}", self.verb.done());
        }
        format!(
            "triggers updated, but these other settings changed:\n{}{}",
            describe_settings(&self.differences),
            undo(backup, &self.pool, true),
        )
    }
}

/// A row for each setting with its old value and its new value.
pub(super) fn describe_settings(differences: &[SettingDifference]) -> String {
    let rows: Vec<_> = differences.iter().map(row_of_setting).collect();
    table(&rows, usize::MAX)
}

fn row_of_setting(difference: &SettingDifference) -> [String; 2] {
    let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    let (before, after) = (text(&difference.before), text(&difference.after));
    row(&difference.setting, before.as_deref(), after.as_deref())
}

fn row(name: &str, before: Option<&str>, after: Option<&str>) -> [String; 2] {
    let (before, after) = (before.unwrap_or("none"), after.unwrap_or("none"));
    [name.to_owned(), format!("{before} -> {after}")]
}

/// Says what Cognito must be allowed to do, with the commands that allow it; `None` if no
/// trigger gets a function. `pool_arn` is `None` if Cognito did not say it.
pub(super) fn invoke_warning(
    changes: &[TriggerChange],
    pool: &PoolId,
    pool_arn: Option<&str>,
) -> Option<String> {
    let after = changes.iter().filter_map(|change| change.after.as_deref());
    let functions: BTreeSet<String> = after.filter_map(function_arn).collect();
    if functions.is_empty() {
        return None;
    }
    let warning = "warning: every sign-up fails unless Cognito may invoke the function. If the \
                   function's stack does not allow it, do this first";
    let Some(pool_arn) = pool_arn else {
        return Some(warning.to_owned());
    };
    let allow = functions.iter().map(|function| {
        let function = in_shell_quotes(function);
        format!(
            "\n  aws lambda add-permission --function-name {function} --statement-id usher-{pool} \
             --action lambda:InvokeFunction --principal cognito-idp.amazonaws.com \
             --source-arn {pool_arn}"
        )
    });
    Some(format!("{warning}:{}", allow.collect::<String>()))
}

/// The function in the value of a trigger, which is its ARN or a JSON object with `LambdaArn`.
fn function_arn(trigger: &str) -> Option<String> {
    let arn = match serde_json::from_str::<Value>(trigger) {
        Ok(value) => value.get("LambdaArn")?.as_str()?.to_owned(),
        Err(_) => trigger.to_owned(),
    };
    // Others are those of keys.
    arn.contains(":lambda:").then_some(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:usher-trigger";

    fn change(trigger: &str, after: Option<&str>) -> TriggerChange {
        TriggerChange {
            trigger: trigger.to_owned(),
            before: None,
            after: after.map(str::to_owned),
        }
    }

    fn report(verb: Verb) -> TriggerReport {
        TriggerReport {
            pool: "eu-west-1_x".to_owned(),
            changes: Vec::new(),
            settings: Vec::new(),
            changed: false,
            backup: None,
            differences: Vec::new(),
            verb,
        }
    }

    fn restore(with_settings: bool) -> Verb {
        Verb::Restore {
            file: "before.json".to_owned(),
            with_settings,
        }
    }

    #[test]
    fn the_longest_name_is_apart_from_its_values() {
        let names = ["PostConfirmation", "PreTokenGenerationConfig"];
        let report = TriggerReport {
            changes: names.map(|name| change(name, Some("arn"))).to_vec(),
            ..report(Verb::Attach)
        };
        let plan = "\
PostConfirmation          none -> arn
PreTokenGenerationConfig  none -> arn
";
        assert_eq!(report.plan(), plan);
    }

    #[test]
    fn each_verb_says_that_there_is_nothing_to_do_in_its_words() {
        for (verb, expected) in [
            (Verb::Attach, "already attached; nothing changed"),
            (Verb::Detach, "not attached; nothing changed"),
            (restore(false), "already as in before.json; nothing changed"),
        ] {
            assert_eq!(report(verb).text(false), expected);
        }
    }

    #[test]
    fn the_undo_of_restored_settings_restores_settings() {
        let setting = SettingDifference {
            setting: "UserPoolTier".to_owned(),
            before: None,
            after: Some("PLUS".into()),
        };
        let restored = TriggerReport {
            settings: vec![setting.clone()],
            backup: Some("later.json".to_owned()),
            ..report(restore(true))
        };
        assert_eq!(
            restored.text(false),
            "triggers and settings restored from before.json; all other settings are unchanged\n\
             to undo: usher trigger restore later.json --pool eu-west-1_x --settings"
        );
        let damaged = TriggerReport {
            changes: vec![change("PostConfirmation", Some(FUNCTION))],
            settings: Vec::new(),
            differences: vec![setting],
            verb: Verb::Attach,
            ..restored
        };
        let spaced = undo("my files/$(x).json", "eu-west-1_x", false);
        assert_eq!(
            spaced,
            "to undo: usher trigger restore 'my files/$(x).json' --pool eu-west-1_x"
        );
        assert_eq!(
            damaged.text(false),
            "triggers updated, but these other settings changed:\n\
             UserPoolTier  none -> \"PLUS\"\n\
             to undo: usher trigger restore later.json --pool eu-west-1_x --settings"
        );
    }

    #[test]
    fn the_warning_has_one_whole_command_for_each_function() {
        let versioned = |arn: &str| {
            let value = serde_json::json!({"LambdaArn": arn, "LambdaVersion": "V1_0"});
            value.to_string()
        };
        let other = FUNCTION.replace("usher-trigger", "token");
        let changes = [
            change("PostConfirmation", Some(FUNCTION)),
            change("CustomMessage", Some(FUNCTION)),
            change("PreTokenGenerationConfig", Some(&versioned(FUNCTION))),
            change("CustomEmailSender", Some(&versioned(&other))),
            change("KMSKeyID", Some("arn:aws:kms:eu-west-1:123456789012:key/1")),
        ];
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let pool_arn = Some("arn:of:pool");
        let warning = invoke_warning(&changes, &pool, pool_arn).expect("a warning");
        let commands: Vec<&str> = warning.lines().skip(1).collect();
        let command = |function: &str| {
            format!(
                "  aws lambda add-permission --function-name {function} --statement-id usher-eu-west-1_x \
                 --action lambda:InvokeFunction --principal cognito-idp.amazonaws.com --source-arn arn:of:pool"
            )
        };
        assert_eq!(commands, [command(&other), command(FUNCTION)]);
        let detached = [change("PostConfirmation", None)];
        assert_eq!(invoke_warning(&detached, &pool, pool_arn), None);
        let unknown = invoke_warning(&changes, &pool, None).expect("a warning");
        assert!(unknown.ends_with("do this first"), "{unknown}");
    }
}
