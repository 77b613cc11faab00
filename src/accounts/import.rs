//! Making many accounts at once, by an operator's hand.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::password::{NewPassword, Password, hash_password};
use crate::error::Fault;
use crate::ids::UserId;
use crate::store::Db;

/// Accounts that one statement makes: their passwords take some seconds to hash, and are lost where it fails.
const STEP: usize = 500;

const KNOWN: &str = "select username from users where username = any ($1)";

/// Adds people and what they have. Those who exist get the password if $3 says so.
const ADD: &str = "\
with added as (
    insert into users (username, password_hash) select * from unnest($1::text[], $2::text[])
    on conflict on constraint users_pkey do update set password_hash = excluded.password_hash where $3
    returning username
)
insert into accounts (user_id) select username from added
on conflict on constraint accounts_pkey do nothing";

/// What becomes of the password of an account that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays.
    Kept,
    /// It becomes the one that is given.
    Changed,
}

/// How many accounts of an import there are of which kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Made, without points.
    pub new: u64,
    /// They existed.
    pub existing: u64,
}

/// Makes accounts, each named once. `done` hears after each step how many are there. What was made before a fault stays, and
/// the same import goes on from there.
pub async fn import(
    db: &Db,
    given: &[(UserId, NewPassword)],
    existing: Existing,
    done: impl Fn(usize),
) -> Result<Imported, Fault> {
    let mut imported = Imported::default();
    for (step, given) in given.chunks(STEP).enumerate() {
        let names: Vec<&str> = given.iter().map(|(user, _)| user.as_str()).collect();
        let known: Vec<String> = sqlx::query_scalar(KNOWN).bind(&names).fetch_all(db.pool()).await?;
        let known: HashSet<String> = known.into_iter().collect();
        let changed = existing == Existing::Changed;
        let (names, hashes) =
            hash_all(given.iter().filter(|(user, _)| changed || !known.contains(user.as_str()))).await?;
        sqlx::query(ADD).bind(names).bind(hashes).bind(changed).execute(db.pool()).await?;
        imported.existing += known.len() as u64;
        imported.new += (given.len() - known.len()) as u64;
        done(step * STEP + given.len());
    }
    Ok(imported)
}

/// Hashes on all cores: this process serves nobody.
async fn hash_all<'a>(
    given: impl Iterator<Item = &'a (UserId, NewPassword)>,
) -> Result<(Vec<String>, Vec<String>), Fault> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let hashing = given.map(|(user, NewPassword(password))| hash(user.to_string(), password.clone()));
    let hashed: Vec<_> = stream::iter(hashing).buffer_unordered(cores).try_collect().await?;
    Ok(hashed.into_iter().unzip())
}

async fn hash(user: String, password: Password) -> Result<(String, String), Fault> {
    let hashing = tokio::task::spawn_blocking(move || hash_password(&password));
    Ok((user, hashing.await.map_err(|e| Fault::Defect(e.to_string()))??))
}
