//! Tests of the whole: of the house itself, and of the real binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod support;

mod agent;
mod attached;
mod aws;
mod bad_input;
mod bad_projects;
mod beside;
mod bootstrap;
mod check;
mod console;
mod containers;
mod days;
mod deletions;
mod depth;
mod docs;
mod drifts;
mod edges;
mod ephemeral;
mod equivalence;
mod format;
mod formats;
mod generated;
mod graph;
mod help;
mod hosted;
mod images;
mod interrupts;
mod judge;
mod kept_secrets;
mod kills;
mod ledger;
mod lines;
mod locked_versions;
mod logins;
mod looking;
mod looking_far;
mod machines;
mod midway;
mod mistakes;
mod modules;
mod newborns;
mod phoenixes;
mod pipelines;
mod plan_for_people;
mod planned;
mod plugins;
mod pool_members;
mod pools;
#[path = "../../../../drive/store/tests/it/postgres_server.rs"]
mod postgres_server;
mod provenance;
mod provider_functions;
mod providers;
mod provisioners;
mod published_values;
mod roles_on_servers;
mod rootless;
mod run_by_hand;
mod said_nowhere;
mod secrets;
mod servers;
mod several_roles;
mod show;
#[path = "../../../../drive/provision/tests/it/server.rs"]
#[allow(dead_code, reason = "passwords and stacks' connections are for the tests beside it")]
mod ssh_server;
mod stack_tests;
mod stack_tests_of_checks;
mod stack_tests_of_helpers;
mod stack_tests_of_results;
mod state;
mod state_file;
mod storage;
mod tidy;
mod tour;
mod trust;
mod undoing;
mod variables;
mod workspaces;
