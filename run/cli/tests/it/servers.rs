//! Many servers: ten names on one real sshd of loopback, and what goes wrong on the way.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::ssh_server::{Server, is_root};
use crate::support::{Project, without_run};

const ROLE: &str = r#"role "web" {
  param "directory" { type = string }
  param "greeting" { default = "hi" }
  directory "${param.directory}" {}
  file "${param.directory}/greeting" { content = "${param.greeting}\n" }
}

role "slow" {
  param "directory" { type = string }
  directory "${param.directory}" {}
  file "each" {
    for_each = toset([for number in range(100, 130) : tostring(number)])
    path     = "${param.directory}/${each.key}"
    content  = each.key
    validate = "sleep 0.1"
  }
}
"#;

/// A project whose hosts are names of a server.
pub fn project(server: &Server, more: &str) -> Project {
    let project = Project::empty("servers");
    project.write("roles/web.role.hcl", ROLE);
    let known: Vec<String> = server.text("host.pub").split(' ').take(2).map(str::to_owned).collect();
    project.write("known", &format!("[127.0.0.1]:{} {}\n", server.port, known.join(" ")));
    let at = project.directory.display();
    let hosts = format!(
        r#"locals {{
  options = {{ UserKnownHostsFile = "{at}/known" }}
}}

host "web-${{each.key}}" {{
  for_each = toset([for number in range(10) : tostring(number)])
  address  = "127.0.0.1"
  tags     = {{ env = each.key < 5 ? "dev" : "production" }}
  roles    = ["web"]
  params   = {{ directory = "{at}/out/${{each.key}}", greeting = each.key == "7" ? "hello" : "hi" }}
  connection {{
    user          = "{user}"
    port          = {port}
    identity_file = "{key}"
    options       = local.options
  }}
}}
{more}"#,
        user = server.user,
        port = server.port,
        key = server.path("key").display(),
    );
    project.write("all.hosts.hcl", &hosts);
    project
}

/// What a server's own user may do is not tried here: whoever runs the tests is root.
pub fn server() -> Option<Server> {
    if !is_root() {
        println!("skipped: only root converges a server without asking");
        return None;
    }
    Server::start()
}

fn json(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ten_servers_are_converged_over_ssh() {
    let Some(server) = server() else { return };
    let project = project(&server, "");
    let plain = |text: &str| text.replace(&project.directory.display().to_string(), "DIR");
    // The program is sent to a server that has none, or another one, and only to such.
    fs::create_dir_all(server.path("cache/andon")).unwrap();
    fs::write(server.path("cache/andon/another"), "an older one").unwrap();
    let ran = project.ok(&["run", "web", "--on", "web-0", "--plan"]);
    assert_eq!(ran.err, "web-0: sending this program\n");
    let expected = "web-0: 2 would change
  + directory \"DIR/out/0\"
  + file \"DIR/out/0/greeting\"
      @@ -0,0 +1 @@
      +hi
";
    assert_eq!(plain(&ran.out), expected);
    assert!(!project.directory.join("out").exists());
    let ran = project.ok(&["run", "--on", "all"]);
    assert!(!ran.err.contains("sending") && ran.err.contains("web-9: 2 changed\n"), "{ran}");
    assert!(without_run(&ran.out).0.ends_with("\n\n10 servers: 10 changed.\n"), "{ran}");
    assert_eq!(fs::read_to_string(project.directory.join("out/7/greeting")).unwrap(), "hello\n");
    // Servers of which the same is to be said are said of together.
    fs::write(project.directory.join("out/3/greeting"), "by hand\n").unwrap();
    let ran = project.exits(2, &["run", "--on", "all", "--plan", "--detailed-exitcode"]);
    let expected = "web-0, web-1, web-2, web-4, web-5, web-6, web-7, … (9 servers): as it should be (2 resources)
web-3: 1 would change
  ~ file \"DIR/out/3/greeting\"
      @@ -1 +1 @@
      -by hand
      +hi

10 servers: 1 would change, 9 as they should be.
";
    assert_eq!(plain(&ran.out), expected);
    let ran = project.ok(&["run", "web", "--on", "env=production,!web-9", "--json", "--param", "greeting=hi"]);
    let lines = json(&ran.out);
    let changed: Vec<&str> =
        lines.iter().filter(|it| it["status"] == "changed").filter_map(|it| it["host"].as_str()).collect();
    assert_eq!(changed, ["web-7"], "{ran}");
    assert_eq!((&lines[4]["type"], &lines[4]["unchanged"]), (&"summary".into(), &3.into()));
    // What there is again is not sent again, and what is gone is.
    for entry in fs::read_dir(server.path("cache/andon")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(project.ok(&["run", "--on", "web-1"]).err.contains("web-1: sending this program\n"));
    let mode =
        |path: &str| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(server.path(path)).unwrap().permissions());
    assert_eq!(mode("cache/andon") & 0o7777, 0o700);
    let files: Vec<_> = fs::read_dir(server.path("cache/andon")).unwrap().collect();
    assert_eq!(files.len(), 1);
    a_broken_connection_ends_between_acts(&project);
}

fn a_broken_connection_ends_between_acts(project: &Project) {
    let directory = project.directory.join("slow");
    let count = || {
        fs::read_dir(&directory).map_or(0, |entries| {
            entries.filter(|entry| !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.')).count()
        })
    };
    let word = format!("directory={}", directory.display());
    let words = ["run", "slow", "--on", "web-2", "--param", &word];
    let mut child = project.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while count() < 3 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was begun");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The agent ends by itself: what it was about to do is not done.
    let mut before = count();
    loop {
        std::thread::sleep(Duration::from_millis(1000));
        let now = count();
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before < 30, "all {before} were written though nobody waited");
    let ran = project.ok(&words);
    assert_eq!(count(), 30, "{ran}");
    assert!(ran.out.starts_with(&format!("web-2: {} changed\n", 30 - before)), "{ran}");
}

#[test]
fn what_goes_wrong_on_the_way_is_said() {
    let Some(server) = server() else { return };
    let stranger = server.path("stranger");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let connection = |name: &str, port: u16, key: &std::path::Path, known: &str| {
        format!(
            "host \"{name}\" {{\n  address = \"127.0.0.1\"\n  tags = {{ odd = \"yes\" }}\n  connection {{\n    port = {port}\n    \
             identity_file = \"{}\"\n    options = {{ UserKnownHostsFile = \"{known}\", IdentitiesOnly = \"yes\" }}\n  }}\n}}\n",
            key.display()
        )
    };
    let known = server.path("known").display().to_string();
    let key: Vec<String> = server.text("host.pub").split(' ').take(2).map(str::to_owned).collect();
    fs::write(&known, format!("[127.0.0.1]:{} {}\n", server.port, key.join(" "))).unwrap();
    let more = connection("locked-out", server.port, &stranger, &known)
        + &connection("down", port, &server.path("key"), &known)
        + &connection("unknown", server.port, &server.path("key"), "/dev/null");
    let project = project(&server, &more);
    let ran = project.exits(1, &["exec", "true", "--on", "odd=yes"]);
    for expected in [
        "Permission denied (publickey",
        "Give the server your public key",
        "Connection refused",
        "Is it up, and is the address right?",
        "Host key verification failed.",
        "Log in once by hand",
    ] {
        assert!(ran.out.contains(expected), "{expected}: {ran}");
    }
    // One that cannot be reached keeps nothing from the others, unless that is asked for.
    let ran = project.exits(1, &["exec", "echo here", "--on", "down", "--on", "web-0", "--on", "web-1"]);
    assert!(ran.out.ends_with("web-0, web-1: exit status 0\n  here\n"), "{ran}");
    let stopping = ["exec", "echo here", "--on", "down", "--on", "web-1", "--parallelism", "1"];
    for (more, why) in [
        (&["--stop-on-first"][..], "one failed"),
        (&["--max-fail", "0"], "one failed"),
        (&["--canary", "1"], "a canary failed"),
        (&["--batch", "1"], "all of a batch failed"),
    ] {
        let ran = project.exits(1, &[&stopping[..], more].concat());
        assert!(ran.out.contains(&format!("web-1: not tried: {why}\n")), "{more:?}: {ran}");
    }
    let ran = project.exits(7, &["exec", "echo out; echo err >&2; exit 7", "--on", "web-0"]);
    assert_eq!((&*ran.out, &*ran.err), ("out\n", "err\n"));
    let ran =
        project.exits(1, &["exec", "echo $((RANDOM % 1)); test \"$HOME\" = x || exit 2", "--on", "web-*", "--json"]);
    let lines = json(&ran.out);
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|it| it["exit_status"] == 2 && it["status"] == "done"), "{ran}");
    let ran = project.exits(1, &["exec", "sleep 300", "--timeout", "1s", "--on", "web-1"]);
    assert_eq!(ran.out, "web-1: took too long, and was ended\n");
    assert_eq!(project.ok(&["ssh", "web-1", "printf", "%s|", "a b", "c'd"]).out, "a b|c'd|");
    for (on, expected) in [
        ("web-11", "there is no server `web-11`\n  help: Did you mean `web-1`?"),
        ("env=prodction", "Did you mean `env=production`?"),
        ("local,env=dev", "no server is meant by `local,env=dev`"),
    ] {
        let ran = project.exits(1, &["exec", "true", "--on", on]);
        assert!(ran.err.contains(expected), "{on}: {ran}");
    }
    // What a stack configures over ssh is planned, made and found again.
    let at = project.directory.display().to_string();
    project.write(
        "main.tf",
        &format!(
            "resource \"andon_host\" \"it\" {{\n  role       = \"web\"\n  params     = {{ directory = \"{at}/of-a-stack\" }}\n  \
             connection = {{\n    kind = \"ssh\"\n    address = \"127.0.0.1\"\n    name = \"made\"\n    port = {}\n    \
             identity_file = \"{}\"\n    options = {{ UserKnownHostsFile = \"{known}\" }}\n  }}\n}}\n",
            server.port,
            server.path("key").display()
        ),
    );
    let ran = project.ok(&["plan"]);
    assert!(ran.out.contains("of-a-stack/greeting") && ran.out.contains("+hi"), "{ran}");
    project.ok(&["apply", "-y"]);
    assert_eq!(fs::read_to_string(project.directory.join("of-a-stack/greeting")).unwrap(), "hi\n");
    fs::write(project.directory.join("of-a-stack/greeting"), "by hand\n").unwrap();
    let ran = project.exits(2, &["drift"]);
    assert!(ran.out.contains("-by hand"), "{ran}");
    // It is one of the servers, with its role and parameters.
    let ran = project.ok(&["run", "--on", "role=web,made"]);
    assert!(ran.out.starts_with("made: 1 changed\n"), "{ran}");
    project.exits(0, &["drift"]);
}
