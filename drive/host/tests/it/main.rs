//! Real looks and acts, in a copy of this machine's root file system that only the test's own thread sees, and the whole
//! loop of a converge over it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

mod accounts;
mod certificates;
mod containers;
mod converge;
mod exec;
mod files;
mod firewall;
mod http;
mod inits;
mod kept;
mod kills;
mod mounts;
mod packages;
mod root;
mod services;
mod sources;
mod validate;
