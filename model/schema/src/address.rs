use std::cmp::Ordering;
use std::fmt;
use std::str::Chars;
use std::sync::Arc;

/// Whether a resource is managed or only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// `resource`
    Managed,
    /// `data`
    Data,
    /// `ephemeral`: opened while a run needs it, and never stored.
    Ephemeral,
}

impl Mode {
    /// What a resource of this mode is called.
    pub fn noun(self) -> &'static str {
        match self {
            Mode::Managed => "resource",
            Mode::Data => "data source",
            Mode::Ephemeral => "ephemeral resource",
        }
    }

    /// What a reference to one begins with: `data.`, `ephemeral.` or nothing.
    pub fn prefix(self) -> &'static str {
        match self {
            Mode::Managed => "",
            Mode::Data => "data.",
            Mode::Ephemeral => "ephemeral.",
        }
    }
}

/// The key of one instance among those of a `count` (whole numbers) or a `for_each` (strings).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceKey {
    /// `count.index`
    Index(u64),
    /// `each.key`
    Name(Arc<str>),
}

/// One step into a module: the name of its call, and the instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleStep {
    /// The label of the `module` block.
    pub name: Arc<str>,
    /// The instance, where the call has `count` or `for_each`.
    pub key: Option<InstanceKey>,
}

/// A resource of a stack: all its instances. Ordered by the fields, the first one first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceAddress {
    /// The stack; empty for the only stack of a project without `stacks/`.
    pub stack: Arc<str>,
    /// The way into the module; empty for the stack's own root module.
    pub module: Arc<[ModuleStep]>,
    /// Managed or data.
    pub mode: Mode,
    /// The type, such as `lab_server`.
    pub kind: Arc<str>,
    /// The label.
    pub name: Arc<str>,
}

/// One instance of a resource. Ordered by the resource, and then by the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceAddress {
    /// The resource.
    pub resource: ResourceAddress,
    /// Which instance; `None` where there is neither `count` nor `for_each`.
    pub key: Option<InstanceKey>,
}

/// Compares names that are mostly one and the same text in memory.
fn compare(one: &Arc<str>, other: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(one, other) { Ordering::Equal } else { one.cmp(other) }
}

impl Ord for ResourceAddress {
    fn cmp(&self, other: &ResourceAddress) -> Ordering {
        let modules = || {
            if self.module.is_empty() && other.module.is_empty() {
                Ordering::Equal
            } else {
                self.module.cmp(&other.module)
            }
        };
        compare(&self.stack, &other.stack)
            .then_with(modules)
            .then_with(|| self.mode.cmp(&other.mode))
            .then_with(|| compare(&self.kind, &other.kind))
            .then_with(|| compare(&self.name, &other.name))
    }
}

impl PartialOrd for ResourceAddress {
    fn partial_cmp(&self, other: &ResourceAddress) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InstanceAddress {
    fn cmp(&self, other: &InstanceAddress) -> Ordering {
        self.resource.cmp(&other.resource).then_with(|| self.key.cmp(&other.key))
    }
}

impl PartialOrd for InstanceAddress {
    fn partial_cmp(&self, other: &InstanceAddress) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    /// The text.
    pub text: String,
}

impl ResourceAddress {
    /// One of its instances.
    pub fn instance(&self, key: Option<InstanceKey>) -> InstanceAddress {
        InstanceAddress { resource: self.clone(), key }
    }

    /// Its address inside its stack, as Terraform writes it: `module.app.lab_server.web`.
    pub fn within_stack(&self) -> String {
        let mut text = String::new();
        for step in self.module.iter() {
            text.push_str("module.");
            text.push_str(&step.name);
            if let Some(key) = &step.key {
                text.push_str(&key.to_string());
            }
            text.push('.');
        }
        text.push_str(self.mode.prefix());
        format!("{text}{}.{}", self.kind, self.name)
    }
}

impl InstanceAddress {
    /// Its address inside its stack, as Terraform writes it: `lab_server.web[0]`.
    pub fn within_stack(&self) -> String {
        match &self.key {
            Some(key) => format!("{}{key}", self.resource.within_stack()),
            None => self.resource.within_stack(),
        }
    }

    /// Reads what [`fmt::Display`] writes: `web/module.app["x"].lab_server.web[0]`; without `stack/`, the stack is
    /// the empty name.
    pub fn parse(text: &str) -> Result<InstanceAddress, AddressError> {
        Parser::new(text).address()
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstanceKey::Index(index) => write!(to, "[{index}]"),
            InstanceKey::Name(name) => write!(to, "[{}]", andon_value::quote(name)),
        }
    }
}

impl fmt::Display for ResourceAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.stack.is_empty() {
            write!(to, "{}/", self.stack)?;
        }
        to.write_str(&self.within_stack())
    }
}

impl fmt::Display for InstanceAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.resource)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(to, "{key}"))
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "`{}` is not the address of a resource; one looks like `lab_server.web[0]`", self.text)
    }
}

impl std::error::Error for AddressError {}

/// Reads addresses part by part.
pub(crate) struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Parser<'a> {
        Parser { text, rest: text }
    }

    pub fn rest(&self) -> &'a str {
        self.rest
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn address(mut self) -> Result<InstanceAddress, AddressError> {
        let stack: Arc<str> = match self.rest.split_once('/') {
            Some((stack, rest)) if !stack.contains(['[', '"', '.']) => {
                self.rest = rest;
                stack.into()
            }
            _ => "".into(),
        };
        let mut module = Vec::new();
        while self.take("module.") {
            let name = self.word()?;
            let key = self.key()?;
            module.push(ModuleStep { name, key });
            self.need(".")?;
        }
        let mode = match (self.take("data."), self.take("ephemeral.")) {
            (true, _) => Mode::Data,
            (_, true) => Mode::Ephemeral,
            _ => Mode::Managed,
        };
        let kind = self.word()?;
        self.need(".")?;
        let name = self.word()?;
        let key = self.key()?;
        if !self.rest.is_empty() {
            return Err(self.error());
        }
        Ok(InstanceAddress { resource: ResourceAddress { stack, module: module.into(), mode, kind, name }, key })
    }

    pub fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub fn need(&mut self, prefix: &str) -> Result<(), AddressError> {
        if self.take(prefix) { Ok(()) } else { Err(self.error()) }
    }

    pub fn word(&mut self) -> Result<Arc<str>, AddressError> {
        let end = self.rest.find(['.', '[', ']', '"', '/']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.error());
        }
        self.rest = rest;
        Ok(word.into())
    }

    pub fn key(&mut self) -> Result<Option<InstanceKey>, AddressError> {
        if !self.take("[") {
            return Ok(None);
        }
        if !self.take("\"") {
            let index = self.word()?.parse().map_err(|_| self.error())?;
            self.need("]")?;
            return Ok(Some(InstanceKey::Index(index)));
        }
        let mut name = String::new();
        let mut letters = self.rest.chars();
        loop {
            match letters.next().ok_or_else(|| self.error())? {
                '\\' => name.push(escaped(&mut letters).ok_or_else(|| self.error())?),
                '"' => break,
                letter => {
                    name.push(letter);
                    // What would begin a template is doubled.
                    if matches!(letter, '$' | '%')
                        && letters.as_str().strip_prefix(letter).is_some_and(|it| it.starts_with('{'))
                    {
                        letters.next();
                    }
                }
            }
        }
        self.rest = letters.as_str();
        self.need("]")?;
        Ok(Some(InstanceKey::Name(name.into())))
    }

    fn error(&self) -> AddressError {
        AddressError { text: self.text.to_owned() }
    }
}

/// The letter that is meant by what follows a backslash.
fn escaped(letters: &mut Chars<'_>) -> Option<char> {
    match letters.next()? {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => coded(letters, 4),
        'U' => coded(letters, 8),
        letter @ ('"' | '\\') => Some(letter),
        _ => None,
    }
}

/// The letter whose number follows, in so many hexadecimal digits.
fn coded(letters: &mut Chars<'_>, digits: usize) -> Option<char> {
    let (code, rest) = letters.as_str().split_at_checked(digits)?;
    *letters = rest.chars();
    char::from_u32(u32::from_str_radix(code, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in [
            "lab_server.web",
            "web/lab_server.web[0]",
            "web/data.andon_stack.network",
            "module.a.module.b[2].x_y.z[\"k.1/\\\"q\\\\\"]",
            "s/module.a[\"x/y\"].t.n",
            "t.n[\"a/b\"]",
            "t.n[\"n\\nl\\tt\\rr\\u0001é😀\"]",
            "t.n[\"$${d}$$$${d}%%{if}$$%%$\"]",
            "module.m[\"$${d}\"].t.n",
        ] {
            assert_eq!(InstanceAddress::parse(text).map(|address| address.to_string()), Ok(text.to_owned()));
        }
        let key = |text: &str| match InstanceAddress::parse(text).unwrap().key {
            Some(InstanceKey::Name(name)) => name.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(key("t.n[\"$${d}$$$${d}%%{if}\"]"), "${d}$$${d}%{if}");
        assert_eq!(key("t.n[\"\\u00e9\\U0001F600\\n\"]"), "é😀\n");
        // Typed without the doubling, it means the same.
        assert_eq!(key("t.n[\"${d}\"]"), "${d}");
        for text in
            ["t.n[\"\\x\"]", "t.n[\"\\u00\"]", "", "a", "a.b.c", "a.b[", "a.b[x]", "a.b[\"x]", "module.a", "a..b"]
        {
            assert!(InstanceAddress::parse(text).is_err(), "{text}");
        }
    }
}
