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
        let mut time = |name: &'static str| {
            let text = form.all(name).next()?;
            keep(&mut errors, name, parse_time(text))
        };
        filter.since = time("since");
        filter.before = time("before");
        filter.pool = form.all("pool").next().map(str::to_owned);
        let sub = form.all("sub").next();
        filter.sub = sub.and_then(|text| keep(&mut errors, "sub", parse_sub(text)));
        let limit = form.all("limit").next();
        filter.limit = limit.and_then(|text| {
            let limit = text.parse().ok().filter(|limit: &u64| *limit > 0);
            let limit = limit.ok_or_else(|| "must be a whole number of 1 or more".to_owned());
            keep(&mut errors, "limit", limit)
        });
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
    fn invalid_fields_are_named_and_left_out() {
        let wrong = query("reason=throtled&since=noon&sub=ada@example.com&limit=0&id=1234567");
        let names: Vec<&str> = wrong.errors.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["reason", "id", "since", "sub", "limit"]);
        assert!(wrong.fields().is_empty());
    }
}
