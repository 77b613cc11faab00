//! Wrong passwords, counted by account and address, and by address.
//!
//! Only failures count, so a crowd behind one address is let in. They count for an account only together with the
//! address, so who guesses elsewhere does not lock the owner out.

use std::net::IpAddr;
use std::time::Duration;

use crate::ids::UserId;
use crate::limits::{Spent, Window};

const WINDOW: Duration = Duration::from_mins(5);

pub(super) struct Failures {
    by_account: Window<(UserId, IpAddr)>,
    by_address: Window<IpAddr>,
}

impl Failures {
    pub(super) fn new(per_account: u32, per_address: u32) -> Self {
        Self { by_account: Window::new(per_account, WINDOW), by_address: Window::new(per_address, WINDOW) }
    }

    /// How many more wrong passwords this account may get from this address; an error when none may come.
    pub(super) fn left(&self, user: &UserId, address: IpAddr) -> Result<u32, Spent> {
        self.by_address.left(&address)?;
        self.by_account.left(&(user.clone(), address))
    }

    pub(super) fn count(&self, user: &UserId, address: IpAddr) {
        self.by_address.count(address);
        self.by_account.count((user.clone(), address));
    }
}
