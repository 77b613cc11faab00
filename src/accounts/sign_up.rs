//! Making an account.

use std::net::IpAddr;
use std::sync::Arc;

use super::Accounts;
use super::password::{NewPassword, Password, hash_password};
use crate::error::Fault;
use crate::ids::UserId;
use crate::limits;
use crate::store::Db;

/// Adds the person and what they have, or nothing where the name is taken.
const ADD: &str = "
    with added as (
        insert into users (username, password_hash) values ($1, $2)
        on conflict (username) do nothing
        returning username
    )
    insert into accounts (user_id) select username from added";

/// Sign-ups under way at most; the next is refused at once, as a crowd of them would make everyone wait.
pub(super) const MOST_AT_ONCE: usize = 64;

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// Someone else has the name.
    #[error("the username is taken")]
    Taken,
    /// Nobody may sign up at present.
    #[error("signing up is closed")]
    Closed,
    /// Too many from one address.
    #[error("too many accounts from one address")]
    Limited {
        /// When to come again, in seconds.
        retry_after_seconds: u64,
    },
    /// A store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes an account without points. Its password is remembered, since this process just saw it.
pub async fn sign_up(
    accounts: &Accounts,
    user: &UserId,
    password: &NewPassword,
    address: IpAddr,
) -> Result<(), SignUpError> {
    let sign_ups = &accounts.sign_ups;
    if !sign_ups.open {
        return Err(SignUpError::Closed);
    }
    if let Err(spent) = sign_ups.by_address.take(limits::origin(address)) {
        return Err(SignUpError::Limited { retry_after_seconds: spent.retry_after_seconds });
    }
    let _turn = sign_ups.waiting.try_acquire().map_err(|_| Fault::Overload("sign-ups"))?;
    let NewPassword(password) = password;
    let hash = hash_aside(accounts, password.clone()).await?;
    // In a task of its own: a client who hangs up half-way would cost a connection.
    let adding = tokio::spawn(add(accounts.db.clone(), user.clone(), hash));
    if !adding.await.map_err(|e| Fault::Defect(e.to_string()))?? {
        return Err(SignUpError::Taken);
    }
    let remembered = &accounts.desk.remembered;
    remembered.remember(user, remembered.tag(user, password));
    Ok(())
}

/// Hashes on a thread beside the runtime's, no more at once than passwords are verified.
async fn hash_aside(accounts: &Accounts, password: Password) -> Result<String, Fault> {
    let turn = Arc::clone(&accounts.sign_ups.hashing).acquire_owned().await;
    let turn = turn.map_err(|e| Fault::Defect(e.to_string()))?;
    let hashing = tokio::task::spawn_blocking(move || {
        let hash = hash_password(&password);
        drop(turn);
        hash
    });
    hashing.await.map_err(|e| Fault::Defect(e.to_string()))?
}

/// Whether the account is new.
async fn add(db: Db, user: UserId, hash: String) -> Result<bool, Fault> {
    let added = sqlx::query(ADD).bind(user.as_str()).bind(hash).execute(db.pool()).await?;
    Ok(added.rows_affected() == 1)
}
