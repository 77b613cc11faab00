//! Anteroom: a virtual waiting room with a seat-holding, point-paying booking service behind it.
//!
//! Imports look down only:
//!
//! ```text
//!  doors    http   jobs   cli                            parse, call one room, answer
//!  house    app                                          what the doors share: every room, built once
//!  rooms    booking → seats, ledger   queue   accounts   decide; own their keys or tables
//!  tools    store   token   limits                       run a script, sign, count
//!  ground   config  error  ids  clock                    values
//! ```

pub mod accounts;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod ids;
pub mod ledger;
pub mod limits;
pub mod store;
pub mod token;
