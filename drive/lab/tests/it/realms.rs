//! The lab of a user without root.
//!
//! The user is one of a mount namespace of the test's own, where `/etc/passwd`, `/etc/subuid` and the device for the way
//! outside are what the test says; all that the user does is done by this program, started anew for each step.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::LazyLock;

use andon_lab::{CreateExtra, Lab, Missing};
use andon_schema::Identity;
use andon_value::Value;

use crate::Test;
use crate::backend::{free_port, get};
use crate::world::{OWNER, World, config, lab, root, run, texts};

pub const TESTS: &[Test] = &[
    ("user_without_root_has_servers", has_servers),
    ("user_without_root_has_servers_with_systemd_where_groups_are_delegated", has_systemd),
    ("user_without_root_sees_whose_files_are", sees_owners),
    ("user_without_root_is_told_what_is_missing", told_what_is_missing),
];

/// The number of the tests' user: each process has its own, as a test ends with killing all that its user runs.
static USER: LazyLock<u32> = LazyLock::new(|| 53_000 + std::process::id() % 1000);
/// The programs that are a way outside.
const WAYS: [&str; 2] = ["slirp4netns", "pasta"];
/// The first of the numbers that the user may give.
static FIRST: LazyLock<u32> = LazyLock::new(|| 1_500_000_000 + std::process::id() % 1000 * 65_536);

/// A user of this machine, for the time of a test.
struct User {
    place: tempfile::TempDir,
    group: Option<PathBuf>,
    has_numbers: bool,
    /// Programs that are not there for this user.
    hidden: Vec<&'static str>,
}

impl User {
    fn new(delegated: bool, has_numbers: bool) -> User {
        let place = tempfile::Builder::new()
            .prefix(&format!("andon-user-{}-", std::process::id()))
            .tempdir_in("/var/tmp")
            .unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let write = |name: &str, text: String| fs::write(place.path().join(name), text).unwrap();
        let with = |path: &str, line: String| fs::read_to_string(path).unwrap() + &line;
        write("passwd", with("/etc/passwd", format!("andon-test:x:{0}:{0}::/nonexistent:/bin/sh\n", *USER)));
        write("group", with("/etc/group", format!("andon-test:x:{}:\n", *USER)));
        write("numbers", if has_numbers { format!("andon-test:{}:65536\n", *FIRST) } else { String::new() });
        for name in ["data", "bin"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        chown(place.path().join("data"), Some(*USER), Some(*USER)).unwrap();
        // Wherever this program was built, the user may run it.
        fs::copy("/proc/self/exe", place.path().join("bin/it")).unwrap();
        fs::set_permissions(place.path().join("bin/it"), fs::Permissions::from_mode(0o755)).unwrap();
        let group = delegated.then(|| {
            let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
            let root = root.into_iter().find(|root| root.join("cgroup.procs").exists()).unwrap();
            let group = root.join(place.path().file_name().unwrap());
            for path in [group.clone(), group.join("run")] {
                fs::create_dir(&path).unwrap();
                for name in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
                    chown(path.join(name), Some(*USER), Some(*USER)).unwrap();
                }
            }
            group
        });
        User { place, group, has_numbers, hidden: Vec::new() }
    }

    fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// A root file system whose files belong to the user's numbers.
    fn image(&self) -> PathBuf {
        let image = self.place.path().join("image");
        assert!(Command::new("cp").arg("-a").arg(root().unwrap()).arg(&image).status().unwrap().success());
        give(&image);
        image
    }

    /// One step of the user's, by this program.
    fn does(&self, step: &str, words: &[&str]) -> Output {
        self.does_as(*USER, step, words)
    }

    fn does_as(&self, user: u32, step: &str, words: &[&str]) -> Output {
        let script = "set -e; here=$1; group=$2; user=$3; hidden=$4; shift 4
            mount --make-rprivate /
            mount --bind $here/passwd /etc/passwd; mount --bind $here/group /etc/group
            mount --bind $here/numbers /etc/subuid; mount --bind $here/numbers /etc/subgid
            [ -e $here/tun ] || mknod -m 666 $here/tun c 10 200
            mount --bind $here/tun /dev/net/tun
            for program in $hidden; do mount --bind /dev/null /usr/bin/$program; done
            if [ -n \"$group\" ]; then
                echo 0 >$group/run/cgroup.procs
                # As where there is only version 2, which is what most have.
                if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then mount -t cgroup2 none /sys/fs/cgroup; fi
            fi
            exec setpriv --reuid $user --regid $user --clear-groups \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(self.place.path());
        command.arg(self.group.as_ref().map(|group| group.as_os_str().to_owned()).unwrap_or_default());
        command.arg(user.to_string()).arg(self.hidden.join(" "));
        command.arg(self.place.path().join("bin/it")).args(["realm-step", step]).arg(self.data()).args(words);
        command.output().unwrap()
    }

    fn does_well(&self, step: &str, words: &[&str]) -> String {
        let output = self.does(step, words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{step}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// The numbers of the user's processes.
    fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(number) = process.file_name().to_string_lossy().parse::<i32>() else { continue };
            let Ok(status) = fs::read_to_string(process.path().join("status")) else { continue };
            let uid =
                status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
            let own = uid.is_some_and(|uid: u32| uid == *USER || (*FIRST..*FIRST + 65536).contains(&uid));
            if own && !status.contains("State:\tZ") {
                found.push((number, fs::read_to_string(process.path().join("comm")).unwrap_or_default()));
            }
        }
        found
    }

    /// Kills those of the user's processes that have such a name, and waits for their end.
    fn kill(&self, is_one: impl Fn(&str) -> bool) {
        let found: Vec<i32> = self
            .processes()
            .into_iter()
            .filter(|(_, name)| is_one(name.trim_end()))
            .map(|(process, _)| process)
            .collect();
        assert!(!found.is_empty(), "{:?}", self.processes());
        for process in &found {
            // SAFETY: touches no memory. The user is this test's alone.
            unsafe { libc::kill(*process, libc::SIGKILL) };
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while self.processes().iter().any(|(process, _)| found.contains(process)) {
            assert!(std::time::Instant::now() < deadline, "{found:?}");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn assert_nothing_left(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !self.processes().is_empty() {
            assert!(std::time::Instant::now() < deadline, "{:?}", self.processes());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let left = run("find", &[self.data().to_str().unwrap(), "-type", "f"]);
        assert_eq!(left, "");
        if let Some(group) = &self.group {
            let below: Vec<_> = fs::read_dir(group).unwrap().flatten().map(|entry| entry.file_name()).collect();
            let groups: Vec<_> = below.iter().filter(|name| group.join(name).is_dir() && *name != "run").collect();
            assert!(groups.is_empty(), "{groups:?}");
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for (process, _) in self.processes() {
            // SAFETY: touches no memory. The user is this test's alone.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !self.processes().is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if let Some(group) = &self.group {
            run("find", &[group.to_str().unwrap(), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
        }
    }
}

/// Gives files the numbers that they have inside, as this machine counts them.
fn give(path: &Path) {
    let metadata = path.symlink_metadata().unwrap();
    let here = |number: u32| if number == 0 { *USER } else { *FIRST + number - 1 };
    lchown(path, Some(here(metadata.uid())), Some(here(metadata.gid()))).unwrap();
    if metadata.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
    if !metadata.is_symlink() {
        // What is changed of its owner loses its special bits.
        fs::set_permissions(path, metadata.permissions()).unwrap();
    }
}

fn lacks() -> bool {
    let absent = ["newuidmap", "setpriv", "slirp4netns", "unshare"]
        .into_iter()
        .find(|program| !["/usr/bin", "/bin", "/usr/sbin"].iter().any(|place| Path::new(place).join(program).exists()));
    if let Some(program) = absent {
        println!("skipped: there is no program `{program}`");
    }
    absent.is_some() || root().is_none()
}

fn init_of(said: &str) -> String {
    said.lines().find_map(|line| line.strip_prefix("init ")).unwrap().to_owned()
}

fn inside(init: &str, command: &str) -> String {
    run("nsenter", &["-t", init, "-a", "--", "/bin/sh", "-c", command])
}

fn has_servers(world: &World) {
    if lacks() {
        return;
    }
    let mut user = User::new(false, true);
    let image = user.image();
    let [network, server, balancer] = [world.identity(), world.identity(), world.identity()];
    let listen = free_port();
    let words = [network.as_str(), server.as_str(), balancer.as_str(), image.to_str().unwrap(), &listen];
    // Without a program that is a way outside, servers reach nothing there, and that is said.
    user.hidden = WAYS.to_vec();
    let said = user.does_well("up", &words);
    assert!(said.contains("neither slirp4netns nor pasta is installed"), "{said}");
    answers(&listen);
    let init = init_of(&said);
    // Its root is the user, and nobody more: in a user namespace of its own.
    assert_eq!(fs::metadata(format!("/proc/{init}")).unwrap().uid(), *USER);
    assert_eq!(inside(&init, "id -u; stat -c %u:%g /etc/shadow / /etc/hosts").trim(), "0\n0:42\n0:0\n0:0");
    assert_eq!(inside(&init, "touch /var/x && chown 33:33 /var/x && stat -c %u:%g /var/x").trim(), "33:33");
    assert!(inside(&init, "hostname other; mount -t tmpfs x /mnt && echo mounted").contains("mounted"));
    // What an image hides stays hidden.
    let hidden = inside(&init, "rm -r /etc/skel && mkdir /etc/skel && ls -A /etc/skel");
    assert_eq!(hidden, "");
    assert!(inside(&init, "getent hosts web-0").contains("web-0"));
    // Whoever changes something finds what was installed since; servers notice nothing of it.
    if Path::new("/usr/bin/pasta").exists() {
        user.hidden = vec!["slirp4netns"];
    } else {
        println!("skipped: there is no program `pasta`");
        user.hidden.clear();
    }
    assert_eq!(init_of(&user.does_well("up-again", &words)), init);
    outside_is_reached(&init);
    // Whoever comes later finds all of it as it was.
    assert_eq!(user.does_well("look", &words), "network true\nserver true\nbalancer true\n");
    let failure = user.does("limit", &words);
    assert!(String::from_utf8_lossy(&failure.stdout).contains("Delegate=yes"), "{failure:?}");
    let failure = user.does("systemd", &words);
    assert!(String::from_utf8_lossy(&failure.stdout).contains("it cannot run systemd"), "{failure:?}");
    let failure = user.does("on-host", &words);
    assert!(String::from_utf8_lossy(&failure.stdout).contains("from = \"host\""), "{failure:?}");
    user.does_well("bucket", &words);
    let asks = "exec 3<>/dev/tcp/10.64.77.1/9000; printf 'GET /store HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3";
    assert!(inside(&init, &format!("timeout 10 bash -c \"{asks}\"")).contains(" 403 "));
    user.does_well("no-bucket", &words);
    let failure = user.does("low-port", &words);
    assert!(String::from_utf8_lossy(&failure.stdout).contains("are root's"), "{failure:?}");
    let failure = user.does("taken-port", &words);
    assert!(String::from_utf8_lossy(&failure.stdout).contains("`andon-balancer` (process "), "{failure:?}");
    let failure = user.does("volume", &words);
    assert!(String::from_utf8_lossy(&failure.stdout).contains("needs root"), "{failure:?}");
    // All is killed, as by a reboot: it is started again with its files and its address.
    user.kill(|_| true);
    assert_eq!(user.does_well("look", &words), "network false\nserver false\nbalancer false\n");
    let said = user.does_well("up-again", &words);
    answers(&listen);
    assert_eq!(inside(&init_of(&said), "stat -c %u:%g /var/x").trim(), "33:33");
    outside_is_reached(&init_of(&said));
    // A realm whose holder has ended is held again as long as anybody is in it: nothing in it notices.
    user.hidden.clear();
    user.kill(|name| name == "andon-realm");
    assert_eq!(get(&listen, "/").unwrap().status, 200);
    assert_eq!(user.does_well("look", &words), "network true\nserver true\nbalancer true\n");
    assert_eq!(init_of(&user.does_well("up-again", &words)), init_of(&said));
    assert_eq!(get(&listen, "/").unwrap().status, 200);
    outside_is_reached(&init_of(&said));
    // The way outside comes back by whoever comes next.
    user.kill(|name| name == "slirp4netns");
    assert!(!reaches_outside(&init_of(&said)));
    assert_eq!(user.does_well("look", &words), "network true\nserver true\nbalancer true\n");
    outside_is_reached(&init_of(&said));
    is_lost_until_changed(&user, &words, &said);
    answers(&listen);
    // Another user's directory is left as it is.
    chown(user.data(), Some(*USER + 1), None).unwrap();
    let foreign = user.does_as(*USER, "look", &words);
    assert!(String::from_utf8_lossy(&foreign.stderr).contains("--data-dir"), "{foreign:?}");
    chown(user.data(), Some(*USER), None).unwrap();
    // And the mode of one that was there is its user's matter.
    fs::set_permissions(user.data(), fs::Permissions::from_mode(0o750)).unwrap();
    user.does_well("look", &words);
    assert_eq!(fs::metadata(user.data()).unwrap().permissions().mode() & 0o777, 0o750);
    user.does_well("down", &words);
    user.assert_nothing_left();
}

/// Without anybody in it a realm's network is gone. Who only looks sees that, and ends nothing; who changes something ends what
/// is left and starts it again.
fn is_lost_until_changed(user: &User, words: &[&str], said: &str) {
    let init = init_of(said);
    user.kill(|name| matches!(name, "andon-realm" | "andon-names" | "andon-balancer"));
    for _ in 0..2 {
        let looked = user.does_well("look", words);
        let (told, seen) = looked.split_once('\n').unwrap();
        assert!(told.contains("the lab's realm was lost") && told.contains("andon up"), "{told}");
        assert_eq!(seen, "network false\nserver false\nbalancer false\n");
        assert!(runs(&init));
    }
    // And when that one is lost, too.
    user.kill(|name| name == "andon-realm");
    assert!(user.does_well("look", words).contains("the lab's realm was lost"));
    assert!(runs(&init));
    let again = user.does_well("up-again", words);
    assert!(init_of(&again) != init && !runs(&init), "{again}");
    assert_eq!(user.does_well("look", words), "network true\nserver true\nbalancer true\n");
}

/// Waits until what was started answers: a server is there before its web server is.
fn answers(listen: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !get(listen, "/").is_ok_and(|answer| answer.status == 200) {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Whether a process has not ended, whoever still is to take note of that.
fn runs(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

fn reaches_outside(init: &str) -> bool {
    inside(init, "ip route get 10.0.2.2 2>&1 | head -c 0; timeout 2 bash -c 'exec 3<>/dev/tcp/10.0.2.3/53' && echo yes")
        .contains("yes")
}

/// This machine's own address, by which nothing leaves it.
fn outside_is_reached(init: &str) {
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let Some(IpAddr::V4(own)) = own.ok().map(|own| own.ip()).filter(|own| !own.is_loopback()) else {
        println!("skipped: this machine has no address but its loopback");
        return;
    };
    let listener = TcpListener::bind((own, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    assert_eq!(inside(init, &format!("timeout 10 bash -c 'cat </dev/tcp/{own}/{port}'")), "hello");
    answers.join().unwrap();
}

fn sees_owners(_: &World) {
    if lacks() {
        return;
    }
    let user = User::new(false, true);
    let place = user.place.path().join("files");
    fs::create_dir(&place).unwrap();
    let put = |name: &str, owner: u32, group: u32| {
        fs::write(place.join(name), "").unwrap();
        chown(place.join(name), Some(owner), Some(group)).unwrap();
    };
    put("root's", 0, 42);
    put("nobody's", 65_534, 65_534);
    put("own", *USER, *USER);
    put("given", *FIRST + 32, *FIRST);
    put("another's", 1234, 0);
    put("far", 3_000_000, 0);
    std::os::unix::fs::symlink("nowhere", place.join("link")).unwrap();
    let program = place.join("program");
    fs::copy("/bin/true", &program).unwrap();
    let has_capability = Command::new("setcap").arg("cap_net_raw+ep").arg(&program).status();
    let names = ["root's", "nobody's", "own", "given", "another's", "link", "program", "far", "gone"];
    let said = user.does_well(
        "owners",
        &names.map(|name| place.join(name).to_str().unwrap().to_owned()).each_ref().map(|it| &**it),
    );
    let capable = has_capability.is_ok_and(|status| status.success());
    let expected = format!(
        "0 42\n65534 65534\n0 0\n33 1\n1234 0\n0 0\n0 0{}\nit belongs to the user 3000000, a number that no server of this \
         user has\nNo such file or directory (os error 2)\n",
        if capable { " with 20 bytes" } else { "" }
    );
    assert_eq!(said, expected);
    user.assert_nothing_left();
}

fn has_systemd(world: &World) {
    if lacks() {
        return;
    }
    let user = User::new(true, true);
    let image = user.image();
    let [network, server, balancer] = [world.identity(), world.identity(), world.identity()];
    let listen = free_port();
    let words = [network.as_str(), server.as_str(), balancer.as_str(), image.to_str().unwrap(), &listen];
    let said = user.does_well("up-systemd", &words);
    let init = init_of(&said);
    // A group that hands controllers on has no processes: those of the realm, and its way outside, are all below.
    let group = user.group.as_ref().unwrap().join("run");
    assert_eq!(fs::read_to_string(group.join("cgroup.procs")).unwrap(), "", "{:?}", user.processes());
    assert_eq!(
        inside(&init, "systemctl is-system-running").trim(),
        "running",
        "{}",
        inside(&init, "systemctl --failed")
    );
    answers(&listen);
    assert_eq!(user.does_well("look", &words), "network true\nserver true\nbalancer true\n");
    is_lost_until_changed(&user, &words, &said);
    user.does_well("down", &words);
    user.assert_nothing_left();
}

fn told_what_is_missing(_: &World) {
    if lacks() {
        return;
    }
    let user = User::new(false, false);
    assert!(!user.has_numbers);
    let said = user.does_well("missing", &[]);
    assert!(said.contains("usermod --add-subuids"), "{said}");
    user.assert_nothing_left();
}

/// What the user does.
pub fn step(arguments: &[String]) -> Option<ExitCode> {
    let ["realm-step", step, data, words @ ..] = &*arguments.iter().map(String::as_str).collect::<Vec<_>>() else {
        return None;
    };
    let data = Path::new(data);
    let entered = andon_lab::enter_realm(data, Path::new("/proc/self/exe"));
    if *step == "missing" {
        let Missing { how, .. } = Lab::requirements().remove(0);
        println!("{how}");
        assert!(entered.is_err());
        return Some(ExitCode::SUCCESS);
    }
    if *step == "owners" {
        entered.unwrap();
        for path in words {
            // By a path that is not whole, as definitions have them.
            std::env::set_current_dir(Path::new(path).parent().unwrap()).unwrap();
            match andon_lab::seen_outside(Path::new(Path::new(path).file_name().unwrap())).unwrap() {
                Ok(seen) => {
                    let more =
                        seen.capabilities.map(|bytes| format!(" with {} bytes", bytes.len())).unwrap_or_default();
                    println!("{} {}{more}", seen.user, seen.group);
                }
                Err(error) => println!("{error}"),
            }
        }
        andon_lab::leave_realm(data);
        return Some(ExitCode::SUCCESS);
    }
    if let Some(said) = entered.unwrap_or_else(|failure| panic!("{failure}\n{}", failure.help.join("\n"))) {
        println!("{said}");
    }
    assert_eq!(Lab::requirements(), []);
    let [network, server, balancer, image, listen] = words else { return None };
    let user = Steps {
        lab: lab(data),
        network: Identity::parse(network)?,
        server: Identity::parse(server)?,
        balancer: Identity::parse(balancer)?,
        image: image.into(),
        listen: (*listen).to_owned(),
    };
    match *step {
        "up" => user.up(true),
        "up-systemd" => user.up(false),
        "up-again" => user.up_again(),
        "look" => user.look(),
        "down" => user.down(),
        "limit" => user.refused("lab_server", &[("memory", "256M".into()), ("init", "andon".into())]),
        "systemd" => user.refused("lab_server", &[]),
        "on-host" => user.refused("lab_server", &[("on_host", "host".into()), ("image", Value::NULL)]),
        "low-port" => user.refused("lab_balancer", &[("listen", "127.0.0.1:7".into())]),
        "taken-port" => user.refused("lab_balancer", &[("listen", user.listen.as_str().into())]),
        "bucket" => user.bucket(),
        "no-bucket" => {
            user.lab.delete("lab_bucket", &bucket_identity()).unwrap();
        }
        "volume" => user.refused("lab_volume", &[("size", "64M".into())]),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

fn bucket_identity() -> Identity {
    Identity::from_random(8_888_888 << 8)
}

struct Steps {
    lab: Lab,
    network: Identity,
    server: Identity,
    balancer: Identity,
    image: PathBuf,
    listen: String,
}

impl Steps {
    /// What the user asks for.
    fn asked(&self, kind: &str, with_command: bool) -> Vec<(&'static str, Value)> {
        match kind {
            "lab_network" => vec![("cidr", "10.64.77.0/24".into()), ("name", "app".into())],
            "lab_server" => {
                let mut given = self.server("web-0");
                given.push(("address", "10.64.77.9".into()));
                if with_command {
                    given.push(("command", texts(&["/usr/sbin/nginx", "-g", "daemon off;"].map(str::to_owned))));
                }
                given
            }
            _ => vec![("listen", (&*self.listen).into()), ("targets", texts(&["10.64.77.9:80".to_owned()]))],
        }
    }

    fn server(&self, name: &str) -> Vec<(&'static str, Value)> {
        vec![("name", name.into()), ("image", "sha256:00".into()), ("network", self.network.as_str().into())]
    }

    fn all(&self) -> [(&'static str, &Identity, &'static str); 3] {
        [
            ("lab_network", &self.network, "up"),
            ("lab_server", &self.server, "running"),
            ("lab_balancer", &self.balancer, "running"),
        ]
    }

    fn extra(&self) -> CreateExtra {
        CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![self.image.clone()], ..Default::default() }
    }

    fn up(&self, with_command: bool) {
        for (kind, identity, _) in self.all() {
            let (planned, _) = self.lab.plan(kind, None, &config(kind, &self.asked(kind, with_command))).unwrap();
            let made = self.lab.create(kind, identity, &planned, &self.extra());
            made.unwrap_or_else(|(failure, _)| panic!("{failure}")).notes.iter().for_each(|note| println!("{note}"));
        }
        println!("init {}", self.lab.init(&self.server).unwrap());
    }

    /// An object as it is now.
    fn now(&self, kind: &str, identity: &Identity) -> Value {
        let mut known = self.asked(kind, true);
        known.extend([("id", Value::from(identity.as_str())), ("gateway", "10.64.77.1".into())]);
        known.extend([("masquerade", Value::from(true)), ("up", Value::from(true)), ("running", Value::from(true))]);
        self.lab.read(kind, identity, &config(kind, &known)).unwrap().unwrap()
    }

    fn look(&self) {
        for (kind, identity, attribute) in self.all() {
            println!("{} {}", &kind[4..], self.now(kind, identity).get(attribute).unwrap().as_bool().unwrap());
        }
    }

    fn up_again(&self) {
        for (kind, identity, _) in self.all() {
            let now = self.now(kind, identity);
            let (planned, replace) = self.lab.plan(kind, Some(&now), &config(kind, &self.asked(kind, true))).unwrap();
            assert!(replace.is_empty(), "{replace:?}");
            let updated = self.lab.update(kind, identity, &now, &planned, &self.extra());
            updated.unwrap_or_else(|(failure, _)| panic!("{failure}"));
        }
        println!("init {}", self.lab.init(&self.server).unwrap());
    }

    fn down(&self) {
        for (kind, identity, _) in self.all().into_iter().rev() {
            self.lab.delete(kind, identity).unwrap();
        }
        self.lab.tidy();
    }

    /// A bucket for servers, at the gateway of their network.
    fn bucket(&self) {
        let given = [("name", "store".into()), ("listen", "10.64.77.1:9000".into())];
        let (planned, _) = self.lab.plan("lab_bucket", None, &config("lab_bucket", &given)).unwrap();
        let made = self.lab.create("lab_bucket", &bucket_identity(), &planned, &self.extra());
        made.unwrap_or_else(|(failure, _)| panic!("{failure}"));
    }

    fn refused(&self, kind: &str, given: &[(&'static str, Value)]) {
        let mut all = match kind {
            "lab_server" => self.server("other"),
            "lab_balancer" => vec![("targets", texts(&["10.64.77.9:80".to_owned()]))],
            _ => vec![("name", "other".into())],
        };
        all.retain(|(name, _)| given.iter().all(|(given, _)| given != name));
        all.extend(given.iter().cloned());
        let identity = Identity::from_random(7_777_777 << 8);
        let failure = self.lab.plan(kind, None, &config(kind, &all)).map_or_else(
            |failure| failure,
            |(planned, _)| {
                let (failure, left) = self.lab.create(kind, &identity, &planned, &self.extra()).unwrap_err();
                assert_eq!(left, None);
                assert_ne!(kind, "lab_volume", "what is never to be had is refused by the plan");
                failure
            },
        );
        println!("{failure}\n{}", failure.help.join("\n"));
    }
}
