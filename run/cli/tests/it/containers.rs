//! `docker_server` against a real Podman: its API, its containers, its words.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

const IMAGE: &str = "localhost/andon-test:1";
/// A machine may allow less than Podman asks for by itself, and have neither systemd nor an own slice.
const SETTINGS: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
     [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";

/// A Podman of the test's own, which answers on a socket.
struct Podman {
    directory: tempfile::TempDir,
    service: Child,
}

impl Podman {
    /// `None` where this machine has none that can run a container; says why.
    fn start() -> Option<Podman> {
        let why = |reason: &str| {
            println!("skipped: {reason}");
            None
        };
        // SAFETY: geteuid has no preconditions.
        if unsafe { libc::geteuid() } != 0 {
            return why("only root runs containers here");
        }
        let Some(root) = std::env::var_os("ANDON_TEST_ROOT").map(PathBuf::from).filter(|root| root.is_dir()) else {
            return why("there is no root file system in ANDON_TEST_ROOT");
        };
        if Command::new("podman").arg("--version").output().is_err() {
            return why("there is no podman");
        }
        let directory = tempfile::Builder::new().prefix("andon-podman").tempdir().unwrap();
        fs::write(directory.path().join("containers.conf"), SETTINGS).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut service = podman(&directory);
        service.args(["system", "service", "-t", "0"]).arg(format!("unix://{}", socket(&directory)));
        let service = service.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let podman_of = Podman { directory, service };
        let began = Instant::now();
        while UnixStream::connect(socket(&podman_of.directory)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", podman_of.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut tar = Command::new("tar");
        let mut archive = tar.arg("-C").arg(root).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
        let content = archive.stdout.take().unwrap();
        let imported = podman_of.podman().args(["import", "-", IMAGE]).stdin(content).output().unwrap();
        archive.wait().unwrap();
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        let tried = podman_of.podman().args(["run", "--rm", IMAGE, "/bin/true"]).output().unwrap();
        match tried.status.success() {
            true => Some(podman_of),
            false => why(&format!("Podman runs no container: {}", String::from_utf8_lossy(&tried.stderr).trim())),
        }
    }

    fn podman(&self) -> Command {
        podman(&self.directory)
    }

    fn socket(&self) -> String {
        socket(&self.directory)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// What Podman itself says.
    #[track_caller]
    fn says(&self, words: &[&str]) -> String {
        let output = self.podman().args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A project of one server, `web`.
    fn project(&self, name: &str) -> Project {
        let project = Project::empty(name);
        project.write("andon.hcl", "project \"containers\" {}\nenvironment \"dev\" {}\n");
        project.write("stacks/app/main.tf", &self.definition(""));
        project
    }

    fn definition(&self, more: &str) -> String {
        format!(
            "resource \"docker_server\" \"web\" {{\n  host = \"unix://{}\"\n  name = \"web\"\n  image = \"{IMAGE}\"\n  \
             command = [\"/bin/sh\", \"-c\", \"trap exit TERM; echo I sleep; sleep 1000000 & wait\"]\n{more}\n}}\n",
            self.socket()
        )
    }
}

fn podman(directory: &tempfile::TempDir) -> Command {
    let mut command = Command::new("podman");
    command
        .env("CONTAINERS_CONF", directory.path().join("containers.conf"))
        .arg("--root")
        .arg(directory.path().join("root"));
    command.arg("--runroot").arg(directory.path().join("run"));
    command
}

fn socket(directory: &tempfile::TempDir) -> String {
    directory.path().join("socket").display().to_string()
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.podman().args(["rm", "-a", "-f", "-t", "0"]).output();
        let _ = self.service.kill();
        let _ = self.service.wait();
        // The storage is a mount of its own.
        let _ = Command::new("umount").arg(self.directory.path().join("root/overlay")).output();
    }
}

#[test]
fn containers_are_servers() {
    let Some(podman) = Podman::start() else { return };
    a_container_lives_its_life(&podman);
    a_role_is_applied_to_a_container(&podman);
    what_goes_wrong_is_said_and_nothing_is_left(&podman);
}

fn a_container_lives_its_life(podman: &Podman) {
    let project = podman.project("container-life");
    let limits = "  smoke_test {\n    users = []\n    ports = []\n  }\n  memory = \"64M\"\n  cpus = 0.5\n  restart = \"unless-stopped\"\n  processes = 50\n  environment = { GREETING = \"hi there\" }\n  labels = { shop = \"north\" }";
    project.write("stacks/app/main.tf", &podman.definition(limits));
    let ran = project.ok(&["apply", "-y"]);
    assert!(ran.err.contains("docker_server.web") || ran.out.contains("docker_server.web"), "{ran}");
    assert_eq!(podman.says(&["ps", "--format", "{{.Names}}"]), "web");
    assert_eq!(podman.says(&["exec", "web", "sh", "-c", "echo $GREETING; hostname"]), "hi there\nweb");
    assert_eq!(
        podman.says(&["inspect", "web", "--format", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"]),
        "67108864 50"
    );
    assert_eq!(podman.says(&["inspect", "web", "--format", "{{index .Config.Labels \"shop\"}}"]), "north");
    let none = |project: &Project| {
        let ran = project.ok(&["plan", "--detailed-exitcode"]);
        assert!(
            ran.out.contains("No changes") || ran.out.contains("no changes") || ran.out.contains("Nothing"),
            "{ran}"
        );
    };
    none(&project);
    // It answers as any other server.
    assert_eq!(project.ok(&["exec", "hostname", "--on", "web"]).out.trim(), "web");

    // Its power and its console are here.
    let began = || podman.says(&["inspect", "web", "--format", "{{.Id}} {{.State.StartedAt}}"]);
    let before = began();
    project.ok(&["restart", "web"]);
    assert!(began() != before && began().split(' ').next() == before.split(' ').next(), "{before} {}", began());
    assert!(project.ok(&["logs", "--console", "web"]).out.contains("I sleep"));

    // One that was stopped is started, the same one; one that was renamed by hand gets its name back.
    let id = podman.says(&["inspect", "web", "--format", "{{.Id}}"]);
    podman.says(&["stop", "-t", "0", "web"]);
    podman.says(&["rename", "web", "other"]);
    let ran = project.exits(2, &["plan", "--detailed-exitcode"]);
    assert!(ran.out.contains("running") && ran.out.contains("other"), "{ran}");
    project.ok(&["apply", "-y"]);
    assert_eq!(podman.says(&["inspect", "web", "--format", "{{.Id}} {{.State.Running}}"]), format!("{id} true"));
    none(&project);

    // Limits change in place where the engine can; where it cannot, it is said, and all stays as it was.
    project.edit("stacks/app/main.tf", "64M", "96M");
    let ran = project.andon(&["apply", "-y"]);
    let limit = podman.says(&["inspect", "web", "--format", "{{.Id}} {{.HostConfig.Memory}}"]);
    match ran.code {
        Some(0) => assert_eq!(limit, format!("{id} {}", 96 << 20)),
        _ => {
            assert!(ran.err.contains("does not change the limits") && ran.err.contains("-replace"), "{ran}");
            assert_eq!(limit, format!("{id} {}", 64 << 20));
        }
    }
    project.edit("stacks/app/main.tf", "96M", "64M");
    project.ok(&["apply", "-y"]);
    none(&project);

    // A limit of memory that is taken away is gone, and nothing is planned any more; that is another container.
    project.edit("stacks/app/main.tf", "  memory = \"64M\"\n", "");
    let ran = project.exits(2, &["plan", "--detailed-exitcode"]);
    assert!(ran.out.contains("replace") && ran.out.contains("memory"), "{ran}");
    project.ok(&["apply", "-y"]);
    let without = podman.says(&["inspect", "web", "--format", "{{.Id}} {{.HostConfig.Memory}}"]);
    assert!(!without.starts_with(&id) && without.ends_with(" 0"), "{without}");
    none(&project);
    let id = podman.says(&["inspect", "web", "--format", "{{.Id}}"]);

    // One that was removed is made again; another command makes another one.
    podman.says(&["rm", "-f", "-t", "0", "web"]);
    project.ok(&["apply", "-y"]);
    let second = podman.says(&["inspect", "web", "--format", "{{.Id}}"]);
    assert_ne!(id, second);
    project.edit("stacks/app/main.tf", "1000000", "1000001");
    project.ok(&["apply", "-y"]);
    let third = podman.says(&["inspect", "web", "--format", "{{.Id}}"]);
    assert_ne!(third, second);

    // One whose next image is not to be had stays as it is, and runs.
    project.edit("stacks/app/main.tf", IMAGE, "localhost:1/no/such:1");
    let ran = project.exits(1, &["apply", "-y"]);
    assert!(ran.err.contains("cannot pull the image `localhost:1/no/such:1`"), "{ran}");
    assert_eq!(podman.says(&["inspect", "web", "--format", "{{.Id}} {{.State.Running}}"]), format!("{third} true"));
    project.edit("stacks/app/main.tf", "localhost:1/no/such:1", IMAGE);
    none(&project);
    project.ok(&["down", "-y"]);
    assert_eq!(podman.says(&["ps", "-a", "--format", "{{.Names}}"]), "");
}

fn a_role_is_applied_to_a_container(podman: &Podman) {
    let project = podman.project("container-role");
    project.write(
        "roles/greeter.role.hcl",
        "role \"greeter\" {\n  file \"/srv/greeting\" { content = \"hello\\n\" }\n  user \"deploy\" {}\n}\n",
    );
    let host =
        "resource \"andon_host\" \"web\" {\n  connection = docker_server.web.connection\n  role = \"greeter\"\n}\n";
    project.write("stacks/app/main.tf", &format!("{}{host}", podman.definition("")));
    project.ok(&["apply", "-y"]);
    assert_eq!(podman.says(&["exec", "web", "sh", "-c", "cat /srv/greeting; id -un deploy"]), "hello\ndeploy");
    podman.says(&["exec", "web", "rm", "/srv/greeting"]);
    let ran = project.exits(2, &["drift"]);
    assert!(ran.out.contains("/srv/greeting"), "{ran}");
    project.ok(&["apply", "-y"]);
    assert_eq!(podman.says(&["exec", "web", "cat", "/srv/greeting"]), "hello");
}

fn what_goes_wrong_is_said_and_nothing_is_left(podman: &Podman) {
    let project = podman.project("container-wrong");
    let check = |from: &str, to: &str, expected: &[&str]| {
        project.write("stacks/app/main.tf", &podman.definition("").replace(from, to));
        let ran = project.exits(1, &["apply", "-y"]);
        for text in expected {
            assert!(ran.err.contains(text) || ran.out.contains(text), "no `{text}` in {ran}");
        }
        assert_eq!(podman.says(&["ps", "-a", "--format", "{{.Names}}"]), "", "{to}");
    };
    check(
        "trap exit TERM; echo I sleep; sleep 1000000 & wait",
        "echo no luck >&2; exit 3",
        &["has ended", "exit code was 3", "no luck"],
    );
    let tested = |test: &str| format!("wait\"]\n  smoke_test {{\n    timeout = \"1s\"\n    {test}\n  }}\n");
    check("wait\"]\n", &tested("users = [\"shop\"]"), &["not what it must be", "The user shop is not there."]);
    check("wait\"]\n", &tested("ports = [\"80\"]"), &["The port 80 is not open.", "smoke_test { enabled = false }"]);
    check("wait\"]\n", &tested("ports = [\"http\"]"), &["`http` is no port", "main.tf"]);
    check("\"/bin/sh\"", "\"/bin/no-such\"", &["cannot start the container", "no-such"]);
    check(IMAGE, "localhost:1/no/such:1", &["cannot pull the image `localhost:1/no/such:1`"]);
    check(&podman.socket(), "/nowhere/socket", &["no engine answers at unix:///nowhere/socket", "podman.socket"]);
    check("name = \"web\"", "name = \"-web\"", &["`-web` is no name of a container", "main.tf"]);
    podman.says(&["create", "--name", "web", IMAGE, "/bin/true"]);
    project.write("stacks/app/main.tf", &podman.definition(""));
    let ran = project.exits(1, &["apply", "-y"]);
    assert!(
        ran.err.contains("Another container has the name") || ran.out.contains("Another container has the name"),
        "{ran}"
    );
    assert_eq!(podman.says(&["ps", "-a", "--format", "{{.Names}}"]), "web");
}
