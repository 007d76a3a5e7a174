//! The clients of a load test and of its clean-up.

use tokio_util::sync::CancellationToken;

use crate::app::Services;
use crate::config::Config;
use crate::dead_letter::{RECEIVE_WAIT, resolve_dead_letter_queue};
use crate::load::LoadServices;

pub(super) async fn connect_services(
    config: &Config,
    stop: &CancellationToken,
) -> anyhow::Result<LoadServices> {
    let services = Services::from_environment(config.clone()).await?;
    let queue = services.queue_with_wait(RECEIVE_WAIT)?;
    let resolved = tokio::select! {
        resolved = resolve_dead_letter_queue(&queue, config.queue.dead_letter_url.as_deref()) => resolved?,
        () = stop.cancelled() => anyhow::bail!("stopped before the dead-letter queue was found"),
    };
    Ok(LoadServices {
        dead_letters: resolved.queue,
        queue,
        cognito: services.cognito(),
        profiles: services.test_profiles()?,
    })
}
