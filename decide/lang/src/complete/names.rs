use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::{Mode, Schemas};
use andon_value::Type;

use super::scan::{Open, scan};
use crate::definitions::{Module, ResourceDefinition, ResourceKey};
use crate::functions::functions;

/// What the word at the end of a text may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Where the word begins, in bytes: what a candidate replaces from there to the end.
    pub from: usize,
    /// In the order of their texts.
    pub candidates: Vec<Candidate>,
}

/// One thing that a word may become.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// What to write.
    pub text: String,
    /// What it is, in a few words: a signature, a type.
    pub about: String,
}

/// What the name at the end of a text may become, in a module. Nothing inside the text of a string.
pub fn complete(text: &str, module: &Module, schemas: &Schemas) -> Completion {
    let nothing = Completion { from: text.len(), candidates: Vec::new() };
    let open = scan(text).open;
    if matches!(open.last(), Some(Open::Quote | Open::Heredoc(_) | Open::Comment)) {
        return nothing;
    }
    let Some((steps, from)) = traversal(text) else { return nothing };
    let Some((word, before)) = steps.split_last() else { return nothing };
    let Step::Name(word) = word else { return nothing };
    let scope = Scope { module, schemas };
    let mut candidates = match before {
        [] => scope.roots(),
        before => scope.after(before),
    };
    candidates.retain(|candidate| candidate.text.starts_with(word.as_str()));
    candidates.sort();
    candidates.dedup();
    Completion { from, candidates }
}

/// A step of the name that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index,
}

/// The steps of the name at the end of a text; the last is the word being typed, perhaps empty. And where that begins.
fn traversal(text: &str) -> Option<(Vec<Step>, usize)> {
    let mut steps = Vec::new();
    let mut rest = text;
    let word = take_name(&mut rest);
    let from = rest.len();
    steps.push(Step::Name(word.to_owned()));
    while let Some(before) = rest.strip_suffix('.') {
        rest = before;
        while rest.ends_with(']') {
            rest = rest.get(..opening(rest)?)?;
            steps.push(Step::Index);
        }
        let name = take_name(&mut rest);
        if name.is_empty() {
            return None;
        }
        let is_index = name.bytes().all(|byte| byte.is_ascii_digit());
        steps.push(if is_index { Step::Index } else { Step::Name(name.to_owned()) });
    }
    steps.reverse();
    Some((steps, from))
}

/// Takes the name off the end of a text.
fn take_name<'a>(rest: &mut &'a str) -> &'a str {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | ':' | '*');
    let stem = rest.trim_end_matches(is_part);
    let name = rest.get(stem.len()..).unwrap_or_default();
    let name = name.trim_start_matches(['-', ':', '*']);
    *rest = rest.get(..rest.len() - name.len()).unwrap_or_default();
    name
}

/// Where the `[` is that the `]` at the end of a text closes.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, letter) in text.char_indices().rev() {
        match letter {
            ']' => depth += 1,
            '[' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

struct Scope<'a> {
    module: &'a Module,
    schemas: &'a Schemas,
}

impl Scope<'_> {
    fn roots(&self) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = functions()
            .iter()
            .map(|row| Candidate { text: format!("{}(", row.name), about: row.signature() })
            .collect();
        let words = [("true", ""), ("false", ""), ("null", ""), ("path.", "directories"), ("terraform.", "this run")];
        found.extend(words.into_iter().map(|(text, about)| candidate(text, about)));
        let module = self.module;
        let groups = [
            ("var.", "input variables", module.variables.is_empty()),
            ("local.", "local values", module.locals.is_empty()),
            ("module.", "module outputs", module.calls.is_empty()),
        ];
        found.extend(groups.iter().filter(|(_, _, empty)| !empty).map(|(text, about, _)| candidate(text, about)));
        for key in module.resources.keys() {
            match key.mode {
                Mode::Managed => found.push(candidate(&format!("{}.", key.kind), "resource type")),
                Mode::Data => found.push(candidate("data.", "data sources")),
                Mode::Ephemeral => found.push(candidate("ephemeral.", "ephemeral resources")),
            }
        }
        found
    }

    fn after(&self, steps: &[Step]) -> Vec<Candidate> {
        let names: Vec<&str> = steps
            .iter()
            .map_while(|step| match step {
                Step::Name(name) => Some(name.as_str()),
                Step::Index => None,
            })
            .collect();
        let inside = |used: usize, ty: &Type| attributes(ty, steps.get(used..).unwrap_or_default());
        match names.as_slice() {
            ["path"] => ["module", "root", "cwd"].map(|name| candidate(name, "string")).into(),
            ["terraform"] => vec![candidate("workspace", "string")],
            ["var"] => each(&self.module.variables, |variable| variable.ty.to_string()),
            ["var", name, ..] => self.module.variables.get(*name).map_or_else(Vec::new, |known| inside(2, &known.ty)),
            ["local"] => each(&self.module.locals, |_| String::new()),
            ["module"] => each(&self.module.calls, |_| "module".to_owned()),
            ["module", name] => match self.module.calls.get(*name) {
                Some(call) => each(&call.module.outputs, |output| output.description.clone()),
                None => Vec::new(),
            },
            ["data", ..] => self.resources(Mode::Data, names.get(1..).unwrap_or_default(), steps, 1),
            ["ephemeral", ..] => self.resources(Mode::Ephemeral, names.get(1..).unwrap_or_default(), steps, 1),
            _ => self.resources(Mode::Managed, &names, steps, 0),
        }
    }

    /// Types, names of a type, or what is in a resource. So many steps come before its type.
    fn resources(&self, mode: Mode, names: &[&str], steps: &[Step], prefix: usize) -> Vec<Candidate> {
        let of_mode = self.module.resources.iter().filter(|(key, _)| key.mode == mode);
        match names {
            [] => of_mode.map(|(key, _)| candidate(&format!("{}.", key.kind), "type")).collect(),
            [kind] => {
                let fitting = of_mode.filter(|(key, _)| *key.kind == **kind);
                fitting.map(|(key, definition)| candidate(&key.name, repeated(definition))).collect()
            }
            [kind, name, ..] => {
                let key = ResourceKey { mode, kind: Arc::from(*kind), name: Arc::from(*name) };
                let Some(definition) = self.module.resources.get(&key) else { return Vec::new() };
                let mut rest = steps.get(prefix + 2..).unwrap_or_default();
                if definition.count.is_some() || definition.for_each.is_some() {
                    let Some((Step::Index, inner)) = rest.split_first() else { return Vec::new() };
                    rest = inner;
                }
                let provider = self.module.provider_of(definition);
                match self.schemas.type_of(&provider, mode, kind) {
                    Ok(Some(schema)) => attributes(&schema.block.implied_type(), rest),
                    _ => Vec::new(),
                }
            }
        }
    }
}

fn repeated(definition: &ResourceDefinition) -> &'static str {
    match (&definition.count, &definition.for_each) {
        (Some(_), _) => "a list: one for each [index]",
        (None, Some(_)) => "a map: one for each [key]",
        (None, None) => "an object",
    }
}

/// What may follow a value of a type after some steps.
fn attributes(ty: &Type, steps: &[Step]) -> Vec<Candidate> {
    let mut ty = ty;
    for step in steps {
        let next = match (step, ty) {
            (Step::Name(name), Type::Object { attributes, .. }) => attributes.get(name.as_str()),
            (Step::Name(_), Type::Map(element)) => Some(&**element),
            (Step::Index, Type::Tuple(elements)) => elements.first(),
            (Step::Index, other) => other.element(),
            _ => None,
        };
        let Some(next) = next else { return Vec::new() };
        ty = next;
    }
    match ty {
        Type::Object { attributes, .. } => each(attributes, Type::to_string),
        _ => Vec::new(),
    }
}

fn each<T>(all: &BTreeMap<Arc<str>, T>, about: impl Fn(&T) -> String) -> Vec<Candidate> {
    all.iter().map(|(name, known)| Candidate { text: name.to_string(), about: about(known) }).collect()
}

fn candidate(text: &str, about: &str) -> Candidate {
    Candidate { text: text.to_owned(), about: about.to_owned() }
}
