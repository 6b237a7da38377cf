//! Any bytes as `terraform.tfvars` of a stack with variables of many types: it ends, whatever is wrong with them.
#![no_main]

use std::sync::Arc;

use andon_lang::{FileSet, given_value, load};
use libfuzzer_sys::fuzz_target;

const VARIABLES: &str = r#"
variable "a" {}
variable "b" { type = string }
variable "c" { type = list(number) }
variable "d" {
  type = object({ name = string, size = optional(number, 1) })
}
variable "e" {
  type      = map(any)
  sensitive = true
}
variable "f" {
  type     = set(bool)
  nullable = false
}
"#;

fuzz_target!(|bytes: &[u8]| {
    let mut files = FileSet::new();
    files.insert("main.tf", VARIABLES.as_bytes().to_vec());
    files.insert("terraform.tfvars", bytes.to_vec());
    let (project, _) = load(Arc::new(files), "fuzz");
    for stack in project.stacks.values() {
        for variable in stack.module.variables.values() {
            if let Ok(Some(given)) = given_value(&project, "default", stack, variable) {
                let _ = variable.value(Some(given.value), "variable");
            }
        }
    }
});
