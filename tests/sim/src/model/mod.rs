//! A project as the simulator thinks of it: what is wanted, in a form from which both the definition files and what
//! the world must come to follow. The two share nothing but this.

mod edit;
mod expect;
mod generate;
mod write;

use std::sync::Arc;

use andon_schema::{InstanceAddress, InstanceKey, Mode, ModuleStep, ResourceAddress};

/// A project.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// The stacks, in an order in which each reads only from those before it.
    pub stacks: Vec<Arc<str>>,
    /// The resources, in an order in which each refers only to those before it.
    pub blocks: Vec<Block>,
    /// What is physical is made by a plugin.
    pub plugged: bool,
    /// What `moved` blocks say: from one address to another, in the order in which it happened.
    pub moved: Vec<(ResourceAddress, ResourceAddress)>,
    /// What `removed` blocks have forgotten.
    pub released: Vec<ResourceAddress>,
    /// What `import` blocks take over, and by which name.
    pub imports: Vec<(InstanceAddress, String)>,
    /// Gives names that were never used.
    names: u32,
}

/// One resource of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Its label, used nowhere else in the project.
    pub name: String,
    pub kind: &'static str,
    pub home: Home,
    pub repeat: Repeat,
    pub create_before_destroy: bool,
    pub arguments: Vec<(&'static str, Term)>,
    /// The names of blocks that it is made after.
    pub depends_on: Vec<String>,
    /// An argument that is left as it is once the object is made.
    pub ignored: Option<&'static str>,
    /// The name of a block whose change replaces it.
    pub triggered_by: Option<String>,
    /// It has a condition of its own.
    pub checked: bool,
    /// It has `prevent_destroy`.
    pub protected: bool,
}

/// Where a block is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Home {
    /// An index into [`Model::stacks`].
    pub stack: usize,
    /// The module of that stack; `None` for the root module.
    pub module: Option<&'static str>,
}

/// How many instances a block has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repeat {
    One,
    Count(u64),
    Each(Vec<&'static str>),
}

/// The value of an argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    Text(String),
    Number(i64),
    /// A text that is another one in each instance.
    PerInstance(String),
    /// The stack's secret variable.
    Secret,
    /// An attribute of an instance of another block.
    One(Reference),
    /// An attribute of every instance of other blocks, in one list.
    All(Vec<String>, &'static str),
    /// A map with one entry.
    Label(Box<Term>),
    /// What the zone data source says of a network.
    Zone(Reference),
}

/// An attribute of one instance of another block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reference {
    /// The block's name.
    pub block: String,
    pub pick: Pick,
    pub attribute: &'static str,
    /// It goes through a local value.
    pub by_local: bool,
}

/// Which instance is meant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pick {
    /// The one with the key of the instance that refers.
    Same,
    /// The one with the first key.
    First,
}

impl Model {
    pub fn block(&self, name: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.name == name)
    }

    /// The block of a resource.
    pub fn defining(&self, resource: &ResourceAddress) -> Option<&Block> {
        self.block(&resource.name).filter(|block| self.resource(block) == *resource)
    }

    /// Whether there is to be such an instance.
    pub fn defines(&self, address: &InstanceAddress) -> bool {
        self.defining(&address.resource).is_some_and(|block| block.repeat.keys().contains(&address.key))
    }

    /// The address of an instance.
    pub fn address(&self, block: &Block, key: Option<InstanceKey>) -> InstanceAddress {
        self.resource(block).instance(key)
    }

    /// The address of a block.
    pub fn resource(&self, block: &Block) -> ResourceAddress {
        let module = block.home.module.map(|name| ModuleStep { name: name.into(), key: None });
        ResourceAddress {
            stack: self.stacks.get(block.home.stack).cloned().unwrap_or_default(),
            module: module.into_iter().collect(),
            mode: Mode::Managed,
            kind: block.kind.into(),
            name: block.name.as_str().into(),
        }
    }

    /// Takes every `prevent_destroy` out. Whether there was one.
    pub fn unprotect(&mut self) -> bool {
        let before = self.blocks.iter().filter(|block| block.protected).count();
        self.blocks.iter_mut().for_each(|block| block.protected = false);
        before > 0
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }
}

impl Repeat {
    /// The keys of the instances, in order.
    pub fn keys(&self) -> Vec<Option<InstanceKey>> {
        match self {
            Repeat::One => vec![None],
            Repeat::Count(count) => (0..*count).map(|index| Some(InstanceKey::Index(index))).collect(),
            Repeat::Each(names) => names.iter().map(|name| Some(InstanceKey::Name((*name).into()))).collect(),
        }
    }
}

impl Term {
    /// Every reference in it to one instance.
    pub fn references(&self) -> Vec<&Reference> {
        match self {
            Term::One(reference) | Term::Zone(reference) => vec![reference],
            Term::Label(inner) => inner.references(),
            _ => Vec::new(),
        }
    }

    /// The names of the blocks that it refers to.
    pub fn blocks(&self) -> Vec<&str> {
        match self {
            Term::All(blocks, _) => blocks.iter().map(String::as_str).collect(),
            term => term.references().into_iter().map(|reference| reference.block.as_str()).collect(),
        }
    }

    fn references_mut(&mut self) -> Vec<&mut Reference> {
        match self {
            Term::One(reference) | Term::Zone(reference) => vec![reference],
            Term::Label(inner) => inner.references_mut(),
            _ => Vec::new(),
        }
    }
}

impl Block {
    /// The names of all blocks that it refers to, in any way.
    pub fn uses(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.arguments.iter().flat_map(|(_, term)| term.blocks()).collect();
        all.extend(self.depends_on.iter().map(String::as_str));
        all.extend(self.triggered_by.as_deref());
        all
    }

    pub fn argument(&self, name: &str) -> Option<&Term> {
        self.arguments.iter().find(|(argument, _)| *argument == name).map(|(_, term)| term)
    }

    fn argument_mut(&mut self, name: &str) -> Option<&mut Term> {
        self.arguments.iter_mut().find(|(argument, _)| *argument == name).map(|(_, term)| term)
    }
}
