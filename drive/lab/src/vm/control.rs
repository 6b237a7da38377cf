//! QEMU's own socket: <https://www.qemu.org/docs/master/interop/qmp-spec.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::message;
use crate::records::absent_is_fine;

/// The socket, in a machine's directory.
pub(super) const SOCKET: &str = "control";
/// QEMU answers at once, but for somebody else's conversation with it, and where this machine is very busy.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest line that is read, in bytes: whoever serves the socket is not trusted with this process's memory.
const LINE_LIMIT: u64 = 4 << 20;

/// A conversation with a machine's QEMU, which holds one at a time.
pub(super) struct Control {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

/// What QEMU has that came by its socket or has a name of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// What disks are read from.
    pub nodes: BTreeSet<String>,
    /// What the machine sees.
    pub devices: BTreeSet<String>,
    /// The open files that it was given, by the number of their set, with the name that they were given under.
    pub files: BTreeMap<u64, String>,
}

/// Makes the socket of a machine that is to be started, which serves it.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    absent_is_fine(std::fs::remove_file(directory.join(SOCKET)))?;
    let opened = File::open(directory)?;
    UnixListener::bind(path_in(&opened))
}

/// The way to the socket may be longer than the name of a socket can be.
fn path_in(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}

impl Control {
    /// Begins one with the machine of a directory.
    pub fn open(directory: &Path) -> io::Result<Control> {
        let stream = UnixStream::connect(path_in(&File::open(directory)?))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut control = Control { reader: BufReader::new(stream.try_clone()?), stream };
        // It greets first.
        control.next()?;
        control.ask(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(control)
    }

    /// The answer to a command. What QEMU refuses is an error with its words.
    pub fn ask(&mut self, command: &Json) -> io::Result<Json> {
        writeln!(&self.stream, "{command}")?;
        self.answer()
    }

    /// The same of one that an open file goes with.
    pub fn ask_with(&mut self, command: &Json, file: &File) -> io::Result<Json> {
        message::send(&self.stream, format!("{command}\n").as_bytes(), &[file.as_fd()])?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Json> {
        // What happens meanwhile is told in between.
        let mut answer = loop {
            let line = self.next()?;
            if line.get("event").is_none() {
                break line;
            }
        };
        match answer.get_mut("return") {
            Some(answer) => Ok(answer.take()),
            None => {
                let said = answer.pointer("/error/desc").and_then(Json::as_str).map(str::to_owned);
                Err(io::Error::other(said.unwrap_or_else(|| answer.to_string())))
            }
        }
    }

    /// What it has now.
    pub fn parts(&mut self) -> io::Result<Parts> {
        let nodes = self.ask(&json!({ "execute": "query-named-block-nodes", "arguments": { "flat": true } }))?;
        let devices = self.ask(&json!({ "execute": "qom-list", "arguments": { "path": "/machine/peripheral" } }))?;
        let texts = |list: &Json, name: &str| -> BTreeSet<String> {
            let list = list.as_array().into_iter().flatten();
            list.filter_map(|one| Some(one.get(name)?.as_str()?.to_owned())).collect()
        };
        let files = self.ask(&json!({ "execute": "query-fdsets" }))?;
        let files = files.as_array().into_iter().flatten().filter_map(|set| {
            let name = set.pointer("/fds/0/opaque")?.as_str()?;
            Some((set.get("fdset-id")?.as_u64()?, name.to_owned()))
        });
        let files = files.collect();
        Ok(Parts { nodes: texts(&nodes, "node-name"), devices: texts(&devices, "name"), files })
    }

    fn next(&mut self) -> io::Result<Json> {
        let mut line = String::new();
        self.reader.by_ref().take(LINE_LIMIT).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

/// Has a machine begin to shut down, as its power button would.
pub(super) fn press_power_button(directory: &Path) -> io::Result<()> {
    Control::open(directory)?.ask(&json!({ "execute": "system_powerdown" })).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_button_is_pressed_after_the_greeting() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("d".repeat(120));
        std::fs::create_dir(&long).unwrap();
        drop(listen(&long).unwrap());
        let listener = listen(&long).unwrap();
        let machine = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in ["{\"return\":{}}", "{\"error\":{\"class\":\"GenericError\",\"desc\":\"not now\"}}"] {
                let (stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(&stream).lines();
                writeln!(&stream, "{{\"QMP\":{{}}}}").unwrap();
                for answer in ["{\"return\":{}}", answer] {
                    let line: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                    asked.push(line["execute"].as_str().unwrap().to_owned());
                    writeln!(&stream, "{{\"event\":\"X\"}}\n{answer}").unwrap();
                }
            }
            asked
        });
        press_power_button(&long).unwrap();
        assert_eq!(press_power_button(&long).unwrap_err().to_string(), "not now");
        assert_eq!(machine.join().unwrap(), ["qmp_capabilities", "system_powerdown"].repeat(2));
        assert!(press_power_button(folder.path()).is_err());
    }
}
