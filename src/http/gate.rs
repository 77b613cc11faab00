//! Limits on requests under way, by class, so that no class starves another.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use metrics::{Counter, counter, gauge};

use crate::config::InFlight;

/// What a request asks for, as far as limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Asking for one's place.
    Polling,
    /// Taking a place.
    Joining,
    /// Everything behind the gate.
    Booking,
    /// Asking for others whether a visitor is inside.
    Gate,
    /// Making accounts.
    Signup,
    /// Operators.
    Admin,
    /// Health, keys and documents: cheap, and not limited, as they must answer just when the rest is busy.
    Open,
}

const CLASSES: [(Class, &str); 7] = [
    (Class::Polling, "polling"),
    (Class::Joining, "joining"),
    (Class::Booking, "booking"),
    (Class::Gate, "gate"),
    (Class::Signup, "signup"),
    (Class::Admin, "admin"),
    (Class::Open, "open"),
];

/// One gate for each class.
#[derive(Clone)]
pub(super) struct Gates(Arc<[Gate; CLASSES.len()]>);

/// Alone on its cache lines, so that classes do not slow each other down.
#[repr(align(128))]
struct Gate {
    inside: AtomicUsize,
    most: usize,
    shed: Counter,
}

/// All gates of the process, for the gauge: it is read off when metrics are asked for, not moved by every request.
static ALL: Mutex<Vec<Weak<[Gate; CLASSES.len()]>>> = Mutex::new(Vec::new());

impl Gates {
    pub(super) fn new(limits: &InFlight) -> Self {
        let gates = Arc::new(CLASSES.map(|(class, name)| Gate {
            inside: AtomicUsize::new(0),
            most: most(class, limits),
            shed: counter!("anteroom_shed_total", "class" => name),
        }));
        ALL.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&gates));
        Self(gates)
    }

    /// Lets one more in, or counts the refusal. Who was let in must [`leave`](Self::leave).
    pub(super) fn enter(&self, class: Class) -> bool {
        let gate = &self.0[class as usize];
        let entered = gate.inside.fetch_add(1, Ordering::Relaxed) < gate.most;
        if !entered {
            gate.inside.fetch_sub(1, Ordering::Relaxed);
            gate.shed.increment(1);
        }
        entered
    }

    pub(super) fn leave(&self, class: Class) {
        self.0[class as usize].inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place within its class of a request whose body is yet to come. It may step out while it waits for its own client,
/// so that those who send slowly keep nobody out.
#[derive(Clone)]
pub(super) struct Turn(Arc<Taken>);

struct Taken {
    gates: Gates,
    class: Class,
    inside: AtomicBool,
}

impl Turn {
    /// Of a request that was let in.
    pub(super) fn taken(gates: &Gates, class: Class) -> Self {
        Self(Arc::new(Taken { gates: gates.clone(), class, inside: AtomicBool::new(true) }))
    }

    /// Gives the place up, if it has one.
    pub(super) fn step_out(&self) {
        if self.0.inside.swap(false, Ordering::Relaxed) {
            self.0.gates.leave(self.0.class);
        }
    }

    /// Takes a place again, where there is one.
    pub(super) fn step_in(&self) -> bool {
        let entered = self.0.gates.enter(self.0.class);
        self.0.inside.store(entered, Ordering::Relaxed);
        entered
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if *self.inside.get_mut() {
            self.gates.leave(self.class);
        }
    }
}

/// Sets the gauge of requests under way, and forgets the gates of servers that ended.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and the counts are far below 2^53")]
pub(super) fn measure() {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|gates| gates.strong_count() > 0);
    let living: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
    for (class, name) in CLASSES {
        let inside = |gates: &Arc<[Gate; CLASSES.len()]>| gates[class as usize].inside.load(Ordering::Relaxed);
        let under_way: usize = living.iter().map(inside).sum();
        gauge!("http_requests_in_flight", "class" => name).set(under_way as f64);
    }
}

fn most(class: Class, limits: &InFlight) -> usize {
    match class {
        Class::Polling => limits.polling,
        Class::Joining => limits.joining,
        Class::Booking => limits.booking,
        Class::Gate => limits.gate,
        Class::Signup => limits.signup,
        Class::Admin => limits.admin,
        Class::Open => usize::MAX,
    }
}
