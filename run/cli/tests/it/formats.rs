//! What is written out and cannot be meant is found by `andon check`, at its place, before any plan.

use serde_json::Value as Json;

use crate::support::Project;

/// The errors of a file, each as its summary and the text that it points at, by line.
fn errors(path: &str, text: &str) -> Vec<(u64, String)> {
    let project = Project::empty("formats");
    project.write("andon.hcl", "project \"x\" {}\n");
    project.write(path, text);
    let ran = project.exits(1, &["check", "--json"]);
    let said: Json = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let errors = said["diagnostics"].as_array().unwrap().iter().filter(|it| it["severity"] == "error");
    let one = |it: &Json| {
        let code = it["snippet"]["code"].as_str().unwrap_or_else(|| panic!("no place: {it:#}"));
        let place = |name: &str| it["snippet"][name].as_u64().unwrap() as usize;
        let pointed = &code[place("highlight_start_offset")..place("highlight_end_offset")];
        assert!(!it["help"].as_array().unwrap().is_empty(), "no help: {it:#}");
        (it["range"]["start"]["line"].as_u64().unwrap(), format!("{} @ {pointed}", it["summary"].as_str().unwrap()))
    };
    errors.map(one).collect()
}

/// One block for each case: its line is 3 lines after that of the one before. The first begins after `head`.
fn check(path: &str, head: &str, cases: &[(&str, &str, &str)], block: impl Fn(usize, &str, &str) -> String) {
    let mut text = format!("{head}\n");
    let mut places = Vec::new();
    for (at, (kind, given, expected)) in cases.iter().enumerate() {
        let start = text.lines().count() as u64 + 1;
        text.push_str(&block(at, kind, given));
        places.push((start..=text.lines().count() as u64, *given, *expected));
    }
    let end = if path.ends_with(".role.hcl") { "}\n" } else { "" };
    let found = errors(path, &format!("{text}{end}"));
    for (place, given, expected) in &places {
        let here: Vec<&str> = found.iter().filter(|(line, _)| place.contains(line)).map(|(_, it)| &**it).collect();
        assert_eq!(here.join("; "), *expected, "{given}");
    }
    assert!(found.iter().all(|(line, _)| places.iter().any(|(place, ..)| place.contains(line))), "{found:?}");
}

#[test]
fn of_the_lab() {
    const NET: &str = "lab_network";
    const BALANCER: &str = "lab_balancer";
    const SERVER: &str = "lab_server";
    let cases = [
        (NET, "cidr = \"10.64.1.0/24\"", ""),
        (NET, "cidr = \"10.64.1.1/24\"", "`10.64.1.1/24` is no range for a network @ \"10.64.1.1/24\""),
        (NET, "cidr = \"8.8.8.0/24\"", "`8.8.8.0/24` is no range for a network @ \"8.8.8.0/24\""),
        (NET, "cidr = \"10.64.${1 + 1}.0/33\"", "`10.64.2.0/33` is no range for a network @ \"10.64.${1 + 1}.0/33\""),
        (NET, "cidr = local.wrong", "`nonsense` is no range for a network @ local.wrong"),
        (NET, "cidr = \"\"", "`` is no range for a network @ \"\""),
        (NET, "cidr = var.unknown", ""),
        (NET, "cidr = \"10.64.${var.unknown}.0/99\"", ""),
        (NET, "cidr = sensitive(\"nonsense\")", ""),
        (NET, "cidr = null", ""),
        (NET, "cidr = var.unknown == \"a\" ? \"a\" : \"b\"", ""),
        (BALANCER, "listen = \"127.0.0.1:8080\"", ""),
        (BALANCER, "listen = \"[::1]:8080\"", ""),
        (BALANCER, "listen = \":8080\"", "`:8080` is nothing to listen on @ \":8080\""),
        (BALANCER, "listen = \"127.0.0.1:0\"", "`127.0.0.1:0` is nothing to listen on @ \"127.0.0.1:0\""),
        (BALANCER, "listen = \"localhost:80\"", "`localhost:80` is nothing to listen on @ \"localhost:80\""),
        (BALANCER, "listen = 8080", "`8080` is nothing to listen on @ 8080"),
        (BALANCER, "targets = [\"10.0.0.1:80\", \"web:80\"]", "`web:80` is no target @ \"web:80\""),
        (BALANCER, "targets = [var.unknown, \"10.0.0.1\"]", "`10.0.0.1` is no target @ \"10.0.0.1\""),
        (
            BALANCER,
            "targets = [for it in [1] : \"web:${it}\"]",
            "`web:1` is no target @ [for it in [1] : \"web:${it}\"]",
        ),
        (BALANCER, "health = \"healthz\"", "`healthz` is no path to ask for health @ \"healthz\""),
        (BALANCER, "health = \"/healthz?x=1\"", ""),
        (BALANCER, "interval = \"1ms\"", "`1ms` is no length of time here @ \"1ms\""),
        (BALANCER, "interval = \"10ms\"", ""),
        (BALANCER, "wait = \"soon\"", "`soon` is no length of time here @ \"soon\""),
        (BALANCER, "drain = 5", "`5` is no length of time here @ 5"),
        (BALANCER, "drain = \"1.5h\"", ""),
        (SERVER, "memory = \"256M\"", ""),
        (SERVER, "memory = \"256\"", "`256` is no amount of memory @ \"256\""),
        (SERVER, "memory = \"lots\"", "`lots` is no amount of memory @ \"lots\""),
        (SERVER, "memory = \"1M\"", "`1M` is no amount of memory @ \"1M\""),
        (SERVER, "cpus = 0.5", ""),
        (SERVER, "cpus = 0", "`0` is no number of processors @ 0"),
        (SERVER, "cpus = -1", "`-1` is no number of processors @ -1"),
        (SERVER, "address = \"10.64.1.300\"", "`10.64.1.300` is no IPv4 address @ \"10.64.1.300\""),
        (SERVER, "name = \"web_0\"", "`web_0` is no host name @ \"web_0\""),
        (SERVER, "name = \"Local\"", "`Local` is no name for a server @ \"Local\""),
        (SERVER, "name = \"web-${var.unknown}\"", ""),
        (SERVER, "image = \"\"", "this is empty @ \"\""),
        (SERVER, "network = \"\"", "this is empty @ \"\""),
    ];
    let head = "variable \"unknown\" {\n  type = string\n}\nlocals {\n  wrong = \"nonsense\"\n}";
    check("main.tf", head, &cases, |at, kind, given| {
        let needed: &[(&str, &str)] = match kind {
            BALANCER => &[("listen", "\"127.0.0.1:80\"")],
            SERVER => &[("name", "\"a\""), ("image", "\"a\""), ("network", "\"a\"")],
            _ => &[],
        };
        let needed = needed.iter().filter(|(name, _)| !given.starts_with(name));
        let needed: String = needed.map(|(name, value)| format!("  {name} = {value}\n")).collect();
        format!("resource \"{kind}\" \"r{at}\" {{\n{needed}  {given}\n}}\n")
    });
}

#[test]
fn of_host_resources_and_checks() {
    let mode = |text: &str| {
        format!(
            "`{text}` is not a mode: three or four octal digits, such as `\"0644\"`, or `\"u=rw,g=r,o=\"` @ \"{text}\""
        )
    };
    let (short, letters) = (mode("64"), mode("rw-r--r--"));
    let time = "`soon` is not a span of time, such as `\"500ms\"`, `\"10s\"` or `\"2m\"` @ \"soon\"";
    let account =
        "`a b` is not a name for a user or group: letters, digits, `_`, `-` and `.`, beginning with a letter @ \"a b\"";
    let id = "this is not a whole number from 0 to 4294967294 @ ";
    let (negative, half) = (format!("{id}-1"), format!("{id}1.5"));
    let cases = [
        ("file", "mode = \"0644\"", ""),
        ("file", "mode = \"64\"", &*short),
        ("file", "mode = \"rw-r--r--\"", &letters),
        ("file", "mode = param.unknown", ""),
        ("file", "path = \"etc/x\"", "the path `etc/x` is not absolute @ \"etc/x\""),
        ("file", "path = \"/etc/../x\"", "the path `/etc/../x` has a step `.` or `..` @ \"/etc/../x\""),
        ("file", "owner = \"a b\"", account),
        ("file", "owner = \"1000\"", ""),
        ("directory", "mode = \"64\"", &short),
        ("user", "uid = -1", &negative),
        ("user", "gid = 1.5", &half),
        ("user", "groups = [\"sudo\", \"a b\"]", account),
        ("user", "shell = \"bash\"", "the path `bash` is not absolute @ \"bash\""),
        ("line", "line = \"a\\nb\"", "this is more than one line @ \"a\\nb\""),
        ("check http", "status = 200", ""),
        ("check http", "status = 20", "this is not a status of HTTP, from 100 to 599 @ 20"),
        ("check http", "timeout = \"soon\"", time),
        ("check port", "timeout = \"soon\"", time),
        ("check port", "timeout = \"500ms\"", ""),
        ("check file", "mode = \"64\"", &short),
        ("check file", "path = \"x\"", "the path `x` is not absolute @ \"x\""),
    ];
    check("roles/a.role.hcl", "role \"a\" {\n  param \"unknown\" {}", &cases, |at, kind, given| {
        match kind.split_once(' ') {
            None => {
                let label = if kind == "user" { format!("u{at}") } else { format!("/tmp/f{at}") };
                format!("  {kind} \"{label}\" {{\n    {given}\n  }}\n")
            }
            Some((_, kind)) => {
                let label = match kind {
                    "http" => "http://127.0.0.1/",
                    "port" => "tcp/80",
                    _ => "/tmp/x",
                };
                format!("  check \"c{at}\" {{\n    {kind} \"{label}\" {{\n      {given}\n    }}\n  }}\n")
            }
        }
    });
}

#[test]
fn of_what_images_are_baked_from() {
    let cases = [
        ("", "from = \"debian:bookworm\"", ""),
        ("", "from = \"./not/there.tar\"", ""),
        ("", "from = image.i0", ""),
        ("", "from = \"debian:bookwurm\"", "Debian has no such release @ \"debian:bookwurm\""),
        ("", "from = \"\"", "the image has no base @ \"\""),
        ("", "from = \"alpine:3\"", "there is no such base @ \"alpine:3\""),
    ];
    check("images/a.image.hcl", "# images", &cases, |at, _, given| format!("image \"i{at}\" {{\n  {given}\n}}\n"));
}
