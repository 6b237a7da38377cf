//! `andon undo`: what runs replaced, put back on this machine and on servers over ssh.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value as Json;

use crate::servers::{project, server};
use crate::ssh_server::Server;
use crate::support::{Project, without_run};

const ROLE: &str = r#"role "app" {
  param "directory" { type = string }
  file "${param.directory}/new" {
    content = "made\n"
    mode    = "0604"
  }
  file "${param.directory}/replaced" { content = "after\n" }
  file "${param.directory}/removed" { absent = true }
  exec "stamp" {
    command = "touch ${param.directory}/stamp"
    creates = "${param.directory}/stamp"
  }
}
"#;

const HOSTS: [&str; 2] = ["web-1", "web-2"];

/// Content, mode, owner and group.
type Seen = (Vec<u8>, u32, u32, u32);

/// What is at the paths that the role changes; nothing where nothing is.
fn seen(directory: &Path) -> Vec<Option<Seen>> {
    let at = |name: &str| {
        let place = directory.join(name);
        let meta = fs::symlink_metadata(&place).ok()?;
        Some((fs::read(place).unwrap(), meta.mode() & 0o7777, meta.uid(), meta.gid()))
    };
    ["new", "replaced", "removed"].map(at).into()
}

/// Files of odd modes and owners, and bytes that are no text.
fn prepare(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let put = |name: &str, content: &[u8], mode: u32, owner: u32| {
        let place = directory.join(name);
        fs::write(&place, content).unwrap();
        std::os::unix::fs::chown(&place, Some(owner), Some(owner + 1)).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
    };
    put("replaced", b"before\0\xff\r\n", 0o4751, 12);
    put("removed", b"", 0o600, 0);
}

fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn fleet(name: &str) -> Option<(Server, Project)> {
    let server = server()?;
    let project = project(&server, "");
    project.write("roles/app.role.hcl", ROLE);
    // Each server has a directory of its own, though all are one machine.
    let at = project.directory.display();
    let text = fs::read_to_string(project.directory.join("all.hosts.hcl")).unwrap();
    project.write("all.hosts.hcl", &text.replace(&format!("{at}/out/"), &format!("{at}/{name}/")));
    Some((server, project))
}

#[test]
fn a_run_on_this_machine_is_taken_back() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root converges this machine");
        return;
    }
    let mut project = Project::empty("undo");
    project.data_dir = project.directory.join("data");
    project.write("app.role.hcl", ROLE);
    let directory = project.directory.join("out");
    prepare(&directory);
    let before = seen(&directory);
    let plain = |text: &str| text.replace(&directory.display().to_string(), "DIR");
    assert_eq!(project.ok(&["undo"]).out, "No run has changed anything here.\n");
    let word = format!("directory={}", directory.display());
    let ran = project.ok(&["run", "app", "--on", "local", "--param", &word]);
    let (_, name) = without_run(&ran.out);
    let name = name.unwrap_or_else(|| panic!("no name of a run: {ran}"));
    assert!(ran.out.ends_with(&format!("\nRun {name}: `andon undo {name}` takes it back.\n")), "{ran}");
    let after = seen(&directory);
    assert!(after[2].is_none() && after[0].as_ref().is_some_and(|it| it.1 == 0o604));
    // It is listed, and found by a part of its name and by its number.
    let listed = project.ok(&["undo"]);
    assert!(listed.out.starts_with(&format!("{name}  20")), "{listed}");
    assert!(listed.out.ends_with("  app (3 paths, 1 not kept)\n"), "{listed}");
    let listed = &lines(&project.ok(&["undo", "--json"]).out)[0];
    assert_eq!((&listed["run"], listed["paths"].as_array().unwrap().len()), (&1.into(), 3), "{listed}");
    // What was changed by hand since is left alone, and said to be.
    fs::write(directory.join("replaced"), "by hand\n").unwrap();
    let expected = "local: 2 put back, 1 left alone
  - file \"DIR/new\"
      @@ -1 +0,0 @@
      -made
  + file \"DIR/removed\"
  ! file \"DIR/replaced\": it was changed since that run, and is left alone
  not taken back: a command was run: touch DIR/stamp
";
    let undone = project.exits(1, &["undo", "1", "-y"]);
    assert_eq!(without_run(&plain(&undone.out)).0, expected, "{undone}");
    assert_eq!(fs::read_to_string(directory.join("replaced")).unwrap(), "by hand\n");
    let forced = project.ok(&["undo", &name[..6], "-y", "--force"]);
    assert!(forced.out.contains("content 8 bytes"), "{forced}");
    assert_eq!(seen(&directory), before, "all is as it was, to the byte, with modes and owners");
    let again = project.ok(&["undo", &name, "-y"]);
    assert!(again.out.starts_with("local: nothing is to be put back\n"), "{again}");
    // An undo is a run, too: what was written by hand comes back.
    let forced = without_run(&forced.out).1.unwrap();
    project.ok(&["undo", &forced, "-y"]);
    assert_eq!(fs::read_to_string(directory.join("replaced")).unwrap(), "by hand\n");
    let unknown = project.exits(1, &["undo", "ffffffff"]);
    assert!(unknown.err.starts_with("error: nothing is known of run ffffffff\n"), "{unknown}");
}

#[test]
fn a_run_over_many_servers_is_taken_back_on_all() {
    let Some((_server, project)) = fleet("undo") else { return };
    let directories = HOSTS.map(|host| project.directory.join("undo").join(host.trim_start_matches("web-")));
    directories.iter().for_each(|directory| prepare(directory));
    let before = directories.each_ref().map(|directory| seen(directory));
    let ran = project.ok(&["run", "app", "--on", "web-1", "--on", "web-2", "--json"]);
    let all = lines(&ran.out);
    let name = all.last().unwrap()["run"].as_str().unwrap_or_else(|| panic!("no name of a run: {ran}"));
    assert_ne!(directories.each_ref().map(|directory| seen(directory)), before);
    let on = ["--on", "web-1", "--on", "web-2"];
    let listed = project.ok(&[&["undo"], &on[..]].concat());
    assert!(listed.out.starts_with(name) && listed.out.contains("  app (3 paths, 1 not kept) on "), "{listed}");
    // However long, a number is another run on each of them.
    for number in ["1", "1234"] {
        assert!(project.exits(1, &[&["undo", number], &on[..]].concat()).err.contains("another run on each server"));
    }
    // All of them are one machine here, which keeps what was done to each.
    let undone = project.ok(&["undo", name, "-y", "--on", "web-3"]);
    assert!(undone.out.starts_with("web-3: 6 put back\n"), "{undone}");
    assert!(undone.out.contains("  not taken back: a command was run: touch "), "{undone}");
    assert_eq!(directories.each_ref().map(|directory| seen(directory)), before, "{undone}");
    let again = project.ok(&[&["undo", name, "-y"], &on[..]].concat());
    assert!(again.out.starts_with("web-1, web-2: nothing is to be put back\n"), "{again}");
}
