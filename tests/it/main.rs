//! The integration tests: one binary, a module for each noun.
#![cfg(test)]

mod tidy;
