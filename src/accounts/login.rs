//! The beginning of a login: all that can be said at once.

use std::net::IpAddr;

use super::Accounts;
use super::check::Check;
use super::line::{Asked, Line, Refusal};
use super::password::Password;
use crate::ids::UserId;
use crate::limits;

/// What is known of a login at once.
pub enum Login {
    /// It is they: the same password was right a short while ago.
    Remembered,
    /// The password is in line to be checked, or being checked.
    Check(Check),
    /// Too many wrong passwords.
    Limited {
        /// When to come again, in seconds.
        retry_after_seconds: u64,
    },
    /// Too many wait for their check, here or of this address.
    Full,
}

/// Begins a login: answers from memory, or puts the password in line. Takes microseconds and waits for nothing.
///
/// A remembered password is right whatever the limits say, so that neither a crowd behind one address nor someone whose
/// password others guess is locked out.
pub fn begin_login(accounts: &Accounts, user: &UserId, password: &Password, address: IpAddr) -> Login {
    let desk = &accounts.desk;
    let tag = desk.remembered.tag(user, password);
    if desk.remembered.knows(user, &tag) {
        return Login::Remembered;
    }
    let address = limits::origin(address);
    let guesses_left = match desk.failures.left(user, address) {
        Ok(left) => left as usize,
        Err(spent) => return Login::Limited { retry_after_seconds: spent.retry_after_seconds },
    };
    match Line::enter(desk, &Asked { user, password, tag, address, guesses_left }, &accounts.arrivals) {
        Ok(check) => Login::Check(check),
        Err(Refusal::Full) => Login::Full,
        Err(Refusal::Limited(spent)) => Login::Limited { retry_after_seconds: spent.retry_after_seconds },
    }
}
