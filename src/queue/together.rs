//! Asking where visitors stand, together: who asks while calls are under way is asked for by the next one.
//!
//! A lone visitor waits for nobody. Under load the number of calls stays what Redis answers in a moment, and each costs
//! little more than one for a single visitor: what a call costs beside the work is paid once for all in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Queue, Room};
use crate::error::Fault;
use crate::ids::UserId;
use crate::store::Redis;
use crate::store::scripts::queue::{self as scripts, Standing};

/// Calls of one room under way at most: while Redis works on one, the other is written or read.
const UNDER_WAY: usize = 2;

/// Visitors asked for by one call at most, so that no call keeps Redis from others for long.
const AT_ONCE: usize = 128;

/// Who waits for a room's next call.
#[derive(Default)]
pub(super) struct Together(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    questions: Vec<Question>,
    under_way: usize,
}

struct Question {
    user: UserId,
    answer: oneshot::Sender<Result<Standing, Fault>>,
}

/// Where an account stands.
pub(super) async fn standing(queue: &Queue, room: &Arc<Room>, user: &UserId) -> Result<Standing, Fault> {
    let (answer, told) = oneshot::channel();
    if room.together.wait(Question { user: user.clone(), answer }) {
        // In a task of its own: others wait for it too, whatever becomes of this caller.
        tokio::spawn(ask(Arc::clone(&queue.redis), Turn { room: Arc::clone(room), over: false }));
    }
    told.await.unwrap_or_else(|_| Err(Fault::Defect("a call for several visitors broke off".into())))
}

/// Makes calls until nobody waits for one.
async fn ask(redis: Arc<Redis>, mut turn: Turn) {
    while let Some(questions) = turn.next() {
        let room = &turn.room;
        let per_place_ms = room.view().per_place_ms();
        let users = questions.iter().map(|question| &question.user);
        match scripts::place(room.line(&redis), users, per_place_ms).await {
            // Whoever gave up meanwhile misses nothing: the answer was for them alone.
            Ok(standings) => questions.into_iter().zip(standings).for_each(|(question, standing)| {
                let _ = question.answer.send(Ok(standing));
            }),
            Err(fault) => questions.into_iter().for_each(|question| {
                let _ = question.answer.send(Err(fault.clone()));
            }),
        }
    }
}

impl Together {
    /// Puts a question to the others. Tells whether the caller has to see to it that it is asked.
    fn wait(&self, question: Question) -> bool {
        let mut waiting = self.lock();
        waiting.questions.push(question);
        let begins = waiting.under_way < UNDER_WAY;
        waiting.under_way += usize::from(begins);
        begins
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make calls. It ends with a look that finds nobody, or when its task is cut off.
struct Turn {
    room: Arc<Room>,
    over: bool,
}

impl Turn {
    /// Those who wait now, the first ones first; nothing where nobody does, and then the turn is over.
    fn next(&mut self) -> Option<Vec<Question>> {
        let mut waiting = self.room.together.lock();
        if waiting.questions.is_empty() {
            waiting.under_way -= 1;
            self.over = true;
            return None;
        }
        if waiting.questions.len() <= AT_ONCE {
            return Some(std::mem::take(&mut waiting.questions));
        }
        Some(waiting.questions.drain(..AT_ONCE).collect())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            // Cut off, as when the process ends: who relied on it is told so instead of waiting for ever.
            let mut waiting = self.room.together.lock();
            waiting.under_way -= 1;
            waiting.questions.clear();
        }
    }
}
