//! An engine in this process: the few calls that are made of one, as Docker documents them
//! (<https://docs.docker.com/reference/api/engine/version/v1.41/>), with what a real one does only in bad hours.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

/// The image that is there from the beginning.
pub const IMAGE: &str = "shop/web:1";

pub struct Fake {
    directory: tempfile::TempDir,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    inside: Mutex<Inside>,
    pulling: AtomicUsize,
}

#[derive(Default)]
struct Inside {
    containers: BTreeMap<String, Container>,
    images: Vec<String>,
    calls: Vec<String>,
    update: Map<String, Json>,
    behaviour: Behaviour,
    next: u64,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    labels: Json,
    /// Its `HostConfig`.
    pub host: Json,
    runs: bool,
    /// Whether it is frozen: to the engine, it runs.
    pub paused: bool,
}

#[derive(Default, Clone)]
pub struct Behaviour {
    pub refuses_starts: bool,
    pub refuses_removals: bool,
    pub loses_answers: bool,
    pub pulls_without_end: bool,
    pub taken_port: Option<String>,
}

/// What is answered.
enum Answer {
    Json(u16, Json),
    Refusal(u16, String),
    /// A pull: its lines, and whether it goes on for ever.
    Lines(Vec<Json>, bool),
    Nothing,
}

impl Fake {
    pub fn start() -> Fake {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let state = Arc::new(State::default());
        state.inside.lock().unwrap().images.push(IMAGE.to_owned());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.converse(stream));
            }
        });
        Fake { directory, state }
    }

    pub fn host(&self) -> String {
        format!("unix://{}/socket", self.directory.path().display())
    }

    pub fn names(&self) -> Vec<String> {
        self.state.inside.lock().unwrap().containers.keys().cloned().collect()
    }

    pub fn container(&self, name: &str) -> Container {
        self.state.inside.lock().unwrap().containers[name].clone()
    }

    pub fn with(&self, name: &str, change: impl FnOnce(&mut Container)) {
        change(self.state.inside.lock().unwrap().containers.get_mut(name).unwrap());
    }

    pub fn with_new(&self, name: &str, id: &str) {
        let container = Container { id: id.to_owned(), labels: json!({}), host: json!({}), runs: false, paused: false };
        self.state.inside.lock().unwrap().containers.insert(name.to_owned(), container);
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.inside.lock().unwrap().behaviour);
    }

    /// What the last update asked for.
    pub fn last_update(&self) -> Map<String, Json> {
        self.state.inside.lock().unwrap().update.clone()
    }

    pub fn calls(&self) -> Vec<String> {
        self.state.inside.lock().unwrap().calls.clone()
    }

    pub fn forget_calls(&self) {
        self.state.inside.lock().unwrap().calls.clear();
    }

    pub fn is_pulling(&self) -> bool {
        self.state.pulling.load(Ordering::Relaxed) > 0
    }
}

impl State {
    /// One question and its answer, as the client has it.
    fn converse(&self, mut stream: UnixStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut first, mut length) = (String::new(), 0);
        let _ = reader.read_line(&mut first);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                break;
            }
            if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        let _ = reader.read_exact(&mut body);
        let words: Vec<&str> = first.split(' ').collect();
        let [method, target, _] = words.as_slice() else { return };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix("/v1.41").unwrap_or(path);
        let body = serde_json::from_slice(&body).unwrap_or(Json::Null);
        let answer = self.inside.lock().unwrap().answer(method, path, &decoded(query), &body);
        let mut write = |status: u16, body: &str| {
            let text =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(text.as_bytes());
        };
        match answer {
            Answer::Json(status, Json::Null) => write(status, ""),
            Answer::Json(status, json) => write(status, &json.to_string()),
            Answer::Refusal(status, message) => write(status, &json!({ "message": message }).to_string()),
            Answer::Nothing => {}
            Answer::Lines(lines, goes_on) => {
                self.pulling.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
                for line in lines {
                    let _ = stream.write_all(format!("{line}\r\n").as_bytes());
                }
                while goes_on && stream.write_all(b"{\"status\":\"Downloading\",\"id\":\"a\"}\r\n").is_ok() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.pulling.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Inside {
    fn answer(&mut self, method: &str, path: &str, query: &BTreeMap<String, String>, body: &Json) -> Answer {
        self.calls.push(format!("{method} {path}"));
        let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
        let absent = |what: &str| Answer::Refusal(404, format!("No such {what}"));
        match (method, steps.as_slice()) {
            ("GET", ["version"]) => Answer::Json(200, json!({ "ApiVersion": "1.41" })),
            ("GET", ["images", name, "json"]) => {
                let name = percent_decoded(name);
                if self.images.contains(&name) { Answer::Json(200, json!({})) } else { absent("image") }
            }
            ("POST", ["images", "create"]) => self.pull(&query["fromImage"]),
            ("GET", ["containers", "json"]) => {
                let filters: Json = serde_json::from_str(&query["filters"]).unwrap();
                let (name, value) = filters["label"][0].as_str().unwrap().split_once('=').unwrap();
                let found = self.containers.values().filter(|it| it.labels[name] == value);
                Answer::Json(200, found.map(|it| json!({ "Id": it.id })).collect())
            }
            ("POST", ["containers", "create"]) => self.create(&query["name"], body),
            (_, ["containers", id, rest @ ..]) => {
                let found = self.containers.iter().find(|(_, it)| it.id == *id).map(|(name, _)| name.clone());
                found.map_or_else(|| absent("container"), |name| self.with(method, &name, rest, body))
            }
            _ => absent("call"),
        }
    }

    fn with(&mut self, method: &str, name: &str, rest: &[&str], body: &Json) -> Answer {
        let behaviour = self.behaviour.clone();
        let container = self.containers.get_mut(name).unwrap();
        match (method, rest) {
            ("GET", ["json"]) => Answer::Json(
                200,
                json!({
                    "Id": container.id, "Name": format!("/{name}"), "HostConfig": container.host,
                    "State": { "Running": container.runs, "Paused": container.paused, "Pid": 0 },
                }),
            ),
            ("POST", ["start"]) if behaviour.refuses_starts => Answer::Refusal(500, "it does not start".to_owned()),
            ("POST", ["start"]) if container.paused => {
                Answer::Refusal(409, "cannot start a paused container, try unpause instead".to_owned())
            }
            ("POST", ["start"]) => match behaviour.taken_port {
                Some(port) if container.host["PortBindings"].to_string().contains(&port) => {
                    Answer::Refusal(500, format!("Bind for 0.0.0.0:{port} failed: port is already allocated"))
                }
                _ => {
                    container.runs = true;
                    Answer::Json(204, Json::Null)
                }
            },
            ("POST", ["unpause"]) => {
                container.paused = false;
                Answer::Json(204, Json::Null)
            }
            ("POST", ["stop"]) => {
                container.runs = false;
                Answer::Json(204, Json::Null)
            }
            ("POST", ["update"]) => {
                let asked = body.as_object().cloned().unwrap_or_default();
                self.update.clone_from(&asked);
                match update(&mut container.host, &asked) {
                    Ok(()) => Answer::Json(200, json!({ "Warnings": [] })),
                    Err(refusal) => Answer::Refusal(400, refusal.to_owned()),
                }
            }
            ("DELETE", []) if behaviour.refuses_removals => {
                Answer::Refusal(500, "driver failed to remove root filesystem: device or resource busy".to_owned())
            }
            ("DELETE", []) => {
                self.containers.remove(name);
                Answer::Json(204, Json::Null)
            }
            _ => Answer::Refusal(404, "No such call".to_owned()),
        }
    }

    fn create(&mut self, name: &str, body: &Json) -> Answer {
        if self.containers.contains_key(name) {
            return Answer::Refusal(409, format!("Conflict. The container name \"/{name}\" is already in use"));
        }
        let mut host = body["HostConfig"].clone();
        if let Some(network) = host["NetworkMode"].as_str() {
            return Answer::Refusal(404, format!("network {network} not found"));
        }
        if host["RestartPolicy"].is_null() {
            host["RestartPolicy"] = json!({ "Name": "no" });
        }
        self.next += 1;
        let id = format!("{:064x}", self.next);
        let container = Container { id: id.clone(), labels: body["Labels"].clone(), host, runs: false, paused: false };
        self.containers.insert(name.to_owned(), container);
        match self.behaviour.loses_answers {
            true => Answer::Nothing,
            false => Answer::Json(201, json!({ "Id": id, "Warnings": [] })),
        }
    }

    fn pull(&mut self, image: &str) -> Answer {
        let mut lines = vec![json!({ "status": "Pulling from web", "id": "1" })];
        if image.contains("none") {
            lines.push(json!({ "error": "manifest unknown" }));
            return Answer::Lines(lines, false);
        }
        self.images.push(image.to_owned());
        for percent in 0..=100 {
            let detail = json!({ "current": percent << 20, "total": 100 << 20 });
            lines.push(json!({ "status": "Downloading", "progressDetail": detail, "id": "a" }));
        }
        lines.push(json!({ "status": "Pull complete", "id": "a" }));
        Answer::Lines(lines, self.behaviour.pulls_without_end)
    }
}

/// Zero changes nothing, and less is no memory; -1 is no quota, and no limit of processes.
fn update(host: &mut Json, asked: &Map<String, Json>) -> Result<(), &'static str> {
    let number = |name: &str| asked.get(name).and_then(Json::as_i64).filter(|number| *number != 0);
    if number("Memory").is_some_and(|memory| memory < 6 << 20) {
        return Err("Minimum memory limit allowed is 6MB");
    }
    if number("CpuQuota").is_some_and(|quota| quota > 0) && host["NanoCpus"].as_i64().unwrap_or(0) > 0 {
        return Err("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
    }
    for name in ["Memory", "MemorySwap", "NanoCpus", "CpuPeriod", "CpuQuota", "PidsLimit"] {
        if let Some(number) = number(name) {
            host[name] = number.into();
        }
    }
    if let Some(policy) = asked.get("RestartPolicy") {
        host["RestartPolicy"] = policy.clone();
    }
    Ok(())
}

fn decoded(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), percent_decoded(value))).collect()
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
