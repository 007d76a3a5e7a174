//! The options of `usher load run`, with the checks that clap cannot make.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::cli::{MissingSetting, Usage, arguments, status_line};
use crate::config::Config;
use crate::event::PoolId;
use crate::http::Url;
use crate::load::{MAX_SIGN_UPS, Requirement, SignUpTemplate, Source, Stages, parse_recorded};

const DEFAULT_EMAIL_DOMAIN: &str = "example.com";

/// The options of a run and of a clean-up.
#[derive(Debug, clap::Args)]
pub(super) struct LimitOptions {
    /// User pool [default: the one in load.allowed_pools]
    #[arg(long, value_name = "ID")]
    pub(super) pool: Option<String>,
    /// How long the queue must read 0 before it counts as empty: SQS's counts may be a minute
    /// old. Differences are rechecked for the same time
    #[arg(long, value_name = "TIME", default_value = "65s", value_parser = arguments::parse_wait)]
    pub(super) quiet_period: Duration,
    /// Give up after this long without progress
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = arguments::parse_wait)]
    pub(super) give_up_after: Duration,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher load run --count 300 --rate 20 --report load.html
  usher load run --stages \"ramp 0..20 over 30s, hold 1m\" --duplicates 5%
  usher load run --count 300 --require \"p99<2s,finished=100%\" --junit load.xml")]
pub(super) struct Options {
    /// Number of sign-ups
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_sign_up_count)]
    count: Option<u32>,
    /// Sign-ups a second
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    rate: f64,
    /// Stages instead of count and rate, separated by commas: ramp A..B over TIME, hold TIME,
    /// hold RATE for TIME, burst N, pause TIME
    #[arg(long, value_name = "STAGES", conflicts_with_all = ["count", "rate"])]
    stages: Option<String>,
    /// Send recorded events from a file or folder, with unique user names
    #[arg(long, value_name = "PATH", conflicts_with_all = ["attribute", "client_id"])]
    events: Option<PathBuf>,
    /// Percentage of sign-ups sent twice
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    duplicates: f64,
    /// Invalid messages to add, as a percentage of sign-ups: malformed, unknown user, foreign
    /// pool
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    poison: f64,
    /// Seed for reproducible messages and timing
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Keep the users, profiles and dead letters of the run
    #[arg(long)]
    pub(super) no_cleanup: bool,
    /// User attribute of every sign-up, such as custom:plan=pro; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_attribute)]
    attribute: Vec<(String, String)>,
    /// App client of the sign-ups
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Domain of the users' e-mail addresses; no mail is sent
    #[arg(long, value_name = "DOMAIN", default_value = DEFAULT_EMAIL_DOMAIN, value_parser = parse_domain)]
    pub(super) email_domain: String,
    /// URL of a worker's health server, such as http://10.0.1.23:8080, to count its calls and
    /// throttles; repeatable
    #[arg(long, value_name = "URL")]
    pub(super) worker: Vec<Url>,
    /// Write an HTML report with charts to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Exit with 1 unless the run meets these, separated by commas: a measure, one of < <= = >= >
    /// and a value. Measures: p50, p90, p99, p99.9, max, finished, rate, duration, waiting, late,
    /// calls, throttled, differences
    #[arg(long, value_name = "REQUIREMENTS", value_delimiter = ',')]
    pub(super) require: Vec<Requirement>,
    /// Write JUnit's XML to this file, with a test case for each requirement; replaces the file
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: LimitOptions,
}

impl Options {
    /// The only pool of a run; `pools.allowed` must name it, too.
    pub(super) fn pool(&self, config: &Config) -> anyhow::Result<PoolId> {
        let mut pools = pools(self.common.pool.as_deref(), config)?;
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
        if self.common.give_up_after < self.common.quiet_period {
            return Err(Usage::error(
                "--give-up-after must not be shorter than --quiet-period",
            ));
        }
        Ok(pool)
    }

    /// The stages of `--stages`, or a steady rate.
    pub(super) fn stages(&self, sign_ups: &SignUpTemplate) -> anyhow::Result<Stages> {
        if let Some(stages) = &self.stages {
            return Stages::parse(stages).map_err(|e| Usage::error(format!("--stages: {e}")));
        }
        let count = match (self.count, sign_ups) {
            (Some(count), _) => count,
            (None, SignUpTemplate::Recorded(events)) => {
                u32::try_from(events.len()).unwrap_or(MAX_SIGN_UPS)
            }
            (None, SignUpTemplate::Generated { .. }) => {
                return Err(Usage::error("set --count, --stages or --events"));
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
            status_line(&format!("skipped {}: {why}", file.display()));
        }
        if events.is_empty() {
            return Err(Usage::error(format!(
                "{}: found no confirmed sign-up",
                flag()
            )));
        }
        Ok(SignUpTemplate::Recorded(events))
    }

    /// Refuses what this run cannot measure.
    pub(super) fn check_requirements(&self, config: &Config) -> anyhow::Result<()> {
        for requirement in &self.require {
            let missing = match requirement.source() {
                Source::Workers if self.worker.is_empty() => {
                    "only the workers know it; name them with --worker"
                }
                Source::Profiles if config.profiles.is_none() => {
                    "only profiles show it, and profiles.enabled is false"
                }
                _ => continue,
            };
            return Err(Usage::error(format!("--require {requirement}: {missing}")));
        }
        Ok(())
    }

    /// Duplicates and poison, as shares of the sign-ups.
    pub(super) fn shares(&self) -> (f64, f64) {
        (self.duplicates, self.poison)
    }

    /// The command that repeats the run. Values that may be personal or secret become `…`.
    pub(super) fn command_line(&self, seed: u64, settings: &[String]) -> String {
        let schedule = match (&self.stages, self.count) {
            (Some(stages), _) => format!(" --stages \"{stages}\""),
            (None, Some(count)) => format!(" --count {count} --rate {}", self.rate),
            (None, None) => format!(" --rate {}", self.rate),
        };
        let percent = |share: f64| (share * 1e6).round() / 1e4;
        let mut command = format!(
            "usher load run{schedule} --duplicates {}% --poison {}% --seed {seed} --quiet-period \"{}\" --give-up-after \"{}\"",
            percent(self.duplicates),
            percent(self.poison),
            humantime::format_duration(self.common.quiet_period),
            humantime::format_duration(self.common.give_up_after),
        );
        for (flag, is_given) in [
            ("--no-cleanup", self.no_cleanup),
            ("--events …", self.events.is_some()),
            ("--attribute …", !self.attribute.is_empty()),
            ("--client-id …", self.client_id.is_some()),
            (
                "--email-domain …",
                self.email_domain != DEFAULT_EMAIL_DOMAIN,
            ),
            ("--worker …", !self.worker.is_empty()),
        ] {
            if is_given {
                command = format!("{command} {flag}");
            }
        }
        if !self.require.is_empty() {
            let all: Vec<String> = self.require.iter().map(Requirement::to_string).collect();
            command = format!("{command} --require \"{}\"", all.join(","));
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

    /// Creates the files of `--report` and `--junit`, so that a wrong path fails before the run.
    /// A report of an earlier run is kept. Results for a CI system are not: it would take them
    /// for those of this run, which may end without any.
    pub(super) fn create_files(&self) -> anyhow::Result<()> {
        if let Some(path) = &self.report {
            create_report(path)?;
        }
        if let Some(path) = &self.junit {
            std::fs::write(path, "").with_context(|| format!("--junit {}", path.display()))?;
        }
        Ok(())
    }
}

fn create_report(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("--report {}", path.display()))?;
    if file.metadata()?.len() > 0 {
        return Err(Usage::error(format!(
            "--report {}: the file already exists; use another name",
            path.display()
        )));
    }
    Ok(())
}

/// The given pool, or all of `load.allowed_pools`; each one is allowed.
pub(super) fn pools(given: Option<&str>, config: &Config) -> anyhow::Result<Vec<PoolId>> {
    let allowed = &config.load.allowed_pools;
    if allowed.is_empty() {
        return Err(MissingSetting(
            "load.allowed_pools is empty: name a user pool for tests; a load test creates and \
             deletes users in it",
        )
        .into());
    }
    let Some(id) = given else {
        return Ok(allowed.iter().cloned().collect());
    };
    let pool = PoolId::new(id).filter(|pool| allowed.contains(pool));
    pool.map(|pool| vec![pool]).ok_or_else(|| {
        Usage::error(format!(
            "--pool {id} is not in load.allowed_pools: a load test would create and \
             delete users in it"
        ))
    })
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

fn parse_sign_up_count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok();
    count
        .filter(|count| (1..=MAX_SIGN_UPS).contains(count))
        .ok_or_else(|| format!("must be a whole number from 1 to {MAX_SIGN_UPS}"))
}

/// `5%` is 0.05.
fn parse_share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|n| n.trim().parse().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("must have a percent sign, from 0% to 100%, such as 5%".to_owned()),
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
        Err("is not a domain, such as example.com".to_owned())
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
    fn the_help_names_every_measure() {
        let refused = "?<1".parse::<Requirement>().expect_err("no such measure");
        let (_, names) = refused.split_once("the measures are ").expect("names");
        let help = <Command as clap::CommandFactory>::command();
        let help = help.term_width(1_000).render_help().to_string();
        assert!(help.contains(&format!("Measures: {names}")), "{help}");
    }

    #[test]
    fn the_command_line_holds_no_personal_data_and_no_secrets() {
        let arguments = [
            "load",
            "--stages",
            "ramp 0..20 over 10s, burst 5",
            "--duplicates",
            "5%",
            "--events",
            "/home/ada/events",
            "--email-domain",
            "ada.example",
            "--worker",
            "http://ada:secret@10.0.0.1:8080",
            "--report",
            "/home/ada/load.html",
            "--require",
            "p99 < 2s,finished=100%",
        ];
        let options = Command::parse_from(arguments).options;
        let settings = [
            "quota.user_update=20",
            "queue.url=https://ada:secret@sqs.example/q",
            "invitations.contact=mailto:ada@mail.example",
        ];
        assert_eq!(
            options.command_line(7, &settings.map(str::to_owned)),
            "usher load run --stages \"ramp 0..20 over 10s, burst 5\" --duplicates 5% \
             --poison 0% --seed 7 --quiet-period \"1m 5s\" --give-up-after \"10m\" --events … --email-domain … \
             --worker … --require \"p99 < 2s,finished=100%\" --set quota.user_update=20 --set queue.url=… \
             --set invitations.contact=…"
        );
    }
}
