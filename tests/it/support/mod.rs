//! What the tests share.

pub(crate) mod contract;
pub(crate) mod processes;
pub(crate) mod program;
pub(crate) mod road;
pub(crate) mod service;
pub(crate) mod stores;

pub(crate) use program::Program;
pub(crate) use road::Road;
pub(crate) use service::TestService;
pub(crate) use stores::{database, redis_database, stores};
