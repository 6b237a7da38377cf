//! Whole configurations that nobody wrote: made from a seed, most of them then changed in one or two places, and put to
//! us and to `terraform validate`. `ANDON_ORACLE=all` makes many more, `ANDON_SEED` makes others, and a failure names the
//! seed that makes its configuration again.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::oracle::{ask_all, ours, placed, theirs_placed};

type Files = Vec<(String, String)>;

/// A source of choices (SplitMix64).
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Top-level blocks that are valid beside each other.
const BLOCKS: &[&str] = &[
    "variable \"text\" {\n  type = string\n  default = \"a\"\n  description = \"Text.\"\n}",
    "variable \"number\" {\n  type = number\n  default = 1\n  nullable = false\n  validation {\n    condition = var.number > 0\n    error_message = \"More.\"\n  }\n}",
    "variable \"names\" {\n  type = list(string)\n  default = [\"a\", \"b\"]\n}",
    "variable \"keyed\" {\n  type = map(object({\n    size = optional(number, 1)\n    tags = optional(map(string), {})\n  }))\n  default = {}\n}",
    "variable \"any\" {\n  type = any\n  default = null\n}",
    "variable \"secret\" {\n  type = string\n  sensitive = true\n  default = \"x\"\n}",
    "variable \"passing\" {\n  type = string\n  ephemeral = true\n  default = \"x\"\n}",
    "locals {\n  one = 1\n  text = \"${var.text}-${local.one}\"\n  list = [for name in var.names : upper(name)]\n  map = { for key, value in var.keyed : key => value.size if value.size > 0 }\n}",
    "locals {\n  nested = { a = { b = [1, 2] } }\n  merged = merge(local.map, { z = 3 })\n  tried = try(local.nested.a.c, var.any, null)\n  chosen = var.number > 1 ? \"x\" : null\n}",
    "resource \"terraform_data\" \"one\" {\n  input = local.text\n  triggers_replace = [var.number]\n  lifecycle {\n    create_before_destroy = true\n    ignore_changes = [input]\n    precondition {\n      condition = var.number > 0\n      error_message = \"More.\"\n    }\n    postcondition {\n      condition = self.output != null\n      error_message = \"None.\"\n    }\n  }\n}",
    "resource \"terraform_data\" \"many\" {\n  count = 2\n  input = \"${count.index}-${var.text}\"\n  depends_on = [terraform_data.one]\n}",
    "resource \"terraform_data\" \"keyed\" {\n  for_each = var.keyed\n  input = \"${each.key}-${each.value.size}\"\n  lifecycle {\n    replace_triggered_by = [terraform_data.one.output]\n  }\n}",
    "resource \"terraform_data\" \"set\" {\n  for_each = toset(var.names)\n  input = each.value\n}",
    "resource \"terraform_data\" \"run\" {\n  provisioner \"local-exec\" {\n    command = \"echo ${self.id}\"\n    when = destroy\n    on_failure = continue\n  }\n  provisioner \"remote-exec\" {\n    inline = [\"true\"]\n    connection {\n      host = \"127.0.0.1\"\n      user = var.text\n    }\n  }\n  connection {\n    type = \"ssh\"\n    host = \"127.0.0.2\"\n  }\n}",
    "data \"terraform_remote_state\" \"other\" {\n  backend = \"local\"\n  config = {\n    path = \"x.tfstate\"\n  }\n  defaults = { a = 1 }\n}",
    "module \"plain\" {\n  source = \"./m\"\n  given = local.text\n}",
    "module \"many\" {\n  source = \"./m\"\n  for_each = toset([\"a\", \"b\"])\n  given = each.key\n  depends_on = [terraform_data.one]\n}",
    "output \"one\" {\n  value = terraform_data.one.output\n  description = \"One.\"\n  precondition {\n    condition = length(var.names) > 0\n    error_message = \"None.\"\n  }\n}",
    "output \"many\" {\n  value = terraform_data.many[*].id\n}",
    "output \"keyed\" {\n  value = { for key, it in terraform_data.keyed : key => it.id }\n}",
    "output \"secret\" {\n  value = var.secret\n  sensitive = true\n}",
    "output \"module\" {\n  value = [module.plain.text, module.many[\"a\"].text]\n}",
    "moved {\n  from = terraform_data.old\n  to = terraform_data.one\n}",
    "removed {\n  from = terraform_data.gone\n  lifecycle {\n    destroy = false\n  }\n}",
    "import {\n  to = terraform_data.set[\"a\"]\n  id = \"x\"\n}",
    "check \"health\" {\n  data \"terraform_remote_state\" \"scoped\" {\n    backend = \"local\"\n  }\n  assert {\n    condition = data.terraform_remote_state.scoped.outputs != null\n    error_message = \"None: ${var.text}\"\n  }\n}",
    "terraform {\n  required_version = \">= 1.5\"\n  backend \"local\" {\n    path = \"x.tfstate\"\n  }\n}",
    "output \"path\" {\n  value = \"${path.module}/${terraform.workspace}\"\n}",
    "output \"text\" {\n  value = <<-EOT\n    %{ for name in var.names ~}\n    - ${name}\n    %{ endfor ~}\n  EOT\n}",
];

/// The blocks that the others need: they are always there.
const NEEDED: usize = 22;

const MODULE: &str = "variable \"given\" {\n  type = string\n}\nvariable \"spare\" {\n  type = number\n  default = 1\n}\nresource \"terraform_data\" \"inner\" {\n  input = var.given\n}\noutput \"text\" {\n  value = var.given\n}\n";

const REFERENCES: &[&str] = &[
    "var.text",
    "var.number",
    "var.names",
    "var.keyed",
    "var.any",
    "var.secret",
    "var.passing",
    "var.nope",
    "local.text",
    "local.list",
    "local.map",
    "local.nested",
    "local.nope",
    "terraform_data.one",
    "terraform_data.one.id",
    "terraform_data.one.nope",
    "terraform_data.one[0]",
    "terraform_data.nope",
    "module.plain.text",
    "module.plain.nope",
    "module.many[\"a\"].text",
    "module.nope.text",
    "data.terraform_remote_state.other",
    "data.terraform_remote_state.other.outputs.a",
    "data.terraform_remote_state.nope",
    "self.id",
    "each.key",
    "each.value",
    "count.index",
    "path.module",
    "path.nope",
    "terraform.workspace",
    "terraform.nope",
    "self.nope",
    "nope",
];

const LITERALS: &[&str] = &[
    "1",
    "-1",
    "1.5",
    "\"a\"",
    "\"\"",
    "true",
    "null",
    "[]",
    "{}",
    "[1, \"a\"]",
    "{ a = 1 }",
    "\"${1}\"",
    "all",
    "string",
    "list(string)",
    "1 + 1",
    "upper(\"a\")",
    "nope(1)",
    "[for x in [1] : x]",
    "toset([\"a\"])",
    "\"x\" == 1",
    "!true",
    "length([1])",
    "sensitive(\"a\")",
    "ephemeralasnull(1)",
    "file(\"nope\")",
    "[null]",
    "tomap({ a = 1 })",
    "-\"a\"",
];

const ARGUMENTS: &[&str] = &[
    "count",
    "for_each",
    "depends_on",
    "provider",
    "providers",
    "lifecycle",
    "source",
    "version",
    "input",
    "value",
    "type",
    "default",
    "sensitive",
    "ephemeral",
    "nullable",
    "description",
    "condition",
    "error_message",
    "from",
    "to",
    "id",
    "nope",
    "triggers_replace",
    "command",
    "when",
    "host",
    "ignore_changes",
    "prevent_destroy",
    "alias",
    "given",
    "spare",
    "backend",
    "config",
    "output",
    "required_version",
    "on_failure",
    "destroy",
    "create_before_destroy",
    "deprecated",
];

const INNER: &[&str] = &[
    "lifecycle {\n}",
    "lifecycle {\n  prevent_destroy = true\n}",
    "lifecycle {\n  ignore_changes = all\n}",
    "provisioner \"local-exec\" {\n  command = \"true\"\n}",
    "connection {\n  host = \"x\"\n}",
    "timeouts {\n}",
    "validation {\n  condition = true\n  error_message = \"x\"\n}",
    "precondition {\n  condition = var.number > 0\n  error_message = \"x\"\n}",
    "dynamic \"nope\" {\n  for_each = []\n  content {}\n}",
    "nope {\n}",
    "nope \"x\" {\n}",
    "content {\n}",
    "assert {\n}",
    "lifecycle {\n  postcondition {\n    condition = self.id != \"\"\n    error_message = \"x\"\n  }\n}",
    "_ {\n}",
    "locals {\n}",
];

/// A configuration of some blocks, in several files.
fn whole(choices: &mut Choices) -> Files {
    let mut files: Files = vec![("main.tf".into(), String::new()), ("other.tf".into(), String::new())];
    for (at, block) in BLOCKS.iter().enumerate() {
        if at < NEEDED || choices.below(3) > 0 {
            let file = choices.below(2);
            files[file].1.push_str(&format!("{block}\n"));
        }
    }
    files.push(("m/main.tf".into(), MODULE.into()));
    match choices.below(6) {
        0 => files.push((
            "a_override.tf".into(),
            "variable \"text\" {\n  default = \"b\"\n}\nresource \"terraform_data\" \"one\" {\n  input = 2\n}\n".into(),
        )),
        1 => files.push(("terraform.tfvars".into(), "text = \"c\"\nnumber = 2\n".into())),
        2 => files.push((
            "more.tf.json".into(),
            r#"{"locals": {"json": "${var.text}"}, "output": {"json": {"value": "${local.json}"}}}"#.into(),
        )),
        _ => {}
    }
    files
}

/// Changes one place of one file, mostly for the worse.
fn change(files: &mut Files, choices: &mut Choices) {
    // The values of a `*.tfvars` file are read by us alone, and of an override file much is never looked at by the other.
    let at = choices.below(3);
    let mut lines: Vec<String> = files[at].1.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return;
    }
    let line = choices.below(lines.len());
    let value = |choices: &mut Choices| match choices.below(2) {
        0 => choices.one(REFERENCES),
        _ => choices.one(LITERALS),
    };
    match choices.below(12) {
        0 => drop(lines.remove(line)),
        1 => lines.insert(line, lines[line].clone()),
        2 => {
            let other = choices.below(lines.len());
            lines.swap(line, other);
        }
        // Another value, or another name, in the next line that has one.
        3..=6 => {
            if let Some(line) = lines.iter_mut().skip(line).find(|line| line.contains(" = ")) {
                let (name, old) = line.split_once(" = ").expect("both sides");
                *line = match choices.below(4) {
                    0 => format!("  {} = {old}", choices.one(ARGUMENTS)),
                    _ => format!("{name} = {}", value(choices)),
                };
            }
        }
        7 | 8 => {
            if let Some(line) = (line..lines.len()).find(|line| lines[*line].ends_with('{')) {
                let more = match choices.below(2) {
                    0 => format!("  {} = {}", choices.one(ARGUMENTS), value(choices)),
                    _ => choices.one(INNER).to_owned(),
                };
                lines.insert(line + 1, more);
            }
        }
        // Other labels.
        9 => {
            if let Some(line) = lines.iter_mut().skip(line).find(|line| line.contains("\" {")) {
                let labels: Vec<&str> = line.split('"').collect();
                let names =
                    ["one", "many", "text", "a b", "", "1a", "nope", "terraform_data", "for_each", "local-exec"];
                let word = labels[0].trim();
                *line = match choices.below(4) {
                    0 => format!("{word} {{"),
                    1 => format!("{word} \"{}\" {{", choices.one(&names)),
                    _ => format!("{word} \"{}\" \"{}\" {{", labels[1], choices.one(&names)),
                };
            }
        }
        // Another reference inside of an expression.
        10 => {
            if let Some(line) = lines.iter_mut().skip(line).find(|line| line.contains("var.")) {
                let (before, after) = line.split_once("var.").expect("both sides");
                let rest = after.trim_start_matches(|it: char| it.is_alphanumeric() || it == '_');
                *line = format!("{before}{}{rest}", choices.one(REFERENCES));
            }
        }
        _ => {
            let signs = ["{", "}", "[", "]", "(", ")", "\"", ",", "=", "${", "%{", "*", ".", "?", ":", "..."];
            let text = lines[line].clone();
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            lines[line].insert_str(places[choices.below(places.len())], choices.one(&signs));
        }
    }
    files[at].1 = lines.join("\n") + "\n";
}

fn made(seed: u64) -> Files {
    let mut choices = Choices(seed);
    let mut files = whole(&mut choices);
    for _ in 0..[0, 1, 1, 1, 1, 2, 2, 3][choices.below(8)] {
        change(&mut files, &mut choices);
    }
    files
}

/// What is an error to us alone, each for its reason in `docs/terraform-differences.md`.
const OURS_ALONE: &[&str] = &[
    "needs itself",
    "gives out a secret",
    "is moved",
    "are moved",
    "removed, and still defined",
    "no attribute",
    "invalid index",
    "is no module",
    "of a stack cannot be ephemeral",
    "is only there in a block with",
    "a condition must be true or false",
];

#[test]
fn what_is_generated_is_valid_before_it_is_changed() {
    for seed in 0..50 {
        let files = whole(&mut Choices(seed));
        let (valid, said, _) = ours(&files);
        assert!(valid, "{seed}: {said}");
    }
}

#[test]
fn generated_configurations_are_judged_as_terraform_judges_them() {
    if theirs_placed(&[]).is_none() {
        println!("skipped: no terraform on this machine");
        return;
    }
    let all = std::env::var_os("ANDON_ORACLE").is_some();
    let first: u64 = std::env::var("ANDON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let count =
        std::env::var("ANDON_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(if all { 1500 } else { 40 });
    let seeds: Vec<u64> = (first..first + count).collect();
    let (invalid, together) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = ask_all(&seeds, |seed| {
        let files = made(*seed);
        let (valid, said, _) = ours(&files);
        let (their_verdict, their_places, they_said) = theirs_placed(&files)?;
        let our_places = placed(&files);
        if !valid && !their_verdict {
            invalid.fetch_add(1, Ordering::Relaxed);
            if their_places.is_empty() || their_places.iter().any(|place| our_places.contains(place)) {
                together.fetch_add(1, Ordering::Relaxed);
            } else if std::env::var_os("ANDON_PLACES").is_some() {
                println!("ANDON_SEED={seed}: other places\n{said}\n  they: {their_places:?}\n{they_said}");
            }
            return None;
        }
        let errors = said.lines().filter(|line| !line.starts_with("  ") && !line.contains(" warning: "));
        // In a block that an override file changes, Terraform overlooks what means nothing.
        let overridden = files.iter().any(|(path, _)| path == "a_override.tf");
        let overlooked = |error: &str| overridden && error.contains("unsupported argument");
        let on_purpose = their_verdict
            && errors.clone().all(|error| overlooked(error) || OURS_ALONE.iter().any(|words| error.contains(words)));
        (valid != their_verdict && !on_purpose).then(|| {
            let text: String = files.iter().map(|(path, text)| format!("--- {path}\n{text}")).collect();
            let text = if std::env::var_os("ANDON_BRIEF").is_some() { String::new() } else { text };
            format!("ANDON_SEED={seed} ANDON_COUNT=1\n{text}\nwe say:\n{said}\nthey say:\n{they_said}")
        })
    });
    let (invalid, together) = (invalid.into_inner(), together.into_inner());
    println!("{count} configurations; {invalid} invalid to both, {together} of them in a common line");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
