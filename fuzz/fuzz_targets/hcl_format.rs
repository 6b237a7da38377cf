//! Any bytes, laid out: what was valid stays valid.
#![no_main]

use andon_hcl::{format, parse_body};
use andon_text::SourceMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let id = SourceMap::new().add("fuzz.tf", &*text);
    let formatted = format(&text);
    if parse_body(id, &text).1.is_empty() {
        assert!(parse_body(id, &formatted).1.is_empty(), "{formatted:?}");
    } else {
        assert_eq!(formatted, text);
    }
});
