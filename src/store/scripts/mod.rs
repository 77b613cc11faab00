//! One typed function for each Lua script, a file per room of the house.

pub(crate) mod booking;
pub(crate) mod ledger;
pub(crate) mod queue;
pub(crate) mod seats;

use deadpool_redis::redis::{FromRedisValue, ParsingError, Value};

use super::script::Script;
use crate::error::Fault;

/// Every script of the program.
pub static ALL: &[&Script] = &[
    &booking::BEGIN_ANSWER,
    &booking::FINISH_ANSWER,
    &booking::NOTE_SCHEDULE,
    &ledger::PROJECT_BALANCE,
    &queue::PLACE,
    &queue::JOIN,
    &queue::COME_BACK,
    &queue::JOIN_ATTEMPT,
    &queue::VERIFY_ATTEMPT,
    &queue::RENEW_ATTEMPT,
    &queue::REFUSE_ATTEMPT,
    &queue::ATTEMPT_PLACE,
    &queue::LEAVE,
    &queue::VISIT,
    &queue::KEEP_VISITS,
    &queue::END_VISIT_SOON,
    &queue::END_VISITS,
    &queue::END_LINE,
    &queue::ADMIT,
    &queue::ADVISE,
    &queue::ADMIT_NOW,
    &queue::FIND_PLACE,
    &queue::LIMIT_LINE,
    &queue::DRAW_TIME,
    &queue::SETUP_ROOM,
    &queue::CONFIGURE_ROOM,
    &queue::COUNTS,
    &queue::ORDER,
    &queue::LOOK_ALONG,
    &queue::HEAR,
    &seats::HOLD,
    &seats::RELEASE,
    &seats::BEGIN_PAYMENT,
    &seats::ABORT_PAYMENT,
    &seats::SETTLE,
    &seats::AVAILABILITY,
    &seats::SETUP_SCHEDULE,
    &seats::RESTORE_SOLD,
    &seats::STALE_PAYMENTS,
    &seats::FORGET_PAYMENT,
    &seats::COUNT_OWNED,
    &seats::CENSUS,
    &seats::LOOK_AT_HOLDS,
];

macro_rules! script {
    ($name:ident, $path:literal) => {
        pub(crate) static $name: $crate::store::script::Script = $crate::store::script::Script::new(
            $path,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/", $path, ".lua")),
        );
    };
}
pub(crate) use script;

/// A script's answer: a word, and what belongs to it.
pub(crate) struct Reply(Vec<Value>);

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        Ok(Self(Vec::from_redis_value(value)?))
    }
}

impl Reply {
    /// The word. `lost` is a fault, whatever the script.
    pub(crate) fn word(&self) -> Result<&str, Fault> {
        match self.text(0)? {
            "lost" => Err(Fault::Lost),
            word => Ok(word),
        }
    }

    /// How many values there are, the word included.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn text(&self, at: usize) -> Result<&str, Fault> {
        match self.0.get(at) {
            Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).map_err(|_| self.unexpected()),
            Some(Value::SimpleString(text)) => Ok(text),
            _ => Err(self.unexpected()),
        }
    }

    pub(crate) fn number(&self, at: usize) -> Result<i64, Fault> {
        match self.0.get(at) {
            Some(Value::Int(number)) => Ok(*number),
            _ => self.text(at)?.parse().map_err(|_| self.unexpected()),
        }
    }

    pub(crate) fn count(&self, at: usize) -> Result<u64, Fault> {
        u64::try_from(self.number(at)?).map_err(|_| self.unexpected())
    }

    /// Everything from a place on, as texts.
    pub(crate) fn texts_from(&self, at: usize) -> Result<Vec<&str>, Fault> {
        (at..self.0.len()).map(|i| self.text(i)).collect()
    }

    /// A list within the answer.
    pub(crate) fn list<T: FromRedisValue>(&self, at: usize) -> Result<Vec<T>, Fault> {
        let value = self.0.get(at).cloned().ok_or_else(|| self.unexpected())?;
        Vec::from_redis_value(value).map_err(|_| self.unexpected())
    }

    /// A list of names and values within the answer.
    pub(crate) fn pairs(&self, at: usize) -> Result<Vec<(String, String)>, Fault> {
        let flat: Vec<String> = self.list(at)?;
        let mut flat = flat.into_iter();
        Ok(std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect())
    }

    pub(crate) fn unexpected(&self) -> Fault {
        Fault::Defect(format!("a script answered {:?}", self.0))
    }
}
