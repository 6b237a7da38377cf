//! Secrets: sealed in files of the project or given by the environment, opened for whoever needs them, and sealed again
//! for the server that does.
//!
//! Files are age files (<https://age-encryption.org/v1>), armored or not, so that `age` and `ssh-keygen` are enough to
//! make, read and repair them. What this crate does not know: who asks, and what becomes of a secret once it is open.

mod identities;
mod recipients;
mod seal;
mod vault;

pub use identities::{IDENTITY_FILE_VARIABLE, IDENTITY_VARIABLE, Identities, IdentityError, generate};
pub use recipients::{RecipientError, Recipients};
pub use seal::{SealError, open, open_secrets, seal, seal_secrets};
pub use vault::{Place, Stored, Vault, VaultError, variable_of};
