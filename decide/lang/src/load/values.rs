//! Files of values for input variables: `terraform.tfvars`, `*.auto.tfvars` and what `-var-file` names.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::Body;
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span};

use super::{Loader, SecretNames, hide_in_values, parse};
use crate::definitions::Assignment;
use crate::shape::VALUES_FILE;

/// Values by name.
type Values = BTreeMap<Arc<str>, Assignment>;

/// `terraform.tfvars`, its JSON form, then every `*.auto.tfvars` and `*.auto.tfvars.json` in order of name: later ones
/// win.
pub(super) fn assignments(loader: &mut Loader<'_>, directory: &str) -> Values {
    let mut paths = loader.paths_with_json(directory, ".tfvars");
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let is_first = |path: &str| ["terraform.tfvars", "terraform.tfvars.json"].contains(&&*name(path));
    let is_auto = |path: &str| [".auto.tfvars", ".auto.tfvars.json"].iter().any(|suffix| path.ends_with(suffix));
    paths.retain(|path| is_auto(path) || is_first(path));
    paths.sort_by_key(|path| (!is_first(path), path.clone()));
    let mut assignments = Values::new();
    for path in paths {
        let body = loader.body(&path, &VALUES_FILE);
        add(&mut assignments, &body, &mut loader.out);
    }
    assignments
}

/// The values of a file that is not the project's, added to the sources; those of secrets are hidden there.
pub(crate) fn read_values(
    sources: &mut SourceMap,
    path: &str,
    content: &[u8],
    names: &SecretNames<'_>,
) -> (Values, Diagnostics) {
    let mut values = Values::new();
    let text = String::from_utf8_lossy(content);
    let id = sources.add(path, &*text);
    if let Err(error) = std::str::from_utf8(content) {
        let at = error.valid_up_to();
        let diagnostic = Diagnostic::error(format!("{path} is not UTF-8 text")).at(Span::new(id, at, at));
        return (values, diagnostic.label("this byte is not").help("Save the file as UTF-8.").into());
    }
    let (body, mut out) = parse(path, id, &text, &VALUES_FILE);
    hide_in_values(sources, id, &body, names, out.has_errors());
    add(&mut values, &body, &mut out);
    (values, out)
}

fn add(values: &mut Values, body: &Body, out: &mut Diagnostics) {
    for attribute in body.attributes() {
        let assignment = Assignment { name: attribute.name.clone(), value: attribute.value.clone() };
        values.insert(attribute.name.name.clone(), assignment);
    }
    for block in body.blocks() {
        let diagnostic = Diagnostic::error("a file of values holds no blocks").at(block.head);
        out.push(match (&*block.kind.name, block.labels.as_slice()) {
            ("variable", [name]) => diagnostic.help(format!(
                "To give the variable a value, write: {} = …. It is defined in a file whose name ends in \".tf\".",
                name.name
            )),
            (kind, _) => diagnostic.help(format!("To give a variable of this name a value, write: {kind} = …")),
        });
    }
}
