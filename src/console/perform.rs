//! Actions on a user: says what will happen, then does it, and leads to the page of the user.

use std::panic::AssertUnwindSafe;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::FutureExt;

use super::action_slots::{ActionResult, Taken};
use super::caller::{Asking, Role};
use super::form::{Fields, Form};
use super::page::{Frame, Refusal, View, html};
use super::person::Person;
use super::person_action::Action;
use super::state::Console;
use crate::aws::Class;
use crate::config::{GrantableGroups, GroupName};
use crate::event::{AdminOperation, Membership};
use crate::provision::{CommandResult, MailStatus, Outcome};
use crate::reason::explain_refusal;
use crate::retry::retry_inline;
use crate::users::{AccountChange, Operator};

/// A person waits for the page. With the search of a profile this stays below the 15 seconds that a
/// worker gives each request.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(8);
const REMEDY: &str = "begin again, and tick \u{201c}Also a group outside \
                      admin.grantable_groups\u{201d}";
/// For disable, enable and sign-out.
const ACCOUNT_POLICY: &str = "the statement ConsoleOnlyUserPool of deploy/operator-policy.json, or \
                              for a worker the parameter ConsoleClientId of deploy/template.yaml, \
                              allows it";

/// An action that is possible.
struct Plan {
    action: Action,
    group: Option<GroupName>,
    /// Whether the group need not be grantable, as with `--privileged`.
    privileged: bool,
}

pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
    Path((pool, sub, action)): Path<(String, String, String)>,
    Extension(form): Fields,
) -> Result<Response, Refusal> {
    let action = Action::named(&action).ok_or_else(|| {
        Refusal::not_found("This page does not exist.").with_next("/console", "Now")
    })?;
    require_running(&console)?;
    // Only a sign-up depends on a profile under another id, and no one waits to be disabled.
    let searches = action == Action::Provision;
    let person = Person::read(&console, &caller, &pool, &sub, searches).await?;
    let path = person.path();
    let id = form.get("action");
    // If an earlier request did it, the plan below would fail.
    let is_done = || Redirect::to(&format!("{path}?result={id}")).into_response();
    if console.actions.result(id, &path).is_some() {
        return Ok(is_done());
    }
    let plan = Plan::new(&console, action, &person, &form)?;
    let effect = action.effect(&person.report, plan.group.as_ref());
    match console.actions.take(id, &path, &effect) {
        Taken::Now => {}
        Taken::Before => return Ok(is_done()),
        Taken::Changed => {
            plan.require_group(&console, &person).await?;
            let id = console.actions.offer(caller.id(), path, &effect)?;
            return Ok(html(&ActionPage::new(&console, &person, &plan, effect, id)));
        }
    }
    let own = Arc::clone(&console);
    let perform = async move {
        let (is_success, text) = plan.perform(&own, person).await;
        ActionResult::new(action.label(), is_success, text)
    };
    finish(&console, id, perform).await?;
    Ok(is_done())
}

/// # Errors
/// When the console is ending.
pub(super) fn require_running(console: &Console) -> Result<(), Refusal> {
    if !console.stop.is_cancelled() {
        return Ok(());
    }
    let detail = "The console is shutting down. Try again when it is back.";
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    Err(Refusal::new(unavailable, "Nothing was done", detail))
}

/// Does an action that was taken. The browser may close the connection: the action and its audit
/// line go on.
pub(super) async fn finish(
    console: &Arc<Console>,
    id: &str,
    work: impl Future<Output = ActionResult> + Send + 'static,
) -> Result<(), Refusal> {
    let (own, id) = (Arc::clone(console), id.to_owned());
    let finished = console.tasks.spawn(async move {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(result) => own.actions.end(&id, result),
            Err(panic) => {
                // The person looks, and may do it again.
                own.actions.release(&id);
                std::panic::resume_unwind(panic);
            }
        }
    });
    finished.await.map_err(|_| {
        let detail = "usher failed: see its log. The action may have been done.";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Not finished", detail)
    })
}

fn refuse(person: &Person, status: StatusCode, why: &str) -> Refusal {
    let detail = format!("{why}.");
    Refusal::new(status, "Nothing was done", detail).with_next(person.path(), "The user")
}

impl Plan {
    fn new(
        console: &Console,
        action: Action,
        person: &Person,
        form: &Form,
    ) -> Result<Self, Refusal> {
        let group = if action.needs_group() {
            let group = GroupName::parse(form.get("group"));
            let invalid = StatusCode::UNPROCESSABLE_ENTITY;
            Some(group.map_err(|rule| refuse(person, invalid, &rule.to_string()))?)
        } else {
            None
        };
        if let Some(why) = person.refusal(console, action, group.as_ref()) {
            return Err(refuse(person, StatusCode::CONFLICT, why));
        }
        Ok(Self {
            action,
            group,
            privileged: person.caller.role() == Role::Operator
                && !form.get("privileged").is_empty(),
        })
    }

    /// Refuses a missing group before the page asks. If Cognito does not answer, the action finds
    /// out.
    async fn require_group(&self, console: &Console, person: &Person) -> Result<(), Refusal> {
        let (Action::AddToGroup, Some(group)) = (self.action, &self.group) else {
            return Ok(());
        };
        let (cognito, pool) = (console.services.cognito(), &person.report.pool);
        match retry_inline(|| cognito.has_group(pool, group)).await {
            Ok(false) => {
                let why = explain_refusal("group_not_found", Some(group.as_str()), REMEDY);
                Err(refuse(person, StatusCode::CONFLICT, &why))
            }
            _ => Ok(()),
        }
    }

    /// Whether it was done, and the result in words.
    async fn perform(&self, console: &Console, mut person: Person) -> (bool, String) {
        let username = person.username.clone();
        let membership = |group: &GroupName| Membership {
            username: username.clone(),
            group: group.clone(),
        };
        let change = match (self.action, &self.group) {
            (Action::Provision, _) => return provision(console, &mut person).await,
            (Action::AddToGroup, Some(group)) => {
                let operation = AdminOperation::AddToGroup(membership(group));
                return self.operate(console, &person, operation).await;
            }
            (Action::RemoveFromGroup, Some(group)) => {
                let operation = AdminOperation::RemoveFromGroup(membership(group));
                return self.operate(console, &person, operation).await;
            }
            (Action::AddToGroup | Action::RemoveFromGroup, None) => {
                return (false, "no group".to_owned());
            }
            (Action::ResendInvitation, _) => {
                let operation = AdminOperation::ResendInvitation(username);
                return self.operate(console, &person, operation).await;
            }
            (Action::SignOut, _) => AccountChange::SignOut,
            (Action::Disable, _) => AccountChange::Disable,
            (Action::Enable, _) => AccountChange::Enable,
        };
        let (services, pool) = (&console.services, &person.report.pool);
        let actor = person.caller.actor(services).await;
        let user = &person.view.user;
        match change.execute(services, pool, user, actor).await {
            Ok(()) => (true, self.action.done(None)),
            Err(failure) if failure.class == Class::Systemic => {
                (false, person.blocked(&failure, ACCOUNT_POLICY))
            }
            Err(failure) => (false, failure.to_string()),
        }
    }

    async fn operate(
        &self,
        console: &Console,
        person: &Person,
        operation: AdminOperation,
    ) -> (bool, String) {
        let mut services = console.services.clone();
        if let (true, Some(group)) = (self.privileged, &self.group) {
            services.config.admin.grantable = GrantableGroups::only(slice::from_ref(group));
        }
        let pool = &person.report.pool;
        let actor = person.caller.actor(&services).await;
        let operator = Operator::new(&services, pool, actor, GIVE_UP_AFTER, &console.stop);
        self.words(person, &operator.execute(operation).await)
    }

    fn words(&self, person: &Person, result: &CommandResult) -> (bool, String) {
        let outcome = result.queue_outcome();
        let mail = result.invitation.as_ref().map(|invited| invited.mail);
        if mail == Some(MailStatus::Unknown) {
            let text = "no answer from Cognito: it may have sent the mail";
            return (false, text.to_owned());
        }
        if let Outcome::Done | Outcome::AlreadyDone(_) = outcome {
            return (true, self.action.done(self.group.as_ref()));
        }
        let group = self.group.as_ref().map(GroupName::as_str);
        let why = explain_refusal(outcome.reason_code(), group, REMEDY);
        (
            false,
            match outcome {
                Outcome::Blocked(failure) => person.blocked(&failure, &why),
                _ => why,
            },
        )
    }
}

async fn provision(console: &Console, person: &mut Person) -> (bool, String) {
    let actor = person.caller.actor(&console.services).await;
    if let Err(invalid) = person.report.fix(&console.services, &actor).await {
        return (false, invalid.to_string());
    }
    match (&person.report.queued, &person.report.not_queued) {
        (Some(adds), _) => (true, format!("queued: the worker adds {}", adds.describe())),
        (None, why) => (false, why.clone().unwrap_or_default()),
    }
}

/// What will happen, before it happens.
#[derive(Template)]
#[template(path = "console/person_action.html")]
struct ActionPage<'a> {
    frame: Frame<'a>,
    person: &'a Person,
    action: Action,
    group: &'a str,
    effect: String,
    /// The id of the offer.
    id: String,
    warning: Option<String>,
    is_grantable: bool,
    is_privileged: bool,
}

impl<'a> ActionPage<'a> {
    fn new(
        console: &'a Console,
        person: &'a Person,
        plan: &'a Plan,
        effect: String,
        id: String,
    ) -> Self {
        let (config, report) = (&console.services.config, &person.report);
        let Plan { action, group, .. } = plan;
        let group = group.as_ref();
        let command = action.command(config, report, person.sub.as_str(), group);
        let mut lines = report.groups.iter();
        let given = lines.find(|line| Some(&line.group) == group && !line.sources.is_empty());
        let given = given.filter(|_| *action == Action::RemoveFromGroup);
        let grantable = &config.admin.grantable;
        Self {
            frame: Frame::new(&person.caller, View::People, action.label()).with_command(command),
            person,
            action: *action,
            group: group.map_or("", GroupName::as_str),
            effect,
            id,
            warning: given.map(|line| {
                let by = line.given_by();
                format!(
                    "The configuration gives the group ({by}): a later sign-up may add it again"
                )
            }),
            is_grantable: group.is_none_or(|group| grantable.allows(group)),
            is_privileged: group.is_some_and(|group| config.groups.privileged.contains(group)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::app::Services;
    use crate::aws::cognito::fake::fake_aws;
    use crate::config::{Config, Layers};

    #[tokio::test]
    async fn an_action_that_panics_can_be_tried_again() {
        let flag = "queue.url=https://sqs.us-east-1.amazonaws.com/1/usher".to_owned();
        let config = Config::for_command(&Layers::defaults().flags(&[flag]), &[]).expect("valid");
        let aws = fake_aws(|_, _| (Duration::ZERO, 200, json!({}))).await;
        let services = Services::new(config, aws);
        let console = Console::new(services, Vec::new(), &[], &CancellationToken::new());
        let console = console.expect("a queue");
        let id = console
            .actions
            .offer("", "/a".to_owned(), "one")
            .expect("room");
        assert_eq!(console.actions.take(&id, "/a", "one"), Taken::Now);
        let refused = finish(&console, &id, async { panic!("of a test") }).await;
        assert!(refused.is_err());
        assert_eq!(console.actions.take(&id, "/a", "one"), Taken::Now);
    }
}
