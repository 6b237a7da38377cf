//! Templates in Jinja (<https://jinja.palletsprojects.com/templates/>), as those who write them for configuration tools
//! know them: a block takes the line break behind it along, nothing is escaped, what is not defined is an error.

mod filters;
mod methods;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use andon_text::deeper;
use andon_value::{Kind, Marks, Number, Type, Value};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter};

use crate::FileSet;
use crate::files::resolve;

/// How much one template may do, in steps of the engine: a few seconds' worth.
const FUEL: u64 = 20_000_000;

/// The most that one template may come to, in bytes.
const LARGEST: usize = 16 << 20;

/// Where the header of a template changes how blanks are treated.
const HEADER: &str = "#jinja2:";

/// The templates of a set of files, each parsed once.
#[derive(Debug)]
pub(crate) struct Templates {
    files: Arc<FileSet>,
    /// By whether a block takes the line break behind it along, and the blanks before it.
    environments: Mutex<BTreeMap<(bool, bool), Arc<Environment<'static>>>>,
}

/// Why a template has no text.
pub(crate) struct Wrong {
    /// `roles/site.j2:3`
    pub place: String,
    /// What is wrong; it may quote a value.
    pub message: String,
    /// The line.
    pub line: String,
}

impl Templates {
    pub fn of(files: &FileSet) -> Templates {
        Templates { files: Arc::new(files.clone()), environments: Mutex::default() }
    }

    /// Fills the template at a path of the project. Paths inside it start from its own directory, or else from `base`.
    pub fn fill(&self, path: &str, base: &str, variables: &Value) -> Result<Value, Wrong> {
        let environment = self.environment(header(self.files.read("", path).map_or(&[], |content| content)));
        let read = Arc::new(Mutex::new(BTreeSet::new()));
        let values = variables.as_entries().cloned().unwrap_or_default();
        let context = Context { values: Arc::clone(&values), read: Arc::clone(&read), base: base.into() };
        let mut out = Capped(Vec::new());
        let filled = environment
            .get_template(path)
            .and_then(|template| template.render_captured_to(Jinja::from_object(context), &mut out).map(drop));
        let read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let used = || values.iter().filter(|(name, _)| read.contains(*name)).map(|(_, value)| value);
        let marks = used().fold(Marks::NONE, |marks, value| marks.union(value.marks_within()));
        // What went wrong may be due to what is not known yet.
        if !used().all(Value::is_wholly_known) {
            return Ok(Value::unknown(Type::String).not_null().mark(marks));
        }
        match filled {
            Ok(()) => {
                let source = self.files.read("", path).map_or(&[][..], |content| content);
                end_alike(source, &mut out.0);
                Ok(Value::string(String::from_utf8_lossy(&out.0)).mark(marks))
            }
            Err(error) => Err(self.wrong(path, &error)),
        }
    }

    fn environment(&self, (trim, lstrip): (bool, bool)) -> Arc<Environment<'static>> {
        let mut environments = self.environments.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(environment(&self.files, trim, lstrip));
        Arc::clone(environments.entry((trim, lstrip)).or_insert_with(made))
    }

    /// The innermost error: that of an included template, where there is one.
    fn wrong(&self, path: &str, error: &Error) -> Wrong {
        let mut innermost = error;
        let mut next = error.source();
        while let Some(inner) = next {
            if let Some(inner) = inner.downcast_ref::<Error>() {
                innermost = inner;
            }
            next = inner.source();
        }
        let name = innermost.name().unwrap_or(path);
        let message = match innermost.kind() {
            ErrorKind::OutOfFuel => "it does more than a template may: is there a loop without an end?".to_owned(),
            ErrorKind::WriteFailure => format!("it comes to more than {} MiB", LARGEST >> 20),
            kind => match innermost.detail() {
                Some(detail) => format!("{kind}: {detail}"),
                None => kind.to_string(),
            },
        };
        let number = innermost.line();
        let place = number.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
        let source = self.files.read("", name).and_then(|content| std::str::from_utf8(content).ok());
        let line = source.zip(number).and_then(|(text, number)| text.lines().nth(number.checked_sub(1)?));
        Wrong { place, message, line: line.unwrap_or_default().trim_end().chars().take(160).collect() }
    }
}

/// A block at the end takes its line break along. What is made of a template ends with as many as the template, as
/// Ansible has it: a file that is one line short would look changed to whoever comes from there.
fn end_alike(template: &[u8], out: &mut Vec<u8>) {
    let breaks = |text: &[u8]| text.iter().rev().take_while(|byte| **byte == b'\n').count();
    let lacking = breaks(template).saturating_sub(breaks(out));
    out.extend(std::iter::repeat_n(b'\n', lacking));
}

fn environment(files: &Arc<FileSet>, trim: bool, lstrip: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    if let Ok(syntax) = syntax.trim_blocks(trim).lstrip_blocks(lstrip).keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(100);
    // Null is nothing, not the word for it.
    environment.set_formatter(|out, state, value| match value.is_none() {
        true => Ok(()),
        false => escape_formatter(out, state, value),
    });
    let own = Arc::clone(files);
    environment.set_loader(move |path| {
        let Some(content) = own.read("", path) else { return Ok(None) };
        match std::str::from_utf8(content) {
            Ok(text) => Ok(Some(without_header(text).to_owned())),
            Err(_) => Err(Error::new(ErrorKind::InvalidOperation, format!("{path} is not text in UTF-8"))),
        }
    });
    let own = Arc::clone(files);
    environment.set_path_join_callback(move |name, parent| {
        let directory = parent.rsplit_once('/').map_or("", |(directory, _)| directory);
        let beside = resolve(directory, name).filter(|path| own.read("", path).is_some());
        // Else from the directory of the role or stack, which is above that of the template.
        let above = || {
            let mut directory = directory;
            while let Some((outer, _)) = directory.rsplit_once('/') {
                directory = outer;
                if let Some(path) = resolve(directory, name).filter(|path| own.read("", path).is_some()) {
                    return Some(path);
                }
            }
            None
        };
        beside.or_else(above).map_or(name.into(), Into::into)
    });
    environment.set_unknown_method_callback(methods::call);
    filters::add(&mut environment);
    environment
}

/// How the first line of a template treats blanks: `#jinja2: trim_blocks: False, lstrip_blocks: True`.
fn header(content: &[u8]) -> (bool, bool) {
    let (mut trim, mut lstrip) = (true, false);
    let text = std::str::from_utf8(content).unwrap_or_default();
    let line = text.lines().next().and_then(|line| line.strip_prefix(HEADER)).unwrap_or_default();
    for setting in line.split(',') {
        let Some((name, value)) = setting.split_once(':') else { continue };
        let truth = value.trim().eq_ignore_ascii_case("true");
        match name.trim() {
            "trim_blocks" => trim = truth,
            "lstrip_blocks" => lstrip = truth,
            _ => {}
        }
    }
    (trim, lstrip)
}

fn without_header(text: &str) -> &str {
    match text.strip_prefix(HEADER) {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    }
}

/// The variables of one filling, and which of them were read.
#[derive(Debug)]
struct Context {
    values: Arc<BTreeMap<Arc<str>, Value>>,
    read: Arc<Mutex<BTreeSet<Arc<str>>>>,
    base: Arc<str>,
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        let (name, value) = self.values.get_key_value(key)?;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(name));
        Some(to_jinja(value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        // Whoever goes over all of them has read them.
        self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(self.values.keys().cloned());
        Enumerator::Values(self.values.keys().map(|name| Jinja::from(&**name)).collect())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.values.is_empty() || !self.base.is_empty()
    }
}

/// What is written, up to a limit.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value for a template. What is not known is not defined there: nothing comes of it anyway.
fn to_jinja(value: &Value) -> Jinja {
    match value.kind() {
        Kind::Unknown(..) => Jinja::UNDEFINED,
        Kind::Null(_) => Jinja::from(()),
        Kind::Bool(truth) => Jinja::from(*truth),
        Kind::String(text) => Jinja::from(Arc::clone(text)),
        Kind::Number(number) => match number.to_i64() {
            Some(whole) => Jinja::from(whole),
            None => Jinja::from(number.to_f64()),
        },
        Kind::List(_, elements) | Kind::Tuple(elements) => elements.iter().map(|it| deeper(|| to_jinja(it))).collect(),
        Kind::Set(..) => value.children().map(|it| deeper(|| to_jinja(it))).collect(),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            Jinja::from_pairs(entries.iter().map(|(name, it)| (Jinja::from(&**name), deeper(|| to_jinja(it)))))
        }
    }
}

/// A template's value as one of the language.
fn of_jinja(value: &Jinja) -> Result<Value, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => {
            return Err(Error::new(ErrorKind::UndefinedError, "a value that is not defined cannot be written out"));
        }
        ValueKind::None => Value::NULL,
        ValueKind::Bool => Value::from(value.is_true()),
        ValueKind::Number => match value.as_i64() {
            Some(whole) if value.is_integer() => Value::from(whole),
            _ => Number::parse(&value.to_string()).map_or(Value::NULL, Value::from),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let elements = value.try_iter()?.map(|it| deeper(|| of_jinja(&it)));
            Value::tuple(elements.collect::<Result<Vec<_>, Error>>()?)
        }
        ValueKind::Map => {
            let mut entries = BTreeMap::new();
            for key in value.try_iter()? {
                let inner = value.get_item(&key)?;
                entries.insert(Arc::<str>::from(key.to_string()), deeper(|| of_jinja(&inner))?);
            }
            Value::object(entries)
        }
        _ => Value::string(value.to_string()),
    })
}
