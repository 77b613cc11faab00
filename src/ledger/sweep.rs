//! Removing what nobody asks for any more, a bounded number of rows at a time.

use super::{Ledger, transaction};
use crate::error::Fault;

/// Rows that one step removes: few enough to be done within any statement's time.
const STEP: u16 = 2_000;

/// Steps of one run at most. What is left is removed by the next one.
const STEPS: usize = 50;

/// By the places of the rows, which are locked: by their keys, Postgres may read the whole table to find a few.
const KEYS: &str = "\
delete from idempotency_keys where ctid = any (array(
    select ctid from idempotency_keys where created_at < now() - interval '24 hours'
    order by created_at limit $1 for update skip locked))
returning 1";

/// In the words of the index `payment_attempts_unpaid_by_age`.
const ATTEMPTS: &str = "\
delete from payment_attempts where ctid = any (array(
    select ctid from payment_attempts
    where state in ('void', 'refused') and at < now() - interval '24 hours'
    order by at limit $1 for update skip locked))
returning 1";

/// Removes answers kept under a key for more than a day. Gives how many.
pub async fn sweep_keys(ledger: &Ledger) -> Result<usize, Fault> {
    sweep(ledger, KEYS).await
}

/// Removes attempts that paid nothing and are older than a day. Gives how many.
pub async fn sweep_attempts(ledger: &Ledger) -> Result<usize, Fault> {
    sweep(ledger, ATTEMPTS).await
}

/// Steps on until one finds less than it may remove.
async fn sweep(ledger: &Ledger, statement: &'static str) -> Result<usize, Fault> {
    let mut swept = 0;
    for _ in 0..STEPS {
        let step = transaction::write(ledger, sqlx::query(statement).bind(i64::from(STEP))).await?.len();
        swept += step;
        if step < usize::from(STEP) {
            break;
        }
    }
    Ok(swept)
}
