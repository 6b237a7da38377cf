//! `version`: which program this is, and which Terraform's language it understands.

use andon_lang::TERRAFORM_VERSION;
use serde_json::json;

use crate::context::Context;
use crate::terminal::print_json;

/// `andon version`
pub fn run(context: &Context) {
    let own = env!("CARGO_PKG_VERSION");
    if context.arguments.json {
        let platform = andon_engine::init::Platform::current().to_string();
        print_json(&json!({ "andon_version": own, "terraform_version": TERRAFORM_VERSION, "platform": platform }));
    } else {
        context.print(&format!("andon {own}\nIt understands what Terraform {TERRAFORM_VERSION} does.\n"));
    }
}
