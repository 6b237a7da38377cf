//! Plans, states and definitions as `terraform show -json` has them, for the tools that read that: plans in format 1.2,
//! states in format 1.0 (<https://developer.hashicorp.com/terraform/internals/json-format>).
//!
//! The format knows one stack, so that each view is of one stack of the project. It holds secrets in clear, beside marks
//! that say where they are, as the format has it.

mod checks;
mod configuration;
mod generated;
mod plan;
mod relevant;
mod state;
mod text;
mod values;

pub use checks::{checks_json, plan_checks_json};
pub use configuration::configuration_json;
pub use generated::generated_resource;
pub use plan::{Shown, terraform_plan_json};
pub use state::terraform_state_json;
pub use text::state_text;
