//! Logins over ssh that are not root: with `become = false` they do the work themselves, else root does it by `sudo`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::servers::{project, server};
use crate::ssh_server::{DEPLOY, DEPLOY_ID, Server};
use crate::support::{Project, without_run};

const ROLE: &str = r#"role "own" {
  param "directory" { type = string }
  param "more" { default = "" }
  directory "${param.directory}/a/b" {}
  file "${param.directory}/a/b/f" { content = "f\n" }
  exec "home" {
    command = "pwd >${param.directory}/stamp; echo $HOME >>${param.directory}/stamp"
    creates = "${param.directory}/stamp"
  }
  file "elsewhere" {
    when    = param.more == "file"
    path    = "/usr/local/share/andon-test-never-made"
    content = "never"
  }
  user "andon-never-made" { when = param.more == "user" }
  file "given" {
    when    = param.more == "owner"
    path    = "${param.directory}/given"
    content = "never"
    owner   = "root"
  }
}
"#;

fn host(server: &Server, name: &str, becomes: bool, known: &Path) -> String {
    format!(
        "host \"{name}\" {{\n  address = \"127.0.0.1\"\n  connection {{\n    user = \"{DEPLOY}\"\n    port = {}\n    become = {becomes}\n    \
         identity_file = \"{}\"\n    options = {{ UserKnownHostsFile = \"{}\" }}\n  }}\n}}\n",
        server.port,
        server.path("key").display(),
        known.display()
    )
}

fn fleet() -> Option<(Server, Project)> {
    let server = server()?;
    let known = server.path("known");
    let key: Vec<String> = server.text("host.pub").split(' ').take(2).map(str::to_owned).collect();
    fs::write(&known, format!("[127.0.0.1]:{} {}\n", server.port, key.join(" "))).unwrap();
    let more = host(&server, "plain", false, &known) + &host(&server, "sudo", true, &known);
    let project = project(&server, &more);
    project.write("roles/own.role.hcl", ROLE);
    Some((server, project))
}

#[test]
fn an_ordinary_login_does_what_it_may_and_nothing_else() {
    let Some((server, project)) = fleet() else { return };
    let home = server.path("deploy");
    let word = format!("directory={}", home.join("out").display());
    fs::create_dir(home.join("out")).unwrap();
    std::os::unix::fs::chown(home.join("out"), Some(DEPLOY_ID), Some(DEPLOY_ID)).unwrap();
    // What needs root is said before anything is done.
    for (more, what) in
        [("user", "user \"andon-never-made\""), ("file", "file \"elsewhere\""), ("owner", "file \"given\"")]
    {
        let ran =
            project.exits(1, &["run", "own", "--on", "plain", "--param", &word, "--param", &format!("more={more}")]);
        let expected =
            format!("`{DEPLOY}` may not do all of it, so nothing was done. These need root: {what}. Log in as");
        assert!(ran.out.contains(&expected), "{more}: {ran}");
        assert_eq!(fs::read_dir(home.join("out")).unwrap().count(), 0, "{more}");
    }
    let ran = project.ok(&["run", "own", "--on", "plain", "--param", &word]);
    let (_, name) = without_run(&ran.out);
    for path in ["out/a", "out/a/b", "out/a/b/f", "out/stamp"] {
        let meta = fs::metadata(home.join(path)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (DEPLOY_ID, DEPLOY_ID), "{path} is the login's");
    }
    let stamp = fs::read_to_string(home.join("out/stamp")).unwrap();
    assert!(stamp.ends_with(&format!("{}\n", home.display())), "{stamp}");
    assert_eq!(
        project.ok(&["run", "own", "--on", "plain", "--param", &word]).out,
        "plain: as it should be (3 resources)\n"
    );
    // What it replaced is kept in its home, and put back from there.
    project.ok(&["undo", &name.unwrap(), "-y", "--on", "plain"]);
    assert!(!home.join("out/a").exists());
    assert_eq!(project.ok(&["exec", "id -un", "--on", "plain"]).out, format!("{DEPLOY}\n"));
}

#[test]
fn a_login_with_sudo_becomes_root() {
    let Some((server, project)) = fleet() else { return };
    if !Path::new("/usr/bin/sudo").exists() {
        println!("skipped: there is no sudo here");
        let ran = project.exits(1, &["exec", "id -un", "--on", "sudo"]);
        assert!(ran.out.contains("may not become root"), "{ran}");
        return;
    }
    let home = server.path("deploy");
    let word = format!("directory={}", home.join("of-root").display());
    project.ok(&["run", "own", "--on", "sudo", "--param", &word]);
    assert_eq!(fs::metadata(home.join("of-root/a/b/f")).unwrap().uid(), 0);
    assert_eq!(project.ok(&["exec", "id -un", "--on", "sudo"]).out, "root\n");
}
