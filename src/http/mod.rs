//! The doors for HTTP.

mod body;
mod codes;
pub mod errors;
pub mod problem;
pub mod request;
