//! The integration tests: one binary, a module for each noun, on a real Redis and Postgres.
#![cfg(test)]

mod accounts;
mod stores;
mod support;
mod tidy;
