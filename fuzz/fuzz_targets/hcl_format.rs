//! Any bytes, laid out: what was valid stays valid, and a second time changes nothing.
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
        // A string in a string that is only an interpolation loses one pair of quotes at a time.
        let close: String = text.split_whitespace().collect();
        assert!(close.contains("${\"${") || format(&formatted) == formatted, "{formatted:?}");
    } else {
        assert_eq!(formatted, text);
    }
});
