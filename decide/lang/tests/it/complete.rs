//! Help with an expression while it is typed.

use andon_lang::complete::{called, complete, is_in_heredoc, is_incomplete};
use andon_lang::load;
use andon_schema::{Attribute, Block, Schemas, TypeSchema};
use andon_value::Type;

use crate::files;

#[test]
fn what_is_open_wants_more() {
    for text in [
        "[",
        "[1,",
        "f(",
        "{",
        "{\n  a = [\n",
        "\"${",
        "\"a ${f(1,",
        "<<EOT",
        "<<EOT\na\n",
        "<<-EOT\n  ${\n",
        "/* a",
        "(\"a\"",
        "[ # ]\n",
        "f(<<EOT\n)\n",
        "{ a = \"}\"",
    ] {
        assert!(is_incomplete(text), "{text}");
    }
    for text in [
        "",
        "1",
        "[1]",
        "\"[\"",
        "\"",
        "\"a\n",
        ")",
        "[)",
        "]]",
        "<<EOT\na\nEOT",
        "<<EOT\na\n  EOT\n",
        "a << b",
        "/* ( */",
        "# (",
        "\"$${\"",
        "\"\\\"(\"",
        "1 # (",
        "f(\"a${b[\"c\"]}d\")",
        "é",
    ] {
        assert!(!is_incomplete(text), "{text}");
    }
}

#[test]
fn a_heredoc_ends_with_its_mark() {
    assert!(is_in_heredoc("<<E\n\n"));
    assert!(!is_in_heredoc("<<E\n\nE\n"));
}

#[test]
fn the_function_that_is_called() {
    for (text, expected) in [
        ("join(", Some(("join", 0))),
        ("join(\",\", ", Some(("join", 1))),
        ("join(\",\", [1, 2", Some(("join", 1))),
        ("upper(join(\",\", x)", Some(("upper", 0))),
        ("\"${lower(", Some(("lower", 0))),
        ("core::join(", Some(("join", 0))),
        ("nope(", None),
        ("join", None),
        ("(1", None),
    ] {
        assert_eq!(called(text).map(|(function, at)| (function.name, at)), expected, "{text}");
    }
}

#[test]
fn names_are_completed() {
    let files = files(
        "== main.tf
variable \"region\" {}
variable \"shape\" { type = object({ alpha = map(object({ inner = string })), beta = list(object({ x = number })) }) }
locals { label = 1 }
resource \"thing_box\" \"one\" {}
resource \"thing_box\" \"many\" { count = 2 }
data \"thing_look\" \"it\" {}
module \"m\" {
  source = \"./m\"
}
== m/main.tf
output \"said\" { value = 1 }
",
    );
    let (project, _) = load(files, "p");
    let mut schemas = Schemas::default();
    let mut block = Block::default();
    block.attributes.insert("size".into(), Attribute::computed(Type::Number, ""));
    block.attributes.insert("tags".into(), Attribute::computed(Type::map(Type::String), ""));
    let schema = TypeSchema::of(block);
    let address = andon_schema::ProviderAddress::implied("thing");
    let provider = andon_schema::ProviderSchema {
        resources: [("thing_box".to_owned(), schema.clone())].into(),
        data: [("thing_look".to_owned(), schema)].into(),
        ..Default::default()
    };
    schemas.providers.insert(address, provider.into());
    let module = &project.stacks.values().next().unwrap().module;
    for (text, expected) in [
        ("jo", "join("),
        ("1 + var.", "region shape"),
        ("var.re", "region"),
        ("[for x in va", "values( var."),
        ("var.shape.", "alpha beta"),
        ("var.shape.alpha[\"k\"].", "inner"),
        ("var.shape.alpha.k.", "inner"),
        ("var.shape.beta[0].", "x"),
        ("var.shape.beta[*].", "x"),
        ("var.shape.beta.0.", "x"),
        ("local.", "label"),
        ("loc", "local."),
        ("thing_", "thing_box."),
        ("thing_box.", "many one"),
        ("thing_box.one.", "size tags"),
        ("thing_box.many.", ""),
        ("thing_box.many[count.index].s", "size"),
        ("data.", "thing_look."),
        ("data.thing_look.", "it"),
        ("data.thing_look.it.t", "tags"),
        ("module.", "m"),
        ("module.m.", "said"),
        ("path.", "cwd module root"),
        ("\"a va", ""),
        ("\"a ${va", "values( var."),
        ("nope.", ""),
        ("].", ""),
        ("zz", ""),
    ] {
        let found = complete(text, module, &schemas);
        let texts: Vec<&str> = found.candidates.iter().map(|candidate| candidate.text.as_str()).collect();
        assert_eq!(texts.join(" "), expected, "{text}");
        assert!(text.is_char_boundary(found.from), "{text}");
    }
    let all = complete("", module, &schemas).candidates;
    assert!(
        andon_lang::functions::functions().iter().all(|row| all.iter().any(|found| found.about == row.signature()))
    );
}
