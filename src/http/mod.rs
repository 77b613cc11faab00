//! The doors for HTTP.

mod body;
mod codes;
mod connection;
pub mod errors;
mod fault_log;
mod gate;
pub mod layer;
mod meters;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod request;
pub mod server;
