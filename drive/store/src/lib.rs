//! The ledger, on SQLite or PostgreSQL, and the locks of environments.
//!
//! [`Ledger`] keeps entries durably and in order; it does not know what they mean, and never judges one. What
//! [`Ledger::append`] returned is on the disk, whole, whatever kills the process afterwards. [`Ledger::lock`] gives one
//! process the say over one environment. With a [`Key`] everything is sealed before it is stored.
//!
//! `backend` says what a storage must do, `sqlite` and `postgres` do it; everything else is written once for both.

mod backend;
mod error;
mod key;
mod ledger;
mod lock;
mod postgres;
mod process;
mod rekey;
mod seal;
mod sealed_file;
mod sqlite;
mod writer;

pub use error::StoreError;
pub use key::{KEY_FILE_VARIABLE, KEY_VARIABLE, Key, KeyError};
pub use ledger::{Appending, Entries, Follow, Ledger, Place, Which};
pub use lock::{Held, Holder, LEASE, Lock, LockError};
pub use postgres::Database;
pub use sealed_file::{SealError, open, seal};
