//! What is said of a project before anything is asked of the world.

use andon_lang::{check as check_project, load};

use crate::schemas::schemas;
use crate::{files, render, render_all};

fn said(given: &str, all: bool) -> String {
    let (project, mut diagnostics) = load(files(given), "shop");
    diagnostics.extend(check_project(&project, &schemas()));
    if all { render_all(&diagnostics, &project.sources) } else { render(&diagnostics, &project.sources) }
}

fn check(given: &str, expected: &str) {
    assert_eq!(said(given, false).trim(), expected.trim(), "{given}");
}

/// One `main.tf` in the project's own directory.
fn check_tf(given: &str, expected: &str) {
    let given = format!("== main.tf\n{given}\n== hello.txt\nhello\n");
    assert_eq!(said(&given, false).replace("main.tf:", "").trim(), expected.trim(), "{given}");
}

/// Everything that is said, helps and details too, holds each of the words.
fn check_words(given: &str, words: &[&str]) {
    let said = said(given, true);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
}

#[test]
fn resources_against_their_schemas() {
    for (given, expected) in [
        ("resource \"lab_network\" \"a\" {}", ""),
        ("resource \"lab_netwrok\" \"a\" {}", "1:1 unknown resource type \"lab_netwrok\""),
        (
            "resource \"lab_netwrok\" \"a\" {}\noutput \"x\" { value = lab_network.a.id }",
            "1:1 unknown resource type \"lab_netwrok\"",
        ),
        ("resource \"aws_instance\" \"a\" {}", ""),
        ("resource \"aws_instance\" \"a\" {\n  lifcycle {}\n}", "2:3 warning: \"lifcycle\" may be misspelt"),
        ("resource \"lab_instance\" \"a\" {}", "1:1 unknown resource type \"lab_instance\""),
        ("data \"andon_stak\" \"a\" {}", "1:1 unknown data source \"andon_stak\""),
        ("resource \"lab_network\" \"a\" {\n  nam = 1\n}", "2:3 unsupported argument or block \"nam\""),
        ("resource \"lab_network\" \"a\" {\n  id = \"x\"\n}", "2:3 argument \"id\" cannot be given"),
        ("resource \"lab_balancer\" \"a\" {}", "1:1 missing argument \"listen\""),
        ("resource \"lab_balancer\" \"a\" {\n  listen = [1]\n}", "2:12 argument \"listen\" has the wrong type"),
        (
            "resource \"lab_server\" \"a\" {\n  name = \"x\"\n  image = \"y\"\n  cpus = \"many\"\n}",
            "4:10 argument \"cpus\" has the wrong type",
        ),
        (
            "resource \"lab_server\" \"a\" {\n  name = \"x\"\n  image = \"y\"\n  disk {}\n}",
            "4:9 missing argument \"size\"",
        ),
        (
            "resource \"lab_server\" \"a\" {\n  name = \"x\"\n  image = \"y\"\n  dsk { size = 1 }\n}",
            "4:3 unsupported argument or block \"dsk\"",
        ),
        (
            "resource \"lab_server\" \"a\" {\n  name = \"x\"\n  image = \"y\"\n  dynamic \"disk\" {\n    for_each = [1, 2]\n    content { size = disk.value }\n  }\n}",
            "",
        ),
        (
            "resource \"lab_server\" \"a\" {\n  name = \"x\"\n  image = \"y\"\n  dynamic \"disk\" {\n    for_each = [1, 2]\n    content { size = dsk.value }\n  }\n}",
            "6:22 \"dsk\" means nothing here",
        ),
        ("resource \"terraform_data\" \"a\" { input = upper(1, 2) }", "1:50 wrong number of arguments of \"upper\""),
        ("resource \"terraform_data\" \"a\" { input = uper(\"x\") }", "1:41 no function \"uper\""),
        ("resource \"terraform_data\" \"a\" { input = 1 + \"x\" }", "1:45 unsuitable operand of \"+\""),
        ("resource \"terraform_data\" \"a\" { input = file(\"hello.txt\") }", ""),
        (
            "resource \"terraform_data\" \"a\" { input = file(\"helo.txt\") }",
            "1:46 invalid argument \"path\" of \"file\"",
        ),
        ("resource \"terraform_data\" \"a\" { input = file(\"${path.module}/hello.txt\") }", ""),
        (
            "resource \"lab_network\" \"a\" {\n  lifecycle { ignore_changes = [nmae, name] }\n}",
            "2:33 lab_network has no argument \"nmae\"",
        ),
        ("resource \"lab_network\" \"a\" {\n  lifecycle { ignore_changes = all }\n}", ""),
        (
            "resource \"lab_network\" \"a\" {\n  lifecycle {\n    precondition {\n      condition = 3\n      error_message = \"x\"\n    }\n  }\n}",
            "4:19 a condition must be true or false",
        ),
        (
            "resource \"lab_network\" \"a\" {\n  lifecycle {\n    postcondition {\n      condition = self.id != \"\"\n      error_message = \"x\"\n    }\n  }\n}",
            "",
        ),
    ] {
        check_tf(given, expected);
    }
}

#[test]
fn references() {
    const SERVER: &str = "variable \"n\" { type = number }\nvariable \"o\" { type = object({ a = string }) }\nresource \"lab_server\" \"web\" {\n  count = var.n\n  name = \"web-${count.index}\"\n  image = \"x\"\n}\nresource \"lab_network\" \"app\" {}\nlocals { a = 1 }\n== x.auto.tfvars\nn = 1\no = { a = \"x\" }\n== out.tf\n";
    for (given, expected) in [
        ("var.n", ""),
        ("var.m", "there is no variable \"m\""),
        ("var.o.a", ""),
        ("var.o.b", "no attribute \"b\""),
        ("local.a", ""),
        ("local.b", "there is no local \"b\""),
        ("lab_network.app.id", ""),
        ("lab_network.ap.id", "there is no resource \"lab_network.ap\""),
        ("lab_netwrk.app.id", "there is no resource \"lab_netwrk.app\""),
        ("lab_network.app.idd", "no attribute \"idd\""),
        ("lab_network.app[0].id", "lab_network.app has no instances to pick from"),
        ("try(lab_network.app[0].id, \"\")", "lab_network.app has no instances to pick from"),
        ("lab_server.web[0].address", ""),
        ("lab_server.web[0].addres", "no attribute \"addres\""),
        ("lab_server.web.address", "lab_server.web has many instances, and this reads of one"),
        ("lab_server.web[*].address", ""),
        ("lab_server.web[*].addres", "no attribute \"addres\""),
        ("[for s in lab_server.web : s.address]", ""),
        ("[for s in lab_server.web : s.addres]", "no attribute \"addres\""),
        ("{ for i, s in lab_server.web : i => s.connection.adress }", "no attribute \"adress\""),
        ("[for s in lab_server.web : [for t in [s] : t.addres]]", "no attribute \"addres\""),
        ("[for s in lab_server.web : var.nope]", "there is no variable \"nope\""),
        ("lab_server.web[0].connection.address", ""),
        ("module.x.y", "there is no module \"x\""),
        ("data.andon_stack.x.outputs", "there is no data source \"data.andon_stack.x\""),
        ("count.index", "\"count\" is only there in a block with \"count\""),
        ("each.key", "\"each\" is only there in a block with \"for_each\""),
        ("self.id", "\"self\" means nothing here"),
        ("path.module", ""),
        ("path.modul", "there is no path \"modul\""),
        ("terraform.workspace", ""),
        ("terraform.workspce", "there is no terraform attribute \"workspce\""),
        ("nothing", "\"nothing\" means nothing here"),
        ("var", "\"var\" alone is no value"),
        ("[var.p, var.q]", "there is no variable \"p\"\nthere is no variable \"q\""),
        ("var.n > 0 ? var.p : var.q", "there is no variable \"p\"\nthere is no variable \"q\""),
    ] {
        let text = format!("== main.tf\n{SERVER}output \"x\" {{\n  value = {given}\n}}");
        let said = said(&text, false);
        let summaries: Vec<&str> =
            said.lines().filter_map(|line| line.split_once(' ')).map(|(_, summary)| summary).collect();
        assert_eq!(summaries.join("\n"), expected, "{given}\n{said}");
    }
}

#[test]
fn repetition() {
    for (given, expected) in [
        ("resource \"lab_network\" \"a\" {\n  count = \"x\"\n}", "2:11 \"count\" takes a whole number"),
        ("resource \"lab_network\" \"a\" {\n  count = -1\n}", "2:11 \"count\" takes a whole number"),
        ("resource \"lab_network\" \"a\" {\n  count = 1.5\n}", "2:11 \"count\" takes a whole number"),
        ("resource \"lab_network\" \"a\" {\n  count = null\n}", "2:11 \"count\" takes a whole number"),
        (
            "resource \"lab_network\" \"a\" {\n  for_each = [\"a\"]\n}",
            "2:14 \"for_each\" takes a map, or a set of strings",
        ),
        ("resource \"lab_network\" \"a\" {\n  for_each = toset([\"a\"])\n  name = each.key\n}", ""),
        ("resource \"lab_network\" \"a\" {\n  for_each = { a = { n = \"x\" } }\n  name = each.value.n\n}", ""),
        (
            "resource \"lab_network\" \"a\" {\n  for_each = { a = { n = \"x\" } }\n  name = each.value.m\n}",
            "3:21 no attribute \"m\"",
        ),
        (
            "resource \"lab_network\" \"a\" {\n  for_each = toset([\"a\"])\n  name = each.vlue\n}",
            "3:10 there is no each attribute \"vlue\"",
        ),
        (
            "resource \"lab_network\" \"a\" {\n  count = 1\n  name = count.indx\n}",
            "3:10 there is no count attribute \"indx\"",
        ),
        (
            "resource \"lab_network\" \"a\" {\n  depends_on = [lab_network.b]\n}",
            "2:17 there is no resource \"lab_network.b\"",
        ),
        (
            "resource \"lab_network\" \"a\" {\n  depends_on = [\"lab_network.b\"]\n}",
            "2:17 warning: quoted references are an old form\n2:17 there is no resource \"lab_network.b\"",
        ),
        ("resource \"lab_network\" \"a\" {\n  depends_on = [1]\n}", "2:17 \"depends_on\" lists resources and modules"),
        (
            "resource \"lab_network\" \"a\" {\n  for_each = toset([\"a\"])\n}\noutput \"x\" { value = lab_network.a[\"a\"].id }",
            "",
        ),
    ] {
        check_tf(given, expected);
    }
}

#[test]
fn circles() {
    for (given, expected) in [
        ("locals { a = local.a }", "1:14 local.a needs itself"),
        ("locals {\n  a = local.b\n  b = local.a\n}", "2:7 these need each other in a circle"),
        ("locals {\n  a = local.b\n  b = local.a\n  c = local.a\n}", "2:7 these need each other in a circle"),
        ("resource \"lab_network\" \"a\" {\n  name = lab_network.a.id\n}", "2:10 lab_network.a needs itself"),
        (
            "resource \"lab_network\" \"a\" {\n  name = lab_network.b.id\n}\nresource \"lab_network\" \"b\" {\n  depends_on = [lab_network.a]\n}",
            "2:10 these need each other in a circle",
        ),
        // Through a module: a circle only where the values really go in one.
        (
            "module \"a\" {\n  source = \"./a\"\n  x = module.a.y\n}\n== a/main.tf\nvariable \"x\" {}\noutput \"y\" { value = var.x }",
            "3:7 these need each other in a circle",
        ),
        (
            "module \"a\" {\n  source = \"./a\"\n  x = module.a.z\n}\n== a/main.tf\nvariable \"x\" {}\noutput \"y\" { value = var.x }\noutput \"z\" { value = 1 }",
            "",
        ),
    ] {
        // The place that a circle is told from is its own business; that it is told once is not.
        let given = format!("== main.tf\n{given}\n");
        let said = said(&given, false).replace("main.tf:", "");
        let summary = |text: &str| text.split_once(' ').map(|(_, summary)| summary.to_owned());
        assert_eq!(summary(said.trim()), summary(expected), "{given}\n{said}");
    }
    check_words(
        "== main.tf\nlocals {\n  a = local.b\n  b = local.c\n  c = local.a\n}\n",
        &[
            "local.a → local.b → local.c → local.a.",
            "main.tf:3:7: local.b needs local.c",
            "main.tf:4:7: local.c needs local.a",
        ],
    );
    let stacks = "== stacks/a/main.tf\ndata \"andon_stack\" \"x\" { name = \"b\" }\noutput \"o\" { value = data.andon_stack.x.outputs.o }\n== stacks/b/main.tf\ndata \"andon_stack\" \"x\" { name = \"a\" }\noutput \"o\" { value = data.andon_stack.x.outputs.o }\n";
    check(stacks, "stacks/a/main.tf:1:33 stacks read from each other in a circle");
    check_words(stacks, &["stack a → stack b → stack a."]);
}

#[test]
fn modules() {
    const INNER: &str = "\n== a/main.tf\nvariable \"n\" { type = number }\nvariable \"s\" { default = \"x\" }\noutput \"o\" { value = var.n }\n";
    for (given, expected) in [
        ("module \"a\" {\n  source = \"./a\"\n  n = 1\n}\noutput \"x\" { value = module.a.o }", ""),
        ("module \"a\" {\n  source = \"./a\"\n}", "1:1 missing argument \"n\""),
        ("module \"a\" {\n  source = \"./a\"\n  n = 1\n  m = 2\n}", "4:3 unsupported argument \"m\""),
        ("module \"a\" {\n  source = \"./a\"\n  n = \"x\"\n}", "3:7 variable \"n\" has a value of the wrong type"),
        (
            "module \"a\" {\n  source = \"./a\"\n  n = 1\n}\noutput \"x\" { value = module.a.p }",
            "5:31 there is no output \"p\" in module \"a\"",
        ),
        ("module \"a\" {\n  source = \"./a\"\n  n = 1\n  count = 2\n}\noutput \"x\" { value = module.a[0].o }", ""),
        (
            "module \"a\" {\n  source = \"./a\"\n  n = count.index\n  count = 2\n}\noutput \"x\" { value = module.a[*].o }",
            "",
        ),
        (
            "module \"a\" {\n  source = \"./a\"\n  n = each.value\n  for_each = { x = 1 }\n}\noutput \"x\" { value = module.a[\"x\"].p }",
            "6:36 there is no output \"p\" in module \"a\"",
        ),
        // What a module that is not there would give is not complained about.
        (
            "module \"a\" {\n  source = \"./b\"\n  n = 1\n}\noutput \"x\" { value = module.a.p.q }",
            "2:12 there is no module in \"./b\"",
        ),
    ] {
        let given = format!("== main.tf\n{given}{INNER}");
        assert_eq!(said(&given, false).replace("main.tf:", "").trim(), expected, "{given}");
    }
}

#[test]
fn stacks_read_from_stacks() {
    const NETWORK: &str = "== stacks/network/main.tf\noutput \"app\" { value = 1 }\n== stacks/web/main.tf\n";
    for (given, expected) in [
        (
            "data \"andon_stack\" \"n\" { name = \"network\" }\noutput \"x\" { value = data.andon_stack.n.outputs.app }",
            "",
        ),
        (
            "data \"andon_stack\" \"n\" { name = \"network\" }\noutput \"x\" { value = data.andon_stack.n.outputs[\"app\"] }",
            "",
        ),
        (
            "data \"andon_stack\" \"n\" { name = \"network\" }\noutput \"x\" { value = data.andon_stack.n.outputs.ap }",
            "2:49 there is no output \"ap\" in stack \"network\"",
        ),
        (
            "data \"andon_stack\" \"n\" { name = \"netwrk\" }\noutput \"x\" { value = data.andon_stack.n.outputs.ap }",
            "1:33 there is no stack \"netwrk\"",
        ),
        ("data \"andon_stack\" \"n\" { name = \"web\" }", "1:33 stack web needs itself"),
    ] {
        let given = format!("{NETWORK}{given}");
        assert_eq!(said(&given, false).replace("stacks/web/main.tf:", "").trim(), expected, "{given}");
    }
}

#[test]
fn outputs_of_images_are_written_to_places_of_their_own() {
    let told = "two outputs are written to one place";
    for (one, other, place) in [
        ("archive\" { path = \"out/x.tar\"", "oci\" { path = \"./out/../out//x.tar\"", Some("out/x.tar")),
        ("directory\" { path = \"out/x\"", "directory\" { path = \"out/x/\"", Some("out/x")),
        ("oci\" { path = \"x.tar\"", "oci\" { path = \"x.tar\"", Some("x.tar")),
        ("directory\" { path = \"out/x\"", "oci\" { path = \"out/x\"", Some("out/x")),
        ("disk\" {", "disk\" { path = \"a.qcow2\"", Some("a.qcow2")),
        ("archive\" { path = \"/out/x.tar\"", "archive\" { path = \"out/x.tar\"", None),
        ("archive\" { path = \"../x.tar\"", "archive\" { path = \"x.tar\"", None),
        ("disk\" { format = \"raw\"", "disk\" { path = \"a.qcow2\"", None),
        ("oci\" { push = [\"r.example/a:1\"]", "oci\" { push = [\"r.example/b:1\"]", None),
        // Several images may be in one layout.
        ("oci\" { path = \"out/x\"", "oci\" { path = \"out/x\"", None),
    ] {
        let image = |name: &str, output: &str| {
            format!("image \"{name}\" {{\n  from = \"debian:bookworm\"\n  output \"{output} }}\n}}\n")
        };
        let given = format!("== images/x.image.hcl\n{}{}", image("a", one), image("b", other));
        let said = said(&given, true);
        assert_eq!(said.contains(told) && said.contains("x.image.hcl:7"), place.is_some(), "{given}{said}");
        assert!(place.is_none_or(|place| said.contains(&format!("`{place}`"))), "{said}");
    }
    // One that goes when another is replaced, whichever is defined first.
    for (one, other, is_in) in [
        ("directory\" { path = \"out/x\"", "archive\" { path = \"out/x/b.tar\"", true),
        ("disk\" { path = \"out/x/y/b.raw\"", "directory\" { path = \"out/./x\"", true),
        ("directory\" { path = \"out\"", "oci\" { path = \"out/x\"", true),
        ("directory\" { path = \"out/x\"", "archive\" { path = \"out/x.tar\"", false),
        ("oci\" { path = \"out\"", "archive\" { path = \"out/x.tar\"", false),
    ] {
        let image = format!("from = \"debian:bookworm\"\n  output \"{one} }}\n  output \"{other} }}\n");
        let said = said(&format!("== images/x.image.hcl\nimage \"a\" {{\n  {image}}}\n"), true);
        assert_eq!(said.contains("x.image.hcl:4:3 an output is written into another one"), is_in, "{image}{said}");
    }
    // But not one image twice.
    let output = "  output \"oci\" { path = \"out/x\" }\n";
    let given = format!("== images/x.image.hcl\nimage \"a\" {{\n  from = \"debian:bookworm\"\n{output}{output}}}\n");
    check_words(&given, &[told, "x.image.hcl:4"]);
}

#[test]
fn outputs_that_cannot_be_what_they_say() {
    for (output, expected) in [
        ("archive\" { path = \"root/x.tar\"", "an output is written to what the image is made from"),
        ("directory\" { path = \"out/../root\"", "an output is written to what the image is made from"),
        ("archive\" { path = \"root.tar\"", ""),
        ("oci\" { ports = [\"80/tcp\", \"53/udp\", \"8080\"]", ""),
        ("oci\" { ports = [\"80/tcp\", \"99999/tcp\"]", "`99999/tcp` is no port of a container"),
        ("oci\" { ports = [\"0\"]", "`0` is no port of a container"),
        ("oci\" { ports = [\"+80\"]", "`+80` is no port of a container"),
        ("oci\" { ports = [\"80/http\"]", "`80/http` is no port of a container"),
        ("oci\" { working_dir = \"srv\"", "`srv` is no absolute path"),
        ("oci\" { working_dir = \"/srv\"", ""),
        ("oci\" { environment = { A = \"b=c\" }", ""),
        ("oci\" { environment = { \"A=b\" = \"c\" }", "`A=b` is no name of a variable"),
        ("oci\" { environment = { \"\" = \"c\" }", "`` is no name of a variable"),
    ] {
        let image = format!("image \"a\" {{\n  from = \"./root\"\n  output \"{output} }}\n}}\n");
        let said = said(&format!("== images/x.image.hcl\n{image}"), true);
        let is_said = !expected.is_empty() && said.contains(expected) && said.contains("x.image.hcl:3");
        assert_eq!(is_said, !said.trim().is_empty(), "{image}{said}");
        assert_eq!(is_said, !expected.is_empty(), "{image}{said}");
    }
    // The project itself.
    for (path, is_in) in [("out/x.tar", true), ("../x.tar", false), ("/srv/x.tar", false)] {
        let image = format!("image \"a\" {{\n  from = \".\"\n  output \"archive\" {{ path = \"{path}\" }}\n}}\n");
        let said = said(&format!("== images/x.image.hcl\n{image}"), true);
        assert_eq!(said.contains("an output is written to what the image is made from"), is_in, "{image}{said}");
    }
}

#[test]
fn hosts_and_images() {
    const ROLES: &str = "\n== roles/web.role.hcl\nrole \"web\" {\n  inherits = [\"base\"]\n  param \"port\" {\n    type = number\n    default = 80\n  }\n  param \"greeting\" { type = string }\n}\nrole \"base\" {\n  param \"zone\" { default = \"UTC\" }\n}\n== images/web.image.hcl\nimage \"web\" {\n  from = \"debian:bookworm\"\n  roles = [\"web\"]\n  params = { greeting = \"x\" }\n}\n";
    let host = |rest: &str| {
        format!("resource \"andon_host\" \"a\" {{\n  connection = {{ kind = \"x\", address = \"y\" }}\n{rest}\n}}")
    };
    for (given, expected) in [
        (host("  role = \"web\"\n  params = { greeting = \"hi\" }"), ""),
        (host("  role = \"web\"\n  params = { greeting = \"hi\", zone = \"x\", port = \"81\" }"), ""),
        (host("  role = \"wbe\"\n  params = { greeting = \"hi\" }"), "3:10 there is no role \"wbe\""),
        (host("  role = \"web\"\n  params = {}"), "4:12 role \"web\" needs the parameter \"greeting\""),
        (host("  role = \"web\""), "1:1 role \"web\" needs the parameter \"greeting\""),
        (host("  roles = [\"base\", \"web\"]\n  params = { greeting = \"hi\" }"), ""),
        (host("  roles = [\"base\", \"wbe\"]"), "3:20 there is no role \"wbe\""),
        (host("  roles = [\"base\", \"web\"]"), "1:1 role \"base+web\" needs the parameter \"greeting\""),
        (host("  roles = []"), "3:11 \"roles\" is empty"),
        (host("  role = \"base\"\n  roles = [\"base\"]"), "4:3 \"role\" and \"roles\" say the same"),
        (host(""), "1:1 missing argument \"role\""),
        (
            host("  role = \"web\"\n  params = { greting = \"hi\", greeting = \"x\" }"),
            "4:14 role \"web\" has no parameter \"greting\"",
        ),
        (
            host("  role = \"web\"\n  params = { greeting = \"hi\", port = \"http\" }"),
            "4:38 parameter \"port\" has a value of the wrong type",
        ),
        (host("  role = \"web\"\n  params = { greeting = lab_network.a.id }\n}\nresource \"lab_network\" \"a\" {"), ""),
        (
            host("  role = \"web\"\n  params = { greeting = lab_network.a.idd }\n}\nresource \"lab_network\" \"a\" {"),
            "4:39 no attribute \"idd\"",
        ),
        ("resource \"andon_image\" \"a\" { definition = \"web\" }".to_owned(), ""),
        ("resource \"andon_image\" \"a\" { definition = \"wbe\" }".to_owned(), "1:43 there is no image \"wbe\""),
    ] {
        let given = format!("== main.tf\n{given}{ROLES}");
        assert_eq!(said(&given, false).replace("main.tf:", "").trim(), expected, "{given}");
    }
    for (given, expected) in [
        ("from = \"x\"\n  roles = [\"wbe\"]", "3:12 there is no role \"wbe\""),
        ("from = \"x\"\n  roles = [\"web\"]", "1:1 role \"web\" needs the parameter \"greeting\""),
        (
            "from = \"x\"\n  roles = [\"web\"]\n  params = { greeting = \"x\", prt = 1 }",
            "4:30 no role of the image has a parameter \"prt\"",
        ),
        (
            "from = \"x\"\n  params = { a = param.x }",
            "3:18 nothing can be referred to here, and \"param\" is a reference",
        ),
        ("from = image.nope", "2:10 there is no image \"nope\""),
        ("from = var.x", "2:10 \"from\" must be written out"),
    ] {
        let given = format!("{}\n== images/other.image.hcl\nimage \"other\" {{\n  {given}\n}}\n", ROLES.trim());
        assert_eq!(said(&given, false).replace("images/other.image.hcl:", "").trim(), expected, "{given}");
    }
}

#[test]
fn environments() {
    const STACK: &str =
        "\n== stacks/web/main.tf\nvariable \"much\" { type = number }\nvariable \"size\" { default = \"x\" }\n";
    for (given, expected) in [
        ("environment \"dev\" {\n  variables = { much = 2 }\n}", ""),
        (
            "environment \"dev\" {\n  variables = { much = \"many\" }\n}",
            "2:24 variable \"much\" has a value of the wrong type",
        ),
        (
            "environment \"dev\" {\n  variables = { much = 1, sizee = 2 }\n}",
            "2:27 warning: no stack has a variable \"sizee\"",
        ),
        ("environment \"dev\" {}", "1:1 environment \"dev\" gives no value to the variable \"much\" of stack \"web\""),
        ("environment \"dev\" {\n  variables = [1]\n}", "2:15 \"variables\" is an object of values by name"),
        (
            "environment \"dev\" {\n  variables = { much = var.x }\n}",
            "2:24 nothing can be referred to here, and \"var\" is a reference",
        ),
        (
            "environment \"dev\" {\n  variables = { much = 1 }\n}\nenvironment \"live\" {\n  protected = true\n}",
            "4:1 environment \"live\" gives no value to the variable \"much\" of stack \"web\"",
        ),
    ] {
        let given = format!("== andon.hcl\n{given}{STACK}");
        assert_eq!(said(&given, false).replace("andon.hcl:", "").trim(), expected, "{given}");
    }
    check_tf("variable \"a\" {}", "");
    check_tf("variable \"a\" {}\n== terraform.tfvars\na = 1", "");
    check_tf(
        "variable \"a\" { type = number }\n== terraform.tfvars\na = \"x\"\nb = 1",
        "terraform.tfvars:1:5 variable \"a\" has a value of the wrong type\nterraform.tfvars:2:1 warning: the stack has no variable \"b\"",
    );
    check_tf(
        "variable \"a\" {\n  type = number\n  default = \"x\"\n}",
        "3:13 variable \"a\" has a value of the wrong type",
    );
}

#[test]
fn roles_and_tests() {
    for (given, expected) in [
        ("role \"a\" { inherits = [\"b\"] }", "1:24 there is no role \"b\""),
        ("role \"a\" {\n  port \"tcp/80\" {}\n}", "2:3 unknown host resource \"port\""),
        (
            "role \"a\" {\n  param \"p\" {\n    type = number\n    default = \"x\"\n  }\n}",
            "4:15 parameter \"p\" has a value of the wrong type",
        ),
        (
            "role \"a\" {\n  param \"p\" { type = string }\n  file \"/x\" { content = param.q }\n}",
            "3:31 there is no parameter \"q\"",
        ),
        (
            "role \"a\" {\n  param \"p\" { type = string }\n  file \"/x\" {\n    when = param.p == \"x\"\n    content = templatefile(\"no.tftpl\", { a = param.p })\n  }\n}",
            "5:28 invalid argument \"path\" of \"templatefile\"",
        ),
        (
            "role \"a\" {\n  file \"/x\" { content = join(\",\", [for u in fact.addresses : param.q]) }\n}",
            "2:68 there is no parameter \"q\"",
        ),
        (
            "role \"a\" {\n  param \"p\" { default = \"no.txt\" }\n  file \"/x\" { content = file(param.p) }\n}",
            "3:30 invalid argument \"path\" of \"file\"",
        ),
        (
            "role \"a\" {\n  param \"p\" { default = false }\n  timezone \"x\" { when = param.p }\n}",
            "3:3 missing argument \"name\"",
        ),
        // A mistake in a role that two inherit is said once.
        (
            "role \"a\" { fiel \"/x\" {} }\nrole \"b\" { inherits = [\"a\"] }\nrole \"c\" { inherits = [\"a\"] }",
            "1:12 unknown host resource \"fiel\"",
        ),
    ] {
        let given = format!("== roles/a.role.hcl\n{given}\n");
        assert_eq!(said(&given, false).replace("roles/a.role.hcl:", "").trim(), expected, "{given}");
    }
    for (given, expected) in [
        ("server { image = \"web\" }\n  role = \"a\"", ""),
        ("server { image = \"wbe\" }", "2:20 there is no image \"wbe\""),
        ("server { imge = \"web\" }", "2:12 unsupported argument or block \"imge\""),
        ("server {}\n  role = \"b\"", "3:10 there is no role \"b\""),
        ("server {}\n  role = \"a\"\n  params = { x = 1 }", "4:14 role \"a\" has no parameter \"x\""),
        ("server {}\n  expect { changes = \"few\" }", "3:22 \"changes\" takes a whole number"),
        ("server {}\n  check \"x\" {\n    htp \"y\" {}\n  }", "4:5 unknown check \"htp\""),
        (
            "server {}\n  check \"x\" {\n    http \"http://${sever.address}/\" {}\n  }",
            "4:20 \"sever\" means nothing here",
        ),
    ] {
        let given = format!(
            "== roles/a.role.hcl\nrole \"a\" {{}}\n== images/web.image.hcl\nimage \"web\" {{\n  from = \"x\"\n}}\n== tests/a.test.hcl\ntest \"t\" {{\n  {given}\n}}\n"
        );
        assert_eq!(said(&given, false).replace("tests/a.test.hcl:", "").trim(), expected, "{given}");
    }
}

#[test]
fn a_syntax_error_has_no_followers() {
    for given in [
        "== main.tf\nresource \"lab_balancer\" \"a\" {\n  listen = \n}\noutput \"x\" { value = lab_balancer.a.id }\n",
        "== main.tf\nvariable \"a\" {\n  default = = 1\n}\noutput \"x\" { value = var.a }\n",
        "== main.tf\nvariable a\" {}\noutput \"x\" { value = var.a }\n",
        "== a.tf\nlocals { a = }\n== b.tf\noutput \"x\" { value = local.a }\n",
        "== roles/a.role.hcl\nrole \"a\" {\n  param \"x\" { type = }\n  file \"/x\" { content = param.x }\n}\nrole \"b\" { inherits = [\"a\"] }\n",
    ] {
        let said = said(given, false);
        assert_eq!(said.lines().count(), 1, "{given}\n{said}");
    }
}

#[test]
fn what_to_do_is_said() {
    check_words("== main.tf\nresource \"lab_netwrok\" \"a\" {}", &["Did you mean \"lab_network\"?"]);
    check_words(
        "== main.tf\nvariable \"size\" { default = 1 }\noutput \"x\" { value = var.szie }",
        &["Did you mean \"size\"?"],
    );
    check_words("== main.tf\nvariable \"a\" {}\nvariable \"a\" {}", &["first defined here"]);
    check_words(
        "== roles/web.role.hcl\nrole \"web\" {\n  file \"/x\" { content = file(\"web/site.cnf\") }\n}\n== roles/web/site.conf\nx",
        &["roles/web/site.conf"],
    );
    check_words(
        "== roles/web.role.hcl\nrole \"web\" {\n  service \"nginx\" {}\n  file \"/x\" { reloads = [service.ngnix] }\n}",
        &["Did you mean \"nginx\"?"],
    );
}

#[test]
fn long_chains_are_no_deep_recursion() {
    let length = 3000;
    let mut tf = String::from("== main.tf\nlocals {\n");
    let mut role = String::from("== roles/a.role.hcl\nrole \"a\" {\n  locals {\n");
    for at in 0..length {
        tf.push_str(&format!("  l{at} = local.l{}\n", at + 1));
        role.push_str(&format!("    l{at} = local.l{}\n", at + 1));
    }
    tf.push_str(&format!("  l{length} = 1\n}}\n"));
    role.push_str(&format!("    l{length} = 1\n  }}\n"));
    for at in 0..length {
        let needed = if at == 0 { String::new() } else { format!("  name = lab_network.n{}.id\n", at - 1) };
        tf.push_str(&format!("resource \"lab_network\" \"n{at}\" {{\n{needed}}}\n"));
        role.push_str(&format!("  file \"f{at}\" {{ content = file.f{}.path }}\n", at + 1));
    }
    role.push_str(&format!("  file \"f{length}\" {{ content = local.l0 }}\n}}\n"));
    check(&format!("{tf}{role}"), "");
}

#[test]
fn warnings_are_switched_off_by_name() {
    const QUOTED: &str = "\n== main.tf\nresource \"lab_network\" \"a\" {}\nresource \"lab_network\" \"b\" {\n  depends_on = [\"lab_network.a\"]\n}\n";
    check(QUOTED.trim_start(), "main.tf:3:17 warning: quoted references are an old form");
    let off = |name: &str| format!("== andon.hcl\nproject \"x\" {{\n  lint {{ disable = [\"{name}\"] }}\n}}{QUOTED}");
    check(&off("deprecated-quotes"), "");
    check(
        &off("deprecated-quote"),
        "andon.hcl:2:21 there is no lint \"deprecated-quote\"\nmain.tf:3:17 warning: quoted references are an old form",
    );
}
