//! Definitions that nest deeply, and chains that are long, on a small stack: nothing overflows, in a debug build, either.

use std::process::Command;

use crate::support::{ANDON, Project, Ran};

/// How deep things nest here: less than the parser's limit.
const DEEP: usize = 900;
const LONG: usize = 10_000;

/// Runs the binary with 2 MiB for its stack; it must come to an end of its own.
#[track_caller]
fn ends(project: &Project, words: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -s 2048; exec \"$0\" \"$@\"", ANDON]).args(words).current_dir(&project.directory);
    command.env("NO_COLOR", "1").env("RUST_MIN_STACK", "2097152").env("HOME", &project.directory);
    let output = command.env("ANDON_DATA_DIR", &project.data_dir).output().unwrap();
    let ran = Ran::new(words, &output, std::time::Duration::ZERO);
    let last = ran.err.lines().last().unwrap_or_default();
    assert!(
        ran.code.is_some_and(|code| code < 4),
        "{}: andon {words:?} ended with {:?}: {last}",
        project.directory.display(),
        ran.code
    );
    ran
}

#[track_caller]
fn all_commands_end(name: &str, files: &[(&str, String)]) {
    let project = Project::empty(name);
    files.iter().for_each(|(path, text)| project.write(path, text));
    for words in [&["check"][..], &["plan"], &["docs"], &["graph"], &["fmt", "-check"]] {
        ends(&project, words);
    }
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

fn nests() -> Vec<String> {
    [
        ("(", ")", DEEP),
        ("[", "]", DEEP),
        ("{ a = ", " }", DEEP),
        ("tolist(", ")", DEEP),
        ("merge({ a = ", " })", DEEP / 2),
        ("\"${", "}\"", DEEP / 2),
        ("local.o[", "]", DEEP),
        ("true ? ", " : 1", DEEP),
        ("[for x in [1] : ", "]", DEEP),
        ("{ for x in [1] : x => ", " }", DEEP),
    ]
    .map(|(open, close, levels)| nested(open, close, levels))
    .into()
}

fn chains() -> Vec<String> {
    [
        ("", "1 + ", "1"),
        ("", "true && ", "true"),
        ("", "true ? 1 : ", "2"),
        ("local.o", ".a", ""),
        ("local.o", "[0]", ""),
        // Each makes a tuple of what is before it: the value nests as deep.
        ("local.o", "[*]", ""),
        ("", "!", "true"),
        ("", "-", "1"),
        ("\"", "a${1}", "\""),
        ("\"", "%{ if true }b%{ endif }", "\""),
        ("[", "1, ", "]"),
        ("max(", "1, ", "1)"),
    ]
    .map(|(before, link, after)| format!("{before}{}{after}", link.repeat(LONG)))
    .into()
}

fn stack(expressions: &[String]) -> String {
    let each = expressions.iter().enumerate().map(|(at, expression)| {
        format!(
            "locals {{\n  v{at} = {expression}\n}}\noutput \"o{at}\" {{ value = local.v{at} }}\n\
             resource \"terraform_data\" \"r{at}\" {{ input = local.v{at} }}\n"
        )
    });
    format!("locals {{\n  o = {{}}\n}}\n{}", each.collect::<String>())
}

fn role(expressions: &[String]) -> String {
    let each = expressions.iter().enumerate().map(|(at, expression)| {
        format!("  param \"p{at}\" {{\n    default = {expression}\n  }}\n  file \"/{at}\" {{\n    content = {expression}\n  }}\n")
    });
    format!("role \"a\" {{\n{}}}\n", each.collect::<String>())
}

#[test]
fn expressions() {
    for (name, all) in [("deep-nests", nests()), ("deep-chains", chains())] {
        all_commands_end(name, &[("main.tf", stack(&all))]);
        // One that is right by itself is carried further than one beside errors.
        all_commands_end(name, &[("main.tf", stack(&[all.last().unwrap().clone()]))]);
        all_commands_end(name, &[("andon.hcl", "project \"p\" {}\n".into()), ("roles/a.role.hcl", role(&all))]);
    }
    // The side that is not taken has a type, although it has no value.
    let failing =
        |open: &str, close: &str| format!("true ? 1 : {}", nested(open, close, DEEP).replacen('1', "upper([])", 1));
    let failing = [failing("[", "]"), failing("{ a = ", " }"), failing("(", ")")];
    all_commands_end("deep-failing", &[("main.tf", stack(&failing))]);
    all_commands_end("deep-splat", &[("main.tf", stack(&[format!("local.o{}", "[*]".repeat(LONG))]))]);
}

#[test]
fn types_and_values() {
    let ty = |open: &str, close: &str, levels| nested(open, close, levels).replacen('1', "string", 1);
    let types = [
        ty("list(", ")", DEEP),
        ty("tuple([", "])", DEEP / 2 - 1),
        ty("object({ a = ", " })", DEEP / 2 - 1),
        ty("object({ a = optional(", ") })", DEEP / 3 - 1),
    ];
    let variables: String = types
        .iter()
        .enumerate()
        .map(|(at, ty)| format!("variable \"t{at}\" {{\n  type = {ty}\n}}\noutput \"t{at}\" {{ value = var.t{at} }}\n"))
        .collect();
    let plain = "variable \"a\" {}\nvariable \"b\" { type = any }\noutput \"a\" { value = [var.a, var.b] }\n";
    let values = format!(
        "a  = {}\nb  = {}\nt0 = {}\nt1 = null\nt2 = {}\nt3 = {{}}\n",
        nested("[", "]", DEEP),
        nested("{ a = ", " }", DEEP),
        nested("[", "]", DEEP),
        nested("{ a = ", " }", DEEP / 2 - 1),
    );
    all_commands_end("deep-types", &[("main.tf", format!("{plain}{variables}")), ("terraform.tfvars", values)]);
    let json = format!("{{\"a\":{},\"b\":{}}}", nested("[", "]", DEEP), nested("{\"a\":", "}", DEEP));
    all_commands_end("deep-json-values", &[("main.tf", plain.into()), ("terraform.tfvars.json", json)]);
    let json = format!(
        "{{\"locals\":{{\"v\":{},\"w\":{}}},\"output\":{{\"o\":{{\"value\":\"${{[local.v, local.w]}}\"}}}}}}",
        nested("{\"a\":", "}", DEEP),
        nested("[\"${1}\",", "]", DEEP),
    );
    all_commands_end("deep-json", &[("main.tf.json", json)]);
    let decoded = format!(
        "locals {{\n  v = {deep}\n  j = jsondecode(jsonencode(local.v))\n  y = yamldecode(\"{deep}\")\n  f = flatten(local.v)\n  \
         s = sensitive(local.v)\n  e = yamlencode(local.v)\n}}\n\
         output \"o\" {{ value = [local.j == local.v, local.y == local.v, local.f, nonsensitive(local.s), length(local.e)] }}\n",
        deep = nested("[", "]", DEEP),
    );
    all_commands_end("deep-functions", &[("main.tf", decoded)]);
}

#[test]
fn blocks() {
    let dynamic = |kind: &str| {
        let open = "dynamic \"a\" {\nfor_each = [1]\ncontent {\n".repeat(DEEP / 2 - 2);
        format!("resource \"{kind}\" \"r\" {{\n{open}{}}}\n", "}\n}\n".repeat(DEEP / 2 - 2))
    };
    let plain = format!("resource \"other_x\" \"s\" {{\n{}{}}}\n", "a {\n".repeat(DEEP), "}\n".repeat(DEEP));
    for text in [dynamic("terraform_data"), dynamic("other_x"), plain] {
        all_commands_end("deep-blocks", &[("main.tf", text)]);
    }
}
