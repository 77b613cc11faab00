//! What can go wrong below the rules of a room: a store that does not answer, or that forgot.

/// A store failed. Refusals that belong to a rule are errors of the room that owns the rule.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// Redis did not answer, or refused to serve.
    #[error("Redis does not serve: {0}")]
    Redis(String),
    /// Postgres did not answer, or refused to serve.
    #[error("Postgres does not serve: {0}")]
    Postgres(String),
    /// Redis no longer has what this process knew: it is being set up anew.
    #[error("Redis lost what this process knew; it is being set up anew")]
    Lost,
    /// More is under way than the service takes on at once.
    #[error("too much at once: {0}")]
    Overload(&'static str),
    /// A defect of ours: an answer that cannot be.
    #[error("defect: {0}")]
    Defect(String),
}
