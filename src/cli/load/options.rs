//! The options of `usher load`, with the checks that clap cannot make.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::cli::{Usage, status_line, time};
use crate::config::Config;
use crate::event::PoolId;
use crate::http::Url;
use crate::load::{MAX_SIGN_UPS, RunId, SignUpTemplate, Stages, parse_recorded};

const DEFAULT_EMAIL_DOMAIN: &str = "example.com";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Sign-ups to send
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SIGN_UPS)))]
    count: Option<u32>,
    /// Sign-ups a second
    #[arg(long, value_name = "R", default_value_t = 10.0)]
    rate: f64,
    /// Stages instead of count and rate: ramp A..B over TIME, hold TIME,
    /// hold RATE for TIME, burst N, pause TIME, with commas between
    #[arg(long, value_name = "STAGES", conflicts_with_all = ["count", "rate"])]
    profile: Option<String>,
    /// Real events, from a file or a folder, each in its turn, with names made unique
    #[arg(long, value_name = "PATH", conflicts_with_all = ["attribute", "client_id"])]
    events: Option<PathBuf>,
    /// Share of the sign-ups that go twice
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    duplicates: f64,
    /// So many messages for each hundred sign-ups that must not be provisioned:
    /// malformed, of an unknown user, of a foreign pool
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    poison: f64,
    /// With the same seed the same goes at the same times
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Makes the users in the pool first, and removes them and their profiles in the end
    #[arg(long)]
    create_users: bool,
    /// Leaves users, profiles and letters where they are
    #[arg(long)]
    pub(super) keep: bool,
    /// User pool; that of `load.allowed_pools` unless given
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// A user attribute of every sign-up, such as custom:plan=pro; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_attribute)]
    attribute: Vec<(String, String)>,
    /// App client that people sign up through
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The part behind the @ of the users' addresses; nothing is sent to them
    #[arg(long, value_name = "DOMAIN", default_value = DEFAULT_EMAIL_DOMAIN, value_parser = parse_domain)]
    pub(super) email_domain: String,
    /// The queue is taken for empty once SQS has counted nothing for so long: its counts
    /// may be a minute old. What differs is looked at again for as long
    #[arg(long, value_name = "TIME", default_value = "65s", value_parser = time::parse_wait)]
    pub(super) settle: Duration,
    /// Gives up when nothing has moved for so long
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time::parse_wait)]
    pub(super) patience: Duration,
    /// A worker's /metrics, to count its calls and throttles; may be repeated
    #[arg(long, value_name = "URL")]
    pub(super) worker_metrics: Vec<Url>,
    /// Writes a page with plots
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Removes what an earlier run left that was cut off: users, profiles, messages,
    /// letters
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "count", "rate", "profile", "events", "duplicates", "poison", "seed", "create_users",
        "keep", "attribute", "client_id", "email_domain", "worker_metrics", "report",
    ])]
    pub(super) clean: Option<RunId>,
}

impl Options {
    /// The pool of `--pool`, or all of `load.allowed_pools`; each one is allowed.
    pub(super) fn pools(&self, config: &Config) -> anyhow::Result<Vec<PoolId>> {
        let allowed = &config.load.allowed_pools;
        if allowed.is_empty() {
            return Err(Usage::error(
                "load.allowed_pools is empty: name the user pool there that may be tested; a load test makes users in it and removes them",
            ));
        }
        let Some(id) = &self.pool else {
            return Ok(allowed.iter().cloned().collect());
        };
        let pool = PoolId::new(id).filter(|pool| allowed.contains(pool));
        pool.map(|pool| vec![pool]).ok_or_else(|| {
            Usage::error(format!(
                "--pool {id} is not in load.allowed_pools: it is refused, since a load test makes users in it and removes them"
            ))
        })
    }

    /// The only pool of a run; `pools.allowed` must name it, too.
    pub(super) fn pool(&self, config: &Config) -> anyhow::Result<PoolId> {
        let mut pools = self.pools(config)?;
        if pools.len() > 1 {
            return Err(Usage::error(
                "load.allowed_pools names several user pools: choose one with --pool",
            ));
        }
        let pool = pools.remove(0);
        if !config.pools.is_allowed(&pool) {
            return Err(Usage::error(format!(
                "{pool} is not in pools.allowed: the worker would make dead letters of its sign-ups (foreign_pool)"
            )));
        }
        if self.patience < self.settle {
            return Err(Usage::error(
                "--patience is shorter than --settle: nothing could be waited for",
            ));
        }
        if !self.create_users {
            return Err(Usage::error(
                "say --create-users: without users of their own the sign-ups would be of nobody, and none could be provisioned",
            ));
        }
        Ok(pool)
    }

    /// The stages of `--profile`, or a steady rate.
    pub(super) fn stages(&self, sign_ups: &SignUpTemplate) -> anyhow::Result<Stages> {
        if let Some(profile) = &self.profile {
            return Stages::parse(profile).map_err(|e| Usage::error(format!("--profile: {e}")));
        }
        let count = match (self.count, sign_ups) {
            (Some(count), _) => count,
            (None, SignUpTemplate::Recorded(events)) => {
                u32::try_from(events.len()).unwrap_or(MAX_SIGN_UPS)
            }
            (None, SignUpTemplate::Generated { .. }) => {
                return Err(Usage::error(
                    "say how many: --count N, --profile or --events",
                ));
            }
        };
        Stages::steady(count, self.rate).map_err(|e| Usage::error(format!("--rate: {e}")))
    }

    /// Events of `--events`, or generated sign-ups. Skips files that hold no confirmed sign-up.
    pub(super) fn sign_ups(&self) -> anyhow::Result<SignUpTemplate> {
        let Some(path) = &self.events else {
            return Ok(SignUpTemplate::Generated {
                client_id: self.client_id.clone(),
                attributes: self.attribute.clone(),
            });
        };
        let flag = || format!("--events {}", path.display());
        let mut files = list_files(path).with_context(flag)?;
        files.sort();
        let mut events = Vec::new();
        for file in &files {
            let why = match std::fs::read_to_string(file) {
                Ok(text) => match parse_recorded(&text) {
                    Ok(event) => {
                        events.push(event);
                        continue;
                    }
                    Err(why) => why.to_string(),
                },
                Err(error) => error.to_string(),
            };
            status_line(&format!("{} is left out: {why}", file.display()));
        }
        if events.is_empty() {
            return Err(Usage::error(format!(
                "{}: no confirmed sign-up there",
                flag()
            )));
        }
        Ok(SignUpTemplate::Recorded(events))
    }

    /// Duplicates and poison, as shares of the sign-ups.
    pub(super) fn shares(&self) -> (f64, f64) {
        (self.duplicates, self.poison)
    }

    /// The command that repeats the run. Values that may be personal or secret become `…`.
    pub(super) fn command_line(&self, seed: u64, settings: &[String]) -> String {
        let schedule = match (&self.profile, self.count) {
            (Some(stages), _) => format!(" --profile \"{stages}\""),
            (None, Some(count)) => format!(" --count {count} --rate {}", self.rate),
            (None, None) => format!(" --rate {}", self.rate),
        };
        let percent = |share: f64| (share * 1e6).round() / 1e4;
        let mut command = format!(
            "usher load --create-users{schedule} --duplicates {}% --poison {}% --seed {seed} --settle \"{}\" --patience \"{}\"",
            percent(self.duplicates),
            percent(self.poison),
            humantime::format_duration(self.settle),
            humantime::format_duration(self.patience),
        );
        for (flag, is_given) in [
            ("--keep", self.keep),
            ("--events …", self.events.is_some()),
            ("--attribute …", !self.attribute.is_empty()),
            ("--client-id …", self.client_id.is_some()),
            (
                "--email-domain …",
                self.email_domain != DEFAULT_EMAIL_DOMAIN,
            ),
            ("--worker-metrics …", !self.worker_metrics.is_empty()),
        ] {
            if is_given {
                command = format!("{command} {flag}");
            }
        }
        for setting in settings {
            let key = setting.split('=').next().unwrap_or_default();
            let is_number = key.starts_with("quota.") || key.starts_with("worker.");
            let setting = if is_number {
                setting
            } else {
                &format!("{key}=…")
            };
            command = format!("{command} --set {setting}");
        }
        command
    }

    /// Creates the file of `--report`, so that a wrong path fails before the run.
    pub(super) fn check_report(&self) -> anyhow::Result<()> {
        let Some(path) = &self.report else {
            return Ok(());
        };
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map(|_| ())
            .with_context(|| format!("--report {}", path.display()))
    }
}

/// The file itself, or the files of a folder, without subfolders.
fn list_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let paths: std::io::Result<Vec<PathBuf>> = entries.collect();
    Ok(paths?.into_iter().filter(|path| path.is_file()).collect())
}

/// `5%` is 0.05.
fn parse_share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|n| n.trim().parse().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("write it with a percent sign, 0% to 100%: 5%".to_owned()),
    }
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !["sub", "email"].contains(&name) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        Some(("sub" | "email", _)) => Err("is each user's own".to_owned()),
        _ => Err("write NAME=VALUE, such as custom:plan=pro".to_owned()),
    }
}

fn parse_domain(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let has_labels = text.contains('.') && text.split('.').all(|label| !label.is_empty());
    if has_labels && text.chars().all(is_allowed) {
        Ok(text.to_lowercase())
    } else {
        Err("is no domain, such as example.com".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_command_line_holds_no_personal_data_and_no_secrets() {
        let arguments = [
            "load",
            "--create-users",
            "--profile",
            "ramp 0..20 over 10s, burst 5",
            "--duplicates",
            "5%",
            "--events",
            "/home/ada/events",
            "--email-domain",
            "ada.example",
            "--worker-metrics",
            "http://ada:secret@10.0.0.1:8080/metrics",
            "--report",
            "/home/ada/load.html",
        ];
        let options = Command::parse_from(arguments).options;
        let settings = [
            "quota.user_update=20",
            "queue.url=https://ada:secret@sqs.example/q",
            "invitations.contact=mailto:ada@mail.example",
        ];
        assert_eq!(
            options.command_line(7, &settings.map(str::to_owned)),
            "usher load --create-users --profile \"ramp 0..20 over 10s, burst 5\" --duplicates 5% \
             --poison 0% --seed 7 --settle \"1m 5s\" --patience \"10m\" --events … --email-domain … \
             --worker-metrics … --set quota.user_update=20 --set queue.url=… \
             --set invitations.contact=…"
        );
    }
}
