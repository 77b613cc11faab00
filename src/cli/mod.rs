//! The program's commands, and what only they need.

pub mod secrets;
pub mod seed;
pub mod stores;
