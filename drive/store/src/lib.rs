//! The ledger on SQLite, and the locks of environments.
//!
//! [`Ledger`] keeps entries durably and in order; it does not know what they mean, and never judges one. What
//! [`Ledger::append`] returned is on the disk, whole, whatever kills the process afterwards. [`lock()`] gives one
//! process the say over one environment.

mod error;
mod ledger;
mod lock;
mod rows;
mod schema;
mod writer;

pub use error::StoreError;
pub use ledger::{Appending, Entries, Follow, Ledger, Which};
pub use lock::{Holder, LockError, LockGuard, lock, wait};
