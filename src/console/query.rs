//! A filter of dead letters in a URL or a form: the options of `usher dead-letters list`.

use form_urlencoded::Serializer;
use jiff::Timestamp;

use super::form::Form;
use super::snapshot::Snapshot;
use super::text::Moment;
use crate::config::{in_shell_quotes, parse_time};
use crate::dead_letter::{Filter, parse_id, parse_sub};
use crate::reason;

/// What a person typed that is not valid: the field and the rule.
pub(super) type FieldError = (&'static str, String);

#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) errors: Vec<FieldError>,
}

impl Query {
    /// `snapshot` has the reasons that are there.
    pub(super) fn parse(form: &Form, snapshot: &Snapshot) -> Self {
        let mut errors = Vec::new();
        let mut filter = Filter::default();
        for text in form.all("reason") {
            let parsed = if snapshot.has_reason(text) {
                Ok(text.to_owned())
            } else {
                reason::parse(text)
            };
            filter.reasons.extend(keep(&mut errors, "reason", parsed));
        }
        for text in form.all("id") {
            filter.ids.extend(keep(&mut errors, "id", parse_id(text)));
        }
        filter.since = one(form, "since", parse_time, &mut errors);
        filter.before = one(form, "before", parse_time, &mut errors);
        filter.pool = form.all("pool").next().map(str::to_owned);
        filter.sub = one(form, "sub", parse_sub, &mut errors);
        filter.limit = one(form, "limit", parse_limit, &mut errors);
        let by_id = Filter {
            ids: filter.ids.clone(),
            ..Filter::default()
        };
        if !filter.ids.is_empty() && filter != by_id {
            // As for the commands: an id needs no filter.
            errors.push(("id", "cannot be combined with other fields".to_owned()));
        }
        Self { filter, errors }
    }

    /// The fields that are set, with absolute times: what is seen now is meant later.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let Filter {
            ids,
            exact_ids: _,
            reasons,
            since,
            before,
            pool,
            sub,
            limit,
        } = &self.filter;
        let time = |time: &Option<Timestamp>| time.map(|time| time.to_string());
        let all = [("id", ids), ("reason", reasons)].into_iter();
        let many = all.flat_map(|(name, texts)| texts.iter().map(move |it| (name, it.clone())));
        let one = [
            ("since", time(since)),
            ("before", time(before)),
            ("pool", pool.clone()),
            ("sub", sub.clone()),
            ("limit", limit.map(|limit| limit.to_string())),
        ];
        let one = one
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)));
        many.chain(one).collect()
    }

    /// The fields as the query of a URL.
    pub(super) fn encoded(&self) -> String {
        Serializer::new(String::new())
            .extend_pairs(self.fields())
            .finish()
    }

    /// The fields as arguments of a command; empty if they match all.
    pub(super) fn arguments(&self) -> String {
        let argument = |(name, text): (&str, String)| {
            let text = in_shell_quotes(&text);
            if name == "id" {
                format!(" {text}")
            } else {
                format!(" --{name} {text}")
            }
        };
        self.fields().into_iter().map(argument).collect()
    }

    /// The command that lists them. Only `show` takes an id, and one.
    pub(super) fn list_command(&self) -> String {
        let show = |id: &String| format!("usher dead-letters show {}", in_shell_quotes(id));
        match self.filter.ids.as_slice() {
            [] => format!("usher dead-letters list{}", self.arguments()),
            ids => ids.iter().map(show).collect::<Vec<_>>().join(" && "),
        }
    }

    /// The arguments of a command that changes dead letters.
    pub(super) fn change_arguments(&self) -> String {
        let all = if self.filter.matches_all() {
            " --all"
        } else {
            ""
        };
        format!("{all}{}", self.arguments())
    }

    /// In words, such as `throttled, before 2026-08-07 12:00 UTC`; empty if they match all.
    pub(super) fn describe(&self) -> String {
        let part = |(name, text): (&str, String)| match name {
            "reason" => text,
            "since" | "before" => {
                let time = text.parse().map(|time| Moment(time).utc());
                format!("{name} {}", time.unwrap_or(text))
            }
            "limit" => format!("at most {text}"),
            name => format!("{name} {text}"),
        };
        let parts: Vec<String> = self.fields().into_iter().map(part).collect();
        parts.join(", ")
    }
}

/// The value of a field; `None` if it is empty or not valid.
pub(super) fn one<T>(
    form: &Form,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let text = form.all(name).next()?;
    keep(errors, name, parse(text))
}

pub(super) fn parse_limit(text: &str) -> Result<u64, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| "must be a whole number of 1 or more".to_owned())
}

fn keep<T>(
    errors: &mut Vec<FieldError>,
    name: &'static str,
    parsed: Result<T, String>,
) -> Option<T> {
    parsed.map_err(|error| errors.push((name, error))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(&Form::parse(text.as_bytes()), &Snapshot::default())
    }

    #[test]
    fn a_filter_survives_as_url_and_as_arguments() {
        let all = query("reason=throttled&reason=a%20%24b&since=2026-08-07&sub=1-2&limit=50");
        assert!(all.errors.is_empty(), "{:?}", all.errors);
        assert_eq!(query(&all.encoded()).encoded(), all.encoded());
        let expected = " --reason throttled --reason 'a $b' --since 2026-08-07T00:00:00Z \
                        --sub 1-2 --limit 50";
        assert_eq!(all.arguments(), expected);
        assert_eq!(all.change_arguments(), expected);
        let words = "throttled, a $b, since 2026-08-07 00:00 UTC, sub 1-2, at most 50";
        assert_eq!(all.describe(), words);
        assert_eq!(query("").change_arguments(), " --all");
        assert_eq!(query("limit=5").change_arguments(), " --all --limit 5");
        assert_eq!(query("reason=").change_arguments(), " --all");
    }

    #[test]
    fn an_id_stands_alone_as_in_the_commands() {
        let two = query("id=12345678&id=abcdef%2000");
        assert!(two.errors.is_empty(), "{:?}", two.errors);
        assert_eq!(two.change_arguments(), " 12345678 'abcdef 00'");
        let shown = "usher dead-letters show 12345678 && usher dead-letters show 'abcdef 00'";
        assert_eq!(two.list_command(), shown);
        assert_eq!(
            query("reason=a").list_command(),
            "usher dead-letters list --reason a"
        );
        for other in ["reason=throttled", "limit=1", "pool=p"] {
            let both = query(&format!("id=12345678&{other}"));
            assert_eq!(both.errors.len(), 1, "{other}");
        }
    }

    #[test]
    fn invalid_fields_are_named_and_left_out() {
        let wrong = query("reason=throtled&since=noon&sub=ada@example.com&limit=0&id=1234567");
        let names: Vec<&str> = wrong.errors.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["reason", "id", "since", "sub", "limit"]);
        assert!(wrong.fields().is_empty());
    }
}
