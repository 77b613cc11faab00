//! Stores that freeze, fail over or forget, several processes, and crowds.

mod crowd;
mod frozen;
mod listening;
mod loss;
mod nodes;
mod order;
mod polling;
mod processes;
mod simulation;
mod watch;
