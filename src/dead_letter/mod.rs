//! Dead letters: messages on the dead-letter queue, mostly those that a worker gave up.
//! `usher dead-letters` lists, exports, replays and deletes them.
//!
//! `received_dead_letter` is one of them; `message/` builds and sends them. `scan`
//! receives all of them and hides them meanwhile, `selection` filters them. `replay` sends them
//! to a `replay_target`; `dry_run` only predicts the outcome, `next_step` says what to do. `removal`
//! deletes. `export_line` is a line of the export file, `redrive` is SQS's own move.

mod audit;
mod dry_run;
mod export_line;
mod filter;
mod next_step;
mod queue;
mod reason_counts;
mod received_dead_letter;
mod redrive;
mod removal;
mod replay;
mod replay_result;
mod replay_target;
mod scan;
mod scan_report;
mod selection;

pub(crate) use audit::AuditLog;
pub(crate) use dry_run::{DryRun, DryRunResult, DryRunTally};
pub(crate) use export_line::ExportLine;
pub use filter::Filter;
pub(crate) use filter::{parse_id, parse_sub};
pub(crate) use next_step::{needs_only_replay, next_step};
pub use queue::DeadLetterQueue;
pub(crate) use queue::{DeadLetterQueueError, resolve_dead_letter_queue};
pub(crate) use reason_counts::ReasonCounts;
pub(crate) use received_dead_letter::{DeadLetterSummary, ReceivedDeadLetter, printable, short_id};
pub(crate) use redrive::{NativeRedrive, NativeRedriveResult};
pub(crate) use removal::RemovalCounts;
pub(crate) use replay::{Replay, ReplayReport, ReplayTally, fails_again};
pub(crate) use replay_result::ReplayResult;
pub(crate) use replay_target::ReplayTarget;
pub(crate) use scan::SQS_COUNTS_LAG;
pub use scan::Unseen;
pub(crate) use scan_report::{ScanReport, waiting_for};
pub(crate) use selection::{PARALLEL_RECEIVES, RECEIVE_WAIT, SINGLE_RECEIVE};
pub use selection::{Selection, SelectionEnd};
