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

pub use archive::ArchiveLine;
pub use audit::AuditLog;
pub use dry_run::{DryRun, DryRunResult};
pub use filter::Filter;
pub use held_dead_letter::{DeadLetterSummary, HeldDeadLetter, UNKNOWN_REASON, printable};
pub use history::History;
pub use message::{DeadLetter, send_dead_letter};
pub use queue::{DeadLetterQueue, DeadLetterQueueError, resolve_dead_letter_queue};
pub use reason_counts::{ReasonCounts, ReasonSummary};
pub use redrive::{NativeRedrive, NativeRedriveResult};
pub use replay::{Replay, ReplayProgress, ReplayReport, ReplayTally};
pub use replay_result::ReplayResult;
pub use replay_target::ReplayTarget;
pub use scan::{SQS_COUNTS_LAG, Unseen};
pub use selection::{Selection, SelectionEnd};
