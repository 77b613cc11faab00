//! Stores that freeze, fail over or forget, several processes, and crowds.

mod frozen;
