//! The language: expressions, functions, modules, project files, roles and images; from a [`FileSet`] to checked
//! definitions, and from those to values, on demand.
//!
//! What this crate does not know: where files are, what time it is, and how anything is done to the world.

mod bundle;
mod check;
pub mod complete;
mod constraint;
pub mod definitions;
pub mod eval;
mod files;
mod fingerprint;
pub mod functions;
mod given;
mod hosts;
mod image;
mod image_output;
mod jinja;
mod lint;
mod literal;
mod load;
pub mod modules;
mod order;
mod provision;
mod reference;
mod refused;
pub mod role;
mod shape;
mod test;
mod variable;
mod walk;

pub use bundle::{Bundle, BundleError, bundle, check_ancestors};
pub use check::{Answers, EvaluatedBody, Found, check, check_and_ask, place_in};
pub use constraint::Defaults;
pub use files::FileSet;
pub use given::{Given, GivenArgument, GivenValue, Outside, give, given_value, missing_values, variable_values};
pub use hosts::{Host, hosts};
pub use image::{Recipe, image_recipe};
pub use image_output::{Output, Places, Written, archive_place, image_outputs, layout_place};
pub use lint::{Lint, lint, lints};
pub use literal::string as written_string;
pub use load::settings::TERRAFORM_VERSION;
pub use load::{load, load_hosts, load_roles, load_with_tests};
pub use provision::provisioner_run;
pub use reference::{Reference, StaticStep, static_traversals};
pub use refused::not_carried_out;
pub use role::{Prediction, Roles, SecretsAtHand, Server, Undecided, apart, catalog, predict, together};
pub use shape::{Argument, FileKind, Nested, Shape, Times, host_resource, language};
pub use test::{TestCase, test_case, test_checks};
pub use walk::body_references;
