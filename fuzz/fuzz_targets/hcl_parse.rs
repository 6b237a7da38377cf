//! Any bytes, read as a file, as an expression and as a template: no panic, and every error lies within the text.
#![no_main]

use andon_hcl::{parse_body, parse_expression, parse_template};
use andon_text::{Diagnostics, SourceMap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let id = SourceMap::new().add("fuzz.tf", &*text);
    let check = |diagnostics: &Diagnostics| {
        for span in diagnostics.iter().filter_map(|diagnostic| diagnostic.span) {
            assert!(text.get(span.start as usize..span.end as usize).is_some());
        }
    };
    check(&parse_body(id, &text).1);
    let (expr, diagnostics) = parse_expression(id, &text);
    check(&diagnostics);
    expr.references();
    check(&parse_template(id, &text).1);
});
