//! The functions of the language (<https://developer.hashicorp.com/terraform/language/functions>): one table. A row
//! says what a function takes, gives and is for, and names what does it. Arguments are checked and converted by the
//! caller, so a function meets only what its row allows.

mod cidr;
mod collections;
mod conversions;
mod definitions;
mod encodings;
mod files;
mod foresight;
mod format;
mod hashes;
mod identities;
mod numbers;
mod patterns;
mod rsa;
mod secrets;
mod sets;
mod strings;
mod templates;
mod texts;
mod time;
mod yaml;
mod yaml_decode;

use std::sync::{Arc, LazyLock};

use andon_value::{Number, Type, Value};

use crate::eval::Call;

pub(crate) use encodings::decode_json;
pub(crate) use patterns::regex_of;
pub use templates::Templates;
pub(crate) use yaml_decode::decode_yaml;

/// A function: what it takes, what it gives, and what it is for.
#[derive(Debug)]
pub struct Function {
    /// The name.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub description: &'static str,
    /// The parameters in order. Optional ones come last.
    pub parameters: Vec<Parameter>,
    /// What all further arguments are, where it takes any number.
    pub rest: Option<Parameter>,
    /// The type of the result; `any` where it depends on the arguments.
    pub returns: Type,
    /// Whether the result may be null.
    pub nullable: bool,
    pub(crate) run: Run,
    /// What is known of the result while an argument is unknown, where that is more than `returns` says.
    pub(crate) foresight: Option<Foresight>,
}

/// A parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// The type that an argument is converted to.
    pub ty: Type,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be null.
    pub nulls: bool,
    pub(crate) unknowns: Unknowns,
    pub(crate) secrets: Secrets,
}

/// Which unknown arguments a function itself can handle; with any other the result is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknowns {
    /// None.
    None,
    /// Those inside a known collection.
    Inside,
    /// All.
    Any,
}

/// What becomes of the marks of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// They are taken off, and the whole result has them.
    Merged,
    /// The function handles them itself.
    Passed,
}

/// What does a function's work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run(pub(crate) fn(&Call<'_>) -> Result<Value, Fault>);

/// What is known of a result before all arguments are. It may even be known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foresight(pub(crate) fn(&Call<'_>) -> Value);

/// Why a function has no result. Where an argument is a secret it is not told, unless it is safe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fault {
    /// The argument at fault, by its place.
    pub(crate) argument: Option<usize>,
    /// What is wrong, in a few words.
    pub(crate) message: String,
    /// More about it.
    pub(crate) detail: Option<String>,
    /// What to do.
    pub(crate) help: Option<String>,
    /// It holds no secret, whatever the marks of the arguments that the function was given with their marks.
    pub(crate) safe: bool,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), ..Fault::default() }
    }

    pub(crate) fn at(argument: usize, message: impl Into<String>) -> Fault {
        Fault { argument: Some(argument), ..Fault::new(message) }
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Fault {
        Fault { detail: Some(detail.into()), ..self }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }

    pub(crate) fn safe(self) -> Fault {
        Fault { safe: true, ..self }
    }
}

/// Every function, in the order of their names; `try` and `can` too, which the evaluator itself knows.
pub fn functions() -> &'static [Function] {
    static TABLE: LazyLock<Vec<Function>> = LazyLock::new(|| {
        let mut rows: Vec<Function> = [
            cidr::table(),
            collections::table(),
            conversions::table(),
            encodings::table(),
            files::table(),
            format::table(),
            hashes::table(),
            identities::table(),
            numbers::table(),
            patterns::table(),
            rsa::table(),
            secrets::table(),
            sets::table(),
            strings::table(),
            templates::table(),
            texts::table(),
            time::table(),
            yaml::table(),
            yaml_decode::table(),
        ]
        .into_iter()
        .flatten()
        .collect();
        rows.sort_by_key(|row| row.name);
        rows
    });
    &TABLE
}

/// The function of a name.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    let functions = functions();
    functions.binary_search_by(|row| row.name.cmp(name)).ok().and_then(|at| functions.get(at))
}

/// The function of a name that the provider `terraform.io/builtin/terraform` has.
pub(crate) fn built_in(name: &str) -> Option<&'static Function> {
    static TABLE: LazyLock<Vec<Function>> = LazyLock::new(definitions::table);
    TABLE.iter().find(|row| row.name == name)
}

/// Begins a row. The methods below go on with it; those without a name are about the parameter before them.
pub(crate) fn row(
    name: &'static str,
    returns: Type,
    run: fn(&Call<'_>) -> Result<Value, Fault>,
    description: &'static str,
) -> Function {
    let (parameters, run) = (Vec::new(), Run(run));
    Function { name, description, parameters, rest: None, returns, nullable: false, run, foresight: None }
}

impl Function {
    /// How many arguments it needs.
    pub(crate) fn required(&self) -> usize {
        self.parameters.iter().filter(|parameter| !parameter.optional).count()
    }

    /// The parameter that an argument is for.
    pub(crate) fn parameter(&self, at: usize) -> Option<&Parameter> {
        self.parameters.get(at).or(self.rest.as_ref())
    }

    /// How it is called: `join(separator: string, lists: list(string)...)`.
    pub fn signature(&self) -> String {
        let one = |parameter: &Parameter| {
            format!("{}{}: {}", parameter.name, if parameter.optional { "?" } else { "" }, parameter.ty)
        };
        let mut parts: Vec<String> = self.parameters.iter().map(one).collect();
        parts.extend(self.rest.as_ref().map(|rest| format!("{}...", one(rest))));
        format!("{}({})", self.name, parts.join(", "))
    }

    fn takes(mut self, name: &'static str, ty: Type) -> Function {
        self.parameters.push(Parameter::new(name, ty));
        self
    }

    fn may_take(mut self, name: &'static str, ty: Type) -> Function {
        self.parameters.push(Parameter { optional: true, ..Parameter::new(name, ty) });
        self
    }

    fn takes_rest(mut self, name: &'static str, ty: Type) -> Function {
        self.rest = Some(Parameter::new(name, ty));
        self
    }

    /// The result may be null.
    fn nullable(mut self) -> Function {
        self.nullable = true;
        self
    }

    /// More is known of the result while an argument is unknown than its type.
    fn foresees(mut self, foresight: fn(&Call<'_>) -> Value) -> Function {
        self.foresight = Some(Foresight(foresight));
        self
    }

    /// The parameter may be null.
    fn nulls(self) -> Function {
        self.with_last(|parameter| parameter.nulls = true)
    }

    /// The function handles unknowns inside a known collection.
    fn unknown_inside(self) -> Function {
        self.with_last(|parameter| parameter.unknowns = Unknowns::Inside)
    }

    /// The function handles unknowns.
    fn unknowns(self) -> Function {
        self.with_last(|parameter| parameter.unknowns = Unknowns::Any)
    }

    /// The function handles marks: what is in its result has those of what it came from.
    fn marks(self) -> Function {
        self.with_last(|parameter| parameter.secrets = Secrets::Passed)
    }

    fn with_last(mut self, change: impl FnOnce(&mut Parameter)) -> Function {
        if let Some(parameter) = self.rest.as_mut().or(self.parameters.last_mut()) {
            change(parameter);
        }
        self
    }
}

impl Parameter {
    fn new(name: &'static str, ty: Type) -> Parameter {
        Parameter { name, ty, optional: false, nulls: false, unknowns: Unknowns::None, secrets: Secrets::Merged }
    }
}

/// What an argument that was left out is.
static NOTHING: Value = Value::NULL;

/// Arguments, as their parameters say they are.
impl Call<'_> {
    fn value(&self, at: usize) -> &Value {
        self.arguments.get(at).unwrap_or(&NOTHING)
    }

    /// The arguments from one on.
    fn from(&self, at: usize) -> &[Value] {
        self.arguments.get(at..).unwrap_or_default()
    }

    fn text(&self, at: usize) -> &str {
        self.value(at).as_str().map_or("", |text| text)
    }

    fn number(&self, at: usize) -> &Number {
        self.value(at).as_number().unwrap_or(&Number::ZERO)
    }

    /// A whole number that fits.
    fn whole(&self, at: usize) -> Result<i64, Fault> {
        self.number(at).to_i64().ok_or_else(|| Fault::at(at, "a whole number is required"))
    }

    /// A whole number that is not negative and fits.
    fn count(&self, at: usize) -> Result<usize, Fault> {
        usize::try_from(self.whole(at)?).map_err(|_| Fault::at(at, "must not be negative"))
    }

    /// The elements of a list, set or tuple.
    fn elements(&self, at: usize) -> Result<Vec<&Value>, Fault> {
        match self.value(at).elements() {
            Some(elements) => Ok(elements.collect()),
            None => Err(Fault::at(at, "a list, set or tuple is required")),
        }
    }

    /// The elements of a list of strings, of which none may be null.
    fn texts(&self, at: usize) -> Result<Vec<&Arc<str>>, Fault> {
        let elements = self.elements(at)?.into_iter().enumerate();
        let texts = elements
            .map(|(index, element)| element.as_str().ok_or_else(|| Fault::at(at, format!("element {index} is null"))));
        texts.collect()
    }
}
