use std::fmt;
use std::sync::Arc;

use crate::address::Parser;
use crate::{AddressError, InstanceAddress, InstanceKey, Mode, ModuleStep, ResourceAddress};

/// Names a part of what stacks define, as `-target` takes it: a module, a resource, or instances of one. What it leaves
/// open means all: without a stack every stack, without a key every instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetAddress {
    /// The stack; `None` for whichever has it.
    pub stack: Option<Arc<str>>,
    /// The way into the module.
    pub module: Vec<ModuleStep>,
    /// The resource; `None` for all of the module.
    pub resource: Option<TargetResource>,
}

/// A resource, or one instance of it, inside a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetResource {
    /// Managed, data or ephemeral.
    pub mode: Mode,
    /// The type.
    pub kind: Arc<str>,
    /// The label.
    pub name: Arc<str>,
    /// The instance; `None` for all.
    pub key: Option<InstanceKey>,
}

impl TargetAddress {
    /// Reads `module.app[0]`, `lab_server.web`, `web/module.app.lab_server.web["a"]`.
    ///
    /// # Errors
    /// For text that is no address.
    pub fn parse(text: &str) -> Result<TargetAddress, AddressError> {
        let wrong = || AddressError { text: text.to_owned() };
        let (stack, mut rest) = match text.split_once('/') {
            Some((stack, rest)) if !stack.is_empty() && !stack.contains(['[', '"', '.']) => (Some(stack.into()), rest),
            _ => (None, text),
        };
        let mut module = Vec::new();
        let mut parser = Parser::new(rest);
        while parser.take("module.") {
            let name = parser.word()?;
            let key = parser.key()?;
            module.push(ModuleStep { name, key });
            if parser.is_at_end() {
                return Ok(TargetAddress { stack, module, resource: None });
            }
            parser.need(".")?;
            rest = parser.rest();
        }
        let InstanceAddress { resource: ResourceAddress { mode, kind, name, .. }, key } =
            InstanceAddress::parse(rest).map_err(|_| wrong())?;
        // `a/b.c` inside a module would be read as a stack.
        if !module.is_empty() && rest.split_once('/').is_some_and(|(start, _)| !start.contains(['[', '"', '.'])) {
            return Err(wrong());
        }
        Ok(TargetAddress { stack, module, resource: Some(TargetResource { mode, kind, name, key }) })
    }

    /// Whether all of a module instance, of what is in it, is meant.
    pub fn has_module(&self, stack: &str, path: &[ModuleStep]) -> bool {
        self.resource.is_none() && self.is_of(stack) && self.module.len() <= path.len() && self.is_on(path)
    }

    /// Whether something in a module instance, or in one below it, is meant.
    pub fn is_within(&self, stack: &str, path: &[ModuleStep]) -> bool {
        self.is_of(stack) && self.is_on(path) && (self.resource.is_none() || path.len() <= self.module.len())
    }

    /// Whether some instance of a resource is meant.
    pub fn names(&self, resource: &ResourceAddress) -> bool {
        if self.has_module(&resource.stack, &resource.module) {
            return true;
        }
        self.resource
            .as_ref()
            .is_some_and(|own| own.mode == resource.mode && own.kind == resource.kind && own.name == resource.name)
            && self.is_of(&resource.stack)
            && self.module.len() == resource.module.len()
            && self.is_on(&resource.module)
    }

    /// Whether an instance is meant.
    pub fn has(&self, instance: &InstanceAddress) -> bool {
        let key = self.resource.as_ref().and_then(|resource| resource.key.as_ref());
        self.names(&instance.resource) && key.is_none_or(|key| instance.key.as_ref() == Some(key))
    }

    fn is_of(&self, stack: &str) -> bool {
        self.stack.as_ref().is_none_or(|own| **own == *stack)
    }

    /// Whether the ways agree as far as both go.
    fn is_on(&self, path: &[ModuleStep]) -> bool {
        self.module.iter().zip(path).all(|(own, step)| {
            own.name == step.name && own.key.as_ref().is_none_or(|key| step.key.as_ref() == Some(key))
        })
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stack.iter().try_for_each(|stack| write!(to, "{stack}/"))?;
        for (at, step) in self.module.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(to, "{dot}module.{}", step.name)?;
            step.key.iter().try_for_each(|key| write!(to, "{key}"))?;
        }
        let Some(TargetResource { mode, kind, name, key }) = &self.resource else { return Ok(()) };
        let dot = if self.module.is_empty() { "" } else { "." };
        write!(to, "{dot}{}{kind}.{name}", mode.prefix())?;
        key.iter().try_for_each(|key| write!(to, "{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant() {
        for (target, instance, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b[1]", true),
            ("a.b", "web/a.b[1]", true),
            ("web/a.b", "a.b", false),
            ("web/a.b", "web/a.b", true),
            ("a.b[0]", "a.b[1]", false),
            ("a.b[\"x/y\"]", "a.b[\"x/y\"]", true),
            ("a.b", "data.a.b", false),
            ("data.a.b", "data.a.b", true),
            ("a.b", "module.m.a.b", false),
            ("module.m", "module.m.a.b", true),
            ("module.m", "module.m[\"k\"].module.n.a.b[0]", true),
            ("module.m[0]", "module.m[1].a.b", false),
            ("module.m.module.n", "module.m.a.b", false),
            ("module.m.a.b", "module.m[2].a.b[0]", true),
            ("module.m[1].a.b[0]", "module.m[2].a.b[0]", false),
        ] {
            let parsed = TargetAddress::parse(target).unwrap();
            assert_eq!(parsed.to_string(), target);
            assert_eq!(parsed.has(&InstanceAddress::parse(instance).unwrap()), expected, "{target} {instance}");
        }
        for text in ["", "a", "module", "module.", "module.m.", "module.m.a", "a.b.c", "a.b[", "module.m.x/a.b"] {
            assert!(TargetAddress::parse(text).is_err(), "{text}");
        }
    }
}
