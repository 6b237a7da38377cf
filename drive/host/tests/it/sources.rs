//! Files, archives and repositories that a server gets itself.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use andon_converge::Mode;
use andon_schema::{EntryStatus, HostReport};
use andon_value::{Type, Value};

use crate::converge::{catalog, converge, resource};
use crate::root::{in_a_root, text};

/// A web server that answers each request with the same, as often as it is asked. It ends with the process.
fn serve(status: &str, body: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/tool?token=hunter2", listener.local_addr().unwrap());
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let answer = [head.as_bytes(), body].concat();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

fn failure(report: &HostReport) -> String {
    let failed = report.entries.iter().find_map(|entry| match &entry.status {
        EntryStatus::Failed(reason) => Some(reason.clone()),
        _ => None,
    });
    failed.unwrap_or_default()
}

const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn a_file_of_the_web() {
    let url = serve("200 OK", b"hello");
    let gone = serve("404 Not Found", b"");
    in_a_root(move || {
        let file = |url: &str, digest: &str| {
            catalog(vec![resource("file", "/srv/tool", &[("source", url.into()), ("sha256", digest.into())])])
        };
        let right = file(&url, DIGEST);
        assert_eq!(converge(&right, Mode::Plan).changes().count(), 1);
        let report = converge(&right, Mode::Apply);
        assert!(!report.has_failed(), "{report:#?}");
        assert_eq!(text("/srv/tool").as_deref(), Some("hello"));
        assert!(converge(&right, Mode::Apply).is_clean());
        let said = failure(&converge(&file(&url, &"0".repeat(64)), Mode::Apply));
        assert!(said.contains("SHA-256 2cf24dba") && !said.contains("hunter2"), "{said}");
        assert_eq!(text("/srv/tool").as_deref(), Some("hello"), "what is refused takes no place");
        let said = failure(&converge(&file(&gone, &"1".repeat(64)), Mode::Apply));
        assert!(said.contains("the server answers 404") && !said.contains("hunter2"), "{said}");
    });
}

/// A web server with a certificate of an authority of the test's own, by openssl; it serves the directory.
struct Tls(std::process::Child, u16);

impl Tls {
    fn start(directory: &str) -> Option<Tls> {
        let run = |line: &str| {
            let output = Command::new("sh").args(["-c", line]).current_dir(directory).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        };
        Command::new("openssl").arg("version").output().ok()?;
        fs::create_dir_all(directory).unwrap();
        fs::write(format!("{directory}/tool"), "hello").unwrap();
        run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
             -subj /CN=ca -days 2 2>&1");
        run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out one.csr \
             -subj /CN=localhost 2>&1 && printf 'subjectAltName=DNS:localhost' >ext && \
             openssl x509 -req -in one.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem");
        // The number is free until somebody else takes it in between.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-WWW", "-cert", "cert.pem", "-key", "key.pem", "-accept", &port.to_string()])
            .current_dir(directory)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < deadline, "openssl does not serve");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(Tls(child, port))
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_file_of_the_web_by_tls() {
    in_a_root(|| {
        let Some(server) = Tls::start("/srv/tls") else { return println!("skipped: there is no openssl") };
        let file = |host: &str| {
            let url = format!("https://{host}:{}/tool", server.1);
            catalog(vec![resource("file", "/srv/tool", &[("source", url.into()), ("sha256", DIGEST.into())])])
        };
        let said = failure(&converge(&file("localhost"), Mode::Apply));
        assert!(said.contains("an authority that this server does not trust"), "{said}");
        assert_eq!(text("/srv/tool"), None);
        // The server is told to trust it, as by `update-ca-certificates`.
        let authority = text("/srv/tls/ca.pem").unwrap();
        fs::write("/etc/ssl/certs/ca-certificates.crt", authority).unwrap();
        let report = converge(&file("localhost"), Mode::Apply);
        assert!(!report.has_failed(), "{report:#?}");
        assert_eq!(text("/srv/tool").as_deref(), Some("hello"));
        fs::remove_file("/srv/tool").unwrap();
        let said = failure(&converge(&file("127.0.0.1"), Mode::Apply));
        assert!(said.contains("is for another name"), "{said}");
    });
}

#[test]
fn a_busy_web_server_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tool", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().flatten().enumerate() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let answer: &[u8] = match count {
                0 => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                1 => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhel",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            };
            let _ = stream.write_all(answer);
        }
    });
    in_a_root(move || {
        let file = resource("file", "/srv/tool", &[("source", url.as_str().into()), ("sha256", DIGEST.into())]);
        let report = converge(&catalog(vec![file]), Mode::Apply);
        assert!(!report.has_failed(), "{report:#?}");
        assert_eq!(text("/srv/tool").as_deref(), Some("hello"));
    });
}

#[test]
fn archives_are_unpacked_once_and_again_where_something_is_missing() {
    in_a_root(|| {
        fs::create_dir_all("/srv/made/tool-1/bin/more").unwrap();
        fs::write("/srv/made/tool-1/bin/run", "#!/bin/sh\n").unwrap();
        fs::write("/srv/made/tool-1/bin/more/b", "b").unwrap();
        fs::write("/srv/made/tool-1/readme", "r").unwrap();
        let shell = "cd /srv/made && chmod 755 tool-1/bin/run && ln -s run tool-1/bin/go && ln tool-1/readme tool-1/same \
                     && for kind in cf:tar czf:gz cjf:bz2 cJf:xz; do tar ${kind%%:*} /srv/a.${kind##*:} tool-1 || exit 1; done";
        if !Command::new("sh").args(["-c", shell]).status().unwrap().success() {
            return println!("skipped: this machine's tar makes no such archives");
        }
        for kind in ["tar", "gz", "bz2", "xz"] {
            let place = format!("/srv/out-{kind}/app");
            let given = |only: &[&str]| {
                let only = Value::list(Type::String, only.iter().map(|text| Value::from(*text)));
                let source = format!("/srv/a.{kind}");
                let given = [
                    ("source", Value::from(&*source)),
                    ("strip", 1.into()),
                    ("only", only),
                    ("owner", "daemon".into()),
                ];
                catalog(vec![resource("archive", &place, &given)])
            };
            let wanted = given(&["bin", "same", "readme"]);
            let report = converge(&wanted, Mode::Apply);
            assert!(!report.has_failed(), "{kind}: {report:#?}");
            assert_eq!(fs::read_link(format!("{place}/bin/go")).unwrap().to_str(), Some("run"));
            let run = fs::metadata(format!("{place}/bin/run")).unwrap();
            assert_eq!((run.mode() & 0o7777, run.uid()), (0o755, 1));
            assert_eq!(text(&format!("{place}/same")).as_deref(), Some("r"));
            assert!(converge(&wanted, Mode::Apply).is_clean(), "{kind}");
            fs::write(format!("{place}/bin/more/b"), "changed").unwrap();
            let report = converge(&wanted, Mode::Apply);
            assert_eq!(report.changes().count(), 1);
            assert_eq!(text(&format!("{place}/bin/more/b")).as_deref(), Some("b"));
            assert_eq!(converge(&given(&["bin"]), Mode::Plan).changes().count(), 1, "another choice is another record");
        }
        let broken = catalog(vec![resource("archive", "/srv/b", &[("source", "/srv/broken".into())])]);
        fs::write("/srv/broken", "no archive at all").unwrap();
        assert!(failure(&converge(&broken, Mode::Apply)).contains("could not be unpacked"));
    });
}

#[test]
fn nothing_leads_out_of_an_archive() {
    in_a_root(|| {
        for (place, name) in ["../evil", "a/../../evil"].into_iter().enumerate() {
            let mut archive = tar_of(name);
            fs::write("/srv/evil.tar", std::mem::take(&mut archive)).unwrap();
            let path = format!("/srv/in-{place}");
            let wanted = catalog(vec![resource("archive", &path, &[("source", "/srv/evil.tar".into())])]);
            let said = failure(&converge(&wanted, Mode::Apply));
            assert!(said.contains("leads out of the archive"), "{said}");
            assert!(!fs::exists("/srv/evil").unwrap());
        }
    });
}

/// A tar (POSIX.1-1988) with one file of this name.
fn tar_of(name: &str) -> Vec<u8> {
    let mut head = vec![0; 512];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[100..107].copy_from_slice(b"0000644");
    head[108..115].copy_from_slice(b"0000000");
    head[116..123].copy_from_slice(b"0000000");
    head[124..135].copy_from_slice(b"00000000001");
    head[136..147].copy_from_slice(b"00000000000");
    head[156] = b'0';
    head[257..262].copy_from_slice(b"ustar");
    head[148..156].copy_from_slice(b"        ");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    head.resize(1024, b'x');
    head.resize(2048, 0);
    head
}

#[test]
fn repositories() {
    in_a_root(|| {
        let git = |line: &str| {
            let line = format!(
                "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a; \
                                git config --global init.defaultBranch main; {line}"
            );
            let output = Command::new("sh").args(["-ec", &line]).env("HOME", "/srv").output();
            output.ok().filter(|output| output.status.success()).map(|it| String::from_utf8(it.stdout).unwrap())
        };
        let made = git(
            "git init -q /srv/origin; cd /srv/origin; echo 1 > f; git add f; git commit -qm 1; git tag -a v1 -m v1; \
                        echo 2 > f; git commit -qam 2; git rev-parse HEAD",
        );
        let Some(second) = made else { return println!("skipped: there is no git") };
        let wanted = |given: &[(&str, Value)]| {
            let given: Vec<(&str, Value)> =
                given.iter().cloned().chain([("url", "file:///srv/origin".into())]).collect();
            catalog(vec![resource("git", "/srv/copy", &given)])
        };
        let follow = wanted(&[("revision", "main".into()), ("depth", 1.into())]);
        assert_eq!(converge(&follow, Mode::Plan).changes().count(), 1);
        let report = converge(&follow, Mode::Apply);
        assert!(!report.has_failed(), "{report:#?}");
        assert_eq!(text("/srv/copy/f").as_deref(), Some("2\n"));
        assert!(converge(&follow, Mode::Apply).is_clean());
        let tag = wanted(&[("revision", "v1".into())]);
        assert!(!converge(&tag, Mode::Apply).has_failed());
        assert_eq!(text("/srv/copy/f").as_deref(), Some("1\n"));
        assert!(converge(&tag, Mode::Apply).is_clean());
        let commit = wanted(&[("revision", second.trim().into())]);
        assert!(!converge(&commit, Mode::Apply).has_failed());
        assert_eq!(text("/srv/copy/f").as_deref(), Some("2\n"));
        fs::write("/srv/copy/f", "mine\n").unwrap();
        assert!(converge(&commit, Mode::Apply).is_clean(), "what is changed by hand is nobody's business");
        let said = failure(&converge(&tag, Mode::Apply));
        assert!(said.contains("changed by hand: f"), "{said}");
        let discard = wanted(&[("revision", "v1".into()), ("local_changes", "discard".into())]);
        assert!(!converge(&discard, Mode::Apply).has_failed());
        assert_eq!(text("/srv/copy/f").as_deref(), Some("1\n"));
        assert!(converge(&discard, Mode::Apply).is_clean());
        let said = failure(&converge(&wanted(&[("revision", "v9".into())]), Mode::Apply));
        assert!(said.contains("no branch and no tag `v9`"), "{said}");
        // A clone that was killed has no commit.
        fs::remove_dir_all("/srv/copy").unwrap();
        git("git init -q /srv/copy");
        assert!(!converge(&follow, Mode::Apply).has_failed());
        assert_eq!(text("/srv/copy/f").as_deref(), Some("2\n"));
        assert!(converge(&follow, Mode::Apply).is_clean());
    });
}
