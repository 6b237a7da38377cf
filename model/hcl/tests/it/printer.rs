//! What holds of the way from trees to text and back.

use andon_hcl::ast::Body;
use andon_hcl::{format, parse_body};
use andon_text::SourceMap;

use crate::dump::body_dump;
use crate::format::CORPUS;
use crate::generate::file;
use crate::print::{body, normal};
use crate::validity::VALID;

fn parse(text: &str) -> Option<Body> {
    let (body, errors) = parse_body(SourceMap::new().add("x", text), text);
    errors.is_empty().then_some(body)
}

/// How many generated files are looked at: `CASES` of the environment, for more.
#[allow(clippy::disallowed_methods)]
fn generated() -> u64 {
    std::env::var("CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(1000)
}

fn texts() -> impl Iterator<Item = String> {
    // Without its blanks this is another number, for terraform as well.
    let sound = |text: &&&str| !text.contains("1 . 5");
    CORPUS.iter().chain(VALID).filter(sound).map(|text| (*text).to_owned()).chain((0..generated()).map(file))
}

#[test]
fn what_is_printed_is_read_as_the_same_tree() {
    let mut printed = 0;
    for text in texts() {
        let Some(tree) = parse(&text) else { continue };
        let again = body(&tree);
        let Some(read) = parse(&again) else { panic!("{text:?}\nprints as {again:?}, which is not valid") };
        assert_eq!(body_dump(&read), body_dump(&tree), "{text:?}\nprints as {again:?}");
        printed += 1;
    }
    assert!(printed as u64 > generated(), "{printed}");
}

#[test]
fn the_formatter_keeps_the_meaning() {
    for text in texts() {
        let Some(tree) = parse(&text) else { continue };
        let formatted = format(&text);
        let Some(read) = parse(&formatted) else { panic!("{text:?}\nbecame {formatted:?}, which is not valid") };
        assert_eq!(body_dump(&normal(&read, &[])), body_dump(&normal(&tree, &[])), "{text:?}\nbecame {formatted:?}");
    }
}

#[test]
fn the_formatter_is_done_after_one_run() {
    let mut unstable = Vec::new();
    // A string in a string that is only an interpolation loses one pair of quotes at a time.
    let layers = |text: &str| text.split_whitespace().collect::<String>().contains("\"${\"${");
    for text in texts().filter(|text| !layers(text)) {
        let once = format(&text);
        let twice = format(&once);
        if twice != once {
            unstable.push((once.len(), text, once, twice));
        }
    }
    unstable.sort();
    assert!(unstable.is_empty(), "{} of them, such as {:#?}", unstable.len(), unstable.first());
}
