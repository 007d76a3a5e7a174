//! Workers that can be killed without a drain.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use usher::app::Services;
use usher::aws::Aws;
use usher::config::Config;
use usher::telemetry::Health;
use usher::worker::{MaxReceiveCountCheck, Until, Worker};

use super::PATIENCE;

const THREAD: &str = "killed worker";
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A worker in a runtime of its own. After a shutdown of the runtime no code of the worker
/// runs, as after SIGKILL: no drain, no last call.
pub(super) struct KillableWorker {
    runtime: Option<Runtime>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Runs one worker after another, and kills or stops each at a random time.
pub(super) async fn run_and_restart(url: String, config: Config, mut random: fastrand::Rng) {
    loop {
        let worker = KillableWorker::start(url.clone(), config.clone(), Until::Stopped);
        tokio::time::sleep(Duration::from_millis(random.u64(200..4000))).await;
        match random.u8(..3) {
            0 => worker.kill().await,
            1 => worker.stop().await,
            _ => {
                // Killed while it drains.
                let drain = Duration::from_millis(random.u64(..1500));
                let _ = tokio::time::timeout(drain, worker.stop()).await;
            }
        }
    }
}

impl KillableWorker {
    pub(super) fn start(url: String, config: Config, until: Until) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(THREAD)
            .enable_all()
            .build()
            .expect("a runtime");
        let stop = CancellationToken::new();
        let task = runtime.spawn(work(url, config, until, stop.clone()));
        Self {
            runtime: Some(runtime),
            stop,
            task,
        }
    }

    /// Waits until the worker ends by itself.
    pub(super) async fn end(mut self, limit: Duration) -> Result<(), String> {
        match tokio::time::timeout(limit, &mut self.task).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("a worker: {error}")),
            Err(_) => Err("a worker does not end".to_owned()),
        }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, &mut self.task).await;
        assert!(ended.is_ok(), "a worker drains for ever");
    }

    /// Returns when no code of the worker runs any more.
    async fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let end = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
            end.await.expect("shut down");
        }
    }
}

/// A runtime must not be dropped in async code; a background shutdown is allowed.
impl Drop for KillableWorker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts a worker again until it starts, as a service manager does.
async fn work(url: String, config: Config, until: Until, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let aws = Aws::at_endpoint(&url).await;
        let services = Services::new(config.clone(), aws);
        let worker = tokio::select! {
            worker = Worker::new(&services, Health::default(), MaxReceiveCountCheck::Enforced) => worker,
            () = stop.cancelled() => return,
        };
        match worker {
            Ok(worker) => {
                worker.run(until, stop).await;
                return;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Counts the panics of workers, including those that Tokio catches.
pub(super) fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() == Some(THREAD) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            usual(panic);
        }));
    });
}

pub(super) fn panics() -> Option<String> {
    let panics = PANICS.swap(0, Ordering::Relaxed);
    (panics > 0).then(|| format!("{panics} panics in a worker, of this run or of a concurrent one"))
}
