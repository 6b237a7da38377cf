//! What the tests of the real binary share: a project of their own, the binary, clients, and a look at what the machine
//! holds.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

pub const ANDON: &str = env!("CARGO_BIN_EXE_andon");

/// Why the lab cannot be used here; `None` where it can. Printed by whoever skips.
pub fn lab_is_missing() -> Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON
        .get_or_init(|| {
            // SAFETY: geteuid has no preconditions.
            if unsafe { libc::geteuid() } != 0 {
                return Some("only root can make servers".to_owned());
            }
            let missing = andon_lab::Lab::requirements();
            (!missing.is_empty()).then(|| format!("{missing:?}"))
        })
        .clone()
}

/// Skips the rest of a test where the lab cannot be used, and says why.
macro_rules! need_lab {
    () => {
        if let Some(reason) = $crate::support::lab_is_missing() {
            println!("skipped: {reason}");
            return;
        }
    };
}

pub(crate) use need_lab;

/// Where the tests keep images: baked once, used by all.
pub fn data_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("andon-data")
}

/// A project of a test's own, in a directory that goes with it. Whatever is still up is taken down, too.
pub struct Project {
    /// The binary.
    pub program: PathBuf,
    pub directory: PathBuf,
    pub data_dir: PathBuf,
    pub port: u16,
}

/// A port that no other test of this process uses, nor one of the lab's own tests, which may run beside.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 11_000 + NEXT.fetch_add(1, Ordering::Relaxed) + (std::process::id() % 100) as u16 * 60;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Project {
    /// An empty project.
    pub fn empty(name: &str) -> Project {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        Project { program: ANDON.into(), directory, data_dir: data_dir(), port: port() }
    }

    /// A copy of `examples/shop`, listening on a port of its own.
    pub fn shop(name: &str) -> Project {
        let project = Project::empty(name);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop"), &project.directory);
        project.edit("andon.hcl", "127.0.0.1:8080", &format!("127.0.0.1:{}", project.port));
        project.edit("andon.hcl", "127.0.0.1:8090", &format!("127.0.0.1:{}", port()));
        project
    }

    pub fn write(&self, path: &str, text: &str) {
        let place = self.directory.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    /// Replaces text in a file; the text must be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let place = self.directory.join(path);
        let text = fs::read_to_string(&place).unwrap();
        assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
        fs::write(place, text.replace(from, to)).unwrap();
    }

    /// Time passes: all that says when it was made was made in 2020.
    pub fn ages(&self) {
        let mut state: Json = serde_json::from_str(&self.ok(&["state", "pull"]).out).unwrap();
        for resource in state["resources"].as_array_mut().unwrap() {
            for instance in resource["instances"].as_array_mut().unwrap() {
                if instance["attributes"].get("created").is_some() {
                    instance["attributes"]["created"] = "2020-01-01T00:00:00Z".into();
                }
            }
        }
        state["serial"] = (state["serial"].as_u64().unwrap() + 1).into();
        self.write("state.json", &state.to_string());
        self.ok(&["state", "push", "state.json"]);
    }

    /// The binary, in this project.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .current_dir(&self.directory)
            .env("ANDON_DATA_DIR", &self.data_dir)
            .env_remove("ANDON_ENVIRONMENT")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn andon(&self, words: &[&str]) -> Ran {
        let began = Instant::now();
        let output = self.command(words).output().unwrap();
        Ran::new(words, &output, began.elapsed())
    }

    /// Runs the binary and wants it to succeed.
    #[track_caller]
    pub fn ok(&self, words: &[&str]) -> Ran {
        self.exits(0, words)
    }

    /// Runs the binary and wants this exit code.
    #[track_caller]
    pub fn exits(&self, code: i32, words: &[&str]) -> Ran {
        let ran = self.andon(words);
        assert_eq!(ran.code, Some(code), "{ran}");
        ran
    }

    /// Runs a command in a server, and wants it to succeed.
    #[track_caller]
    pub fn in_server(&self, server: &str, script: &str) -> String {
        let ran = self.andon(&["ssh", server, "sh", "-c", script]);
        assert_eq!(ran.code, Some(0), "{ran}");
        ran.out
    }

    /// Runs a command until it says something, and stops it by hand then; all that it said.
    pub fn stopped_when(&self, arguments: &[&str], says: &str) -> String {
        let mut child = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains(says) {
            assert_ne!(said.read_line(&mut text).unwrap(), 0, "{text}");
        }
        // SAFETY: a signal to a child that nobody has waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        said.read_to_string(&mut text).unwrap();
        assert!(!child.wait().unwrap().success(), "{text}");
        text
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The objects of the dev environment: `status --json`.
    pub fn objects(&self) -> Vec<serde_json::Value> {
        let ran = self.ok(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let environments = status["environments"].as_array().unwrap();
        environments.iter().flat_map(|environment| environment["objects"].as_array().unwrap().clone()).collect()
    }

    /// The identities of all objects that the ledger knows.
    pub fn identities(&self) -> BTreeSet<String> {
        self.objects().iter().map(|object| object["identity"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.directory.join(".andon").exists() && lab_is_missing().is_none() {
            let _ = self.andon(&["down", "-y"]);
            let _ = self.andon(&["down", "-y", "-e", "production", "--approve", "production"]);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a run of the binary came to.
pub struct Ran {
    pub words: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Ran {
    pub fn new(words: &[&str], output: &Output, took: Duration) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code();
        Ran { words: words.join(" "), code, out: text(&output.stdout), err: text(&output.stderr), took }
    }

    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(to, "andon {} exited {:?} after {:?}", self.words, self.code, self.took)?;
        write!(to, "--- standard output\n{}--- standard error\n{}", self.out, self.err)
    }
}

/// Asks with one request on a connection of its own; the status and the body.
pub fn get(address: &str, path: &str, patience: Duration) -> Result<(u16, String), String> {
    let told = |error: std::io::Error| error.to_string();
    let mut stream =
        TcpStream::connect_timeout(&address.parse().map_err(|_| "no address".to_owned())?, patience).map_err(told)?;
    stream.set_read_timeout(Some(patience)).map_err(told)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").map_err(told)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(told)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("cut off: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok((status, body.to_owned()))
}

/// Answers HTTP requests at an address for as long as the tests run, by what is at the path asked for; the port.
pub fn serve(listen: &str, answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> u16 {
    let listener = TcpListener::bind(listen).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let found = answer(first.split(' ').nth(1).unwrap_or_default());
            let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    port
}

/// The faults that the ledger tells of, in order: what one is where it begins, null where it is over.
pub fn faults(project: &Project) -> Vec<Json> {
    let told = project.ok(&["logs", "--json", "--last", "10000"]).out;
    let events = told.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    events.filter(|event| event["type"] == "faulted").map(|mut event| event["fault"].take()).collect()
}

/// Clients that ask all the while, half of them on connections that they keep.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(Vec<usize>, Vec<String>)>>,
}

impl Load {
    /// Starts so many clients of each sort.
    pub fn start(port: u16, clients: usize) -> Load {
        let (stop, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let clients = (0..clients * 2)
            .map(|number| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || ask_until(&stop, began, port, number % 2 == 0))
            })
            .collect();
        Load { stop, clients }
    }

    /// Stops the clients; how many answers they got, and every failure.
    pub fn stop(self) -> (usize, Vec<String>) {
        let (answers, failures) = self.stop_by_seconds();
        (answers.iter().sum(), failures)
    }

    /// Stops the clients; how many answers they got in each second since they were started, the last one begun and not
    /// ended, and every failure.
    pub fn stop_by_seconds(self) -> (Vec<usize>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = (Vec::new(), Vec::new());
        for client in self.clients {
            let (answers, failures) = client.join().unwrap();
            all.0.resize(answers.len().max(all.0.len()), 0);
            answers.iter().zip(&mut all.0).for_each(|(answers, all)| *all += answers);
            all.1.extend(failures);
        }
        all
    }
}

fn ask_until(stop: &AtomicBool, began: Instant, port: u16, keep: bool) -> (Vec<usize>, Vec<String>) {
    let address = format!("127.0.0.1:{port}");
    let patience = Duration::from_secs(10);
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    let mut kept: Option<TcpStream> = None;
    while !stop.load(Ordering::Relaxed) {
        let outcome = if keep { ask_kept(&mut kept, &address, patience) } else { get(&address, "/", patience) };
        match outcome {
            Ok((200, _)) => {
                let second = began.elapsed().as_secs() as usize;
                answers.resize(answers.len().max(second + 1), 0);
                answers[second] += 1;
            }
            other => {
                kept = None;
                failures.push(format!("{other:?}"));
            }
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    (answers, failures)
}

/// One request on a kept connection. An idle connection that the other side closed between two requests is opened anew,
/// as any client does; one that breaks during a request is a failure.
fn ask_kept(kept: &mut Option<TcpStream>, address: &str, patience: Duration) -> Result<(u16, String), String> {
    let told = |error: std::io::Error| error.to_string();
    let fresh = || -> Result<TcpStream, String> {
        let stream = TcpStream::connect_timeout(&address.parse().unwrap(), patience).map_err(told)?;
        stream.set_read_timeout(Some(patience)).map_err(told)?;
        Ok(stream)
    };
    let mut stream = match kept.take() {
        Some(stream) if !is_closed(&stream) => stream,
        _ => fresh()?,
    };
    write!(stream, "GET / HTTP/1.1\r\nHost: test\r\n\r\n").map_err(told)?;
    let mut answer = Vec::new();
    let mut byte = [0u8; 1024];
    loop {
        let read = stream.read(&mut byte).map_err(told)?;
        if read == 0 {
            return Err(format!("cut off after {} bytes", answer.len()));
        }
        answer.extend_from_slice(&byte[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|rest| rest.trim().to_owned())
        });
        let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else {
            return Err(format!("no length: {head}"));
        };
        if body.len() >= length {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
            let closes = head.to_ascii_lowercase().contains("connection: close");
            *kept = (!closes).then_some(stream);
            return Ok((status, body.to_owned()));
        }
    }
}

fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0u8; 1]);
    stream.set_nonblocking(false).unwrap();
    matches!(peeked, Ok(0)) || peeked.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
}

/// Lends the shared images to a data directory of a test's own, as baking a base there would take long.
pub fn share_images(to: &Path) {
    static BAKED: OnceLock<()> = OnceLock::new();
    BAKED.get_or_init(|| drop(Project::shop("bake").ok(&["up", "-y"])));
    let (from, to) = (data_dir().join("images"), to.join("images"));
    fs::create_dir_all(&to).unwrap();
    // Work in progress is of no use elsewhere, and does not hold still.
    let whole = |name: &str| name.starts_with("sha256-") || matches!(name, "bases" | "layers" | "recipes" | "steps");
    let names = fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().file_name());
    for name in names.filter(|name| whole(&name.to_string_lossy())) {
        // Files of layers are never written again, so that a second name for each will do.
        let copied = Command::new("cp").args(["-a", "--link"]).arg(from.join(name)).arg(&to).status();
        assert!(copied.unwrap().success());
    }
}

/// Kills the first process of a server, and so all of it.
pub fn kill_server(data_dir: &Path, identity: &str) {
    let settings = andon_lab::LabSettings { data_dir: data_dir.to_owned(), helper: ANDON.into() };
    let init = andon_lab::Lab::open(settings).unwrap().init(&andon_schema::Identity::parse(identity).unwrap()).unwrap();
    // SAFETY: a signal to the process that was just found.
    unsafe { libc::kill(init, libc::SIGKILL) };
    let root = format!("/proc/{init}/root/etc");
    eventually("the server is dead", Duration::from_secs(60), || !Path::new(&root).exists());
}

/// Everything on this machine that bears one of the lab's names: interfaces, nft tables, control groups, directories
/// and processes. What others made is not looked at.
pub fn traces(data_dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let output = |program: &str, words: &[&str]| {
        Command::new(program).args(words).output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for line in output("ip", &["-brief", "link"]).unwrap_or_default().lines() {
        let name = line.split([' ', '@']).next().unwrap_or_default();
        if name.len() >= 10 && (name.starts_with("an") || name.starts_with("av")) {
            found.insert(format!("interface {name}"));
        }
    }
    for line in output("nft", &["list", "tables"]).unwrap_or_default().lines() {
        found.extend(line.contains("andon").then(|| line.to_owned()));
    }
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
        found.extend(line.contains(&*data_dir.to_string_lossy()).then(|| format!("mount {line}")));
    }
    for hierarchy in [
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/cpu",
        "/sys/fs/cgroup/pids",
        "/sys/fs/cgroup/systemd",
    ] {
        for entry in fs::read_dir(format!("{hierarchy}/andon")).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                found.insert(format!("cgroup {}", entry.path().display()));
            }
        }
    }
    for kind in ["servers", "networks", "balancers", "images/tmp"] {
        for entry in fs::read_dir(data_dir.join(kind)).into_iter().flatten().flatten() {
            found.insert(format!("directory {}", entry.path().display()));
        }
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("__lab") || line.contains("__agent") {
            found.insert(format!("process {} {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// The names of all that the lab has for a project: its objects, and those that they are made of.
pub fn names_in_the_lab(project: &Project) -> BTreeSet<String> {
    let owner = project.directory.canonicalize().unwrap();
    let records = fs::read_dir(project.data_dir.join("lab/objects")).into_iter().flatten().flatten();
    let own = records.filter(|record| {
        let record: Json =
            fs::read(record.path()).ok().and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default();
        record["owner"].as_str() == owner.to_str()
    });
    own.map(|record| record.file_name().to_string_lossy().into_owned()).collect()
}

/// What of these names is still to be found on this machine. Other tests have others.
pub fn left_of(names: &BTreeSet<String>, data_dir: &Path) -> Vec<String> {
    assert!(!names.is_empty());
    traces(data_dir).into_iter().filter(|trace| names.iter().any(|name| trace.contains(name))).collect()
}

/// What was printed without the line that names the run, and that name: it is another one each time.
pub fn without_run(text: &str) -> (String, Option<String>) {
    let of_run = |line: &&str| line.starts_with("Run ") || line.starts_with("This was run ");
    let name = |line: &str| {
        line.split([' ', ':', '.']).find(|word| word.len() == 12 && !word.contains('`')).map(str::to_owned)
    };
    let rest: String = text.split_inclusive('\n').filter(|line| !of_run(line)).collect();
    (rest, text.lines().find(of_run).and_then(name))
}

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, patience: Duration, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not so after {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Numbers that look random and follow from a seed: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// Holds what was said against what is written in a file beside the tests.
#[track_caller]
pub fn snapshot(file: &str, text: &str) {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&place, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&place).unwrap_or_default(), "BLESS=1 writes what is said now");
}

/// The places of `true` in Terraform's `after_unknown`; `element` writes the step to an element.
pub fn unknown_in(unknown: &Json, path: &str, element: fn(usize) -> String, found: &mut BTreeSet<String>) {
    match unknown {
        Json::Bool(true) => drop(found.insert(path.to_owned())),
        Json::Array(elements) => {
            let each = elements.iter().enumerate();
            each.for_each(|(at, it)| unknown_in(it, &format!("{path}{}", element(at)), element, found));
        }
        Json::Object(entries) => entries.iter().for_each(|(name, it)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            unknown_in(it, &path, element, found);
        }),
        _ => {}
    }
}

/// A value without its nulls: what is unknown is left out by one and null for the other.
pub fn without_nulls(value: &Json) -> Json {
    match value {
        Json::Object(entries) => {
            let known = entries.iter().filter(|(_, value)| !value.is_null());
            known.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        Json::Array(elements) => elements.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
