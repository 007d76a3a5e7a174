//! The interface under `/_bench`: set up a run, feed it, wait for it, and read its report.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::answer::{Fault, unreadable};
use crate::world::{State, World};

pub(crate) async fn call(
    world: &Rc<World>,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Vec<u8>, Fault> {
    let query: HashMap<&str, &str> = query.split('&').filter_map(|p| p.split_once('=')).collect();
    match path {
        "reset" => {
            world.reset(serde_json::from_slice(body).map_err(|error| unreadable(&error))?);
        }
        "fill" => world.fill(number(&query, "count")?),
        "feed" => {
            let (count, rate) = (number(&query, "count")?, number(&query, "rate")?);
            tokio::task::spawn_local(feed(Rc::clone(world), count, rate));
        }
        "wait" => wait(world, &query).await?,
        "report" => {}
        _ => return Err(Fault::new("NotFound", "reset, fill, feed, wait or report")),
    }
    Ok(report(&mut world.state()).to_string().into_bytes())
}

/// Sends `count` sign-ups, evenly at `rate` a second.
async fn feed(world: Rc<World>, count: u64, rate: u64) {
    let (run, began) = (world.state().run, Instant::now());
    for number in 0..count {
        let due = Duration::from_secs(number) / u32::try_from(rate).unwrap_or(u32::MAX).max(1);
        world.clock.sleep(due.saturating_sub(began.elapsed())).await;
        if world.state().run != run {
            return;
        }
        world.fill(1);
    }
}

/// Waits until the counter named by `for` reaches `count`, or until `seconds` have passed.
async fn wait(world: &World, query: &HashMap<&str, &str>) -> Result<(), Fault> {
    let timeout = world
        .clock
        .sleep(Duration::from_secs(number(query, "seconds")?));
    tokio::pin!(timeout);
    let count = number(query, "count")?;
    let counter = query.get("for").copied().unwrap_or_default();
    loop {
        let progress = world.progress.notified();
        tokio::pin!(progress);
        progress.as_mut().enable();
        let reached = {
            let state = world.state();
            match counter {
                "deleted" => state.deleted(),
                "complete" => state.seen.complete,
                "delivered" => state.seen.delivered,
                "receives" => state.receives_begun,
                _ => {
                    let message = "for=deleted, complete, delivered or receives";
                    return Err(Fault::new("BadRequest", message));
                }
            }
        };
        if reached >= count {
            return Ok(());
        }
        tokio::select! {
            () = progress => {}
            () = &mut timeout => return Ok(()),
        }
    }
}

fn number(query: &HashMap<&str, &str>, name: &str) -> Result<u64, Fault> {
    let number = query.get(name).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Fault::new("BadRequest", format!("{name}= a whole number")))
}

impl State {
    fn deleted(&self) -> u64 {
        let queue = self.queues.get(&self.settings.queue);
        queue.map_or(0, |queue| queue.deleted)
    }
}

fn report(state: &mut State) -> Value {
    let now = Instant::now();
    let (queue, dead_letter_queue) = (
        state.settings.queue.clone(),
        state.settings.dead_letter_queue.clone(),
    );
    let mut counts_of = |name: &str| {
        let queue = state.queues.get_mut(name);
        queue.map_or(Value::Null, |queue| {
            let depth = queue.depth(now);
            json!({
                "sent": queue.sent, "deleted": queue.deleted,
                "visible": depth.visible, "hidden": depth.hidden, "delayed": depth.delayed,
            })
        })
    };
    let (messages, dead_letters) = (counts_of(&queue), counts_of(&dead_letter_queue));
    let seen = &state.seen;
    let since_fill = |at: Option<Instant>| {
        let passed = at?.saturating_duration_since(seen.filled_first?);
        Some(passed.as_secs_f64())
    };
    json!({
        "calls": state.counts,
        "receives_begun": state.receives_begun,
        "receivers": state.receivers,
        "empty_receives": seen.empty_receives,
        "messages": messages,
        "dead_letters": dead_letters,
        "delivered": seen.delivered,
        "users": state.users.len(),
        "complete": seen.complete,
        "groups_again": seen.groups_again,
        "profiles_again": seen.profiles_again,
        "latency_ms": quantiles(&seen.latency),
        "late_ms": quantiles(&seen.late),
        "seconds": {
            "first_add": since_fill(seen.first_add),
            "last_add": since_fill(seen.last_add),
            "last_delete": since_fill(seen.last_delete),
            "now": since_fill(Some(now)),
        },
    })
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "microseconds, for display")]
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    if histogram.is_empty() {
        return Value::Null;
    }
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)})
}
