//! A PostgreSQL server for tests, started from the distribution's packages, and gone with the process that started it. Tests
//! of the program use this file, too.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use nix::unistd::User;

/// The server, which ends with this process, however that ends.
pub struct Server {
    pub directory: PathBuf,
    /// Open as long as this process lives: whoever reads its end stops the server and removes its directory.
    _life: ChildStdin,
}

impl Server {
    pub fn address(&self) -> String {
        format!("postgres:///postgres?user=andon&host={}", self.directory.display())
    }
}

/// Starts a server from the distribution's packages, with a directory of its own, and its socket there. It does not run as root.
pub fn start(port: u16, options: &[&str]) -> Result<Server, String> {
    let programs = programs().ok_or("there is no /usr/lib/postgresql/*/bin/initdb (apt-get install postgresql)")?;
    let directory = tempfile::Builder::new().prefix("andon-pg-").tempdir().unwrap().keep();
    let mut as_user = String::new();
    if nix::unistd::geteuid().is_root() {
        let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or("there is no user `postgres` and no `nobody` to run it as")?;
        chown(&directory, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        as_user = format!("setpriv --reuid={} --regid={} --clear-groups", user.uid, user.gid);
    }
    let script = format!(
        r#"cd "$1" || exit 1
        {as_user} "$2/initdb" -D "$1/data" -A trust -U andon -N --locale=C.UTF-8 -E UTF8 >"$1/log" 2>&1 || {{ echo "initdb: $(tail -n 3 "$1/log")"; rm -rf "$1"; exit 1; }}
        dir=$1 bin=$2; shift 2
        {as_user} "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c max_connections=200 \
            -c unix_socket_permissions=0777 "$@" >"$dir/log" 2>&1 </dev/null &
        server=$!
        for _ in $(seq 600); do
            {as_user} "$bin/pg_isready" -q -h "$dir" && {{ echo ready; break; }}
            kill -0 $server 2>/dev/null || {{ echo "postgres: $(tail -n 3 "$dir/log")"; break; }}
            sleep 0.1
        done
        exec >/dev/null
        cat
        kill -QUIT $server; wait $server
        rm -rf "$dir""#
    );
    let mut keeper = Command::new("sh")
        .args(["-c", &script, "sh"])
        .args([&directory, &programs])
        .args(options)
        .env("PGPORT", port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let life = keeper.stdin.take().unwrap();
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).map_err(|error| error.to_string())?;
    match line.trim() {
        "ready" => Ok(Server { directory, _life: life }),
        why => Err(format!("the server does not start: {why}")),
    }
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|programs: &PathBuf| Path::new(programs).join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}
