//! Dead letters: what a message becomes that could not be provisioned, and the
//! way back.
//!
//! `letter` is written by the worker and `found` by whoever looks; `scan` looks
//! at all of them and changes nothing, `selection` hands out those that are
//! meant; `replay` (by one `way` or the other), `dry_run`, `archive` and `native` are what can be done then.

mod archive;
pub mod attribute;
mod audit;
mod dry_run;
mod filter;
mod held_dead_letter;
mod history;
mod hold;
mod message;
mod queue;
mod reason_counts;
mod redrive;
mod replay;
mod replay_result;
mod replay_target;
mod scan;
mod selection;

pub(crate) use archive::ArchiveLine;
pub(crate) use audit::AuditLog;
pub(crate) use dry_run::{DryRun, DryRunResult};
pub use filter::Filter;
pub(crate) use held_dead_letter::{DeadLetterSummary, HeldDeadLetter, printable};
pub(crate) use history::History;
pub(crate) use message::{DeadLetter, send_dead_letter};
pub use queue::DeadLetterQueue;
pub(crate) use queue::{DeadLetterQueueError, resolve_dead_letter_queue};
pub(crate) use reason_counts::ReasonCounts;
pub(crate) use redrive::{NativeRedrive, NativeRedriveResult};
pub(crate) use replay::{Replay, ReplayReport};
pub(crate) use replay_result::ReplayResult;
pub(crate) use replay_target::ReplayTarget;
pub(crate) use scan::SQS_COUNTS_LAG;
pub use scan::Unseen;
pub use selection::{Selection, SelectionEnd};
