//! What the tests share.

pub(crate) mod stores;

pub(crate) use stores::{database, stores};
