//! The options of `usher reconcile` that a person needs, in a URL or a form.

use form_urlencoded::Serializer;
use jiff::Timestamp;

use super::form::Form;
use super::query::{FieldError, one, parse_limit};
use super::text::Moment;
use crate::config::{Config, in_shell_quotes, parse_time};
use crate::event::PoolId;

/// Valid options.
#[derive(Debug, Clone)]
pub(super) struct ReconcileOptions {
    pub(super) pool: PoolId,
    /// Whether memberships in the default groups are compared too.
    pub(super) groups: bool,
    pub(super) federated: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) limit: Option<u64>,
}

impl ReconcileOptions {
    /// # Errors
    /// Each field that is not valid.
    pub(super) fn parse(form: &Form, config: &Config) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let pool = parse_pool(form.get("pool"), config);
        let pool = pool.map_err(|rule| errors.push(("pool", rule.to_owned())));
        let since = one(form, "since", parse_time, &mut errors);
        // Whole seconds are easier to read, in the URL and in the command.
        let since = since.and_then(|time| Timestamp::from_second(time.as_second()).ok());
        let limit = one(form, "limit", parse_limit, &mut errors);
        match pool {
            Ok(pool) if errors.is_empty() => Ok(Self {
                pool,
                groups: !form.get("groups").is_empty(),
                federated: !form.get("federated").is_empty(),
                since,
                limit,
            }),
            _ => Err(errors),
        }
    }

    /// The fields that are set, with an absolute time: a run is about what the dry run was about.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let set = |is_set: bool| is_set.then(|| "on".to_owned());
        let fields = [
            ("pool", Some(self.pool.to_string())),
            ("groups", set(self.groups)),
            ("federated", set(self.federated)),
            ("since", self.since.map(|time| time.to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, text)| Some((name, text?)))
            .collect()
    }

    /// The fields as the query of a URL.
    pub(super) fn encoded(&self) -> String {
        Serializer::new(String::new())
            .extend_pairs(self.fields())
            .finish()
    }

    /// The command that does the same.
    pub(super) fn command(&self, is_dry_run: bool) -> String {
        // The command would continue where an earlier run was stopped.
        let how = if is_dry_run {
            " --dry-run"
        } else {
            " --restart"
        };
        let argument = |(name, text): (&str, String)| match name {
            "groups" => " --groups".to_owned(),
            "federated" => " --include-federated".to_owned(),
            name => format!(" --{name} {}", in_shell_quotes(&text)),
        };
        let arguments: String = self.fields().into_iter().map(argument).collect();
        format!("usher reconcile{how}{arguments}")
    }

    /// In words: `eu-west-1_x, with groups, created since 2026-08-07 00:00 UTC`.
    pub(super) fn describe(&self) -> String {
        let part = |(name, text): (&str, String)| match name {
            "groups" => "with groups".to_owned(),
            "federated" => "with federated users".to_owned(),
            "since" => {
                let time = self.since.map_or(text, |time| Moment(time).utc());
                format!("created since {time}")
            }
            "limit" => format!("at most {text}"),
            _ => text,
        };
        let parts: Vec<String> = self.fields().into_iter().map(part).collect();
        parts.join(", ")
    }
}

/// The named pool, or the only one.
pub(super) fn parse_pool(id: &str, config: &Config) -> Result<PoolId, &'static str> {
    let allowed = &config.pools.allowed;
    let only = allowed.first().filter(|_| allowed.len() == 1);
    if let Some(pool) = only.filter(|_| id.is_empty()) {
        return Ok(pool.clone());
    }
    let pool =
        PoolId::new(id).ok_or("must be the id of a user pool, such as eu-west-1_AbCdEf123")?;
    if config.pools.is_allowed(&pool) {
        Ok(pool)
    } else {
        Err("is not in pools.allowed: the worker would make dead letters of its sign-ups")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    fn options(allowed: &str, form: &str) -> Result<ReconcileOptions, Vec<FieldError>> {
        let flags = [
            "queue.url=http://localhost/1/usher",
            "profiles.table=UserProfile",
        ];
        let mut flags = flags.map(str::to_owned).to_vec();
        flags.push(format!("pools.allowed={allowed}"));
        let config = Config::from_layers(&Layers::defaults().flags(&flags)).expect("valid");
        ReconcileOptions::parse(&Form::parse(form.as_bytes()), &config)
    }

    #[test]
    fn options_survive_as_url_and_as_command() {
        let form = "groups=on&federated=on&since=2026-08-07&limit=50";
        let all = options("eu-west-1_a", form).expect("valid");
        let again = options("eu-west-1_a,eu-west-1_b", &all.encoded()).expect("valid");
        assert_eq!(again.encoded(), all.encoded());
        let arguments = "--pool eu-west-1_a --groups --include-federated \
                         --since 2026-08-07T00:00:00Z --limit 50";
        assert_eq!(
            all.command(false),
            format!("usher reconcile --restart {arguments}")
        );
        let dry_run = format!("usher reconcile --dry-run {arguments}");
        assert_eq!(all.command(true), dry_run);
        let words = "eu-west-1_a, with groups, with federated users, \
                     created since 2026-08-07 00:00 UTC, at most 50";
        assert_eq!(all.describe(), words);
    }

    #[test]
    fn wrong_options_are_named() {
        let names = |allowed, form| {
            let errors = options(allowed, form).expect_err("wrong");
            errors.iter().map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!(names("", "since=noon&limit=0"), ["pool", "since", "limit"]);
        assert_eq!(names("eu-west-1_a,eu-west-1_b", ""), ["pool"]);
        assert_eq!(names("eu-west-1_a", "pool=eu-west-1_c"), ["pool"]);
    }
}
