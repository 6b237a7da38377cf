//! `terraform_remote_state`: the outputs of a state that is kept elsewhere
//! (<https://developer.hashicorp.com/terraform/language/state/remote-state-data>).
//!
//! Elsewhere is a state file on this machine, or this project's own ledger: what a stack has published in any of its
//! environments.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use andon_ledger::Outputs;
use andon_ledger::state_file::StateFile;
use andon_schema::Failure;
use andon_value::Value;

/// What stacks have published, by environment and stack.
pub type Published = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Outputs>>;

/// The file of the local backend, in its directory.
const STATE_FILE: &str = "terraform.tfstate";
/// The directory of the local backend's other workspaces.
const WORKSPACES: &str = "terraform.tfstate.d";
const DEFAULT: &str = "default";

/// Reads what a configuration asks for. Paths start from `directory`.
pub fn read(config: &Value, directory: &Path, published: &Published) -> Result<Value, Failure> {
    let (plain, _) = config.unmark_deep();
    let backend = plain.get_str("backend").unwrap_or_default();
    let own = plain.get("config").cloned().unwrap_or(Value::NULL);
    let workspace = plain.get_str("workspace").filter(|name| !name.is_empty()).unwrap_or(DEFAULT);
    let found = match backend {
        "local" => local(&own, workspace, directory)?,
        "andon" => ledger(&own, published)?,
        other => {
            let summary = format!("the state that the backend {other:?} keeps cannot be read");
            return Err(Failure::new(summary, "States are read from files of this machine, and from Andon's own ledger.")
                .help("Get the file where Terraform is at hand, with `terraform state pull`, and name it: backend = \"local\".")
                .help("Or take the values as variables."));
        }
    };
    let defaults = config.get("defaults").and_then(Value::as_entries).map(|entries| (**entries).clone());
    let mut outputs = defaults.unwrap_or_default();
    outputs.extend(found);
    let given = |name: &'static str| (name, config.get(name).cloned().unwrap_or(Value::NULL));
    Ok(Value::object([
        given("backend"),
        given("config"),
        given("defaults"),
        given("workspace"),
        ("outputs", Value::object(outputs)),
    ]))
}

fn local(config: &Value, workspace: &str, directory: &Path) -> Result<Outputs, Failure> {
    let given = |name: &str| config.get_str(name).filter(|path| !path.is_empty());
    let path = match workspace {
        DEFAULT => directory.join(given("path").unwrap_or(STATE_FILE)),
        _ => directory.join(given("workspace_dir").unwrap_or(WORKSPACES)).join(workspace).join(STATE_FILE),
    };
    let missing = || {
        let detail = format!("There is nothing in {}.", path.display());
        Failure::new("there is no state to be read", detail).help("Apply the configuration first whose state it is.")
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) if text.is_empty() => return Err(missing()),
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(Failure::new(format!("{} cannot be read", path.display()), error.to_string())),
    };
    let file = StateFile::read(&text)
        .map_err(|error| Failure::new(format!("{} is no state", path.display()), format!("As a whole: {error}.")))?;
    let outputs = file.outputs.into_iter();
    Ok(outputs.map(|(name, output)| (name.into(), output.value)).collect())
}

fn ledger(config: &Value, published: &Published) -> Result<Outputs, Failure> {
    let environment = config.get_str("environment").unwrap_or_default();
    let stack = config.get_str("stack").unwrap_or_default();
    let stacks = published.get(environment).ok_or_else(|| {
        let known: Vec<&str> = published.keys().map(|name| &**name).collect();
        let detail = match known.is_empty() {
            true => "No environment has published anything yet.".to_owned(),
            false => format!("These have: {}.", known.join(", ")),
        };
        Failure::new(format!("the environment {environment:?} has published nothing"), detail)
            .help("Apply it first: andon apply -e ENVIRONMENT.")
    })?;
    stacks.get(stack).cloned().ok_or_else(|| {
        let known: Vec<String> = stacks.keys().map(|name| format!("{name:?}")).collect();
        let detail = format!("These have: {}.", known.join(", "));
        Failure::new(format!("the stack {stack:?} has published nothing in {environment:?}"), detail)
            .help("Name the stack in `config`: { environment = …, stack = … }.")
    })
}
