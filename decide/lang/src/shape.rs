//! The shapes of the blocks that the language itself defines, as data, and the one place that holds a body against
//! its shape. What a resource type, a kind of host resource or a module takes is not here: that is their schema.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Item};
use andon_text::{Diagnostic, Diagnostics, Span, nearest};

/// What a body may hold.
#[derive(Debug)]
pub(crate) struct Shape {
    pub arguments: &'static [Argument],
    pub blocks: &'static [Nested],
    /// What is not named here belongs to somebody else: a type's schema, a module's variables.
    pub open: bool,
}

/// One argument of a [`Shape`].
#[derive(Debug)]
pub(crate) struct Argument {
    pub name: &'static str,
    pub need: Need,
}

/// What becomes of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
    /// It has a meaning in the language that is not built yet.
    Later,
}

/// One kind of block of a [`Shape`].
#[derive(Debug)]
pub(crate) struct Nested {
    pub kind: &'static str,
    /// What each label names.
    pub labels: &'static [&'static str],
    pub times: Times,
    pub content: Content,
}

/// How often a block may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Any,
    AtMostOnce,
    Once,
}

/// What is in a block.
#[derive(Debug)]
pub(crate) enum Content {
    Shape(&'static Shape),
    /// Whatever it likes: somebody else looks at it, or nobody needs to.
    Anything,
    /// It has a meaning in the language that is not built yet: these words, and "not supported yet".
    Later(&'static str),
}

const fn required(name: &'static str) -> Argument {
    Argument { name, need: Need::Required }
}

const fn optional(name: &'static str) -> Argument {
    Argument { name, need: Need::Optional }
}

const fn later(name: &'static str) -> Argument {
    Argument { name, need: Need::Later }
}

const fn any(kind: &'static str, labels: &'static [&'static str], shape: &'static Shape) -> Nested {
    Nested { kind, labels, times: Times::Any, content: Content::Shape(shape) }
}

const fn at_most_once(kind: &'static str, labels: &'static [&'static str], shape: &'static Shape) -> Nested {
    Nested { kind, labels, times: Times::AtMostOnce, content: Content::Shape(shape) }
}

const fn not_yet(kind: &'static str, labels: &'static [&'static str], words: &'static str) -> Nested {
    Nested { kind, labels, times: Times::Any, content: Content::Later(words) }
}

const fn closed(arguments: &'static [Argument], blocks: &'static [Nested]) -> Shape {
    Shape { arguments, blocks, open: false }
}

const fn open(arguments: &'static [Argument], blocks: &'static [Nested]) -> Shape {
    Shape { arguments, blocks, open: true }
}

static CONDITION: Shape = closed(&[required("condition"), required("error_message")], &[]);
static LOCALS: Shape = open(&[], &[]);

static TERRAFORM: Shape = closed(
    &[optional("required_version"), later("experiments")],
    &[
        Nested { kind: "required_providers", labels: &[], times: Times::Any, content: Content::Anything },
        Nested { kind: "provider_meta", labels: &["provider"], times: Times::Any, content: Content::Anything },
        not_yet("backend", &["type"], "backends are"),
        not_yet("cloud", &[], "the cloud block is"),
    ],
);

static LIFECYCLE: Shape = closed(
    &[
        optional("create_before_destroy"),
        optional("prevent_destroy"),
        optional("ignore_changes"),
        optional("replace_triggered_by"),
    ],
    &[any("precondition", &[], &CONDITION), any("postcondition", &[], &CONDITION)],
);

static DATA_LIFECYCLE: Shape =
    closed(&[], &[any("precondition", &[], &CONDITION), any("postcondition", &[], &CONDITION)]);

/// The meta-arguments of a `resource` block.
pub(crate) static RESOURCE: Shape = open(
    &[optional("count"), optional("for_each"), optional("depends_on"), later("provider")],
    &[
        at_most_once("lifecycle", &[], &LIFECYCLE),
        not_yet("provisioner", &["type"], "provisioners are"),
        not_yet("connection", &[], "provisioners and their connections are"),
    ],
);

/// The meta-arguments of a `data` block.
pub(crate) static DATA: Shape = open(
    &[optional("count"), optional("for_each"), optional("depends_on"), later("provider")],
    &[at_most_once("lifecycle", &[], &DATA_LIFECYCLE)],
);

/// The meta-arguments of a `module` block.
pub(crate) static MODULE: Shape = open(
    &[
        required("source"),
        optional("version"),
        optional("count"),
        optional("for_each"),
        optional("depends_on"),
        later("providers"),
    ],
    &[],
);

static VARIABLE: Shape = closed(
    &[
        optional("type"),
        optional("default"),
        optional("description"),
        optional("nullable"),
        optional("sensitive"),
        later("ephemeral"),
    ],
    &[any("validation", &[], &CONDITION)],
);

static OUTPUT: Shape = closed(
    &[required("value"), optional("description"), optional("sensitive"), optional("depends_on"), later("ephemeral")],
    &[any("precondition", &[], &CONDITION)],
);

/// A `*.tf` file.
pub(crate) static STACK_FILE: Shape = closed(
    &[],
    &[
        any("terraform", &[], &TERRAFORM),
        Nested { kind: "provider", labels: &["name"], times: Times::Any, content: Content::Anything },
        any("resource", &["type", "name"], &RESOURCE),
        any("data", &["type", "name"], &DATA),
        not_yet("ephemeral", &["type", "name"], "ephemeral resources are"),
        any("variable", &["name"], &VARIABLE),
        any("locals", &[], &LOCALS),
        any("output", &["name"], &OUTPUT),
        any("module", &["name"], &MODULE),
        not_yet("moved", &[], "moved blocks are"),
        not_yet("import", &[], "import blocks are"),
        not_yet("removed", &[], "removed blocks are"),
        not_yet("check", &["name"], "check blocks in stacks are"),
    ],
);

static PROJECT: Shape = closed(&[optional("required_version")], &[]);
static ENVIRONMENT: Shape = closed(&[optional("variables"), optional("protected")], &[]);

/// `andon.hcl`
pub(crate) static PROJECT_FILE: Shape =
    closed(&[], &[at_most_once("project", &["name"], &PROJECT), any("environment", &["name"], &ENVIRONMENT)]);

/// A `check` of a role or a test: its blocks are assertions, each of a kind with a schema.
pub(crate) static CHECK: Shape = open(&[optional("when")], &[]);

pub(crate) static ROLE: Shape = open(
    &[optional("inherits")],
    &[any("param", &["name"], &VARIABLE), any("locals", &[], &LOCALS), any("check", &["name"], &CHECK)],
);

/// A `*.role.hcl` file.
pub(crate) static ROLE_FILE: Shape = closed(&[], &[any("role", &["name"], &ROLE)]);

/// The meta-arguments of a host resource.
pub(crate) static HOST: Shape = open(
    &[
        optional("when"),
        optional("for_each"),
        optional("absent"),
        optional("after"),
        optional("reloads"),
        optional("restarts"),
    ],
    &[],
);

static IMAGE: Shape = closed(
    &[required("from"), optional("roles"), optional("params")],
    &[Nested { kind: "output", labels: &["format"], times: Times::Any, content: Content::Anything }],
);

/// A `*.image.hcl` file.
pub(crate) static IMAGE_FILE: Shape = closed(&[], &[any("image", &["name"], &IMAGE)]);

static EXPECT: Shape = closed(&[optional("changes")], &[]);
static SERVER: Shape = open(&[], &[]);

static TEST: Shape = closed(
    &[optional("role"), optional("params")],
    &[
        Nested { kind: "server", labels: &[], times: Times::Once, content: Content::Shape(&SERVER) },
        at_most_once("expect", &[], &EXPECT),
        any("check", &["name"], &CHECK),
    ],
);

/// A `*.test.hcl` file.
pub(crate) static TEST_FILE: Shape = closed(&[], &[any("test", &["name"], &TEST)]);

/// A `*.tfvars` file: values by name.
pub(crate) static VALUES_FILE: Shape = open(&[], &[]);

/// An override file: it gives parts of what other files define.
pub(crate) static OVERRIDE_FILE: Shape = open(&[], &[]);

/// A provider that is built in takes no settings.
pub(crate) static BUILT_IN_PROVIDER: Shape = closed(&[optional("alias")], &[]);

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
    /// something is missing.
    pub fn rest(&self, block: &Block) -> Body {
        let body = &block.body;
        let others = |item: &&Item| match item {
            Item::Attribute(attribute) => !self.has_argument(&attribute.name.name),
            Item::Block(block) => !self.has_block(&block.kind.name),
        };
        let items = match body.items.iter().all(|item| others(&item)) {
            true => body.items.clone(),
            false => Arc::new(body.items.iter().filter(others).cloned().collect()),
        };
        Body { items, span: Some(block.head) }
    }
}

/// Holds a file's body against its shape. `faults` are the places of syntax errors: a top-level item with one in it
/// is left alone, as what it lacks may be in the part that was not understood. Gives the places of such items.
pub(crate) fn check_file(body: &Body, shape: &Shape, faults: &[Span], out: &mut Diagnostics) -> Vec<Span> {
    let place = |item: &Item| match item {
        Item::Attribute(attribute) => attribute.span,
        Item::Block(block) => block.span,
    };
    let unclear = |span: Span| faults.iter().any(|fault| fault.start >= span.start && fault.start <= span.end);
    let clear = match faults {
        [] => body.items.clone(),
        _ => Arc::new(body.items.iter().filter(|item| !unclear(place(item))).cloned().collect()),
    };
    check_body("a file of this kind", body.span, &Body { items: clear, span: body.span }, shape, out);
    body.items.iter().map(place).filter(|span| unclear(*span)).collect()
}

/// Holds a body against its shape; `head` is what to point at where something is missing.
pub(crate) fn check_body(what: &str, head: Option<Span>, body: &Body, shape: &Shape, out: &mut Diagnostics) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for attribute in body.attributes() {
        let name = &attribute.name;
        seen.insert(&name.name);
        match shape.arguments.iter().find(|argument| argument.name == &*name.name) {
            Some(argument) if argument.need == Need::Later => out.push(
                Diagnostic::error(format!("argument \"{}\" is not supported yet", name.name))
                    .at(name.span)
                    .help("Remove it for now."),
            ),
            None if !shape.open => out.push(unknown_argument(what, attribute, shape)),
            _ => {}
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
                check_block(block, nested, out);
            }
            None if !shape.open => out.push(unknown_block(what, block, shape)),
            None => {}
        }
    }
    for argument in shape.arguments.iter().filter(|argument| argument.need == Need::Required) {
        if !seen.contains(argument.name) {
            out.push(missing("argument", argument.name, head));
        }
    }
    for nested in shape.blocks.iter().filter(|nested| nested.times == Times::Once) {
        if !once.contains_key(nested.kind) {
            out.push(missing("block", nested.kind, head));
        }
    }
}

/// Refuses arguments that the shape does not name, of a body whose blocks belong to somebody else.
pub(crate) fn only_arguments_of(kind: &str, shape: &Shape, body: &Body, out: &mut Diagnostics) {
    let unknown = body.attributes().filter(|attribute| !shape.has_argument(&attribute.name.name));
    out.extend(unknown.map(|attribute| unknown_argument(&with_article(kind), attribute, shape)));
}

fn check_block(block: &Block, nested: &Nested, out: &mut Diagnostics) {
    if let Content::Later(words) = nested.content {
        let diagnostic = Diagnostic::error(format!("{words} not supported yet")).at(block.head);
        out.push(diagnostic.help("Remove this block for now."));
        return;
    }
    check_labels(block, nested.labels, out);
    if let Content::Shape(shape) = nested.content {
        check_body(&with_article(nested.kind), Some(block.head), &block.body, shape, out);
    }
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
    Diagnostic::error(format!("duplicate {what} \"{name}\"")).at(second).related(first, "first defined here")
}

/// Something that must be there and is not.
pub(crate) fn missing(what: &str, name: &str, head: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("missing {what} \"{name}\""));
    match head {
        Some(head) => diagnostic.at(head).label("must be given here"),
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

fn unknown_argument(what: &str, attribute: &andon_hcl::ast::Attribute, shape: &Shape) -> Diagnostic {
    let name = &attribute.name.name;
    let diagnostic = Diagnostic::error(format!("unsupported argument \"{name}\""))
        .at(attribute.name.span)
        .label(format!("{what} has no such argument"));
    if shape.has_block(name) {
        return diagnostic.help(format!("\"{name}\" is a block: write {name} {{ … }}, without \"=\"."));
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
