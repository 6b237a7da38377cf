//! `version`: which program this is, which Terraform's language it understands, and which providers are locked.

use andon_engine::Locks;
use andon_lang::TERRAFORM_VERSION;
use serde_json::{Value, json};

use crate::context::Context;
use crate::terminal::print_json;

/// `andon version`
pub fn run(context: &Context) {
    let own = env!("CARGO_PKG_VERSION");
    // What is wrong with a lock file is said by whoever needs it.
    let locked = Locks::read(&context.arguments.directory, &[]).0.own.providers;
    let locked = locked.iter().map(|(address, entry)| (address.to_string(), entry.version.to_string()));
    if context.arguments.json {
        let platform = andon_engine::init::Platform::current().to_string();
        let selections: serde_json::Map<String, Value> = locked.map(|(name, version)| (name, version.into())).collect();
        print_json(&json!({
            "andon_version": own, "terraform_version": TERRAFORM_VERSION, "platform": platform,
            "provider_selections": selections, "terraform_outdated": false,
        }));
    } else {
        let locked: String = locked.map(|(name, version)| format!("+ provider {name} v{version}\n")).collect();
        context.print(&format!("andon {own}\nIt understands what Terraform {TERRAFORM_VERSION} does.\n{locked}"));
    }
}
