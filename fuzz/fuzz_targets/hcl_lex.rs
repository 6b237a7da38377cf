//! Any bytes, cut into tokens: each is a range of characters, they follow each other, and the last one is the end. In a
//! text without faults nothing but blanks (and a mark at the very start) is between two.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let tokens = andon_hcl::tokens(&text);
    let sound = andon_hcl::parse_body(andon_text::SourceMap::new().add("fuzz.tf", ""), &text).1.is_empty();
    let mut end = 0;
    for token in &tokens {
        let between = text.get(end..token.start).expect("a range of characters, after the one before");
        let between = if end == 0 { between.trim_start_matches('\u{FEFF}') } else { between };
        let blank = between.chars().all(|blank| matches!(blank, ' ' | '\t'));
        assert!(blank || !sound, "{between:?} is lost");
        assert!(text.get(token.clone()).is_some(), "{token:?} is no range of characters");
        end = token.end;
    }
    assert_eq!(tokens.last(), Some(&(text.len()..text.len())));
});
