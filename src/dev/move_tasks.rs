//! Move tasks of the embedded queues. The underlying state machine stores them
//! and moves no message. Here, each listing of the tasks moves as many messages as
//! their rate allows.

use winterbaume_sqs::SqsState;
use winterbaume_sqs::types::{Message, MessageMoveTask};

/// The rate of a task that sets none; SQS chooses one itself.
const DEFAULT_MOVES_PER_SECOND: i32 = 500;

/// Moves the messages that are due, and lists a queue's tasks, the latest first.
pub(super) fn advance_and_list(
    state: &mut SqsState,
    source: &str,
    now_ms: i64,
) -> Vec<MessageMoveTask> {
    let mut tasks = std::mem::take(&mut state.message_move_tasks);
    for task in tasks.iter_mut().filter(|task| task.source_arn == source) {
        match task.status.as_str() {
            "RUNNING" => advance(state, task, now_ms),
            "CANCELLING" => "CANCELLED".clone_into(&mut task.status),
            _ => {}
        }
    }
    let of_queue = tasks.iter().rev().filter(|task| task.source_arn == source);
    let listed = of_queue.cloned().collect();
    state.message_move_tasks = tasks;
    listed
}

fn advance(state: &mut SqsState, task: &mut MessageMoveTask, now_ms: i64) {
    let rate = i64::from(
        task.max_number_of_messages_per_second
            .unwrap_or(DEFAULT_MOVES_PER_SECOND),
    );
    // The share of the first second is due at once.
    let due = rate * (1 + (now_ms - task.started_timestamp) / 1000);
    let limit = usize::try_from(due - task.approximate_number_of_messages_moved).unwrap_or(0);
    let Some(source) = queue_name(state, &task.source_arn) else {
        return;
    };
    let Some(target) = task
        .destination_arn
        .as_ref()
        .and_then(|arn| queue_name(state, arn))
    else {
        "FAILED".clone_into(&mut task.status);
        return;
    };
    let messages = state
        .queues
        .get_mut(&source)
        .map(|queue| &mut queue.messages);
    let mut moved: Vec<Message> = Vec::new();
    let mut left = 0;
    if let Some(messages) = messages {
        messages.retain(|message| {
            let take = message.is_visible() && moved.len() < limit;
            if take {
                moved.push(message.clone());
            }
            !take
        });
        left = messages
            .iter()
            .filter(|message| message.is_visible())
            .count();
    }
    let count = moved.len();
    for message in moved {
        let _ = state.send_message(
            &target,
            &message.body,
            None,
            message.message_attributes,
            None,
            None,
        );
    }
    task.approximate_number_of_messages_moved += i64::try_from(count).unwrap_or(0);
    task.approximate_number_of_messages_to_move = i64::try_from(left)
        .ok()
        .map(|left| left + task.approximate_number_of_messages_moved);
    if left == 0 {
        "COMPLETED".clone_into(&mut task.status);
    }
}

fn queue_name(state: &SqsState, arn: &str) -> Option<String> {
    let queues = state.queues.iter();
    let mut named = queues.filter(|(_, queue)| queue.queue.arn == arn);
    named.next().map(|(name, _)| name.clone())
}
