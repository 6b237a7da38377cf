//! Provisioners and their connections
//! (<https://developer.hashicorp.com/terraform/language/resources/provisioners/syntax>).

use andon_hcl::ast::Body;
use andon_text::Diagnostic;

use super::scope::{At, Checked};
use crate::definitions::{Provisioner, ResourceDefinition};
use crate::provision::{CONNECTION, KINDS, ONE_OF, over};
use crate::reference::{Reference, name_at};
use crate::shape::suggest;
use crate::walk::references_of;

/// Provisioners that older versions of the language had.
const GONE: [&str; 4] = ["chef", "habitat", "puppet", "salt-masterless"];

/// The provisioners of a resource; `at` is within its block, with `self`.
pub(super) fn check(at: &At<'_, '_>, definition: &ResourceDefinition) {
    each(at, &definition.provisioners, definition.connection.as_ref());
    let Some(connection) = &definition.connection else { return };
    // What no provisioner uses may refer to what is not there.
    if definition.provisioners.iter().any(|provisioner| provisioner.connection.is_none()) {
        at.written_in(connection);
    }
    if !definition.provisioners.is_empty() {
        at.body_value(connection, &CONNECTION);
    }
    if definition.provisioners.iter().any(|provisioner| provisioner.on_destroy) {
        late(at.checked, connection);
    }
}

/// Provisioners wherever they are, with the connection that theirs are laid over.
pub(super) fn each(at: &At<'_, '_>, provisioners: &[Provisioner], common: Option<&Body>) {
    for provisioner in provisioners {
        at.written_in(&provisioner.body);
        if provisioner.on_destroy {
            late(at.checked, &provisioner.body);
        }
        if let Some(connection) = &provisioner.connection {
            at.written_in(connection);
            at.body_value(&over(connection, common), &CONNECTION);
            if provisioner.on_destroy {
                late(at.checked, connection);
            }
        }
        let kind = &provisioner.kind;
        let Some(schema) = KINDS.get(&*kind.name) else {
            let diagnostic = Diagnostic::error(format!("there is no provisioner \"{}\"", kind.name)).at(kind.span);
            let diagnostic = if GONE.contains(&&*kind.name) {
                diagnostic
                    .label("newer versions of the language have it no longer")
                    .help("Use local-exec or remote-exec.")
            } else {
                suggest(diagnostic, &kind.name, KINDS.keys().copied())
            };
            at.checked.report([diagnostic]);
            continue;
        };
        let body = Body { span: Some(provisioner.span), ..provisioner.body.clone() };
        let value = at.body_value(&body, schema);
        let one_of = ONE_OF.iter().find(|(name, _)| *name == &*kind.name).map(|(_, names)| *names).unwrap_or_default();
        let given = one_of.iter().filter(|name| value.get(name).is_none_or(|value| !value.is_null())).count();
        if !one_of.is_empty() && given != 1 && !value.is_unknown() {
            let names = one_of.join("\" and \"");
            let diagnostic = Diagnostic::error(format!("one of \"{names}\" must be given")).at(provisioner.span);
            at.checked.report([diagnostic.label(if given == 0 { "none is" } else { "more than one is" })]);
        }
    }
}

/// When an object is deleted, nothing but the object itself is sure to be there still.
fn late(checked: &Checked<'_>, body: &Body) {
    references_of(body, &mut |reference: Reference<'_>| {
        let name = name_at(&reference, 0).map(|(name, _)| name);
        let allowed = matches!(
            (&**reference.root, name),
            ("self" | "path" | "terraform", _) | ("count", Some("index")) | ("each", Some("key"))
        );
        if !allowed {
            let diagnostic = Diagnostic::error("what runs on deletion may refer only to the object itself");
            let diagnostic = diagnostic.at(reference.span).label("this may be gone by then");
            checked.report([diagnostic.help("Use self, count.index or each.key; keep what is needed in the object.")]);
        }
    });
}
