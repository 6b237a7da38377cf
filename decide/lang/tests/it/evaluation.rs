//! Evaluation beyond the table: what errors say, blocks, templates, and deep expressions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and measures the stack in a thread of its own"
)]

use andon_hcl::{NESTING_LIMIT, parse_body, parse_expression};
use andon_lang::eval::{evaluate, evaluate_block, implied_type};
use andon_lang::functions::functions;
use andon_lang::{FileSet, static_traversals};
use andon_schema::{Attribute, Block, NestedBlock, Nesting};
use andon_text::SourceMap;
use andon_value::{Bound, Marks, Type, Value, decode, encode, render};

use crate::expressions::{Values, said, value_of};

pub fn scope() -> Values {
    let server = |id: &str| Value::object([("id", Value::from(id)), ("port", Value::unknown(Type::Number))]);
    let mut files = FileSet::new();
    for (path, text) in [
        ("stacks/web/a.tftpl", "Hello ${name}!"),
        ("stacks/web/list.tftpl", "%{ for x in xs ~}\n${x}\n%{ endfor ~}\n"),
        ("stacks/web/broken.tftpl", "one\n${nmae} ${1 + \"x\"}"),
        ("stacks/web/syntax.tftpl", "one\n%{ if true }"),
        ("stacks/web/self.tftpl", "${templatefile(\"self.tftpl\", {})}"),
        ("stacks/web/outer.tftpl", "<${templatefile(\"a.tftpl\", {name = name})}>"),
        ("stacks/web/files/x.conf", "x"),
        ("stacks/web/files/y.txt", "y"),
        ("stacks/web/files/deep/z.conf", "z"),
        ("shared/motd", "hi"),
    ] {
        files.insert(path, text.as_bytes().to_vec());
    }
    files.insert("stacks/web/binary", vec![0xff, 0xfe]);
    Values {
        values: vec![
            ("number", Value::from(5i64)),
            ("text", Value::from("web")),
            ("template", Value::from("${x + 1}")),
            ("template_of_secret", Value::from("${x.y} ${1 + x}")),
            ("secret", Value::from("hunter2").mark(Marks::SENSITIVE)),
            ("secrets", Value::list(Type::String, [Value::from("hunter2")]).mark(Marks::SENSITIVE)),
            ("unknown", Value::UNKNOWN),
            ("unknown_text", Value::unknown(Type::String)),
            ("id", Value::unknown(Type::String).not_null()),
            ("ami", Value::unknown(Type::String).with_prefix("ami-")),
            ("size", Value::unknown(Type::Number).between(Some(Bound::inclusive(1i64)), Some(Bound::inclusive(9i64)))),
            ("some", Value::unknown(Type::list(Type::String)).with_length(1, Some(3))),
            ("unknown_bool", Value::unknown(Type::Bool)),
            ("unknown_list", Value::unknown(Type::list(Type::String))),
            ("unknown_map", Value::unknown(Type::map(Type::Number))),
            ("unknown_secret", Value::unknown(Type::String).mark(Marks::SENSITIVE)),
            ("server", Value::list(server("a").ty(), [server("a"), server("b")])),
        ],
        files,
    }
}

#[test]
fn errors_name_the_operand_the_values_and_the_way_out() {
    for (text, expected) in [
        (
            "1 + text",
            "unsuitable operand of \"+\" [a number is required, but \"web\" is none] at `text`\n  The operand is \"web\".\n  text is \"web\".",
        ),
        (
            "(number - 5) / (number - 5)",
            "zero divided by zero [this is 0, as is what it divides] at `(number - 5)`\n  number is 5.",
        ),
        (
            "server[number].id",
            "invalid index [there is no element 5: the last is 1] at `number`\n  server is a list of 2 elements.\n  number is 5.",
        ),
        (
            "server[0].prot",
            "no attribute \"prot\" [this value has \"id\", \"port\"] at `prot`\n  server[0] is an object with the keys \"id\", \"port\".\n  Did you mean \"port\"?",
        ),
        (
            "server.id",
            "no attribute \"id\" [this is read from a list of objects, which has no attributes] at `id`\n  server is a list of 2 elements.\n  For that of every element write `[*].id`; for that of one, `[0].id`.",
        ),
        ("uper(text)", "no function \"uper\" [there is no function of this name] at `uper`\n  Did you mean \"upper\"?"),
        (
            "upper()",
            "wrong number of arguments of \"upper\" [the argument \"str\" is missing] at `upper`\n  It is called as `upper(str: string)`.",
        ),
        (
            "cidrsubnet(text, 1, 1)",
            "invalid argument \"prefix\" of \"cidrsubnet\" [a network such as 10.0.0.0/16 is required] at `text`\n  The value is \"web\".\n  text is \"web\".",
        ),
        (
            "true ? number : [1]",
            "the two results of a conditional do not agree [both must have one type] at `true ? number : [1]`\n  Convert one of them, with `tostring`, `tolist` or `tomap` for example.\n  `number` this is a number\n  `[1]` this is a tuple of 1 element",
        ),
        (
            "try(null.a, server[7])",
            "every argument of \"try\" has an error [] at `try(null.a, server[7])`\n  `null.a` no attribute \"a\": this is read from null, which has no attributes\n  `server[7]` invalid index: there is no element 7: the last is 1",
        ),
        (
            "[for s in server : s.prot]",
            "no attribute \"prot\" [this value has \"id\", \"port\"] at `prot`\n  s is an object with the keys \"id\", \"port\".\n  Did you mean \"port\"?",
        ),
        ("nowhere.a", "no value nowhere [] at `nowhere`"),
        (
            "file(\"a.tftp\")",
            "invalid argument \"path\" of \"file\" [there is no such file] at `\"a.tftp\"`\n  The path leads to \"stacks/web/a.tftp\".\n  The value is \"a.tftp\".\n  There is \"stacks/web/a.tftpl\". Did you mean that?",
        ),
        (
            "file(\"motd\")",
            "invalid argument \"path\" of \"file\" [there is no such file] at `\"motd\"`\n  The path leads to \"stacks/web/motd\".\n  The value is \"motd\".\n  There is \"shared/motd\". Did you mean that?",
        ),
        (
            "file(\"../../../etc/passwd\")",
            "invalid argument \"path\" of \"file\" [the path leads out of the project] at `\"../../../etc/passwd\"`\n  The value is \"../../../etc/passwd\".\n  Only files of the project can be read; move the file into it.",
        ),
        (
            "file(\"binary\")",
            "invalid argument \"path\" of \"file\" [the file is not text in UTF-8] at `\"binary\"`\n  The value is \"binary\".\n  Read it with `filebase64`.",
        ),
        (
            "templatefile(\"self.tftpl\", {})",
            "\"templatefile\" has no result [the template has an error] at `templatefile(\"self.tftpl\", {})`\n  stacks/web/self.tftpl:1:16: invalid argument \"path\" of \"templatefile\": this file is inside itself\n    | ${templatefile(\"self.tftpl\", {})}\n    |                ^^^^^^^^^^^^\n    \"self.tftpl\" is being filled already.\n    The value is \"self.tftpl\".",
        ),
        (
            "templatefile(\"broken.tftpl\", {name = 1})",
            "\"templatefile\" has no result [the template has 2 errors] at `templatefile(\"broken.tftpl\", {name = 1})`\n  stacks/web/broken.tftpl:2:3: no variable \"nmae\": the template was not given a variable of this name\n    | ${nmae} ${1 + \"x\"}\n    |   ^^^^\n    Did you mean \"name\"?\n  stacks/web/broken.tftpl:2:15: unsuitable operand of \"+\": a number is required, but \"x\" is none\n    | ${nmae} ${1 + \"x\"}\n    |               ^^^",
        ),
        (
            "templatefile(sensitive(\"broken.tftpl\"), {name = 1})",
            "\"templatefile\" has no result [not suitable; an argument is sensitive, so no more is said] at `templatefile(sensitive(\"broken.tftpl\"), {name = 1})`",
        ),
    ] {
        assert_eq!(value_of(text, &scope()).unwrap_err(), expected, "{text}");
    }
    let syntax = value_of("templatefile(\"syntax.tftpl\", {})", &scope()).unwrap_err();
    assert!(syntax.contains("[the template has an error]") && syntax.contains("syntax.tftpl:2:"), "{syntax}");
}

#[test]
fn independent_errors_are_all_found() {
    for (text, count) in [
        ("[1 + \"x\", {}.a, upper()]", 3),
        ("1 + \"x\" + null.a + [][0]", 3),
        ("{a = null.a, b = null.b}", 2),
        ("\"${null.a} ${null.b}\"", 2),
        ("join(nowhere, [null.a])", 2),
        ("null.a ? null.b : null.c", 3),
        ("true ? null.b : null.c", 1),
        ("\"x\" + \"y\"", 2),
    ] {
        let mut sources = SourceMap::new();
        let id = sources.add("case", text);
        let errors = evaluate(&parse_expression(id, text).0, &scope()).unwrap_err();
        assert_eq!(errors.len(), count, "{text}: {}", said(&errors, &sources));
    }
}

#[test]
fn no_error_tells_a_secret() {
    for text in [
        "tonumber(secret)",
        "1 + secret",
        "secret ? 1 : 2",
        "format(\"%d\", secret)",
        "cidrsubnet(secret, 1, 1)",
        "jsondecode(secret)",
        "file(secret)",
        "regex(secret, \"a\")",
        "[1][secret]",
        "{a = 1}[secret]",
        "{a = 1}.a[secret]",
        "sum(secrets)",
        "sum([secret])",
        "tonumber(secrets[0])",
        "[for x in {(secret) = 1} : x.y]",
        "{for x in [secret, secret] : x => 1}",
        "{(secret) = 1}.hunter",
        "lookup({(secret) = 1}, \"hunter\")",
        "parseint(secret, 10)",
        "templatefile(\"a.tftpl\", secret)",
        "templatefile(\"a.tftpl\", {name = [secret]})",
        "templatestring(secret, 1)",
        "templatestring(template_of_secret, {x = secret})",
        "max(secrets...)",
        "alltrue(secrets)",
        "coalesce(secrets, 1)",
        "setunion(secrets, [[1]])",
        "index([1], secret)",
        "base64decode(secret)",
        "upper(secrets)",
        "secrets + 1",
        "true ? secrets : 1",
        "\"a${secrets}\"",
    ] {
        let error = value_of(text, &scope()).unwrap_err();
        assert!(!error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn files_are_read_from_the_base() {
    for (text, expected) in [
        ("file(\"a.tftpl\")", "\"Hello $${name}!\""),
        ("file(\"../../shared/motd\")", "\"hi\""),
        ("file(\"/project/shared/motd\")", "\"hi\""),
        ("fileexists(\"a.tftpl\") && !fileexists(\"b.tftpl\")", "true"),
        ("filebase64(\"binary\")", "\"//4=\""),
        ("filesha256(\"../../shared/motd\") == sha256(\"hi\")", "true"),
        ("filemd5(\"../../shared/motd\") == md5(\"hi\")", "true"),
        ("templatefile(\"a.tftpl\", {name = \"you\"})", "\"Hello you!\""),
        ("templatefile(\"outer.tftpl\", {name = \"you\"})", "\"<Hello you!>\""),
        ("templatestring(template, {x = 1})", "\"2\""),
        ("join(\",\", fileset(\"files\", \"*.conf\"))", "\"x.conf\""),
        ("join(\",\", fileset(\"files\", \"**\"))", "\"deep/z.conf,x.conf,y.txt\""),
        ("join(\",\", fileset(\"files\", \"**/*.conf\"))", "\"deep/z.conf,x.conf\""),
        ("join(\",\", fileset(\".\", \"files/{x,y}.*\"))", "\"files/x.conf,files/y.txt\""),
        ("abspath(\"a\")", "\"/project/stacks/web/a\""),
        ("abspath(\"../../a\")", "\"/project/a\""),
        ("fileexists(\"/project/stacks/web/a.tftpl\") && !fileexists(\"/projects/x\")", "true"),
        ("join(\",\", fileset(\"/project/stacks/web/files\", \"*.conf\"))", "\"x.conf\""),
    ] {
        assert_eq!(value_of(text, &scope()).map(|value| render(&value, 0)), Ok(expected.to_owned()), "{text}");
    }
    assert_eq!(value_of("templatefile(\"list.tftpl\", {xs = [1, 2]})", &scope()), Ok(Value::from("1\n2\n")));
}

#[test]
fn long_and_deep_expressions_do_not_overflow() {
    const LONG: usize = 5000;
    let deep = NESTING_LIMIT as usize - 2;
    let nested = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let texts = [
        format!("{}1", "1 + ".repeat(LONG)),
        format!("{}true", "true && ".repeat(LONG)),
        format!("{}1", "true ? 1 : ".repeat(LONG)),
        format!("{}1", "false ? 1 : ".repeat(LONG)),
        format!("{}1", "-".repeat(LONG)),
        format!("{}true", "!".repeat(LONG)),
        format!("\"{}\"", "${1}-".repeat(LONG)),
        format!("can(server{})", ".a".repeat(LONG)),
        format!("can(server{})", "[0]".repeat(LONG)),
        nested("[", "]", deep),
        nested("(", ")", deep),
        nested("{a = ", "}", deep),
        nested("[for x in [1] : ", "]", deep),
        nested("true ? ", " : 2", deep),
        nested("abs(", ")", deep),
        nested("\"${", "}\"", deep / 2),
        format!("\"{}1{}\"", "%{ if true }".repeat(deep), "%{ endif }".repeat(deep)),
        format!("jsonencode({})", nested("[", "]", deep - 1)),
        format!("sha1(jsonencode({}))", nested("{a = ", "}", deep - 1)),
    ];
    // As small as any thread of a test or of the engine.
    let work = move || {
        for text in texts {
            let mut sources = SourceMap::new();
            let id = sources.add("case", text.as_str());
            let (expr, errors) = parse_expression(id, &text);
            assert!(errors.is_empty(), "{}", said(&errors, &sources));
            let value = evaluate(&expr, &scope()).map_err(|errors| said(&errors, &sources)).unwrap();
            assert!(
                !render(&value, 0).is_empty()
                    && !value.ty().to_string().is_empty()
                    && decode(&encode(&value)).unwrap() == value
            );
            static_traversals(&expr);
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn texts_of_data_may_nest_a_thousand_levels() {
    let work = || {
        for (levels, fits) in [(150, true), (500, true), (1000, true), (1001, false), (20_000, false)] {
            let list = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let object = format!("{}1{}", "{ \\\"]\\\": ".repeat(levels), "}".repeat(levels));
            for text in [
                format!("jsondecode(\"{list}\")"),
                format!("jsondecode(\"{object}\")"),
                format!("yamldecode(\"{}1\")", "- ".repeat(levels)),
            ] {
                let mut sources = SourceMap::new();
                let id = sources.add("case", text.as_str());
                let (expr, errors) = parse_expression(id, &text);
                assert!(errors.is_empty(), "{}", said(&errors, &sources));
                let result = evaluate(&expr, &scope()).map_err(|errors| said(&errors, &sources));
                assert_eq!(result.is_ok(), fits, "{levels} levels: {:.300}", result.err().unwrap_or_default());
            }
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

fn schema() -> Block {
    let rule = Block {
        attributes: [
            ("port".to_owned(), Attribute::required(Type::Number, "")),
            ("hosts".to_owned(), Attribute::optional(Type::list(Type::String), "")),
        ]
        .into(),
        ..Block::default()
    };
    let nested = |nesting, min_items, max_items| NestedBlock { nesting, block: rule.clone(), min_items, max_items };
    Block {
        attributes: [
            ("name".to_owned(), Attribute::required(Type::String, "")),
            ("count".to_owned(), Attribute::optional(Type::Number, "")),
            ("id".to_owned(), Attribute::computed(Type::String, "")),
            ("key".to_owned(), Attribute { sensitive: true, ..Attribute::optional(Type::String, "") }),
        ]
        .into(),
        blocks: [
            ("rule".to_owned(), nested(Nesting::List, 0, 2)),
            ("first".to_owned(), nested(Nesting::Single, 0, 0)),
            ("group".to_owned(), nested(Nesting::Set, 0, 0)),
            ("zone".to_owned(), nested(Nesting::Map, 0, 0)),
        ]
        .into(),
        ..Block::default()
    }
}

fn block(text: &str) -> Result<Value, String> {
    let mut sources = SourceMap::new();
    let id = sources.add("case", text);
    let (body, errors) = parse_body(id, text);
    assert!(!errors.has_errors(), "{}", said(&errors, &sources));
    let result = evaluate_block(&body, &schema(), &scope());
    result.inspect(|value| assert_eq!(value.ty(), implied_type(&schema()))).map_err(|errors| said(&errors, &sources))
}

#[test]
fn a_body_gives_an_object_of_the_implied_type() {
    let value = block(
        "name = number\nkey = \"k\"\nrule {\n port = \"80\"\n hosts = [text, 1]\n}\n\
         dynamic \"rule\" {\n for_each = [81]\n content {\n port = rule.value + rule.key\n }\n}\n\
         group {\n port = 1\n}\ngroup {\n port = 1\n}\nzone \"a\" {\n port = 2\n}\n\
         dynamic \"zone\" {\n for_each = {b = 3}\n iterator = it\n labels = [it.key]\n content {\n port = it.value\n }\n}",
    );
    let expected = r#"{"count":{"$":"null","type":"number"},"first":{"$":"null","type":["object",{"hosts":["list","string"],"port":"number"}]},"group":{"$":"set","in":[{"hosts":{"$":"null","type":["list","string"]},"port":1}],"of":["object",{"hosts":["list","string"],"port":"number"}]},"id":{"$":"null","type":"string"},"key":{"$":"marked","in":"k","marks":["sensitive"]},"name":"5","rule":{"$":"list","in":[{"hosts":{"$":"list","in":["web","1"],"of":"string"},"port":80},{"hosts":{"$":"null","type":["list","string"]},"port":81}],"of":["object",{"hosts":["list","string"],"port":"number"}]},"zone":{"$":"map","in":{"a":{"hosts":{"$":"null","type":["list","string"]},"port":2},"b":{"hosts":{"$":"null","type":["list","string"]},"port":3}},"of":["object",{"hosts":["list","string"],"port":"number"}]}}"#;
    assert_eq!(value.map(|value| encode(&value).to_string()), Ok(expected.to_owned()));
    let open =
        block("name = \"a\"\ndynamic \"rule\" {\n for_each = unknown_list\n content {\n port = 1\n }\n}").unwrap();
    assert!(open.get("rule").unwrap().is_unknown());
}

#[test]
fn a_body_is_held_to_its_schema() {
    for (text, expected) in [
        ("", "missing argument \"name\""),
        ("name = null", "argument \"name\" is null [it must have a value] at `null`"),
        (
            "name = [1]",
            "argument \"name\" has the wrong type [a string is required, but this is a tuple of 1 element] at `[1]`",
        ),
        (
            "name = 1\ncount = text",
            "argument \"count\" has the wrong type [a number is required, but \"web\" is none] at `text`\n  The value is \"web\".\n  text is \"web\".",
        ),
        (
            "name = 1\nnmae = 2",
            "unsupported argument or block \"nmae\" [there is none of this name here] at `nmae`\n  Did you mean \"name\"?",
        ),
        ("name = 1\nid = 2", "argument \"id\" cannot be given"),
        ("name = 1\nrule = 2", "\"rule\" is a block: write `rule { … }`."),
        ("name = 1\ncount {}", "\"count\" is an argument: write `count = …`."),
        ("name = 1\nrule {}", "missing argument \"port\""),
        (
            "name = 1\nrule {\n port = 1\n}\nrule {\n port = 1\n}\nrule {\n port = 1\n}",
            "too many \"rule\" blocks [at most 2 blocks of this kind may be given] at `rule`",
        ),
        ("name = 1\nfirst {\n port = 1\n}\nfirst {\n port = 1\n}", "at most one block"),
        ("name = 1\nrule \"x\" {\n port = 1\n}", "wrong number of labels"),
        ("name = 1\nzone {\n port = 1\n}", "a block of this kind needs a label"),
        (
            "name = 1\nzone \"a\" {\n port = 1\n}\nzone \"a\" {\n port = 1\n}",
            "two \"zone\" blocks with the label \"a\"",
        ),
        ("name = 1\ndynamic \"rul\" {\n for_each = []\n content {}\n}", "Did you mean \"rule\"?"),
    ] {
        let error = block(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn every_function_says_what_it_is() {
    for function in functions() {
        assert!(function.description.ends_with('.'), "{}", function.name);
        assert!(function.signature().starts_with(function.name));
        let optional = function.parameters.iter().skip_while(|parameter| !parameter.optional);
        assert!(
            optional.clone().all(|parameter| parameter.optional),
            "{}: optional parameters come last",
            function.name
        );
    }
    assert!(functions().windows(2).all(|pair| pair[0].name < pair[1].name));
}
