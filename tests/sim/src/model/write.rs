//! A model as definition files. A reference across modules or stacks goes through outputs, variables and
//! `data "andon_stack"`, which are made where they are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use andon_lang::FileSet;

use super::{Block, Home, Model, Pick, Reference, Repeat, Term};
use crate::ENVIRONMENT;
use crate::kinds::ZONE;

/// The text of one module, in parts.
#[derive(Debug, Default)]
struct Module {
    variables: BTreeSet<String>,
    locals: BTreeMap<String, String>,
    outputs: BTreeMap<String, (String, bool)>,
    stacks: BTreeSet<String>,
    /// The arguments of each module call.
    calls: BTreeMap<&'static str, BTreeMap<String, String>>,
    body: String,
    secret: bool,
}

struct Writer<'a> {
    model: &'a Model,
    modules: BTreeMap<Home, Module>,
}

impl Model {
    /// The project's files.
    pub fn files(&self) -> FileSet {
        let mut writer = Writer { model: self, modules: BTreeMap::new() };
        for block in &self.blocks {
            let text = writer.block(block);
            writer.module(&block.home).body.push_str(&text);
            if let Some(module) = block.home.module {
                writer.module(&root(&block.home)).calls.entry(module).or_default();
            }
        }
        writer.history();
        let mut files = FileSet::new();
        let head = format!("project \"sim\" {{}}\nenvironment \"{ENVIRONMENT}\" {{}}\n");
        files.insert("andon.hcl", head.into_bytes());
        for (home, module) in writer.modules {
            let stack = self.stacks.get(home.stack).cloned().unwrap_or_default();
            let path = match home.module {
                Some(module) => format!("stacks/{stack}/{module}/main.tf"),
                None => format!("stacks/{stack}/main.tf"),
            };
            files.insert(path, module.text().into_bytes());
        }
        files
    }

    /// The project's text, for a reader.
    pub fn text(&self) -> String {
        let files = self.files();
        let mut text = String::new();
        for path in files.paths() {
            let content = files.read("", path).map(|content| String::from_utf8_lossy(content).into_owned());
            let _ = writeln!(text, "== {path}\n{}", content.unwrap_or_default());
        }
        text
    }
}

fn root(home: &Home) -> Home {
    Home { module: None, ..home.clone() }
}

impl Module {
    fn text(&self) -> String {
        let mut text = String::new();
        for name in &self.variables {
            let _ = writeln!(text, "variable \"{name}\" {{}}");
        }
        if self.secret {
            text.push_str("variable \"secret\" {\n  default = \"hush\"\n  sensitive = true\n}\n");
        }
        for name in &self.stacks {
            let _ = writeln!(text, "data \"andon_stack\" \"{name}\" {{\n  name = \"{name}\"\n}}");
        }
        for (name, value) in &self.locals {
            let _ = writeln!(text, "locals {{\n  {name} = {value}\n}}");
        }
        for (name, arguments) in &self.calls {
            let _ = writeln!(text, "module \"{name}\" {{\n  source = \"./{name}\"");
            for (argument, value) in arguments {
                let _ = writeln!(text, "  {argument} = {value}");
            }
            text.push_str("}\n");
        }
        text.push_str(&self.body);
        for (name, (value, sensitive)) in &self.outputs {
            let mark = if *sensitive { "  sensitive = true\n" } else { "" };
            let _ = writeln!(text, "output \"{name}\" {{\n  value = {value}\n{mark}}}");
        }
        text
    }
}

impl Writer<'_> {
    fn module(&mut self, home: &Home) -> &mut Module {
        self.modules.entry(home.clone()).or_default()
    }

    /// The blocks that say what becomes of objects that are there, all of them in root modules.
    fn history(&mut self) {
        let model = self.model;
        for (before, after) in &model.moved {
            let (from, to) = (before.within_stack(), after.within_stack());
            self.say(&before.stack, &format!("moved {{\n  from = {from}\n  to = {to}\n}}\n"));
        }
        for released in &model.released {
            let from = released.within_stack();
            self.say(
                &released.stack,
                &format!("removed {{\n  from = {from}\n  lifecycle {{\n    destroy = false\n  }}\n}}\n"),
            );
        }
        for (address, id) in &model.imports {
            let to = address.within_stack();
            self.say(&address.resource.stack, &format!("import {{\n  to = {to}\n  id = {id:?}\n}}\n"));
        }
    }

    fn say(&mut self, stack: &str, text: &str) {
        if let Some(stack) = self.model.stacks.iter().position(|name| **name == *stack) {
            self.module(&Home { stack, module: None }).body.push_str(text);
        }
    }

    fn block(&mut self, block: &Block) -> String {
        let mut text = format!("resource \"{}\" \"{}\" {{\n", block.kind, block.name);
        match &block.repeat {
            Repeat::One => {}
            Repeat::Count(count) => drop(writeln!(text, "  count = {count}")),
            Repeat::Each(keys) => drop(writeln!(text, "  for_each = toset({keys:?})")),
        }
        for (name, term) in &block.arguments {
            let value = self.term(block, name, term);
            let _ = writeln!(text, "  {name} = {value}");
        }
        let named = |model: &Model, name: &String| model.block(name).map(|other| format!("{}.{name}", other.kind));
        let depends_on: Vec<String> = block.depends_on.iter().filter_map(|name| named(self.model, name)).collect();
        if !depends_on.is_empty() {
            let _ = writeln!(text, "  depends_on = [{}]", depends_on.join(", "));
        }
        text.push_str("  lifecycle {\n");
        if block.create_before_destroy {
            text.push_str("    create_before_destroy = true\n");
        }
        if block.protected {
            text.push_str("    prevent_destroy = true\n");
        }
        if let Some(ignored) = block.ignored {
            let _ = writeln!(text, "    ignore_changes = [{ignored}]");
        }
        if let Some(trigger) = block.triggered_by.as_ref().and_then(|name| named(self.model, name)) {
            let _ = writeln!(text, "    replace_triggered_by = [{trigger}]");
        }
        if block.checked {
            text.push_str(
                "    postcondition {\n      condition = self.id != \"\"\n      error_message = \"no id\"\n    }\n",
            );
        }
        text.push_str("  }\n}\n");
        text
    }

    fn term(&mut self, block: &Block, argument: &str, term: &Term) -> String {
        match term {
            Term::Text(text) => format!("{text:?}"),
            Term::Number(number) => number.to_string(),
            Term::PerInstance(text) => match block.repeat {
                Repeat::One => format!("{text:?}"),
                Repeat::Count(_) => format!("\"{text}-${{count.index}}\""),
                Repeat::Each(_) => format!("\"{text}-${{each.key}}\""),
            },
            Term::Secret => {
                let home = &block.home;
                self.module(&root(home)).secret = true;
                if let Some(module) = home.module {
                    let arguments = self.module(&root(home)).calls.entry(module).or_default();
                    arguments.insert("hidden".to_owned(), "var.secret".to_owned());
                    self.module(home).variables.insert("hidden".to_owned());
                    "var.hidden".to_owned()
                } else {
                    "var.secret".to_owned()
                }
            }
            Term::One(reference) => self.reference(block, reference),
            Term::All(blocks, attribute) => {
                let lists: Vec<String> = blocks.iter().map(|name| self.list(block, name, attribute)).collect();
                format!("concat({})", if lists.is_empty() { "[]".to_owned() } else { lists.join(", ") })
            }
            Term::Label(inner) => format!("{{ label = {} }}", self.term(block, argument, inner)),
            Term::Zone(reference) => {
                let network = self.reference(block, reference);
                let name = format!("{}_{argument}", block.name);
                let data = format!("data \"{ZONE}\" \"{name}\" {{\n  network = {network}\n}}\n");
                self.module(&block.home).body.push_str(&data);
                format!("data.{ZONE}.{name}.zone")
            }
        }
    }

    /// All instances' attribute, in the order of their keys.
    fn list(&mut self, user: &Block, name: &str, attribute: &'static str) -> String {
        let Some(target) = self.model.block(name) else { return "[]".to_owned() };
        let base = self.export(user, target, attribute);
        match target.repeat {
            Repeat::One => format!("[{base}]"),
            Repeat::Count(_) => base,
            Repeat::Each(_) => format!("values({base})"),
        }
    }

    fn reference(&mut self, user: &Block, reference: &Reference) -> String {
        let Some(target) = self.model.block(&reference.block) else { return "null".to_owned() };
        let key = match (&target.repeat, &reference.pick) {
            (Repeat::One, _) => String::new(),
            (Repeat::Count(_), Pick::Same) => "[count.index]".to_owned(),
            (Repeat::Each(_), Pick::Same) => "[each.key]".to_owned(),
            (Repeat::Count(_), Pick::First) => "[0]".to_owned(),
            (Repeat::Each(keys), Pick::First) => format!("[{:?}]", keys.first().unwrap_or(&"")),
        };
        if user.home == target.home && !reference.by_local {
            return format!("{}.{}{key}.{}", target.kind, target.name, reference.attribute);
        }
        let base = self.export(user, target, reference.attribute);
        if !reference.by_local {
            return format!("{base}{key}");
        }
        let local = format!("l_{}", export_name(target, reference.attribute));
        self.module(&user.home).locals.insert(local.clone(), base);
        format!("local.{local}{key}")
    }

    /// An attribute of all instances of a block, where a user can read it: the value itself of a block without
    /// instances, a list for a `count`, a map for a `for_each`.
    fn export(&mut self, user: &Block, target: &Block, attribute: &'static str) -> String {
        let name = export_name(target, attribute);
        let sensitive = attribute == "password";
        let mut text = whole(target, attribute);
        if user.home == target.home {
            return text;
        }
        if let Some(module) = target.home.module {
            self.module(&target.home).outputs.insert(name.clone(), (text, sensitive));
            text = format!("module.{module}.{name}");
        }
        if user.home.stack != target.home.stack {
            let stack = self.model.stacks.get(target.home.stack).map(ToString::to_string).unwrap_or_default();
            self.module(&root(&target.home)).outputs.insert(name.clone(), (text, sensitive));
            text = format!("data.andon_stack.{stack}.outputs.{name}");
            self.module(&root(&user.home)).stacks.insert(stack);
        }
        if let Some(module) = user.home.module {
            self.module(&root(&user.home)).calls.entry(module).or_default().insert(name.clone(), text);
            self.module(&user.home).variables.insert(name.clone());
            text = format!("var.{name}");
        }
        text
    }
}

/// The name of the output for an attribute of a block.
pub(super) fn export_name(target: &Block, attribute: &str) -> String {
    format!("{}_{attribute}", target.name)
}

/// An attribute of all instances, inside the block's own module.
fn whole(target: &Block, attribute: &str) -> String {
    let (kind, name) = (target.kind, &target.name);
    match target.repeat {
        Repeat::One => format!("{kind}.{name}.{attribute}"),
        Repeat::Count(_) => format!("{kind}.{name}[*].{attribute}"),
        Repeat::Each(_) => format!("{{ for key, one in {kind}.{name} : key => one.{attribute} }}"),
    }
}
