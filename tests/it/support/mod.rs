//! What the tests share.

pub(crate) mod service;
pub(crate) mod stores;

pub(crate) use service::TestService;
pub(crate) use stores::{database, redis_database, stores};
