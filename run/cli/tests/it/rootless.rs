//! A day of a user without root: an image, servers, a balancer, what a role changes in them, and nothing left.
//!
//! The user is one of a mount namespace of the test's own, where `/etc/passwd` and `/etc/subuid` know of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::{ANDON, Project, eventually, get, kill_server, left_of, names_in_the_lab, need_lab};

/// The first of these tests' users, and of the numbers that they may give.
const USER: u32 = 55_000;
const FIRST: u32 = 1_600_000_000;
/// How many users one process may have.
const PLACES: u32 = 4;
/// How many numbers each may give.
const COUNT: u32 = 65_536;

const DEFINITIONS: &str = r#"
resource "andon_image" "web" { definition = "web" }
resource "lab_network" "app" {
  name = "app"
  cidr = "RANGE"
}
resource "lab_server" "web" {
  count   = 2
  name    = "web-${count.index}"
  image   = andon_image.web.digest
  network = lab_network.app.id
  command = ["/usr/sbin/nginx", "-g", "daemon off;"]
}
resource "lab_balancer" "web" {
  listen  = "127.0.0.1:PORT"
  targets = [for s in lab_server.web : "${s.address}:80"]
}
resource "andon_host" "web" {
  count      = 2
  connection = lab_server.web[count.index].connection
  role       = "page"
  params     = { text = "hello" }
}
"#;

const ROLE: &str = r#"
role "page" {
  param "text" { default = "baked" }
  file "/var/www/html/index.html" { content = "${param.text}\n" }
  user "deploy" {}
  directory "/srv/deploy" { owner = "deploy" }
  directory "/etc/skel" { absent = true }
}
"#;

/// A user of this machine, for the time of a test.
struct User {
    number: u32,
    /// The first of the numbers that the user may give, whether or not `/etc/subuid` says so.
    first: u32,
    home: PathBuf,
    project: Project,
}

impl User {
    fn new(project: Project, place: u32, has_numbers: bool) -> User {
        // A test ends with killing all that its user runs, so each process has users of its own.
        let place_of_all = std::process::id() % 1000 * PLACES + place;
        let (number, first) = (USER + place_of_all, FIRST + place_of_all * COUNT);
        let home = Path::new("/var/tmp").join(format!("andon-rootless-{}-{place}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        let with = |path: &str, line: String| fs::read_to_string(path).unwrap() + &line;
        fs::write(
            home.join("passwd"),
            with("/etc/passwd", format!("andon-cli-test:x:{number}:{number}::{}:/bin/sh\n", home.display())),
        )
        .unwrap();
        fs::write(home.join("group"), with("/etc/group", format!("andon-cli-test:x:{number}:\n"))).unwrap();
        let numbers = if has_numbers { format!("andon-cli-test:{first}:{COUNT}\n") } else { String::new() };
        fs::write(home.join("numbers"), numbers).unwrap();
        // Wherever the program and the project were made, the user may come there.
        fs::copy(ANDON, home.join("andon")).unwrap();
        fs::set_permissions(home.join("andon"), fs::Permissions::from_mode(0o755)).unwrap();
        let own = Command::new("cp").arg("-r").arg(&project.directory).arg(home.join("project")).status().unwrap();
        assert!(own.success());
        chown(&home, Some(number), Some(number)).unwrap();
        let own = Command::new("chown").args(["-R", &format!("{number}:{number}")]).arg(home.join("project")).status();
        assert!(own.unwrap().success());
        User { number, first, home, project }
    }

    fn runs(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let script = "set -e; here=$1; shift
            mount --make-rprivate /
            mount --bind $here/passwd /etc/passwd; mount --bind $here/group /etc/group
            mount --bind $here/numbers /etc/subuid; mount --bind $here/numbers /etc/subgid
            cd $here/project
            exec setpriv --reuid $(stat -c %u .) --regid $(stat -c %g .) --clear-groups $here/andon \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(&self.home).args(words);
        command.env("HOME", &self.home).env("NO_COLOR", "1");
        command.env_remove("SUDO_USER").env_remove("USER").env_remove("LOGNAME");
        command.env_remove("ANDON_DATA_DIR").env_remove("ANDON_ENVIRONMENT").env_remove("XDG_DATA_HOME");
        command
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let output = self.runs(words);
        let said = text(&output);
        assert!(output.status.success(), "{words:?}: {said}");
        said
    }

    fn processes(&self) -> Vec<(i32, String)> {
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        let numbers = numbers.filter_map(|process| process.file_name().to_string_lossy().parse::<i32>().ok());
        let is_own = |process: &i32| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let user =
                status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
            !status.contains("State:\tZ")
                && user.is_some_and(|user: u32| user == self.number || (self.first..self.first + COUNT).contains(&user))
        };
        numbers
            .filter(is_own)
            .map(|process| (process, fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default()))
            .collect()
    }

    /// Kills all that the user runs, and waits for its end.
    fn kill_all(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.processes().is_empty() && Instant::now() < deadline {
            for (process, _) in self.processes() {
                // SAFETY: touches no memory. The user is this test's alone.
                unsafe { libc::kill(process, libc::SIGKILL) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn assert_none_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "{:?}", self.processes());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.kill_all();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The addresses of a network, which root and a user may have at the same time.
fn range() -> String {
    format!("10.199.{}.0/24", std::process::id() % 250)
}

/// A project with an image of the root file system that there is for tests; `None` with a printed reason.
fn project() -> Option<Project> {
    let root = std::env::var("ANDON_TEST_ROOT").ok().filter(|root| Path::new(root).is_dir());
    let lacks = ["newuidmap", "setpriv", "unshare"]
        .into_iter()
        .find(|program| !["/usr/bin", "/bin"].iter().any(|place| Path::new(place).join(program).exists()));
    let (Some(root), None) = (&root, lacks) else {
        println!("skipped: ANDON_TEST_ROOT names no root file system, or there is no `{}`", lacks.unwrap_or("root"));
        return None;
    };
    let project = Project::empty("rootless");
    let port = project.port.to_string();
    project.write("main.tf", &DEFINITIONS.replace("PORT", &port).replace("RANGE", &range()));
    project.write("roles/page.role.hcl", ROLE);
    project.write("images/web.image.hcl", "image \"web\" {\n  from  = \"./base.tar\"\n  roles = [\"page\"]\n}\n");
    let archive = project.directory.join("base.tar");
    let tar = Command::new("tar").args(["-C", root, "--numeric-owner", "-cf"]).arg(archive).arg(".").status().unwrap();
    assert!(tar.success());
    Some(project)
}

/// Servers are there a moment before their web servers.
fn says_hello(listen: &str) {
    eventually("the servers say hello", Duration::from_secs(60), || {
        get(listen, "/", Duration::from_secs(30)).is_ok_and(|answer| answer == (200, "hello\n".to_owned()))
    });
}

#[test]
fn a_user_without_root_has_a_day() {
    need_lab!();
    let Some(project) = project() else { return };
    let user = User::new(project, 0, true);
    user.ok(&["up", "-y"]);
    let listen = format!("127.0.0.1:{}", user.project.port);
    says_hello(&listen);
    // Whoever says nothing of itself is known by its number.
    let nameless = user.command(&["plan"]).env_remove("HOME").env_remove("USER").output().unwrap();
    assert!(text(&nameless).contains("no changes, 7 unchanged"), "{nameless:?}");
    let said = user.ok(&["logs"]);
    assert!(said.contains(" andon-cli-test@") && !said.contains(" root@"), "{said}");
    let script = "id -u; stat -c %U /srv/deploy /etc/passwd; ls -d /etc/skel || getent hosts web-1.app.lab";
    let said = user.ok(&["exec", script, "--on", "web-0"]);
    assert!(said.starts_with("0\ndeploy\nroot\n") && said.contains("web-1.app.lab"), "{said}");
    // Root has another lab, where all of it would seem to be gone.
    let mut as_root = Command::new(user.home.join("andon"));
    as_root.args(["down", "-y"]).current_dir(user.home.join("project")).env_remove("ANDON_DATA_DIR");
    let refused = as_root.output().unwrap();
    let told = text(&refused);
    assert!(!refused.status.success() && told.contains("the project's servers are in another lab"), "{told}");
    assert!(told.contains(".local/share/andon") && get(&listen, "/", Duration::from_secs(30)).is_ok(), "{told}");
    beside_root(&user, &listen);
    // What looks like root there is none here.
    let refused = user.runs(&["exec", "id", "--on", "local"]);
    assert!(!refused.status.success() && text(&refused).contains("from the realm of its user"), "{refused:?}");
    // All that it made is the user's own.
    let foreign =
        Command::new("find").arg(user.home.join("project")).args(["-not", "-user", &user.number.to_string()]).output();
    assert_eq!(text(&foreign.unwrap()), "");
    user.ok(&["down", "-y"]);
    user.assert_none_left();
}

/// A project of root's on the same machine, with the same names and addresses: neither knows of the other.
fn beside_root(user: &User, listen: &str) {
    let mut roots = Project::empty("rootless-beside");
    roots.data_dir = roots.directory.join(".data");
    roots.write("root/etc/motd", "root's\n");
    roots.write("root/usr/share/some", "x\n");
    roots.write("images/web.image.hcl", "image \"web\" { from = \"./root\" }\n");
    let main = "resource \"andon_image\" \"web\" { definition = \"web\" }\n\
         resource \"lab_network\" \"app\" {\n  name = \"app\"\n  cidr = \"RANGE\"\n}\n\
         resource \"lab_server\" \"web\" {\n  name = \"web-0\"\n  image = andon_image.web.digest\n  \
         network = lab_network.app.id\n}\n\
         resource \"lab_balancer\" \"web\" {\n  listen = \"127.0.0.1:PORT\"\n  \
         targets = [\"${lab_server.web.address}:7780\"]\n}\n";
    let main = |port: u16| main.replace("RANGE", &range()).replace("PORT", &port.to_string());
    // A port is one process's, whoever's that is; all else is had by both.
    roots.write("main.tf", &main(user.project.port));
    let ran = roots.exits(1, &["up", "-y"]);
    assert!(ran.err.contains(&format!("cannot listen on {listen}")) && ran.err.contains("already listens"), "{ran}");
    roots.write("main.tf", &main(roots.port));
    roots.ok(&["up", "-y"]);
    let served = || get(&format!("127.0.0.1:{}", roots.port), "/", Duration::from_secs(30)).unwrap().0;
    assert_eq!(served(), 200);
    let as_it_is = |said: &str, of: usize| assert!(said.contains(&format!("no changes, {of} unchanged")), "{said}");
    let users = || as_it_is(&user.ok(&["plan"]), 7);
    let root = || as_it_is(&roots.ok(&["plan"]).out, 4);
    users();
    // What each sees is its own.
    assert_eq!(roots.objects().len(), 4);
    let seen = user.ok(&["status"]);
    assert!(seen.contains("web-1") && !seen.contains(&roots.port.to_string()), "{seen}");

    // What is killed of the one is nothing to the other.
    let identity = |kind: &str| {
        let objects = roots.objects();
        let is_it = |object: &&serde_json::Value| object["address"].as_str().unwrap().contains(kind);
        objects.iter().find(is_it).unwrap_or_else(|| panic!("{objects:?}"))["identity"].as_str().unwrap().to_owned()
    };
    kill_server(&roots.data_dir, &identity("lab_server"));
    users();
    roots.ok(&["up", "-y"]);
    user.kill_all();
    assert_eq!(served(), 200);
    root();
    user.ok(&["up", "-y"]);
    says_hello(listen);

    // Nor are images that the one throws away.
    roots.ok(&["image", "prune"]);
    user.ok(&["image", "prune"]);
    users();
    root();
    let names = names_in_the_lab(&roots);
    roots.ok(&["down", "-y"]);
    assert_eq!(left_of(&names, &roots.data_dir), Vec::<String>::new());
    users();
    assert!(get(listen, "/", Duration::from_secs(30)).is_ok());
}

#[test]
fn a_user_without_numbers_is_told_before_anything_is_made() {
    need_lab!();
    let Some(project) = project() else { return };
    let user = User::new(project, 1, false);
    let refused = user.runs(&["up", "-y"]);
    assert!(!refused.status.success() && text(&refused).contains("usermod --add-subuids"), "{refused:?}");
    assert!(!user.home.join(".local/share/andon").exists());
    user.assert_none_left();
}

/// Whatever `andon bake` said of digests.
fn digest(said: &str) -> &str {
    let at = said.find("sha256:").unwrap_or_else(|| panic!("{said}"));
    &said[at..at + 71]
}

#[test]
fn a_users_image_of_roots_files_is_as_root_makes_it() {
    need_lab!();
    let project = Project::empty("rootless-tree");
    project.write("images/tree.image.hcl", "image \"tree\" { from = \"../tree\" }\n");
    project.write("main.tf", "resource \"lab_network\" \"any\" {}\n");
    project.write("fleet.hosts.hcl", "host \"far\" {\n  address = \"far\"\n}\n");
    let user = User::new(project, 2, true);
    let tree = user.home.join("tree");
    let put = |path: &str, owner: u32, group: u32, mode: u32| {
        let place = tree.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, path).unwrap();
        chown(&place, Some(owner), Some(group)).unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
    };
    put("usr/bin/su", 0, 0, 0o4755);
    put("usr/bin/wall", 0, 5, 0o2755);
    put("var/mail/somebody", 8, 8, 0o644);
    put("srv/theirs", 65_534, 65_534, 0o644);
    put("srv/own", user.number, user.number, 0o600);
    let bake = |said: String| digest(&said).to_owned();
    let baked = bake(user.ok(&["bake", "tree"]));
    // By root, whose number the user's is inside.
    chown(tree.join("srv/own"), Some(0), Some(0)).unwrap();
    let data = user.home.join("roots-data");
    let mut as_root = Command::new(user.home.join("andon"));
    as_root.args(["bake", "tree"]).current_dir(user.home.join("project")).env("ANDON_DATA_DIR", &data);
    assert_eq!(bake(text(&as_root.output().unwrap())), baked);
    // One that it may not read is no part of an image that seems whole.
    fs::set_permissions(tree.join("srv/own"), fs::Permissions::from_mode(0o600)).unwrap();
    let refused = user.runs(&["bake", "tree"]);
    let told = text(&refused);
    assert!(!refused.status.success() && told.contains("srv/own: Permission denied"), "{told}");
    ssh_is_the_users_own(&user);
    user.assert_none_left();
}

/// What `ssh` is asked for a server elsewhere, in a project that has servers of the lab.
fn ssh_is_the_users_own(user: &User) {
    if !Path::new("/usr/bin/ssh").exists() {
        println!("skipped: there is no program `ssh`");
        return;
    }
    let programs = user.home.join("programs");
    fs::create_dir_all(user.home.join(".ssh")).unwrap();
    fs::create_dir(&programs).unwrap();
    fs::write(user.home.join(".ssh/config"), "Host far\n  Port 2222\n").unwrap();
    let script = "#!/bin/sh\n(id -un; id -u; id -g; /usr/bin/ssh -G \"$@\" | grep -E '^(user|port) ') >$HOME/seen 2>&1\nexit 255\n";
    fs::write(programs.join("ssh"), script).unwrap();
    fs::set_permissions(programs.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    for place in [".ssh", ".ssh/config"] {
        chown(user.home.join(place), Some(user.number), Some(user.number)).unwrap();
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let refused = user.command(&["exec", "true", "--on", "far"]).env("PATH", path).output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    let seen = fs::read_to_string(user.home.join("seen")).unwrap_or_else(|_| panic!("{refused:?}"));
    let number = user.number;
    let expected = format!("andon-cli-test\n{number}\n{number}\nuser andon-cli-test\nport 2222\n");
    assert_eq!(seen, expected);
}
