//! Ratios taken in one run.
fn main() {}
