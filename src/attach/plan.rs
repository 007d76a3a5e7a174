//! Plans the changes of a pool's triggers.

use serde::Serialize;
use serde_json::Value;

use super::trigger_kind::{FunctionArn, TriggerKind};
use crate::aws::JsonObject;

/// A change that an operator requests.
#[derive(Debug, Clone)]
pub(crate) enum AttachRequest {
    /// Sets the function in these triggers.
    Attach {
        /// usher's trigger function.
        function: FunctionArn,
        triggers: Vec<TriggerKind>,
        /// Whether it may replace another function.
        replace: bool,
    },
    /// Removes the function from all triggers.
    Detach {
        /// usher's trigger function.
        function: FunctionArn,
    },
    /// Restores the triggers of a backup.
    Restore {
        /// The triggers before the change.
        before: JsonObject,
        /// The triggers after the change.
        after: JsonObject,
        /// Whether changes since then may be lost.
        replace: bool,
    },
}

/// A member of `LambdaConfig` that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TriggerChange {
    /// The name of the member.
    pub trigger: String,
    /// The ARN now, or another value as JSON.
    pub before: Option<String>,
    /// The planned value, as in `before`.
    pub after: Option<String>,
}

/// The planned triggers, and their differences from the present ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TriggerPlan {
    /// All of the pool's triggers, including those of other functions.
    pub triggers: JsonObject,
    /// Sorted by name; empty when nothing changes.
    pub changes: Vec<TriggerChange>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// Another function would be replaced.
    #[error(
        "{trigger} calls {function}, and a trigger calls only one function. Let that one call usher's, \
         or replace it with --replace"
    )]
    Taken {
        /// The name in `LambdaConfig`.
        trigger: &'static str,
        /// The ARN of the other function.
        function: String,
    },
    /// The trigger calls the same function by another ARN.
    #[error(
        "{trigger} calls {function}, which is the same function under another version or alias: use that ARN"
    )]
    AnotherVersion {
        /// The name in `LambdaConfig`.
        trigger: &'static str,
        /// The ARN that the trigger calls.
        function: String,
    },
    /// The triggers have changed since the backup.
    #[error(
        "the triggers have changed since the backup. Look at --dry-run with --discard-changes, which \
         restores those of the backup"
    )]
    ChangedSince,
}

impl TriggerPlan {
    /// Plans the changes that the request makes to the triggers `now`.
    ///
    /// # Errors
    /// [`PlanError`].
    pub(crate) fn new(request: &AttachRequest, now: &JsonObject) -> Result<Self, PlanError> {
        let mut triggers = now.clone();
        match request {
            AttachRequest::Attach {
                function,
                triggers: kinds,
                replace,
            } => {
                for kind in kinds {
                    match kind.function(now) {
                        Some(other) if other != function.as_str() && !replace => {
                            return Err(PlanError::Taken {
                                trigger: kind.name(),
                                function: other.to_owned(),
                            });
                        }
                        Some(same) if same == function.as_str() => {}
                        _ => kind.set(&mut triggers, function),
                    }
                }
            }
            AttachRequest::Detach { function } => {
                for kind in TriggerKind::ALL {
                    match kind.function(now) {
                        Some(same) if same == function.as_str() => kind.clear(&mut triggers),
                        Some(other) if function.is_another_version_of(other) => {
                            return Err(PlanError::AnotherVersion {
                                trigger: kind.name(),
                                function: other.to_owned(),
                            });
                        }
                        _ => {}
                    }
                }
            }
            AttachRequest::Restore {
                before,
                after,
                replace,
            } => {
                if now != after && now != before && !replace {
                    return Err(PlanError::ChangedSince);
                }
                triggers.clone_from(before);
            }
        }
        let changes = diff_triggers(now, &triggers);
        Ok(Self { triggers, changes })
    }
}

/// All members that differ, including those of other functions.
fn diff_triggers(now: &JsonObject, then: &JsonObject) -> Vec<TriggerChange> {
    let mut names: Vec<&String> = now.keys().chain(then.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| TriggerChange {
            trigger: name.clone(),
            before: now.get(name).map(arn_or_json),
            after: then.get(name).map(arn_or_json),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// A function's ARN as it is, and any other value as JSON.
fn arn_or_json(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USHER: &str = "arn:aws:lambda:eu-west-1:123456789012:function:usher-trigger";

    fn function() -> FunctionArn {
        USHER.parse().expect("an ARN")
    }

    fn triggers(value: &serde_json::Value) -> JsonObject {
        value.as_object().cloned().expect("an object")
    }

    fn attach(replace: bool) -> AttachRequest {
        AttachRequest::Attach {
            function: function(),
            triggers: vec![TriggerKind::PostConfirmation],
            replace,
        }
    }

    #[test]
    fn another_function_is_replaced_only_on_request() {
        let now = triggers(&json!({"PostConfirmation": "arn:other", "PreSignUp": "arn:third"}));
        let refusal = PlanError::Taken {
            trigger: "PostConfirmation",
            function: "arn:other".to_owned(),
        };
        assert_eq!(TriggerPlan::new(&attach(false), &now), Err(refusal));
        let plan = TriggerPlan::new(&attach(true), &now).expect("replaced");
        let wanted = json!({"PostConfirmation": USHER, "PreSignUp": "arn:third"});
        assert_eq!(plan.triggers, triggers(&wanted));
        assert_eq!(plan.changes.len(), 1);
    }

    #[test]
    fn attaching_twice_and_detaching_twice_change_once() {
        let none = JsonObject::new();
        let plan = TriggerPlan::new(&attach(false), &none).expect("free");
        let again = TriggerPlan::new(&attach(false), &plan.triggers).expect("its own");
        assert_eq!(again.changes, []);
        let detach = AttachRequest::Detach {
            function: function(),
        };
        let gone = TriggerPlan::new(&detach, &plan.triggers).expect("may");
        assert_eq!(gone.triggers, none);
        assert_eq!(TriggerPlan::new(&detach, &none).expect("may").changes, []);
        let others = triggers(&json!({"PostConfirmation": "arn:other"}));
        assert_eq!(TriggerPlan::new(&detach, &others).expect("may").changes, []);
        let live = format!("{USHER}:live");
        let live = triggers(&json!({"PostConfirmation": live}));
        let refused = TriggerPlan::new(&detach, &live);
        assert!(
            matches!(refused, Err(PlanError::AnotherVersion { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_backup_is_restored_only_over_the_triggers_that_it_left() {
        let before = triggers(&json!({"PostConfirmation": "arn:other"}));
        let after = triggers(&json!({"PostConfirmation": USHER}));
        let restore = |replace| AttachRequest::Restore {
            before: before.clone(),
            after: after.clone(),
            replace,
        };
        let plan = TriggerPlan::new(&restore(false), &after).expect("as it was left");
        assert_eq!(plan.triggers, before);
        let now = triggers(&json!({"PostConfirmation": USHER, "PreSignUp": "arn:new"}));
        assert_eq!(
            TriggerPlan::new(&restore(false), &now),
            Err(PlanError::ChangedSince)
        );
        assert_eq!(
            TriggerPlan::new(&restore(true), &now)
                .expect("replaced")
                .triggers,
            before
        );
        assert_eq!(
            TriggerPlan::new(&restore(false), &before)
                .expect("done")
                .changes,
            []
        );
    }
}
