//! Limits how many admin commands run at once, so that they do not delay sign-ups.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failed_mails::FailedMails;
use super::permits::MessagePermits;
use super::recent_work::RecentWork;
use crate::event::AdminCommand;
use crate::provision::{CommandResult, Outcome, Provisioner, Retry};

/// Maximum number of admin commands that run at once; at most half of `worker.concurrency`.
/// They share the rate budgets with the sign-ups, which must not wait behind a thousand of
/// them.
const MAX_RUNNING_COMMANDS: usize = 16;
/// Admin commands that wait in the worker to run. Further ones are released.
const MAX_WAITING_COMMANDS: usize = 256;
/// Shortest time after which a released command becomes visible again.
const MIN_RELEASE_DELAY: Duration = Duration::from_secs(10);
/// Time between two released commands as they become visible again: the budget permits
/// one command in that time at the default rate.
const RELEASE_SPACING: Duration = Duration::from_millis(50);
/// The longest `DelaySeconds` that SQS accepts.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
const MAX_MESSAGE_DELAY: Duration = Duration::from_mins(15);

/// Bounds the running and the waiting admin commands.
#[derive(Debug)]
pub(super) struct CommandLimiter {
    running: Semaphore,
    waiting: Semaphore,
    /// When the last released command becomes visible again.
    last_return: Mutex<Option<Instant>>,
    failed_mails: FailedMails,
}

impl CommandLimiter {
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            running: Semaphore::new(MAX_RUNNING_COMMANDS.min(concurrency.div_ceil(2))),
            waiting: Semaphore::new(MAX_WAITING_COMMANDS),
            last_return: Mutex::default(),
            failed_mails: FailedMails::default(),
        }
    }

    /// How long a released command stays hidden. Released commands return one after the
    /// other: if all returned at once, most would be released again.
    fn release_delay(&self) -> Duration {
        let now = Instant::now();
        let mut last = self
            .last_return
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let next = last.map_or(now, |last| last + RELEASE_SPACING);
        let next = next.clamp(now + MIN_RELEASE_DELAY, now + MAX_MESSAGE_DELAY);
        *last = Some(next);
        next - now
    }

    /// A permit to run an admin command. While it waits, sign-ups can use the message's
    /// permits.
    ///
    /// # Errors
    /// The delay with which to release the command: too many commands wait, or the worker
    /// stops.
    pub(super) async fn acquire(
        &self,
        permits: &mut MessagePermits,
        stop: &CancellationToken,
    ) -> Result<SemaphorePermit<'_>, Duration> {
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(permit);
        }
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Err(self.release_delay());
        };
        permits.give_back();
        tokio::select! {
            permit = self.running.acquire() => permit.map_err(|_| Duration::ZERO),
            () = stop.cancelled() => Err(Duration::ZERO),
        }
    }

    /// A command that arrives again within a minute of its success is not performed again: it
    /// could mail a second invitation.
    pub(super) async fn perform(
        &self,
        command: &AdminCommand,
        provisioner: &Provisioner,
        recent_work: &RecentWork,
    ) -> CommandResult {
        let recent_command = recent_work.command(command);
        let guard = recent_command.acquire().await;
        if guard.is_done() {
            return CommandResult::duplicate();
        }
        let performed = provisioner.perform_queued(command).await;
        let result = self.failed_mails.merge_mail(command, performed);
        match result.queue_outcome() {
            Outcome::Done | Outcome::AlreadyDone(_) => {
                guard.mark_done();
                result
            }
            // A failed command does not count towards an outage.
            Outcome::Retry(retry) => result.with_outcome(&Outcome::Retry(Retry {
                possible_outage: None,
                ..retry
            })),
            _ => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn released_commands_return_one_by_one() {
        let limiter = CommandLimiter::new(64);
        let delays: Vec<Duration> = (0..30_000).map(|_| limiter.release_delay()).collect();
        assert_eq!(delays[0], MIN_RELEASE_DELAY);
        assert_eq!(delays[1_000], MIN_RELEASE_DELAY + RELEASE_SPACING * 1_000);
        assert_eq!(delays[29_999], MAX_MESSAGE_DELAY);
        tokio::time::advance(MAX_MESSAGE_DELAY).await;
        assert_eq!(
            limiter.release_delay(),
            MIN_RELEASE_DELAY,
            "all of them are visible again"
        );
    }
}
