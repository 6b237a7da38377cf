//! Any bytes as an expression and as a template, evaluated with a few names at hand: it ends, and every error has a
//! place in the text.
#![no_main]

use andon_hcl::{parse_expression, parse_template};
use andon_lang::FileSet;
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use andon_text::{Diagnostic, SourceMap};
use andon_value::{Marks, Type, Value, decode, encode, render};
use libfuzzer_sys::fuzz_target;

struct Names {
    files: FileSet,
}

impl Scope for Names {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        let numbers = || Value::list(Type::Number, [1i64, 2, 3].map(Value::from));
        let value = match &**root.name {
            "a" => Value::from("text"),
            "b" => numbers(),
            "c" => Value::object([("a", Value::from(1i64)), ("b", numbers())]),
            "d" => Value::unknown(Type::String),
            "e" => Value::UNKNOWN,
            "s" => Value::from("secret").mark(Marks::SENSITIVE),
            "m" => Value::map(Type::Bool, [("x", Value::from(true))]),
            name => return Err(Diagnostic::error(format!("no value {name}")).at(root.span)),
        };
        Ok(Resolved { value, used: 0 })
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs::of_files(&self.files, "", "/project")
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    // What repeats a text or counts to a number can be asked for more than there is memory for.
    if ["range", "cidrsubnets", "setproduct", "bcrypt"].iter().any(|slow| text.contains(slow)) {
        return;
    }
    let id = SourceMap::new().add("fuzz", &*text);
    let scope = Names { files: FileSet::new() };
    let (expr, errors) = parse_expression(id, &text);
    match evaluate(&expr, &scope) {
        Ok(value) => {
            render(&value, 0);
            assert_eq!(decode(&encode(&value)).expect("what was written can be read"), value);
        }
        Err(found) => assert!(!found.is_empty() || errors.has_errors()),
    }
    parse_template(id, &text);
});
