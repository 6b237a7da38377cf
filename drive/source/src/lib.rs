//! Packages of modules and of providers, from wherever they are: web servers, registries, git repositories, archives and
//! directories.
//!
//! It fetches what it is told to into a directory that it is given. Which version is taken, and what becomes of what was
//! fetched, is decided elsewhere. It never asks the user anything: credentials come from Terraform's own settings, from
//! git's and from SSH's.

mod archive;
mod digest;
mod error;
mod fetch;
mod git;
mod host;
mod netrc;
mod newer;
mod provider;
mod registry;
mod signature;
mod tree;
mod url;
mod web;

pub use error::FetchError;
pub use fetch::{Fetched, Taken};
pub use host::{Hosts, Settings};
pub use newer::Newer;
pub use provider::{OfferedVersion, ProviderPackage, ProviderVersions};
pub use tree::{TreeFile, tree};
pub use web::{Progress, Web};
