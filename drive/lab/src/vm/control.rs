//! QEMU's own socket: <https://www.qemu.org/docs/master/interop/qmp-spec.html>.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};

/// The socket, in a machine's directory.
pub(super) const SOCKET: &str = "control";
const LIMIT: Duration = Duration::from_secs(5);

/// Has a machine begin to shut down, as its power button would.
pub(super) fn press_power_button(directory: &Path) -> io::Result<()> {
    // The way there may be longer than the name of a socket.
    let directory = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()));
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    // It greets first.
    next(&mut lines)?;
    for command in ["qmp_capabilities", "system_powerdown"] {
        writeln!(&stream, "{}", json!({ "execute": command }))?;
        // What happens meanwhile is told in between.
        let answer = loop {
            let line = next(&mut lines)?;
            if line.get("event").is_none() {
                break line;
            }
        };
        if answer.get("return").is_none() {
            return Err(io::Error::other(answer.to_string()));
        }
    }
    Ok(())
}

fn next(lines: &mut impl Iterator<Item = io::Result<String>>) -> io::Result<Json> {
    let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    serde_json::from_str(&line).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_button_is_pressed_after_the_greeting() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("d".repeat(120));
        std::fs::create_dir(&long).unwrap();
        let opened = File::open(&long).unwrap();
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd())).unwrap();
        let machine = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines();
            let mut asked = Vec::new();
            writeln!(&stream, "{{\"QMP\":{{}}}}").unwrap();
            for _ in 0..2 {
                asked.push(next(&mut lines).unwrap()["execute"].as_str().unwrap().to_owned());
                writeln!(&stream, "{{\"event\":\"X\"}}\n{{\"return\":{{}}}}").unwrap();
            }
            asked
        });
        press_power_button(&long).unwrap();
        assert_eq!(machine.join().unwrap(), ["qmp_capabilities", "system_powerdown"]);
        assert!(press_power_button(folder.path()).is_err());
    }
}
