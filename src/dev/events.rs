//! Events from files, sent like a sign-up: user, trigger, queue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;

use super::stack::Stack;
use crate::aws::{Failure, Outgoing};
use crate::event::{self, Event, Malformed, Scope, Trace};
use crate::trigger::ForwardResult;

#[derive(Debug, Clone)]
pub(crate) struct EventFile {
    /// As given, or found in a given folder.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

/// The result of sending a file to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventDelivery {
    /// On the queue, with this message id.
    Queued(String),
    /// The trigger did not forward it, for this reason.
    PassedThrough(&'static str),
    /// It could not be sent to the queue, for this reason.
    NotSent(&'static str),
}

/// A message that is not a sign-up, or the sign-in of a user whom the trigger does not send.
const NOT_FORWARDED: &str = "not_forwarded";
/// A sign-up that the trigger did not forward. This must not happen.
pub(super) const LOST_SIGN_UP: &str = "sign_up_not_forwarded";
/// The trigger could not reach the queue.
pub(super) const FORWARD_FAILED: &str = "forward_failed";
/// The pool did not create the user whom the event names.
pub(super) const USER_NOT_CREATED: &str = "user_not_created";

/// The files of `--events`.
#[derive(Debug, Default)]
pub(crate) struct EventFiles {
    pub read: Vec<EventFile>,
    /// Files of folders that are not `*.json`.
    pub skipped: Vec<PathBuf>,
}

/// Reads the given files, and each `*.json` in the given folders and below, by name.
///
/// # Errors
/// The first path that cannot be read, with the cause.
pub(crate) fn read_event_files(paths: &[PathBuf]) -> std::io::Result<EventFiles> {
    let mut files = EventFiles::default();
    for path in paths {
        collect_event_files(path, true, &mut files).map_err(|error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
    }
    Ok(files)
}

fn collect_event_files(path: &Path, is_given: bool, files: &mut EventFiles) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        entries.sort();
        for entry in entries {
            collect_event_files(&entry, false, files)?;
        }
    } else if is_given
        || path
            .extension()
            .is_some_and(|extension| extension == "json")
    {
        files.read.push(EventFile {
            path: path.to_owned(),
            bytes: std::fs::read(path)?,
        });
    } else {
        files.skipped.push(path.to_owned());
    }
    Ok(())
}

/// The event with `pool` as its pool, if the file is JSON.
pub(super) fn event_for_pool(file: &EventFile, pool: &str) -> Option<Value> {
    let text = event::strip_bom(std::str::from_utf8(&file.bytes).ok()?);
    let mut event: Value = serde_json::from_str(text).ok()?;
    if event
        .get("userPoolId")
        .and_then(Value::as_str)
        .is_some_and(|id| !id.is_empty())
    {
        event["userPoolId"] = Value::from(pool);
    }
    Some(event)
}

impl Stack {
    /// Creates the user whom the event names, and passes the event to the
    /// trigger. A file that is not JSON goes to the queue as it is, since a
    /// Lambda takes only JSON.
    pub(super) async fn deliver(&self, file: &EventFile) -> EventDelivery {
        let Some(event) = event_for_pool(file, &self.pool.id) else {
            let Ok(text) = std::str::from_utf8(&file.bytes) else {
                return EventDelivery::NotSent("not_utf8");
            };
            // SQS takes no empty body. usher reads white space as an empty body.
            let body = if text.is_empty() { " " } else { text };
            let message = Outgoing {
                body: body.to_owned(),
                ..Outgoing::default()
            };
            return match self.queue.send(message).await {
                Ok(id) => EventDelivery::Queued(id),
                Err(_) => EventDelivery::NotSent(FORWARD_FAILED),
            };
        };
        if self.create_user(&event).await.is_err() {
            return EventDelivery::NotSent(USER_NOT_CREATED);
        }
        let text = event.to_string();
        let reason = match event::parse(&text) {
            Ok(Event::SignUp(sign_up)) if sign_up.scope == Scope::Full => LOST_SIGN_UP,
            Ok(_) => NOT_FORWARDED,
            Err(malformed) => malformed.code(),
        };
        let Ok(raw) = RawValue::from_string(text) else {
            return EventDelivery::NotSent(Malformed::NotJson.code());
        };
        match self.trigger.queue_user(&raw, &Trace::default()).await {
            ForwardResult::Sent(id) => EventDelivery::Queued(id),
            ForwardResult::PassedThrough => EventDelivery::PassedThrough(reason),
            ForwardResult::Failed { .. } => EventDelivery::NotSent(FORWARD_FAILED),
        }
    }

    async fn create_user(&self, event: &Value) -> Result<(), Failure> {
        let Some(name) = event["userName"].as_str().filter(|name| !name.is_empty()) else {
            return Ok(());
        };
        let attributes: BTreeMap<String, String> = event["request"]["userAttributes"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let create = |attributes| self.sandbox.create_user(&self.pool.id, name, attributes);
        match create(&attributes).await {
            // The event comes from a pool with other custom attributes.
            Err(failure) if failure.code == "InvalidParameterException" => {
                let mut standard = attributes.clone();
                standard.retain(|name, _| !name.starts_with("custom:"));
                create(&standard).await
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_files_of_a_folder_are_events() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("deep")).expect("a folder");
        for name in [".npmrc", "b.json", "a.json", "run.mjs", "deep/c.json"] {
            std::fs::write(path(name), "{}").expect("written");
        }
        let given = [folder.path().to_owned(), path("run.mjs")];
        let files = read_event_files(&given).expect("readable");
        let read: Vec<PathBuf> = files.read.into_iter().map(|file| file.path).collect();
        let expected = ["a.json", "b.json", "deep/c.json", "run.mjs"].map(path);
        assert_eq!(read, expected);
        assert_eq!(files.skipped, [".npmrc", "run.mjs"].map(path));
    }
}
