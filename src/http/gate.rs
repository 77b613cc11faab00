//! Limits on requests under way, by class, so that no class starves another.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, Gauge, counter, gauge};

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
    /// Making accounts.
    Signup,
    /// Operators.
    Admin,
    /// Health, keys and documents: cheap, and not limited, as they must answer just when the rest is busy.
    Open,
}

const CLASSES: [(Class, &str); 6] = [
    (Class::Polling, "polling"),
    (Class::Joining, "joining"),
    (Class::Booking, "booking"),
    (Class::Signup, "signup"),
    (Class::Admin, "admin"),
    (Class::Open, "open"),
];

/// One gate for each class.
pub(super) struct Gates([Gate; CLASSES.len()]);

struct Gate {
    inside: AtomicUsize,
    most: usize,
    gauge: Gauge,
    shed: Counter,
}

impl Gates {
    pub(super) fn new(limits: &InFlight) -> Self {
        Self(CLASSES.map(|(class, name)| Gate {
            inside: AtomicUsize::new(0),
            most: most(class, limits),
            gauge: gauge!("http_requests_in_flight", "class" => name),
            shed: counter!("anteroom_shed_total", "class" => name),
        }))
    }

    /// Lets one more in, or counts the refusal. Who was let in must [`leave`](Self::leave).
    pub(super) fn enter(&self, class: Class) -> bool {
        let gate = &self.0[class as usize];
        if gate.inside.fetch_add(1, Ordering::Relaxed) < gate.most {
            gate.gauge.increment(1.0);
            return true;
        }
        gate.inside.fetch_sub(1, Ordering::Relaxed);
        gate.shed.increment(1);
        false
    }

    pub(super) fn leave(&self, class: Class) {
        let gate = &self.0[class as usize];
        gate.inside.fetch_sub(1, Ordering::Relaxed);
        gate.gauge.decrement(1.0);
    }
}

fn most(class: Class, limits: &InFlight) -> usize {
    match class {
        Class::Polling => limits.polling,
        Class::Joining => limits.joining,
        Class::Booking => limits.booking,
        Class::Signup => limits.signup,
        Class::Admin => limits.admin,
        Class::Open => usize::MAX,
    }
}
