//! Addresses that are written as expressions: of resources and modules in `moved`, `removed` and `import`, and of
//! provider configurations.

use andon_hcl::ast::{Expr, ExprKind, Ident};
use andon_schema::{InstanceKey, Mode, ModuleStep};
use andon_text::{Diagnostic, Span, deeper};
use andon_value::Number;

use super::Loader;
use crate::definitions::{ImportTarget, ProviderReference, ResourceKey, Target};
use crate::literal::string;

/// One step of an address.
enum Part<'e> {
    Name(Ident),
    Key(&'e Expr),
}

type Rest<'p, 'e> = std::iter::Peekable<std::slice::Iter<'p, Part<'e>>>;

/// An address, its keys still expressions.
struct Address<'e> {
    module: Vec<(Ident, Option<&'e Expr>)>,
    resource: Option<(ResourceKey, Option<&'e Expr>)>,
}

/// Words that begin no address of a resource.
const RESERVED: [&str; 8] = ["var", "local", "path", "terraform", "each", "count", "self", "output"];

impl Loader<'_> {
    /// The address of a module or a resource, with keys that are written out.
    pub(super) fn target(&mut self, expr: &Expr) -> Option<Target> {
        let address = self.address(expr)?;
        let mut module = Vec::with_capacity(address.module.len());
        for (name, key) in &address.module {
            module.push(ModuleStep { name: name.name.clone(), key: self.static_key(*key)? });
        }
        let resource = match address.resource {
            Some((resource, key)) => Some((resource, self.static_key(key)?)),
            None => None,
        };
        Some(Target { module: module.into(), resource, span: expr.span })
    }

    /// The address of a resource instance, whose keys are expressions.
    pub(super) fn import_target(&mut self, expr: &Expr) -> Option<ImportTarget> {
        let address = self.address(expr)?;
        let module = address.module.into_iter().map(|(name, key)| (name, key.cloned())).collect();
        match address.resource {
            Some((resource, key)) if resource.mode == Mode::Managed => {
                Some(ImportTarget { module, resource, key: key.cloned(), span: expr.span })
            }
            _ => {
                let diagnostic = Diagnostic::error("only managed resources can be imported").at(expr.span);
                self.out.push(diagnostic.help("Write the address of a resource, like: to = TYPE.NAME"));
                None
            }
        }
    }

    /// `name`, `name.alias` or `name.alias[key]`.
    pub(super) fn provider_reference(&mut self, expr: &Expr) -> Option<ProviderReference> {
        let span = expr.span;
        if let Some(text) = string(expr) {
            self.quoted(expr, "reference");
            let ident = |name: &str| Ident { name: name.into(), span };
            let (name, alias) = text.split_once('.').map_or((&*text, None), |(name, alias)| (name, Some(alias)));
            return Some(ProviderReference { name: ident(name), alias: alias.map(ident), key: None, span });
        }
        if expr.kind == ExprKind::Invalid {
            return None;
        }
        let mut parts = Vec::new();
        let found = match (parts_of(expr, &mut parts), parts.as_slice()) {
            (true, [Part::Name(name)]) => Some((name, None, None)),
            (true, [Part::Name(name), Part::Name(alias)]) => Some((name, Some(alias), None)),
            (true, [Part::Name(name), Part::Name(alias), Part::Key(key)]) => Some((name, Some(alias), Some(key))),
            _ => None,
        };
        let Some((name, alias, key)) = found else {
            let diagnostic = Diagnostic::error("this names no provider configuration").at(span);
            self.out.push(diagnostic.help("Write the provider's name, or NAME.ALIAS."));
            return None;
        };
        let key = key.map(|key| (**key).clone());
        Some(ProviderReference { name: name.clone(), alias: alias.cloned(), key, span })
    }

    fn address<'e>(&mut self, expr: &'e Expr) -> Option<Address<'e>> {
        if expr.kind == ExprKind::Invalid {
            return None;
        }
        let mut parts = Vec::new();
        let address = match parts_of(expr, &mut parts) {
            true => parse(&parts, expr.span),
            false => Err(expr.span),
        };
        address.map_err(|span| self.out.push(no_address(span))).ok()
    }

    /// `Some(None)` where there is no key.
    fn static_key(&mut self, key: Option<&Expr>) -> Option<Option<InstanceKey>> {
        let Some(expr) = key else { return Some(None) };
        let index = match &expr.kind {
            ExprKind::Number(digits) => Number::parse(digits).and_then(|number| number.to_usize()),
            _ => None,
        };
        match (index, string(expr)) {
            (Some(index), _) => Some(Some(InstanceKey::Index(index as u64))),
            (_, Some(name)) => Some(Some(InstanceKey::Name(name))),
            _ if expr.kind == ExprKind::Invalid => None,
            _ => {
                let diagnostic = Diagnostic::error("the key of an instance must be written out").at(expr.span);
                self.out.push(diagnostic.help("Write a whole number, or text in quotes."));
                None
            }
        }
    }
}

fn no_address(span: Span) -> Diagnostic {
    Diagnostic::error("this is not the address of a resource or a module")
        .at(span)
        .help("Write it like: TYPE.NAME, TYPE.NAME[\"key\"], module.NAME or module.NAME.TYPE.NAME")
}

/// The steps of a reference; false where the expression is none.
fn parts_of<'e>(expr: &'e Expr, parts: &mut Vec<Part<'e>>) -> bool {
    match &expr.kind {
        ExprKind::Variable(name) => parts.push(Part::Name(Ident { name: name.clone(), span: expr.span })),
        // There is a provider of that name.
        ExprKind::Null => parts.push(Part::Name(Ident { name: "null".into(), span: expr.span })),
        ExprKind::Attribute { target, name } => {
            if !deeper(|| parts_of(target, parts)) {
                return false;
            }
            parts.push(Part::Name(name.clone()));
        }
        ExprKind::Index { target, key } => {
            if !deeper(|| parts_of(target, parts)) {
                return false;
            }
            parts.push(Part::Key(key));
        }
        _ => return false,
    }
    true
}

/// The address that steps make; else the place of the first that does not belong.
fn parse<'e>(parts: &[Part<'e>], whole: Span) -> Result<Address<'e>, Span> {
    let mut rest: Rest<'_, 'e> = parts.iter().peekable();
    let mut module = Vec::new();
    let name = |rest: &mut Rest<'_, 'e>| match rest.next() {
        Some(Part::Name(name)) if !name.name.starts_with(|letter: char| letter.is_ascii_digit()) => Ok(name.clone()),
        Some(other) => Err(other.span()),
        None => Err(whole),
    };
    let key = |rest: &mut Rest<'_, 'e>| match rest.peek() {
        Some(Part::Key(key)) => {
            let key = *key;
            rest.next();
            Some(key)
        }
        _ => None,
    };
    while rest.peek().is_some_and(|part| part.is("module")) {
        rest.next();
        let call = name(&mut rest)?;
        module.push((call, key(&mut rest)));
    }
    if rest.peek().is_none() && !module.is_empty() {
        return Ok(Address { module, resource: None });
    }
    if rest.peek().is_some_and(|part| part.is("resource")) {
        // Before types whose names mean something else.
        rest.next();
    } else if let Some(part) = rest.peek().filter(|part| RESERVED.iter().any(|word| part.is(word))) {
        return Err(part.span());
    }
    let mode = match rest.peek() {
        Some(part) if part.is("data") => Mode::Data,
        Some(part) if part.is("ephemeral") => Mode::Ephemeral,
        _ => Mode::Managed,
    };
    if mode != Mode::Managed {
        rest.next();
    }
    let (kind, label) = (name(&mut rest)?, name(&mut rest)?);
    let key = key(&mut rest);
    match rest.next() {
        None => {
            let resource = ResourceKey { mode, kind: kind.name, name: label.name };
            Ok(Address { module, resource: Some((resource, key)) })
        }
        Some(surplus) => Err(surplus.span()),
    }
}

impl Part<'_> {
    fn is(&self, word: &str) -> bool {
        matches!(self, Part::Name(name) if &*name.name == word)
    }

    fn span(&self) -> Span {
        match self {
            Part::Name(name) => name.span,
            Part::Key(key) => key.span,
        }
    }
}
