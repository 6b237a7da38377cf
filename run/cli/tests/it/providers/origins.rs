//! Directories of packages, mirrors on the web, and what the command-line configuration says of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::registry::{own, required, sha256, zip};
use super::{body, fails, forget, installed, lock, ok, run, terraform, theirs, within};
use crate::support::{Project, eventually};

/// Puts packages of `registry.example/shop/NAME` into a directory: unpacked, or packed where the version ends in `.zip`.
fn fill(project: &Project, directory: &str, name: &str, versions: &[&str]) {
    for version in versions {
        let base = format!("{directory}/registry.example/shop/{name}");
        let (version, platform) = version.split_once('@').map_or((*version, own()), |(it, at)| (it, at.to_owned()));
        let script = format!("#!/bin/sh\necho {name} {version}\n");
        match version.strip_suffix(".zip") {
            Some(version) => {
                let archive = zip(&[(&format!("terraform-provider-{name}_v{version}"), script.as_bytes())]);
                let path = project.directory.join(format!("{base}/terraform-provider-{name}_{version}_{platform}.zip"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, archive).unwrap();
            }
            None => {
                let path = format!("{base}/{version}/{platform}/terraform-provider-{name}_v{version}");
                project.write(&path, &script);
                fs::set_permissions(project.directory.join(path), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
    }
}

/// Writes the command-line configuration; `ROOT` is the project.
fn configure(project: &Project, text: &str) {
    project.write("settings/rc", &text.replace("ROOT", project.directory.to_str().unwrap()));
}

const MIRROR: &str = "provider_installation {\n  filesystem_mirror {\n    path = \"ROOT/settings/mirror\"\n  }\n}\n";

#[test]
fn directories_are_taken_from_as_terraform_does() {
    let project = Project::empty("providers-mirror");
    configure(&project, MIRROR);
    let one = ["1.0.0", "1.2.0.zip", "1.2.5", "1.2.5.zip", "2.0.0", "2.1.0-beta1", "2.1.0.zip", "3.0.0@darwin_arm64"];
    fill(&project, "settings/mirror", "one", &one);
    fill(&project, "settings/mirror", "two", &["0.9.0.zip", "0.10.0.zip"]);
    let oracle = terraform();
    for (constraint, expected) in [
        ("1.0.0", "1.0.0"),
        ("= 1.0", "1.0.0"),
        ("~> 1", "1.2.5"),
        ("~> 1.2", "1.2.5"),
        ("~> 1.2.0", "1.2.5"),
        ("~> 1.0, !=1.2.5", "1.2.0"),
        ("> 1.0.0, != 2.1.0, < 3", "2.0.0"),
        (">= 1.0.0, >= 1.0.0, < 3", "2.1.0"),
        ("<= 2, >= 1", "2.0.0"),
        ("2.1.0-beta1", "2.1.0-beta1"),
        ("~> 2.1.0-beta1", "2.1.0"),
        ("!= 1.0.0,!= 1.2.0, < 2.1.0", "2.0.0"),
        ("~> 1.2.0, ~> 1.2, ~> 1", "1.2.5"),
        ("= 1.2.0, 1.2.0, >1", "1.2.0"),
        ("< 2.0.0, <= 2.0.0, >= 0.1, > 0.1", "1.2.5"),
        ("", "no package"),
        ("> 3", "no version"),
        ("1.1.0", "no version"),
    ] {
        project.write("main.tf", &required(&[("one", constraint), ("two", "< 1")]));
        forget(&project, true);
        let ran = run(&project, &["init"]);
        let ours = lock(&project).map(|lock| body(&lock));
        match &ours {
            Some(lock) => {
                assert!(lock.contains(&format!("  version     = \"{expected}\"\n")), "{constraint}: {ran}{lock}")
            }
            None => assert!(ran.err.contains(expected) && ran.err.contains("main.tf:3"), "{constraint}: {ran}"),
        }
        if let Some(program) = &oracle {
            forget(&project, true);
            assert_eq!(theirs(program, &project, &[]).ok(), ours, "{constraint}");
        }
    }
    // All modules have their say.
    project.write("main.tf", &(required(&[("one", ">= 1.0, < 3")]) + "module \"m\" {\n  source = \"./m\"\n}\n"));
    project.write("m/main.tf", &required(&[("one", "~> 1.2, != 1.2.5"), ("two", "")]));
    forget(&project, true);
    ok(&project, &["init"]);
    let ours = body(&lock(&project).unwrap());
    assert!(ours.contains("constraints = \">= 1.0.0, ~> 1.2, != 1.2.5, < 3.0.0\""), "{ours}");
    if let Some(program) = &oracle {
        forget(&project, true);
        assert_eq!(theirs(program, &project, &[]).unwrap(), ours);
        // What Terraform installed is there.
        assert_eq!(run(&project, &["init"]).all(), "All 2 providers are installed.\n");
    }
}

#[test]
fn the_configuration_says_where_from() {
    const DIRECT: &str = "  direct {\n    exclude = [\"registry.example/*/*\"]\n  }\n";
    let mirror =
        |name: &str, rest: &str| format!("  filesystem_mirror {{\n    path = \"ROOT/settings/{name}\"\n{rest}  }}\n");
    let installation = |methods: &str| format!("provider_installation {{\n{methods}}}\n");
    let both = mirror("first", "") + &mirror("second", "");
    let cases: Vec<(&str, String, &[&str], &str)> = vec![
        ("the newest of all", installation(&both), &[], "1.2.0 from ROOT/settings/second"),
        (
            "not what is left out",
            installation(&(mirror("first", "") + &mirror("second", "    exclude = [\"registry.example/shop/*\"]\n"))),
            &[],
            "1.1.0 from ROOT/settings/first",
        ),
        (
            "only what is let in",
            installation(
                &(mirror("first", "    include = [\"registry.example/shop/one\"]\n")
                    + &mirror("second", "    include = [\"registry.example/other/*\"]\n")),
            ),
            &[],
            "1.1.0 from ROOT/settings/first",
        ),
        ("nothing", installation(DIRECT), &[], "No method of `provider_installation` is for it"),
        ("an option", installation(&both), &["--plugin-dir=settings/first"], "1.1.0 from settings/first"),
        ("implied", String::new(), &[], "1.0.0 from ROOT/settings/.terraform.d/plugins"),
        (
            "under development",
            installation(
                "  dev_overrides {\n    \"registry.example/shop/one\" = \"ROOT/settings/developed\"\n  }\n  direct {}\n",
            ),
            &[],
            "Using registry.example/shop/one under development in ROOT/settings/developed",
        ),
        (
            "a method that there is not",
            installation(&(both.clone() + "  carrier_pigeon {}\n")),
            &[],
            "warning: ROOT/settings/rc is only partly understood: `provider_installation` has no `carrier_pigeon`",
        ),
    ];
    let project = Project::empty("providers-configured");
    let root = project.directory.display().to_string();
    fill(&project, "settings/first", "one", &["1.0.0", "1.1.0"]);
    fill(&project, "settings/second", "one", &["1.0.0", "1.2.0.zip"]);
    fill(&project, "settings/.terraform.d/plugins", "one", &["1.0.0"]);
    project.write("settings/developed/terraform-provider-one", "");
    project.write("main.tf", &required(&[("one", "")]));
    for (name, configuration, words, expected) in cases {
        configure(&project, &configuration);
        forget(&project, true);
        let ran = run(&project, &[&["init"], words].concat());
        assert!(ran.all().replace(&root, "ROOT").contains(expected), "{name}: {ran}");
        assert_eq!(ran.code, Some(if name == "nothing" { 1 } else { 0 }), "{name}: {ran}");
    }
}

#[test]
fn stacks_share_one_lock_file() {
    let project = Project::empty("providers-stacks");
    configure(&project, MIRROR);
    fill(&project, "settings/mirror", "one", &["1.0.0", "1.1.0", "2.0.0"]);
    project.write("andon.hcl", "project \"p\" {}\nenvironment \"dev\" {}\n");
    project.write("stacks/a/main.tf", &required(&[("one", "< 2")]));
    project.write("stacks/b/main.tf", &required(&[("one", "> 1.0.0")]));
    ok(&project, &["init"]);
    let locked = lock(&project).unwrap();
    assert!(locked.contains("\"1.1.0\"") && locked.contains("\"> 1.0.0, < 2.0.0\""), "{locked}");
    // What a stack was locked to is kept, and its file, too.
    forget(&project, true);
    let own = "provider \"registry.example/shop/one\" {\n  version = \"1.0.0\"\n}\n";
    project.write("stacks/a/.terraform.lock.hcl", own);
    project.write("stacks/b/main.tf", &required(&[("one", "")]));
    ok(&project, &["init"]);
    assert!(lock(&project).unwrap().contains("\"1.0.0\""));
    assert_eq!(fs::read_to_string(project.directory.join("stacks/a/.terraform.lock.hcl")).unwrap(), own);
    // Constraints that nothing meets are shown, all of them.
    project.write("stacks/b/main.tf", &required(&[("one", "> 2")]));
    fails(
        &project,
        &["init", "--upgrade"],
        &[
            "no version of the provider",
            "> 2.0.0, < 2.0.0 is wanted. Offered: 2.0.0, 1.1.0, 1.0.0.",
            "a/main.tf",
            "b/main.tf",
        ],
    );
}

/// A server, until it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_mirror_on_the_web_is_asked() {
    let project = Project::empty("providers-web");
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        command.args(line.split(' ')).current_dir(&project.directory);
        command.output().is_ok_and(|output| output.status.success())
    };
    project.write("names", "subjectAltName=DNS:localhost\n");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let made = [
        format!("req -x509 {key} -keyout authority.key -out authority.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out server.pem"
            .to_owned(),
    ];
    if !made.iter().all(|line| openssl(line)) {
        return println!("skipped: openssl makes no certificates here");
    }
    let base = "mirror/registry.example/shop/one";
    let mut archives = BTreeMap::new();
    for version in ["1.0.0", "1.1.0"] {
        let archive = zip(&[(&format!("terraform-provider-one_v{version}"), version.as_bytes())]);
        archives.insert(version, sha256(&archive));
        project.write(&format!("{base}/x"), "");
        fs::write(project.directory.join(format!("{base}/{version}.zip")), archive).unwrap();
    }
    let page = |version: &str, hash: &str, platform: &str| {
        let text = format!("{{\"archives\":{{\"{platform}\":{{\"url\":\"{version}.zip\",\"hashes\":[\"{hash}\"]}}}}}}");
        project.write(&format!("{base}/{version}.json"), &text);
    };
    project.write(&format!("{base}/index.json"), "{\"versions\":{\"1.0.0\":{},\"1.1.0\":{},\"odd\":{}}}");
    page("1.0.0", &format!("zh:{}", archives["1.0.0"]), &own());
    page("1.1.0", &format!("zh:{}", archives["1.0.0"]), &own());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("openssl");
    command.args([
        "s_server",
        "-accept",
        &format!("127.0.0.1:{port}"),
        "-cert",
        "server.pem",
        "-key",
        "server.key",
        "-WWW",
    ]);
    command.current_dir(&project.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    eventually("the server answers", Duration::from_secs(60), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let configured = |scheme: &str| {
        let url = format!("{scheme}://localhost:{port}/mirror/");
        configure(&project, &format!("provider_installation {{\n  network_mirror {{\n    url = \"{url}\"\n  }}\n}}\n"));
    };
    let init = |constraint: &str| {
        project.write("main.tf", &required(&[("one", constraint)]));
        forget(&project, true);
        let mut command = within(&project, project.command(&["init"]));
        let output = command.env("SSL_CERT_FILE", project.directory.join("authority.pem")).output().unwrap();
        (
            output.status.code(),
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        )
    };
    configured("https");
    let (code, said) = init("1.0.0");
    assert!(code == Some(0) && said.contains(&format!("1.0.0 from https://localhost:{port}/mirror/\n")), "{said}");
    assert_eq!(installed(&project).len(), 1);
    // Nobody vouches for the hashes of a mirror: the lock file has that of the package that was installed.
    assert_eq!(lock(&project).unwrap().matches("h1:").count(), 1);
    assert_eq!(lock(&project).unwrap().matches("zh:").count(), 0);
    let (code, said) = init("");
    assert!(code == Some(1) && said.contains("is not the one that its mirror announces"), "{said}");
    assert!(said.contains(&archives["1.0.0"]) && said.contains(&archives["1.1.0"]), "{said}");
    assert_eq!((lock(&project), installed(&project)), (None, Vec::new()));
    page("1.1.0", "h1:x", "plan9_mips");
    let (code, said) = init("");
    assert!(code == Some(1) && said.contains(&format!("has no package for {}", own())), "{said}");
    configured("http");
    let (code, said) = init("");
    assert!(code == Some(1) && said.contains("a mirror must be one of https"), "{said}");
}
