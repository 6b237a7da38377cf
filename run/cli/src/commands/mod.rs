//! The commands, one a module.

pub mod change;
pub mod check;
pub mod console;
pub mod docs;
pub mod fmt;
pub mod force_unlock;
pub mod generate;
pub mod graph;
pub mod import;
pub mod init;
pub mod left_by_terraform;
pub mod logs;
pub mod new;
pub mod output;
pub mod plan;
pub mod providers;
pub mod purge;
pub mod rekey;
pub mod show;
pub mod ssh;
pub mod state;
pub mod state_file;
pub mod status;
pub mod test;
pub mod version;
pub mod workspace;
