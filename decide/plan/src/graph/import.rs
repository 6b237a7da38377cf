//! `import` blocks: what they import, and where to.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_lang::definitions::{Import, ImportBy as Written, ResourceKey};
use andon_schema::{ImportBy, InstanceAddress, InstanceKey, ModuleStep, ResourceAddress};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Kind, Type, Value, convert};

use super::expand::{Each, keys};
use super::view::{View, evaluate};
use super::{Content, Graph, Key, ModuleId, NodeId, State};

type Result<T> = std::result::Result<T, Diagnostics>;

/// One object that is to be imported.
#[derive(Debug, Clone)]
pub(crate) struct Imported {
    pub to: InstanceAddress,
    pub by: ImportBy,
    /// The first line of its block.
    pub span: Span,
}

impl Graph {
    /// Wants what the `import` blocks of the covered stacks import; the node of each, and the block.
    pub fn want_imports(&mut self) -> Vec<(NodeId, Arc<str>, Import)> {
        let roots: Vec<(Arc<str>, ModuleId)> =
            self.roots().iter().map(|(name, root)| (Arc::clone(name), *root)).collect();
        let mut wanted = Vec::new();
        for (stack, root) in roots {
            let imports = self.module(root).map(|module| module.module.imports.clone()).unwrap_or_default();
            for (at, import) in imports.into_iter().enumerate() {
                wanted.push((self.want(Key::Import(root, at)), Arc::clone(&stack), import));
            }
        }
        wanted
    }

    /// What the node of an `import` block came to.
    pub fn imported(&self, id: NodeId) -> Option<&Arc<Vec<Imported>>> {
        match &self.node(id)?.state {
            State::Ready(Content::Imports(imports)) => Some(imports),
            _ => None,
        }
    }

    /// What an `import` block imports.
    pub(super) fn imports(&self, view: &mut View<'_>, at: usize) -> Result<Content> {
        let module = view.module();
        let Some(import) = module.module.imports.get(at) else {
            return Ok(Content::Imports(Arc::default()));
        };
        let entries: Vec<Each> = match &import.for_each {
            None => vec![Each::One],
            Some(for_each) => {
                let keys = keys(None, Some(for_each), view)?;
                keys.iter().map(|(_, each)| each).collect()
            }
        };
        let mut imports: Vec<Imported> = Vec::new();
        for each in entries {
            view.set_each(each);
            let by = self.import_by(view, import)?;
            let to = target(view, import)?;
            if view.is_missing() {
                return Ok(Content::Imports(Arc::default()));
            }
            imports.push(Imported { to, by, span: import.span });
        }
        Ok(Content::Imports(Arc::new(imports)))
    }

    fn import_by(&self, view: &View<'_>, import: &Import) -> Result<ImportBy> {
        match &import.by {
            Written::Id(expr) => {
                let value = name(view, expr, "id")?;
                let value = convert(&value, &Type::String).map_err(|error| wrong(expr.span, &error.to_string()))?;
                match value.as_str() {
                    Some(id) if !id.is_empty() => Ok(ImportBy::Id(Arc::clone(id))),
                    _ if view.is_missing() => Ok(ImportBy::Id("".into())),
                    Some(_) => Err(wrong(expr.span, "this is empty")),
                    None => Err(wrong(expr.span, "this is null")),
                }
            }
            Written::Identity(expr) => {
                let value = name(view, expr, "identity")?;
                if view.is_missing() {
                    return Ok(ImportBy::Id("".into()));
                }
                self.identity(import, expr, &value).map(ImportBy::Identity)
            }
        }
    }

    /// A value as an identity of the type that is imported, with null for what it leaves out.
    fn identity(&self, import: &Import, expr: &Expr, value: &Value) -> Result<Value> {
        let kind = &*import.to.resource.kind;
        let mut schemas = self.input.schemas.providers.values();
        let schema = schemas.find_map(|provider| provider.types(import.to.resource.mode).get(kind)?.identity.clone());
        let Some(schema) = schema else {
            return Err(wrong(expr.span, &format!("{kind} is imported by an id alone: its type has no identity")));
        };
        let Some(given) = value.as_entries() else { return Err(wrong(expr.span, "this is no object")) };
        if let Some(unknown) = given.keys().find(|name| !schema.attributes.contains_key(&***name)) {
            return Err(wrong(expr.span, &format!("an identity of {kind} has no {unknown}")));
        }
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for (name, attribute) in &schema.attributes {
            let value = given.get(&**name).filter(|value| !value.is_null());
            let value = match value {
                Some(value) => convert(value, &attribute.ty)
                    .map_err(|error| wrong(expr.span, &format!("{name} of the identity: {error}")))?,
                None if attribute.required => return Err(wrong(expr.span, &format!("the identity lacks {name}"))),
                None => Value::null(attribute.ty.clone()),
            };
            entries.insert(name.as_str().into(), value);
        }
        Ok(Value::object(entries))
    }
}

/// What names an object: it is known while planning, and no secret.
fn name(view: &View<'_>, expr: &Expr, argument: &str) -> Result<Value> {
    let value = evaluate(expr, view)?;
    if value.is_sensitive() {
        let diagnostic = Diagnostic::error("what names an imported object is a secret").at(expr.span);
        return Err(diagnostic.help("Plans show it: use `nonsensitive` on what is no secret.").into());
    }
    if !value.is_wholly_known() && !view.is_missing() {
        let mut diagnostic = Diagnostic::error(format!("`{argument}` of an import is not known before the apply"))
            .at(expr.span)
            .label("known only after the apply")
            .detail("An object is imported while planning, and what names it must be known then.");
        let culprits = view.unknown_reads();
        if !culprits.is_empty() {
            diagnostic.detail.push_str(&format!(" It reads {}.", culprits.join(", ")));
        }
        return Err(diagnostic.help("Apply what it reads first, and import then.").into());
    }
    Ok(value)
}

/// Where to a block imports, with the keys that its expressions give.
fn target(view: &View<'_>, import: &Import) -> Result<InstanceAddress> {
    let key = |expr: &Option<Expr>| -> Result<Option<InstanceKey>> {
        let Some(expr) = expr else { return Ok(None) };
        let value = evaluate(expr, view)?;
        let value = value.unmark().0;
        match value.kind() {
            Kind::Number(number) => {
                let index = number.to_string().parse();
                index.map(|index| Some(InstanceKey::Index(index))).map_err(|_| wrong(expr.span, "this is no key"))
            }
            Kind::String(name) => Ok(Some(InstanceKey::Name(Arc::clone(name)))),
            _ if view.is_missing() => Ok(None),
            _ => Err(wrong(expr.span, "a key is a known number or a known text")),
        }
    };
    let mut module = Vec::new();
    for (name, expr) in &import.to.module {
        module.push(ModuleStep { name: Arc::clone(&name.name), key: key(expr)? });
    }
    let ResourceKey { mode, kind, name } = import.to.resource.clone();
    let stack = Arc::clone(&view.module().stack);
    Ok(ResourceAddress { stack, module: module.into(), mode, kind, name }.instance(key(&import.to.key)?))
}

fn wrong(span: Span, why: &str) -> Diagnostics {
    Diagnostic::error("this import cannot be followed").at(span).label(why).into()
}
