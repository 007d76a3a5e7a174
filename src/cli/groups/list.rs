//! `usher groups list`

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::app::Services;
use crate::aws::{Cognito, Failure, PoolGroup};
use crate::cli::{CommandStatus, Global, Output, print, table, target};
use crate::config::{Config, GroupName};
use crate::event::PoolId;
use crate::retry::retry_inline;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher groups list
  usher groups list --output json")]
pub(super) struct Options {
    /// User pool [default: the one in pools.allowed]
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
}

/// One group of the pool, of the configuration or of both; one line of output.
#[derive(Debug, Serialize)]
struct GroupLine<'a> {
    group: &'a str,
    /// `exists` or `missing`.
    state: &'static str,
    /// The settings that name it.
    settings: Vec<&'static str>,
    grantable: bool,
    description: Option<&'a str>,
}

/// The description is the last column, so its width is of no importance.
const MAX_WIDTH: usize = 40;

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[])?;
    let pool = target::pool(options.pool.as_deref(), &config)?;
    let services = Services::from_environment(config).await?;
    let groups = all_groups(&services.cognito(), &pool).await?;
    let lines = lines(&services.config, &groups);
    match global.output {
        Output::Text => print(&text(&lines))?,
        Output::Json => {
            for line in &lines {
                print(&serde_json::to_string(line)?)?;
            }
        }
    }
    Ok(CommandStatus::Success)
}

async fn all_groups(cognito: &Cognito, pool: &PoolId) -> Result<Vec<PoolGroup>, Failure> {
    let mut groups = Vec::new();
    let mut token = None;
    loop {
        let page = retry_inline(|| cognito.list_groups(pool, token.as_deref())).await?;
        groups.extend(page.items);
        token = page.next;
        if token.is_none() {
            return Ok(groups);
        }
    }
}

/// By name; a group that only the configuration names does not exist yet.
fn lines<'a>(config: &'a Config, groups: &'a [PoolGroup]) -> Vec<GroupLine<'a>> {
    let existing: BTreeMap<&GroupName, &PoolGroup> =
        groups.iter().map(|group| (&group.name, group)).collect();
    let configured = configured(config);
    let names: BTreeSet<&GroupName> = existing.keys().chain(configured.keys()).copied().collect();
    let line = |name: &'a GroupName| {
        let group = existing.get(name);
        GroupLine {
            group: name.as_str(),
            state: if group.is_some() { "exists" } else { "missing" },
            settings: configured.get(name).cloned().unwrap_or_default(),
            grantable: config.admin.grantable.allows(name),
            description: group.and_then(|group| group.description.as_deref()),
        }
    };
    names.into_iter().map(line).collect()
}

fn configured(config: &Config) -> BTreeMap<&GroupName, Vec<&'static str>> {
    let groups = &config.groups;
    let of_rules = groups.rules.iter().flat_map(|rule| &rule.groups);
    let named = groups.default.iter().map(|it| (it, "groups.default"));
    // The groups of administrators are privileged without being named a second time.
    let privileged = groups.privileged.difference(&config.admin.groups);
    let in_token = &groups.in_token;
    let of_token_rules = in_token.rules.iter().flat_map(|rule| &rule.groups);
    let of_tokens = in_token.default.iter().chain(of_token_rules);
    let named = named
        .chain(of_tokens.map(|it| (it, "groups.in_token")))
        .chain(of_rules.map(|it| (it, "groups.rules")))
        .chain(config.admin.groups.iter().map(|it| (it, "admin.groups")))
        .chain(privileged.map(|it| (it, "groups.privileged")));
    let mut settings: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (group, setting) in named {
        let settings = settings.entry(group).or_default();
        if !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    settings
}

fn text(lines: &[GroupLine<'_>]) -> String {
    if lines.is_empty() {
        return "no groups".to_owned();
    }
    let header = ["group", "in pool", "grantable", "named by", "description"];
    let yes_or_no = |is: bool| if is { "yes" } else { "no" };
    let row = |line: &GroupLine<'_>| {
        let (in_pool, grantable) = (line.state == "exists", line.grantable);
        let settings = match line.settings.join(", ") {
            none if none.is_empty() => "-".to_owned(),
            settings => settings,
        };
        let description = line.description.unwrap_or("-");
        let [in_pool, grantable] = [in_pool, grantable].map(yes_or_no);
        [line.group, in_pool, grantable, &settings, description].map(str::to_owned)
    };
    let header = std::iter::once(header.map(str::to_owned));
    let rows: Vec<[String; 5]> = header.chain(lines.iter().map(row)).collect();
    table(&rows, MAX_WIDTH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::aws::cognito::fake::fake_cognito;

    #[tokio::test(start_paused = true)]
    async fn groups_of_every_page_are_listed() {
        let respond = |operation: &str, input: &Value| {
            assert_eq!(operation, "ListGroups");
            let page = match input["NextToken"].as_str() {
                None => json!({"Groups": [{"GroupName": "A"}], "NextToken": "second"}),
                Some("second") => json!({"Groups": [], "NextToken": "third"}),
                Some(_) => json!({"Groups": [{"GroupName": "B", "Description": "b"}]}),
            };
            (Duration::ZERO, 200, page)
        };
        let services = fake_cognito(1, respond).await;
        let pool = PoolId::new("eu-west-1_x").expect("an id");
        let groups = all_groups(&services.cognito, &pool).await.expect("groups");
        let found: Vec<_> = groups
            .iter()
            .map(|group| (group.name.as_str(), group.description.as_deref()))
            .collect();
        assert_eq!(found, [("A", None), ("B", Some("b"))]);
    }
}
