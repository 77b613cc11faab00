//! Anteroom: a virtual waiting room with a seat-holding, point-paying booking service behind it.
//!
//! Imports look down only:
//!
//! ```text
//!  doors    http   jobs   cli                      parse, call one room, answer
//!  house    app                                    what the doors share: every room, built once
//!  rooms    booking   login                        lead through several rooms, step by step
//!           queue   seats                          the line and the seats: Redis, told by the ledger what is paid
//!           ledger   accounts                      points and people: Postgres
//!  tools    store   token   limits   latency  gzip run a script, sign, count, measure, shorten
//!  ground   config  error  ids  clock              values
//! ```
//!
//! Begin reading where a visitor begins: `login`, then `queue`, `seats`, and `booking` for the one long way to a
//! payment. What each atomic step in Redis does is said at the head of its file in `lua/`.

pub mod accounts;
pub mod app;
pub mod booking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod gzip;
pub mod http;
pub mod ids;
pub mod jobs;
pub mod latency;
pub mod ledger;
pub mod limits;
pub mod login;
pub mod queue;
pub mod seats;
pub mod store;
pub mod token;
