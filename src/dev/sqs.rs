//! The embedded queues: the underlying state machine under one lock, with three
//! faults of its own store corrected. There, a message that becomes visible again
//! is counted neither as visible nor as in flight, so a full queue seems empty.
//! One stale receipt fails a whole batch. A move task never moves a message.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use winterbaume_sqs::backend::{SendMessageOutput, SqsBackend};
use winterbaume_sqs::state::SqsError;
use winterbaume_sqs::types::{Message, MessageAttribute, MessageMoveTask, Queue};
use winterbaume_sqs::{SqsState, SqsStateView, StateViewError};

/// One account in one Region.
#[derive(Default)]
pub(super) struct EmbeddedQueues(Mutex<SqsState>);

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type StringMap = HashMap<String, String>;

impl EmbeddedQueues {
    fn state(&self) -> MutexGuard<'_, SqsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each operation is one step of the state machine and completes at once.
macro_rules! operations {
    ($(fn $name:ident($state:ident $(, $argument:ident: $type:ty)*) -> $result:ty $body:block)*) => {
        $(fn $name(&self, _: String, _: String $(, $argument: $type)*) -> BoxFuture<$result> {
            #[allow(unused_mut, reason = "some steps only read")]
            let mut $state = self.state();
            let result = $body;
            Box::pin(std::future::ready(result))
        })*
    };
}

impl SqsBackend for EmbeddedQueues {
    fn create_queue(
        &self,
        account: String,
        region: String,
        name: String,
        attributes: StringMap,
        tags: Option<StringMap>,
    ) -> BoxFuture<Result<Queue, SqsError>> {
        let mut state = self.state();
        let queue = state.create_queue(&name, &region, &account, &attributes, tags.as_ref());
        Box::pin(std::future::ready(queue.cloned()))
    }

    operations! {
        fn delete_queue(s, queue: String) -> Result<(), SqsError> { s.delete_queue(&queue) }
        fn get_queue_url(s, queue: String) -> Result<String, SqsError> {
            s.get_queue_url(&queue).map(str::to_owned)
        }
        fn get_queue_attributes(s, queue: String) -> Result<StringMap, SqsError> {
            s.get_queue_attributes(&queue).map(|mut attributes| {
                let messages = s.queues.get(&queue).map_or(&[][..], |queue| &queue.messages);
                let visible = messages.iter().filter(|message| message.is_visible()).count();
                attributes.insert("ApproximateNumberOfMessages".to_owned(), visible.to_string());
                attributes
            })
        }
        fn set_queue_attributes(s, queue: String, attributes: StringMap) -> Result<(), SqsError> {
            s.set_queue_attributes(&queue, &attributes)
        }
        fn list_queues(s, prefix: Option<String>) -> Result<Vec<Queue>, SqsError> {
            Ok(s.list_queues(prefix.as_deref()).into_iter().cloned().collect())
        }
        fn send_message(
            s, queue: String, body: String, delay: Option<u32>,
            attributes: HashMap<String, MessageAttribute>, group: Option<String>,
            deduplication: Option<String>
        ) -> Result<SendMessageOutput, SqsError> {
            s.send_message(&queue, &body, delay, attributes, group.as_deref(), deduplication.as_deref())
                .map(|sent| SendMessageOutput { message_id: sent.message_id, body_md5: sent.body_md5 })
        }
        fn receive_messages(s, queue: String, max_messages: usize, visibility: Option<u32>)
            -> Result<Vec<Message>, SqsError>
        {
            s.receive_message(&queue, max_messages, visibility)
        }
        fn delete_message(s, queue: String, receipt: String) -> Result<(), SqsError> {
            s.delete_message(&queue, &receipt)
        }
        fn purge_queue(s, queue: String) -> Result<(), SqsError> { s.purge_queue(&queue) }
        fn change_message_visibility(s, queue: String, receipt: String, visibility: u32)
            -> Result<(), SqsError>
        {
            s.change_message_visibility(&queue, &receipt, visibility)
        }
        fn change_message_visibility_batch(s, queue: String, entries: Vec<(String, String, u32)>)
            -> Result<Vec<String>, SqsError>
        {
            s.get_queue_url(&queue).map(|_| ()).map(|()| {
                entries
                    .into_iter()
                    .filter(|(_, receipt, visibility)| {
                        s.change_message_visibility(&queue, receipt, *visibility).is_ok()
                    })
                    .map(|(id, _, _)| id)
                    .collect()
            })
        }
        fn list_queue_tags(s, queue: String) -> Result<StringMap, SqsError> { s.list_queue_tags(&queue) }
        fn tag_queue(s, queue: String, tags: StringMap) -> Result<(), SqsError> {
            s.tag_queue(&queue, &tags)
        }
        fn untag_queue(s, queue: String, keys: Vec<String>) -> Result<(), SqsError> {
            s.untag_queue(&queue, &keys)
        }
        fn add_permission(
            s, queue: String, label: String, accounts: Vec<String>, actions: Vec<String>
        ) -> Result<(), SqsError> {
            s.add_permission(&queue, &label, accounts, actions)
        }
        fn remove_permission(s, queue: String, label: String) -> Result<(), SqsError> {
            s.remove_permission(&queue, &label)
        }
        fn list_dead_letter_source_queues(s, queue: String) -> Result<Vec<String>, SqsError> {
            s.list_dead_letter_source_queues(&queue)
        }
        fn start_message_move_task(
            s, source: String, destination: Option<String>, rate: Option<i32>
        ) -> Result<String, SqsError> {
            s.start_message_move_task(&source, destination.as_deref(), rate)
        }
        fn cancel_message_move_task(s, task: String) -> Result<i64, SqsError> {
            s.cancel_message_move_task(&task)
        }
        fn list_message_move_tasks(s, source: String) -> Result<Vec<MessageMoveTask>, SqsError> {
            let now = jiff::Timestamp::now().as_millisecond();
            Ok(super::move_tasks::advance_and_list(&mut s, &source, now))
        }
        fn snapshot(s) -> SqsStateView { SqsStateView::from(&*s) }
        fn restore(s, view: SqsStateView) -> Result<(), StateViewError> {
            *s = SqsState::from(view);
            Ok(())
        }
        fn merge(s, view: SqsStateView) -> Result<(), StateViewError> {
            s.queues.extend(SqsState::from(view).queues);
            Ok(())
        }
    }

    fn scopes_with_state(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
