//! One standard queue: visible, hidden, delayed, deleted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The content of a message, as sent.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) body: Rc<str>,
    /// MD5 of the body in hexadecimal. SDKs check it.
    pub(crate) digest: Rc<str>,
    /// Message attributes by name, as sent.
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) group: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) sent: u128,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) content: Content,
    pub(crate) receives: u32,
    /// Milliseconds since 1970.
    pub(crate) first_received: Option<u128>,
    hidden_until: Option<Instant>,
    in_flight: bool,
}

/// The queue for messages that were received too often.
#[derive(Debug, Clone)]
pub(crate) struct Redrive {
    pub(crate) to: String,
    pub(crate) max_receives: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The queue's number, in all its receipts.
    number: u64,
    messages: HashMap<u64, Message>,
    visible: VecDeque<u64>,
    /// The time at which each message may be visible again. An entry is stale if its time
    /// differs from that of its message.
    hidden: BinaryHeap<Reverse<(Instant, u64)>>,
    next: u64,
    pub(crate) redrive: Option<Redrive>,
    pub(crate) sent: u64,
    pub(crate) deleted: u64,
}

/// A received message with its receipt.
pub(crate) struct Delivered<'a> {
    pub(crate) id: u64,
    pub(crate) receipt: String,
    pub(crate) message: &'a Message,
}

/// The receipt does not belong to this queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// Why the visibility of a message cannot change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotHidden {
    Invalid,
    Deleted,
    NotInFlight,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    pub(crate) visible: usize,
    pub(crate) hidden: usize,
    pub(crate) delayed: usize,
}

impl Queue {
    pub(crate) fn with_redrive(redrive: Redrive) -> Self {
        Self {
            redrive: Some(redrive),
            ..Self::default()
        }
    }

    /// A queue whose message numbers differ from those of other queues.
    pub(crate) fn numbered(number: u64) -> Self {
        Self {
            number,
            next: number << 32,
            ..Self::default()
        }
    }

    /// Adds a message from another queue, with its number and its count of receives.
    pub(crate) fn take_over(&mut self, id: u64, message: Message) {
        self.sent += 1;
        self.messages.insert(id, message);
        self.visible.push_back(id);
    }

    /// Adds a message, and returns its number.
    pub(crate) fn send(&mut self, content: Content, delay: Duration, now: Instant) -> u64 {
        let id = self.next;
        self.next += 1;
        self.sent += 1;
        let hidden_until = (!delay.is_zero()).then(|| now + delay);
        match hidden_until {
            Some(until) => self.hidden.push(Reverse((until, id))),
            None => self.visible.push_back(id),
        }
        let message = Message {
            content,
            receives: 0,
            first_received: None,
            hidden_until,
            in_flight: false,
        };
        self.messages.insert(id, message);
        id
    }

    /// Receives up to `max_messages` and hides them for `visibility`. Returns their numbers, and
    /// removes and returns messages that were received too often.
    pub(crate) fn receive(
        &mut self,
        max_messages: usize,
        visibility: Duration,
        now: Instant,
        clock: u128,
    ) -> (Vec<u64>, Vec<(u64, Message)>) {
        self.surface(now);
        let (mut received, mut too_often) = (Vec::new(), Vec::new());
        while received.len() < max_messages {
            let Some(id) = self.visible.pop_front() else {
                break;
            };
            let Some(message) = self.messages.get_mut(&id) else {
                continue;
            };
            let is_exhausted = self
                .redrive
                .as_ref()
                .is_some_and(|redrive| message.receives >= redrive.max_receives);
            if is_exhausted {
                too_often.extend(self.messages.remove(&id).map(|message| (id, message)));
                continue;
            }
            message.receives += 1;
            message.first_received.get_or_insert(clock);
            message.in_flight = true;
            let until = now + visibility;
            message.hidden_until = Some(until);
            self.hidden.push(Reverse((until, id)));
            received.push(id);
        }
        (received, too_often)
    }

    pub(crate) fn delivered(&self, id: u64) -> Option<Delivered<'_>> {
        let message = self.messages.get(&id)?;
        let receipt = format!("{}.{id}.{}", self.number, message.receives);
        Some(Delivered {
            id,
            receipt,
            message,
        })
    }

    /// Deletes the message of the receipt, which may be an old one. A second delete is not an
    /// error.
    pub(crate) fn delete(&mut self, receipt: &str) -> Result<(), Invalid> {
        let id = self.id_of(receipt).ok_or(Invalid)?;
        if self.messages.remove(&id).is_some() {
            self.deleted += 1;
        }
        Ok(())
    }

    /// Hides a message in flight for `time` from now.
    pub(crate) fn hide(
        &mut self,
        receipt: &str,
        time: Duration,
        now: Instant,
    ) -> Result<(), NotHidden> {
        self.surface(now);
        let id = self.id_of(receipt).ok_or(NotHidden::Invalid)?;
        let message = self.messages.get_mut(&id).ok_or(NotHidden::Deleted)?;
        if !message.in_flight {
            return Err(NotHidden::NotInFlight);
        }
        let until = now + time;
        message.hidden_until = Some(until);
        self.hidden.push(Reverse((until, id)));
        Ok(())
    }

    /// When the next hidden message may become visible, for a long poll.
    pub(crate) fn next_visible(&self) -> Option<Instant> {
        self.hidden.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn depth(&mut self, now: Instant) -> Depth {
        self.surface(now);
        let mut depth = Depth::default();
        for message in self.messages.values() {
            match (message.hidden_until, message.in_flight) {
                (None, _) => depth.visible += 1,
                (Some(_), true) => depth.hidden += 1,
                (Some(_), false) => depth.delayed += 1,
            }
        }
        depth
    }

    fn surface(&mut self, now: Instant) {
        while let Some(Reverse((at, id))) = self.hidden.peek().copied() {
            if at > now {
                break;
            }
            self.hidden.pop();
            let Some(message) = self.messages.get_mut(&id) else {
                continue;
            };
            if message.hidden_until == Some(at) {
                message.hidden_until = None;
                message.in_flight = false;
                self.visible.push_back(id);
            }
        }
    }

    /// The number of the message that a receipt of this queue is for.
    fn id_of(&self, receipt: &str) -> Option<u64> {
        let mut parts = receipt.split('.');
        let mut part = || parts.next()?.parse::<u64>().ok();
        let (queue, id, _receives) = (part()?, part()?, part()?);
        (queue == self.number).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn content() -> Content {
        Content {
            body: "x".into(),
            digest: "y".into(),
            attributes: BTreeMap::new(),
            group: None,
            sent: 0,
        }
    }

    fn receive(queue: &mut Queue, now: Instant) -> Vec<String> {
        let (ids, _) = queue.receive(10, HOUR, now, 0);
        ids.iter()
            .filter_map(|id| Some(queue.delivered(*id)?.receipt))
            .collect()
    }

    #[test]
    fn received_message_is_hidden_until_its_timeout() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.send(content(), Duration::ZERO, now);
        assert_eq!(receive(&mut queue, now).len(), 1);
        assert!(receive(&mut queue, now + HOUR / 2).is_empty());
        assert_eq!(receive(&mut queue, now + HOUR), ["0.0.2"]);
    }

    #[test]
    fn visibility_timeout_can_be_extended_and_ended() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.send(content(), Duration::ZERO, now);
        let receipt = receive(&mut queue, now).remove(0);
        assert_eq!(queue.hide(&receipt, 2 * HOUR, now), Ok(()));
        assert!(receive(&mut queue, now + HOUR).is_empty());
        assert_eq!(queue.hide(&receipt, Duration::ZERO, now + HOUR), Ok(()));
        assert_eq!(receive(&mut queue, now + HOUR).len(), 1);
    }

    #[test]
    fn only_messages_in_flight_change_their_visibility() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.send(content(), Duration::ZERO, now);
        let receipt = receive(&mut queue, now).remove(0);
        let hide = |queue: &mut Queue, receipt: &str| queue.hide(receipt, HOUR, now + HOUR);
        assert_eq!(hide(&mut queue, &receipt), Err(NotHidden::NotInFlight));
        queue.delete(&receipt).unwrap();
        assert_eq!(hide(&mut queue, &receipt), Err(NotHidden::Deleted));
        assert_eq!(hide(&mut queue, "x"), Err(NotHidden::Invalid));
        // A receipt of another queue.
        assert_eq!(hide(&mut queue, "1.0.1"), Err(NotHidden::Invalid));
    }

    #[test]
    fn delayed_message_is_hidden_but_not_in_flight() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.send(content(), HOUR, now);
        assert_eq!(queue.depth(now).delayed, 1);
        assert!(receive(&mut queue, now).is_empty());
        assert_eq!(receive(&mut queue, now + HOUR).len(), 1);
    }

    #[test]
    fn delete_is_idempotent_and_needs_a_receipt() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.send(content(), Duration::ZERO, now);
        let receipt = receive(&mut queue, now).remove(0);
        assert_eq!(queue.delete(&receipt), Ok(()));
        assert_eq!(queue.delete(&receipt), Ok(()));
        assert_eq!((queue.deleted, queue.delete("x")), (1, Err(Invalid)));
        assert!(receive(&mut queue, now + HOUR).is_empty());
    }

    #[test]
    fn message_received_too_often_leaves_the_queue() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.redrive = Some(Redrive {
            to: "dead".to_owned(),
            max_receives: 2,
        });
        queue.send(content(), Duration::ZERO, now);
        for _ in 0..2 {
            assert_eq!(receive(&mut queue, now).len(), 1);
            now += HOUR;
        }
        let (received, too_often) = queue.receive(10, HOUR, now, 0);
        assert_eq!((received.len(), too_often.len()), (0, 1));
        assert_eq!(queue.depth(now), Depth::default());
        let mut dead = Queue::numbered(1);
        for (id, message) in too_often {
            dead.take_over(id, message);
        }
        assert_eq!(receive(&mut dead, now), ["1.0.3"]);
    }
}
