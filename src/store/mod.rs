//! The stores: connections, every key's name, and one typed call for each script. Nothing else takes a connection.

pub mod audit;
pub mod db;
pub mod keys;
pub(crate) mod mending;
pub(crate) mod pool;
pub mod pulse;
pub mod redis;
pub mod script;
pub mod scripts;
pub mod vitals;

pub use db::Db;
pub use pulse::Pulse;
pub use redis::{Redis, Safety, redis_safety};
