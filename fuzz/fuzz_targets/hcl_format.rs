//! Any bytes, laid out: what was valid stays valid and keeps its meaning, a second time changes nothing, and what the
//! tree is printed as is read as the same tree.
#![no_main]

#[allow(dead_code)]
#[path = "../../model/hcl/tests/it/dump.rs"]
mod dump;
#[path = "../../model/hcl/tests/it/print.rs"]
mod print;

use andon_hcl::{format, parse_body};
use andon_text::SourceMap;
use libfuzzer_sys::fuzz_target;

use crate::dump::body_dump;
use crate::print::{body, normal};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let id = SourceMap::new().add("fuzz.tf", &*text);
    let formatted = format(&text);
    let (tree, errors) = parse_body(id, &text);
    if !errors.is_empty() {
        assert_eq!(formatted, text);
        return;
    }
    // Without its blanks `1 . 5` is another number, for Terraform as well.
    let close: String = text.split_whitespace().collect();
    if close.as_bytes().windows(3).any(|near| near[0].is_ascii_digit() && near[1] == b'.' && near[2].is_ascii_digit()) {
        return;
    }
    let printed = body(&tree);
    let (again, errors) = parse_body(id, &printed);
    assert!(errors.is_empty(), "prints as {printed:?}");
    assert_eq!(body_dump(&again), body_dump(&tree), "prints as {printed:?}");
    let (read, errors) = parse_body(id, &formatted);
    assert!(errors.is_empty(), "became {formatted:?}");
    assert_eq!(body_dump(&normal(&read, &[])), body_dump(&normal(&tree, &[])), "became {formatted:?}");
    // A string in a string that is only an interpolation loses one pair of quotes at a time.
    assert!(close.contains("${\"${") || format(&formatted) == formatted, "{formatted:?}");
});
