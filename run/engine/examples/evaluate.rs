//! How many small expressions are evaluated in a second: `cargo run --release -p andon-engine --example evaluate`.

#![allow(clippy::print_stdout, reason = "a measurement says what it measured")]

use std::time::Instant;

use andon_hcl::parse_expression;
use andon_lang::FileSet;
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use andon_text::{Diagnostic, SourceMap};
use andon_value::Value;

/// The name `server`, and no other.
struct Server(Value, FileSet);

impl Scope for Server {
    fn resolve(&self, _: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        Ok(Resolved { value: self.0.clone(), used: 0 })
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs::of_files(&self.1, "", "")
    }
}

fn main() {
    let server = Value::object([("name", Value::from("web")), ("ports", Value::tuple([80i64.into(), 443i64.into()]))]);
    let scope = Server(server, FileSet::new());
    let expressions = [
        "server.name",
        "\"${server.name}-${server.ports[0]}\"",
        "server.ports[1] + 1 > 400 && server.name != \"db\"",
        "[for port in server.ports : \"${port}/tcp\"]",
        "merge({ Name = upper(server.name) }, { Role = \"web\" })",
        "length(server.ports) > 1 ? join(\",\", server.ports) : null",
    ];
    let mut sources = SourceMap::new();
    let parsed: Vec<_> =
        expressions.iter().map(|text| parse_expression(sources.add("expression", *text), text).0).collect();
    let (mut count, start) = (0u32, Instant::now());
    while start.elapsed().as_secs() < 2 {
        for _ in 0..1000 {
            for expression in &parsed {
                let result = evaluate(expression, &scope);
                assert!(result.is_ok(), "every expression has a value");
                count += 1;
            }
        }
    }
    println!("{:.0} expressions per second", f64::from(count) / start.elapsed().as_secs_f64());
}
