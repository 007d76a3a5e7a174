//! Amazon SQS: queues, messages and move tasks.

mod message;
mod move_tasks;
mod queue;
mod queue_host;
mod send;

pub use message::{Depth, Outgoing, Received, RedrivePolicy};
pub(crate) use message::{FailedEntry, QueueAttributes};
pub(crate) use move_tasks::MoveTask;
pub use move_tasks::MoveTasks;
pub(crate) use queue::MAX_BATCH_ENTRIES;
pub use queue::Queue;
pub(super) use queue_host::AWS_DOMAINS;
