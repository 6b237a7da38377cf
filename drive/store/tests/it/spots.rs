//! Places for ledgers: a directory of its own, and a project of its own in a PostgreSQL server that the tests start.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use andon_store::{Database, Key, Ledger, Place};
use nix::unistd::User;
use tempfile::TempDir;

/// A place for one ledger.
pub struct Spot {
    pub name: &'static str,
    pub place: Place,
    /// As [`read`] takes it.
    pub text: String,
    _directory: Option<TempDir>,
}

/// A new place of each kind that this machine has.
pub fn spots() -> Vec<Spot> {
    [Some(file()), database()].into_iter().flatten().collect()
}

/// A new place in a directory of its own.
pub fn file() -> Spot {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".andon/ledger");
    let text = path.to_str().unwrap().to_owned();
    Spot { name: "SQLite", place: Place::File(path), text, _directory: Some(directory) }
}

/// A new place in the database server, where there is one.
pub fn database() -> Option<Spot> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server()?;
    let project = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let text = format!("{}&project={project}", server.address());
    Some(Spot { name: "PostgreSQL", place: read(&text), text, _directory: None })
}

/// A place from its text, also in a child process.
pub fn read(text: &str) -> Place {
    match Database::is_address(text) {
        true => Place::Database(Database::new(text, "none", "here:/none", true).unwrap()),
        false => Place::File(PathBuf::from(text)),
    }
}

impl Spot {
    pub fn open(&self) -> Ledger {
        Ledger::open_at(&self.place, None).unwrap()
    }

    pub fn open_with(&self, key: &Key) -> Ledger {
        Ledger::open_at(&self.place, Some(key)).unwrap()
    }

    /// Every byte that is stored here: of the file and its log, or of the database's rows.
    pub fn bytes(&self) -> Vec<u8> {
        match &self.place {
            Place::File(path) => {
                let files = fs::read_dir(path.parent().unwrap()).unwrap();
                files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
            }
            Place::Database(_) => {
                let mut client = client();
                let mut all = Vec::new();
                for (table, columns) in [
                    ("andon_entries", "event"),
                    ("andon_snapshots", "state"),
                    ("andon_locks", "holder"),
                    ("andon_ledgers", "wrapped"),
                ] {
                    for row in client.query(&format!("SELECT {columns} FROM {table}"), &[]).unwrap() {
                        all.extend(row.get::<_, Vec<u8>>(0));
                    }
                }
                all
            }
        }
    }
}

/// A connection of one's own to the server.
pub fn client() -> postgres::Client {
    postgres::Client::connect(&server().unwrap().address(), postgres::NoTls).unwrap()
}

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

    pub fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }
}

/// The server; started when it is first asked for. `None`, and a line that says why, where this machine has none.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| start(5432, &[]).map_err(|why| println!("skipped on PostgreSQL: {why}")).ok()).as_ref()
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
