//! Amazon SQS: queues, messages and move tasks.

mod batch;
mod message;
mod move_tasks;
mod queue;
mod queue_host;
mod send;
mod visibility;

pub(crate) use batch::{BatchEntry, BatchOperation, MAX_BATCHES_IN_PARALLEL};
pub use message::{Depth, Outgoing, Received, RedrivePolicy};
pub(crate) use message::{FailedEntry, QueueAttributes};
pub(crate) use move_tasks::MoveTask;
pub use move_tasks::MoveTasks;
pub(crate) use queue::MAX_BATCH_ENTRIES;
pub use queue::Queue;
pub(super) use queue_host::AWS_DOMAINS;
pub(crate) use visibility::{VisibilityExtender, VisibilityGuard};
