//! The shapes of the blocks that the language itself defines, as data, and the one place that holds a body against
//! its shape. What a resource type, a kind of host resource or a module takes is not here: that is their schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Item};
use andon_hcl::json::{Meaning, Names, Strings};
use andon_text::{Diagnostic, Diagnostics, Span, deeper, nearest};

mod own;
mod stack;
mod stack_test;

pub(crate) use own::{CHECK, HOST, HOSTS_FILE, IMAGE_FILE, PROJECT_FILE, ROLE, ROLE_FILE, TEST_FILE};
pub(crate) use stack::{
    BUILT_IN_PROVIDER, DATA, EPHEMERAL, MODULE, PROVIDER, PROVISIONER, RESOURCE, STACK_FILE, VALUES_FILE,
};

pub(crate) use stack_test::{MOCK_FILE, STACK_TEST_FILE};

/// What a body may hold.
#[derive(Debug)]
pub struct Shape {
    /// The arguments that the language itself gives a meaning.
    pub arguments: &'static [Argument],
    /// The blocks that the language itself gives a meaning.
    pub blocks: &'static [Nested],
    /// What is not named here belongs to somebody else: a type's schema, a module's variables.
    pub open: bool,
    /// How the JSON form of what is not named here is read.
    pub(crate) others: Reading,
}

/// How the JSON form of an argument is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    /// Its strings are such.
    Strings(Strings),
    /// It is an object of these arguments.
    Fields(&'static Shape),
    /// It may be an argument or blocks: whoever it belongs to knows.
    Open,
}

/// One argument of a [`Shape`].
#[derive(Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// It must be given.
    pub required: bool,
    /// How its JSON form is read.
    pub(crate) reading: Reading,
    /// What it is for, in one sentence.
    pub description: &'static str,
}

/// One kind of block of a [`Shape`].
#[derive(Debug)]
pub struct Nested {
    /// The word that it begins with.
    pub kind: &'static str,
    /// What each label names.
    pub labels: &'static [&'static str],
    /// How often it may be there.
    pub times: Times,
    /// What is in it.
    pub shape: &'static Shape,
    /// What it is for, in one sentence.
    pub description: &'static str,
}

/// How often a block may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Any number of times.
    Any,
    /// Once, or not at all.
    AtMostOnce,
    /// Once.
    Once,
}

const fn required(name: &'static str, description: &'static str) -> Argument {
    Argument { name, required: true, reading: Reading::Strings(Strings::Template), description }
}

const fn optional(name: &'static str, description: &'static str) -> Argument {
    Argument { name, required: false, reading: Reading::Strings(Strings::Template), description }
}

const fn any(
    kind: &'static str,
    labels: &'static [&'static str],
    shape: &'static Shape,
    description: &'static str,
) -> Nested {
    Nested { kind, labels, times: Times::Any, shape, description }
}

const fn at_most_once(
    kind: &'static str,
    labels: &'static [&'static str],
    shape: &'static Shape,
    description: &'static str,
) -> Nested {
    Nested { kind, labels, times: Times::AtMostOnce, shape, description }
}

const fn closed(arguments: &'static [Argument], blocks: &'static [Nested]) -> Shape {
    Shape { arguments, blocks, open: false, others: Reading::Strings(Strings::Template) }
}

const fn open(arguments: &'static [Argument], blocks: &'static [Nested]) -> Shape {
    Shape { arguments, blocks, open: true, others: Reading::Open }
}

/// A kind of definition file.
#[derive(Debug)]
pub struct FileKind {
    /// What one is called.
    pub name: &'static str,
    /// The names of such files, as a pattern.
    pub files: &'static str,
    /// What is in one.
    pub shape: &'static Shape,
    /// What such files are for, in one sentence.
    pub description: &'static str,
}

/// Every kind of definition file: all that the language itself gives a meaning. What resource types, providers, kinds of
/// host resource and checks take is in [`andon_schema::Schemas`], and the meta-arguments of host resources in
/// [`host_resource`].
pub fn language() -> &'static [FileKind] {
    static KINDS: [FileKind; 8] = [
        FileKind {
            name: "project",
            files: "andon.hcl",
            shape: &own::PROJECT_FILE,
            description: "The project and its environments.",
        },
        FileKind {
            name: "stack",
            files: "*.tf, *.tf.json",
            shape: &stack::STACK_FILE,
            description: "A stack or a module, in the Terraform language.",
        },
        FileKind {
            name: "values",
            files: "*.tfvars, *.tfvars.json",
            shape: &stack::VALUES_FILE,
            description: "Values for a stack's input variables, by name.",
        },
        FileKind {
            name: "role",
            files: "*.role.hcl",
            shape: &own::ROLE_FILE,
            description: "Roles: what kinds of server must be.",
        },
        FileKind {
            name: "image",
            files: "*.image.hcl",
            shape: &own::IMAGE_FILE,
            description: "Images: server templates.",
        },
        FileKind {
            name: "hosts",
            files: "*.hosts.hcl",
            shape: &own::HOSTS_FILE,
            description: "Servers that are listed by hand: how each is reached, its tags and its roles.",
        },
        FileKind {
            name: "test",
            files: "*.test.hcl",
            shape: &own::TEST_FILE,
            description: "Tests of roles and images on throw-away servers.",
        },
        FileKind {
            name: "stack test",
            files: "*.tftest.hcl, *.tftest.json",
            shape: &stack_test::STACK_TEST_FILE,
            description: "Tests of a stack, in Terraform's test language.",
        },
    ];
    &KINDS
}

/// The meta-arguments of every host resource in a role.
pub fn host_resource() -> &'static Shape {
    &own::HOST
}

/// Whatever it likes: somebody else looks at it, or nobody needs to.
static ANYTHING: Shape = open(&[], &[]);

impl Argument {
    /// The same, whose JSON strings are text as it is.
    const fn text(self) -> Argument {
        Argument { reading: Reading::Strings(Strings::Text), ..self }
    }

    /// The same, whose JSON strings are expressions.
    const fn expression(self) -> Argument {
        Argument { reading: Reading::Strings(Strings::Expression), ..self }
    }
}

impl Names for Shape {
    fn meaning(&self, name: &str) -> Meaning<'_> {
        if let Some(nested) = self.blocks.iter().find(|nested| nested.kind == name) {
            return Meaning::Block { labels: nested.labels.len(), inside: nested.shape };
        }
        let argument = self.arguments.iter().find(|argument| argument.name == name);
        match argument.map_or(self.others, |argument| argument.reading) {
            Reading::Strings(strings) => Meaning::Argument(strings),
            Reading::Fields(shape) => Meaning::Fields(shape),
            Reading::Open if name == "dynamic" => Meaning::Block { labels: 1, inside: &stack::DYNAMIC },
            Reading::Open => Meaning::Open,
        }
    }
}

impl Shape {
    /// Whether an argument of this name is its own, not somebody else's.
    pub fn has_argument(&self, name: &str) -> bool {
        self.arguments.iter().any(|argument| argument.name == name)
    }

    /// Whether a block of this kind is its own, not somebody else's.
    pub fn has_block(&self, kind: &str) -> bool {
        self.blocks.iter().any(|nested| nested.kind == kind)
    }

    /// What is left of a block's body for somebody else. Its place is the block's head: what to point at where
    /// something is missing. What a block `_` holds is somebody else's, whatever its names.
    pub(crate) fn rest(&self, block: &Block) -> Body {
        let body = &block.body;
        let others = |item: &&Item| match item {
            Item::Attribute(attribute) => !self.has_argument(&attribute.name.name),
            Item::Block(block) => !self.has_block(&block.kind.name),
        };
        if body.items.iter().all(|item| others(&item)) {
            return Body { items: body.items.clone(), span: Some(block.head) };
        }
        let escaped = body.blocks().filter(|inner| &*inner.kind.name == "_" && self.has_block("_"));
        let escaped = escaped.flat_map(|inner| inner.body.items.iter());
        let items = body.items.iter().filter(others).chain(escaped).cloned().collect();
        Body { items: Arc::new(items), span: Some(block.head) }
    }
}

/// Holds a file's body against its shape. `faults` are the places of syntax errors: a top-level item with one in it
/// is left alone, as what it lacks may be in the part that was not understood. Gives the places of such items.
/// Where the file is not whole, what it lacks is in other files.
pub(crate) fn check_file(body: &Body, shape: &Shape, whole: bool, faults: &[Span], out: &mut Diagnostics) -> Vec<Span> {
    let place = |item: &Item| match item {
        Item::Attribute(attribute) => attribute.span,
        Item::Block(block) => block.span,
    };
    let unclear = |span: Span| faults.iter().any(|fault| fault.start >= span.start && fault.start <= span.end);
    let clear = match faults {
        [] => body.items.clone(),
        _ => Arc::new(body.items.iter().filter(|item| !unclear(place(item))).cloned().collect()),
    };
    let clear = Body { items: clear, span: body.span };
    hold("a file of this kind", body.span, &clear, shape, whole, out);
    body.items.iter().map(place).filter(|span| unclear(*span)).collect()
}

/// Holds a body against its shape; `head` is what to point at where something is missing.
pub(crate) fn check_body(what: &str, head: Option<Span>, body: &Body, shape: &Shape, out: &mut Diagnostics) {
    hold(what, head, body, shape, true, out);
}

fn hold(what: &str, head: Option<Span>, body: &Body, shape: &Shape, whole: bool, out: &mut Diagnostics) {
    for attribute in body.attributes() {
        let name = &attribute.name;
        if !shape.open && !shape.has_argument(&name.name) {
            out.push(unknown_argument(what, attribute, shape));
        }
    }
    let mut once: BTreeMap<&str, Span> = BTreeMap::new();
    for block in body.blocks() {
        match shape.blocks.iter().find(|nested| nested.kind == &*block.kind.name) {
            Some(nested) => {
                if nested.times != Times::Any {
                    if let Some(first) = once.get(nested.kind) {
                        out.push(twice("block", nested.kind, block.head, *first));
                    }
                    once.entry(nested.kind).or_insert(block.head);
                }
                check_labels(block, nested.labels, out);
                let what = with_article(nested.kind);
                deeper(|| hold(&what, Some(block.head), &block.body, nested.shape, whole, out));
            }
            None if !shape.open => out.push(unknown_block(what, block, shape)),
            None => {}
        }
    }
    if !whole {
        return;
    }
    for argument in shape.arguments.iter().filter(|argument| argument.required) {
        if body.attribute(argument.name).is_none() {
            out.push(missing("argument", argument.name, head));
        }
    }
    for nested in shape.blocks.iter().filter(|nested| nested.times == Times::Once) {
        if !once.contains_key(nested.kind) {
            out.push(missing("block", nested.kind, head));
        }
    }
}

/// Refuses blocks that the shape does not name, of a body whose arguments belong to somebody else.
pub(crate) fn only_blocks_of(kind: &str, shape: &Shape, body: &Body, out: &mut Diagnostics) {
    let others = body.blocks().filter(|block| !shape.has_block(&block.kind.name));
    for block in others {
        let diagnostic = unknown_block(&with_article(kind), block, shape);
        let name = &block.kind.name;
        let is_value = !shape.has_argument(name) && block.labels.is_empty();
        out.push(match is_value {
            true => diagnostic.help(format!("To give the variable a value, write: {name} = {{ … }}")),
            false => diagnostic,
        });
    }
}

/// Refuses arguments that the shape does not name, of a body whose blocks belong to somebody else.
pub(crate) fn only_arguments_of(kind: &str, shape: &Shape, body: &Body, out: &mut Diagnostics) {
    let unknown = body.attributes().filter(|attribute| !shape.has_argument(&attribute.name.name));
    out.extend(unknown.map(|attribute| unknown_argument(&with_article(kind), attribute, shape)));
}

/// Holds the labels of a block against what each should name.
pub(crate) fn check_labels(block: &Block, labels: &[&str], out: &mut Diagnostics) {
    if block.labels.len() == labels.len() {
        return;
    }
    let wanted: String = labels.iter().map(|label| format!(" \"{}\"", label.to_uppercase())).collect();
    let count = match labels.len() {
        0 => "no label".to_owned(),
        1 => format!("1 label, the {}", labels.join(" and ")),
        count => format!("{count} labels: {}", labels.join(" and ")),
    };
    let kind = &block.kind.name;
    out.push(
        Diagnostic::error(format!("{} takes {count}", with_article(kind)))
            .at(block.head)
            .label(format!("{} given", block.labels.len()))
            .help(format!("Write it as: {kind}{wanted} {{ … }}")),
    );
}

/// "a resource block", "an output block".
pub(crate) fn with_article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']) && !kind.starts_with("us");
    let article = if vowel || kind == "http" { "an" } else { "a" };
    format!("{article} {kind} block")
}

/// A name that is defined twice.
pub(crate) fn twice(what: &str, name: &str, second: Span, first: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("duplicate {what} \"{name}\"")).at(second).label("defined here again");
    diagnostic.related(first, "first defined here").help("Give one of them another name, or take it out.")
}

/// Something that must be there and is not.
pub(crate) fn missing(what: &str, name: &str, head: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("missing {what} \"{name}\""));
    match head {
        Some(head) => diagnostic.at(head).label("must be given here").help(match what {
            "block" => format!("Write in it: {name} {{ … }}"),
            _ => format!("Write in it: {name} = …"),
        }),
        None => diagnostic,
    }
}

/// "Did you mean …?", where a name is near.
pub(crate) fn suggest<'a>(
    diagnostic: Diagnostic,
    given: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match nearest(given, candidates) {
        Some(name) => diagnostic.help(format!("Did you mean \"{name}\"?")),
        None => diagnostic,
    }
}

/// "Did you mean …?", where a name is near, or else which names there are, where they are few.
pub(crate) fn suggest_or_list<'a>(
    diagnostic: Diagnostic,
    given: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let names: Vec<&str> = candidates.into_iter().collect();
    match (nearest(given, names.iter().copied()), names.as_slice()) {
        (Some(name), _) => diagnostic.help(format!("Did you mean \"{name}\"?")),
        (None, []) => diagnostic.help("There are none."),
        (None, few) if few.len() <= 8 => diagnostic.help(format!("There is: {}.", few.join(", "))),
        _ => diagnostic,
    }
}

fn unknown_argument(what: &str, attribute: &andon_hcl::ast::Attribute, shape: &Shape) -> Diagnostic {
    let name = &attribute.name.name;
    let diagnostic = Diagnostic::error(format!("unsupported argument \"{name}\""))
        .at(attribute.name.span)
        .label(format!("{what} has no such argument"));
    if shape.has_block(name) {
        return diagnostic.help(format!("\"{name}\" is a block: write {name} {{ … }}, without \"=\"."));
    }
    if shape.arguments.is_empty() && shape.has_block("locals") {
        return diagnostic.help(format!("To give a value a name, write: locals {{ {name} = … }}"));
    }
    suggest(diagnostic, name, shape.arguments.iter().map(|argument| argument.name))
}

fn unknown_block(what: &str, block: &Block, shape: &Shape) -> Diagnostic {
    let kind = &block.kind.name;
    let diagnostic = Diagnostic::error(format!("unsupported block \"{kind}\""))
        .at(block.kind.span)
        .label(format!("{what} has no such block"));
    if shape.has_argument(kind) {
        return diagnostic.help(format!("\"{kind}\" is an argument: write {kind} = …"));
    }
    suggest(diagnostic, kind, shape.blocks.iter().map(|nested| nested.kind))
}
