//! References that are not read but named: in `depends_on` and `replace_triggered_by`.

use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind};
use andon_lang::eval::Step;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Kind, Path, PathStep};

use super::view::{Chosen, View, evaluate};
use super::{Key, ModuleId};
use crate::messages;

/// What an expression of `depends_on` or `replace_triggered_by` names.
pub(super) struct Target {
    /// The nodes.
    pub keys: Vec<Key>,
    /// The attribute inside the one node; empty for all of it.
    pub path: Path,
    /// As written.
    pub text: String,
}

/// Has the evaluation wait for everything that `depends_on` names, whatever its value.
pub(super) fn depends_on(targets: &[Expr], view: &View<'_>) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for expr in targets {
        match target(expr, view) {
            Ok(target) => {
                for key in target.keys {
                    view.read(key, Some(expr.span));
                }
            }
            Err(errors) => problems.extend(errors),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What an expression names. Where that hangs on nodes that have not come, there are no keys, and the view has noted
/// what is missing.
pub(super) fn target(expr: &Expr, view: &View<'_>) -> Result<Target, Diagnostics> {
    let mut steps = Vec::new();
    let Some((root, root_span)) = chain(expr, view, &mut steps)? else {
        return Err(Diagnostic::error("this is no reference")
            .at(expr.span)
            .detail("What is meant here is a resource, a module, or something of them, by its name.")
            .into());
    };
    let span = Some(expr.span);
    let mut rest = 1;
    let keys = match (&*root, steps.first()) {
        ("var", Some(Step::Attribute(name, _))) if view.module().module.variables.contains_key(name) => {
            vec![Key::Variable(view.module_id(), Arc::clone(name))]
        }
        ("local", Some(Step::Attribute(name, _))) if view.module().module.locals.contains_key(name) => {
            vec![Key::Local(view.module_id(), Arc::clone(name))]
        }
        ("module", Some(Step::Attribute(name, _))) if view.module().module.calls.contains_key(name) => {
            modules(name, &steps, view, span)?.into_iter().map(Key::Contents).collect()
        }
        _ => {
            let Some((resource, _, used)) = view.resource(&root, &steps) else {
                let known: Vec<String> =
                    view.module().module.resources.keys().map(|key| format!("{}.{}", key.kind, key.name)).collect();
                let written = written(&root, &steps);
                let diagnostic = Diagnostic::error(format!("there is no `{written}`")).at(root_span.to(expr.span));
                return Err(messages::unknown(diagnostic, &written, known.iter().map(String::as_str)).into());
            };
            rest = used;
            match view.keys(Key::Keys(resource), span) {
                None => Vec::new(),
                Some(keys) => match view.instance(keys, &steps, used, root_span)? {
                    Chosen::Instance(instance, used) => {
                        rest = used;
                        vec![Key::Instance(resource, instance)]
                    }
                    Chosen::All => vec![Key::Resource(resource)],
                    Chosen::Later => Vec::new(),
                },
            }
        }
    };
    let mut path = Path::new();
    for step in steps.iter().skip(rest) {
        match step {
            Step::Attribute(name, _) => path.push(PathStep::Attribute(Arc::clone(name))),
            Step::Key(key, _) => match key.kind() {
                Kind::String(name) => path.push(PathStep::Key(Arc::clone(name))),
                Kind::Number(number) => path.push(PathStep::Index(number.to_string().parse().unwrap_or(usize::MAX))),
                _ => {}
            },
        }
    }
    Ok(Target { keys, path, text: written(&root, &steps) })
}

fn modules(name: &Arc<str>, steps: &[Step], view: &View<'_>, span: Option<Span>) -> Result<Vec<ModuleId>, Diagnostics> {
    let call = Key::CallKeys(view.module_id(), Arc::clone(name));
    let Some(keys) = view.keys(call, span) else { return Ok(Vec::new()) };
    let wanted = match span.map(|span| view.instance(keys, steps, 1, span)).transpose()? {
        Some(Chosen::Instance(instance, _)) => vec![instance],
        Some(Chosen::All) | None => keys.iter().map(|(key, _)| key).collect(),
        Some(Chosen::Later) => Vec::new(),
    };
    let children = &view.module().children;
    Ok(wanted.into_iter().filter_map(|key| children.get(&(Arc::clone(name), key)).copied()).collect())
}

/// The root and the steps of a reference; `None` for any other expression.
fn chain(expr: &Expr, view: &View<'_>, steps: &mut Vec<Step>) -> Result<Option<(Arc<str>, Span)>, Diagnostics> {
    let mut parts = Vec::new();
    let mut node = expr;
    let root = loop {
        match &node.kind {
            ExprKind::Variable(name) => break (Arc::clone(name), node.span),
            ExprKind::Parentheses(inner) => node = inner,
            ExprKind::Attribute { target, name } => {
                parts.push(Step::Attribute(Arc::clone(&name.name), name.span));
                node = target;
            }
            ExprKind::Index { target, key } => {
                parts.push(Step::Key(evaluate(key, view)?, key.span));
                node = target;
            }
            _ => return Ok(None),
        }
    };
    parts.reverse();
    *steps = parts;
    Ok(Some(root))
}

fn written(root: &str, steps: &[Step]) -> String {
    let mut text = root.to_owned();
    for step in steps {
        match step {
            Step::Attribute(name, _) => text.push_str(&format!(".{name}")),
            Step::Key(key, _) => match key.kind() {
                Kind::String(name) => text.push_str(&format!("[{}]", andon_value::quote(name))),
                Kind::Number(number) => text.push_str(&format!("[{number}]")),
                _ => text.push_str("[…]"),
            },
        }
    }
    text
}
