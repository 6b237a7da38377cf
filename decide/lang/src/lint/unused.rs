//! What is declared and never read. Whether anything reads it is found by its name as it is written, wherever that
//! stands: so what is read is never said to be unused.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use andon_hcl::ast::{Block, Expr, ExprKind, TemplatePart};
use andon_text::{Diagnostic, Span};

use super::{File, Report, expressions, name, of_kind};
use crate::definitions::implied_name;
use crate::role::lineage;

/// A declaration's name, as references write it: `var.x`, `data.type.name`, `aws.west`; unused parts are empty.
type Key<'a> = (&'a str, &'a str, &'a str);

/// What the files of a module, or a role, declare.
#[derive(Default)]
pub(super) struct Declarations<'a> {
    declared: BTreeMap<Key<'a>, Declared>,
    /// The local names of `required_providers`, and whether anything of the module names them.
    required: BTreeMap<&'a str, Cell<bool>>,
    /// The variables whose types are those of lists, sets and maps.
    collections: BTreeSet<&'a str>,
    /// What the block that is being looked at declares: what it says of itself is no use of it.
    own: Option<Key<'a>>,
}

struct Declared {
    lint: &'static str,
    what: &'static str,
    span: Span,
    used: Cell<bool>,
}

impl<'a> Declarations<'a> {
    /// Notes what a top-level block of a module, or a block of a role, declares.
    pub fn add(&mut self, block: &'a Block) {
        match (&*block.kind.name, &*block.labels) {
            ("variable", [it]) => {
                self.put(("var", &it.name, ""), name::UNUSED_VARIABLE, "variable", block.head);
                let of_collection = block.body.attribute("type").is_some_and(|ty| is_collection(&ty.value));
                self.collections.extend(of_collection.then_some(&*it.name));
            }
            ("param", [it]) => self.put(("param", &it.name, ""), name::UNUSED_VARIABLE, "parameter", block.head),
            ("locals", []) => {
                for local in block.body.attributes() {
                    self.put(("local", &local.name.name, ""), name::UNUSED_LOCAL, "local", local.name.span);
                }
            }
            ("data", [kind, it]) => {
                // One with conditions is there to be checked.
                let judged = block.body.blocks().any(|inner| &*inner.kind.name == "lifecycle");
                if !judged {
                    self.put(("data", &kind.name, &it.name), name::UNUSED_DATA, "data source", block.head);
                }
            }
            ("provider", [it]) => {
                if let Some(alias) = block.body.attribute("alias").and_then(|alias| text(&alias.value)) {
                    self.put((&it.name, alias, ""), name::UNUSED_ALIAS, "provider configuration", block.head);
                }
            }
            ("terraform", []) => {
                for required in block.body.blocks().filter(|inner| &*inner.kind.name == "required_providers") {
                    let names = required.body.attributes().map(|entry| (&*entry.name.name, Cell::new(false)));
                    self.required.extend(names);
                }
            }
            _ => {}
        }
    }

    fn put(&mut self, key: Key<'a>, lint: &'static str, what: &'static str, span: Span) {
        self.declared.entry(key).or_insert(Declared { lint, what, span, used: Cell::new(false) });
    }

    /// Comes to a block, whose expressions are looked at next.
    pub fn enter(&mut self, block: &'a Block) {
        self.own = match (&*block.kind.name, &*block.labels) {
            ("variable", [it]) => Some(("var", &*it.name, "")),
            ("param", [it]) => Some(("param", &*it.name, "")),
            _ => None,
        };
        if let Some(quoted) = block.body.attribute("provider").and_then(|provider| text(&provider.value)) {
            self.read_quoted(quoted);
        }
        if let Some(ExprKind::Tuple(listed)) = block.body.attribute("depends_on").map(|listed| &listed.value.kind) {
            listed.iter().filter_map(text).for_each(|quoted| self.read_quoted(quoted));
        }
        match (&*block.kind.name, &*block.labels) {
            ("resource" | "data" | "ephemeral", [kind, ..]) if block.body.attribute("provider").is_none() => {
                self.name_provider(implied_name(&kind.name));
            }
            ("check", _) => block.body.blocks().for_each(|inner| {
                if let ("data", [kind, _]) = (&*inner.kind.name, &*inner.labels) {
                    self.name_provider(implied_name(&kind.name));
                }
            }),
            ("provider", [it]) => self.name_provider(&it.name),
            ("removed", _) => {
                let from = block.body.attribute("from");
                let root = from.and_then(|from| crate::reference::as_reference(&from.value));
                root.iter().for_each(|root| self.name_provider(implied_name(root.root)));
            }
            _ => {}
        }
    }

    /// Leaves the last block.
    pub fn leave(&mut self) {
        self.own = None;
    }

    /// Notes what an expression reads; what is in it is noted by itself.
    pub fn read(&self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Variable(word) => self.name_provider(word),
            ExprKind::Call { name, .. } => {
                if let Some(provider) = name.name.strip_prefix("provider::").and_then(|rest| rest.split("::").next()) {
                    self.name_provider(provider);
                }
            }
            ExprKind::Attribute { .. } | ExprKind::Index { .. } => {
                let Some((target, last)) = step(expr) else { return };
                match (&target.kind, step(target)) {
                    (ExprKind::Variable(root), _) => self.used((root, last, "")),
                    (_, Some((Expr { kind: ExprKind::Variable(root), .. }, first))) => self.used((root, first, last)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Notes a reference in quotes, as older versions of the language needed them.
    fn read_quoted(&self, text: &str) {
        let mut names = text.split('.');
        let mut next = || names.next().unwrap_or_default();
        let (root, first, second) = (next(), next(), next());
        self.name_provider(root);
        self.used((root, first, ""));
        self.used((root, first, second));
    }

    /// Notes the parameters that another role of the same lineage reads.
    fn read_params(&self, role: &Block) {
        let params = self.declared.iter().filter(|((root, ..), it)| *root == "param" && !it.used.get());
        if params.count() > 0 {
            expressions::each(&role.body, &mut |expr| {
                if matches!(step(expr), Some((Expr { kind: ExprKind::Variable(root), .. }, _)) if &**root == "param") {
                    self.read(expr);
                }
            });
        }
    }

    fn used(&self, key: Key<'_>) {
        if self.own != Some(key)
            && let Some(declared) = self.declared.get(&key)
        {
            declared.used.set(true);
        }
    }

    /// Whether a reference is to a variable that is a list, a set or a map.
    pub fn is_collection(&self, root: &str, name: &str) -> bool {
        root == "var" && self.collections.contains(name)
    }

    fn name_provider(&self, name: &str) {
        if let Some(named) = self.required.get(name) {
            named.set(true);
        }
    }

    /// Whether anything in the module names this provider.
    pub fn names_provider(&self, name: &str) -> bool {
        self.required.get(name).is_none_or(Cell::get)
    }

    /// Says what is read nowhere.
    pub fn report(&self, out: &mut Report<'_>) {
        for ((root, first, second), declared) in &self.declared {
            if declared.used.get() {
                continue;
            }
            out.say(declared.lint, declared.span, || {
                let written = match (*root, *second) {
                    ("var" | "param" | "local", _) => format!("\"{first}\""),
                    (_, "") => format!("{root}.{first}"),
                    _ => format!("{root}.{first}.{second}"),
                };
                let diagnostic = Diagnostic::warning(format!("{} {written} is never used", declared.what));
                diagnostic.help("Take it out, or use it.")
            });
        }
    }
}

/// The roles of `*.role.hcl` files: a parameter may be read by the roles that inherit it, and by those inherited from.
pub(super) fn roles(files: &[File<'_>], out: &mut Report<'_>) {
    let mut all: BTreeMap<&str, (Declarations<'_>, &Block)> = BTreeMap::new();
    for role in of_kind(files, "role") {
        let Some(label) = role.labels.first() else { continue };
        let mut declared = Declarations::default();
        role.body.blocks().for_each(|block| declared.add(block));
        expressions::check_attributes(&role.body, false, &declared, out);
        for block in role.body.blocks() {
            declared.enter(block);
            expressions::check(block, false, &declared, out);
        }
        declared.leave();
        all.entry(&label.name).or_insert((declared, role));
    }
    if out.is_unclear(files) {
        return;
    }
    for role in out.project.roles.values() {
        let Ok(lineage) = lineage(&out.project.roles, role) else { return };
        let family = || lineage.iter().filter_map(|role| all.get(&*role.name.name));
        for (of, other) in family().flat_map(|of| family().map(move |other| (of, other))) {
            if !std::ptr::eq(of, other) {
                of.0.read_params(other.1);
            }
        }
    }
    for (declared, _) in all.values() {
        declared.report(out);
    }
}

fn is_collection(ty: &Expr) -> bool {
    let word = match &ty.kind {
        ExprKind::Call { name, .. } => &name.name,
        ExprKind::Variable(word) => word,
        _ => return false,
    };
    matches!(&**word, "list" | "set" | "map")
}

/// What a step of a reference reads, and by which name.
fn step(expr: &Expr) -> Option<(&Expr, &str)> {
    match &expr.kind {
        ExprKind::Attribute { target, name } => Some((target, &name.name)),
        ExprKind::Index { target, key } => Some((target, text(key)?)),
        _ => None,
    }
}

/// The text of a string of one piece.
pub(super) fn text(expr: &Expr) -> Option<&str> {
    let ExprKind::Template(template) = &expr.kind else { return None };
    match &*template.parts {
        [TemplatePart::Literal(text, _)] => Some(text),
        _ => None,
    }
}
