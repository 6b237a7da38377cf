//! Any bytes as HCL's JSON form: it ends, every place is one of characters, and reading it again changes nothing.
#![no_main]

use andon_hcl::json::{Strings, Unknown, parse, resolve};
use andon_text::SourceMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let id = SourceMap::new().add("x", &*text);
    let (value, errors) = parse(id, &text);
    let places = |errors: &andon_text::Diagnostics| {
        for error in errors {
            let span = error.span.expect("every error has a place");
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "{error:?}");
        }
    };
    places(&errors);
    for strings in [Strings::Template, Strings::Text, Strings::Expression] {
        places(&value.to_body(&strings).1);
        places(&value.to_expr(strings).1);
    }
    let (open, errors) = value.to_body(&Unknown);
    places(&errors);
    places(&resolve(&open, &Strings::Template).1);
});
