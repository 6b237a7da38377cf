//! An SSH server of a test's own: on loopback, with keys made for it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use andon_value::Value;

/// What the server takes for the user's password, where the test may say so.
pub const PASSWORD: &str = "pass word \"of\" the $test";
const HASH: &str =
    "$6$andontest$dhUcimMihJkJgGK2M1g4EsHowwwmOojbUiYb/sdRcnxCXrFHXFcJ5eviaRwtyarslaDp5VxQ13kKNp/KaMUsS0";

pub struct Server {
    pub directory: tempfile::TempDir,
    pub port: u16,
    pub user: String,
    process: Child,
}

impl Server {
    /// `None` where there is no server program.
    pub fn start() -> Option<Server> {
        if !Path::new("/usr/sbin/sshd").exists() || Command::new("ssh").arg("-V").output().is_err() {
            println!("skipped: there is no OpenSSH here: scripts/setup test");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["host", "key", "stranger"] {
            let status = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(at(name))
                .status()
                .unwrap();
            assert!(status.success());
        }
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = |name: &str| at(name).display().to_string();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n\
             AllowTcpForwarding yes\nMaxStartups 100\nMaxAuthTries 20\nPerSourcePenalties no\nSetEnv XDG_CACHE_HOME={}\n\
             Match User {DEPLOY}\nAuthorizedKeysFile none\nAuthorizedKeysCommand /bin/cat {}\n\
             AuthorizedKeysCommandUser root\nSetEnv XDG_CACHE_HOME={}/cache\n",
            shown("host"),
            shown("key.pub"),
            shown("cache"),
            shown("key.pub"),
            shown("deploy")
        );
        // Servers of before 9.8 do not know of penalties.
        let config = match sshd_knows(&at("probe"), "PerSourcePenalties no") {
            true => config,
            false => config.replace("PerSourcePenalties no\n", ""),
        };
        fs::write(at("sshd_config"), config).unwrap();
        let mut command = match is_root() {
            // In a namespace of mounts of its own, the user may have a password of ours, and what is kept goes with it.
            true => {
                let shadow = fs::read_to_string("/etc/shadow").unwrap_or_default();
                let others = shadow.lines().filter(|line| !line.starts_with(&format!("{user}:")));
                let own = format!("{user}:{HASH}:19000:0:99999:7:::");
                let lines: Vec<&str> = others.chain([&*own]).collect();
                fs::write(at("shadow"), lines.join("\n") + "\n").unwrap();
                deploy(directory.path());
                let script = "mount --make-rprivate / && mount --bind \"$1/shadow\" /etc/shadow && \
                              mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/group\" /etc/group && \
                              { test ! -e /etc/sudoers || mount --bind \"$1/sudoers\" /etc/sudoers; } && mount -t tmpfs none /run && \
                              mkdir -p /run/sshd /var/lib/andon && mount -t tmpfs none /var/lib/andon && exec /usr/sbin/sshd -D -e -f \"$2\"";
                let mut command = Command::new("unshare");
                command.args(["-m", "sh", "-c", script, "sh"]).arg(directory.path()).arg(at("sshd_config"));
                command
            }
            false => {
                let mut command = Command::new("/usr/sbin/sshd");
                command.args(["-D", "-e", "-f"]).arg(at("sshd_config"));
                command
            }
        };
        let log = fs::File::create(at("log")).unwrap();
        let process = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let mut server = Server { directory, port, user, process };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "{}", server.text("log"));
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A connection with its own key, and more.
    pub fn connection(&self, more: &[(&'static str, Value)]) -> Value {
        let own = [
            ("host", Value::from("127.0.0.1")),
            ("port", Value::from(i64::from(self.port))),
            ("user", Value::from(&*self.user)),
            ("private_key", Value::from(self.text("key"))),
            ("host_key", Value::from(self.text("host.pub"))),
            ("agent", false.into()),
        ];
        Value::object(own.into_iter().chain(more.iter().cloned()))
    }
}

/// Another user, who may log in and become root.
pub const DEPLOY: &str = "andon-deploy";
pub const DEPLOY_ID: u32 = 47_011;

/// The files that make the other user known, and its home.
fn deploy(directory: &Path) {
    let home = directory.join("deploy");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(DEPLOY_ID), Some(DEPLOY_ID)).unwrap();
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let append = |name: &str, line: &str| {
        let text = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
        let text = text.trim_end_matches('\n');
        fs::write(directory.join(name), format!("{text}\n{line}\n")).unwrap();
    };
    append("passwd", &format!("{DEPLOY}:x:{DEPLOY_ID}:{DEPLOY_ID}::{}:/bin/sh", home.display()));
    append("group", &format!("{DEPLOY}:x:{DEPLOY_ID}:"));
    append("sudoers", &format!("{DEPLOY} ALL=(ALL) NOPASSWD: ALL"));
    fs::set_permissions(directory.join("sudoers"), std::os::unix::fs::PermissionsExt::from_mode(0o440)).unwrap();
    let shadow = fs::read_to_string(directory.join("shadow")).unwrap();
    fs::write(directory.join("shadow"), format!("{shadow}{DEPLOY}:*:19000:0:99999:7:::\n")).unwrap();
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn sshd_knows(probe: &Path, line: &str) -> bool {
    fs::write(probe, format!("{line}\n")).unwrap();
    let output = Command::new("/usr/sbin/sshd").arg("-T").arg("-f").arg(probe).output();
    output.is_ok_and(|output| !String::from_utf8_lossy(&output.stderr).contains("Bad configuration option"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
