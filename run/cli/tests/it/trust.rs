//! Fetching over TLS from a server whose certificate an authority of one's own has signed. `openssl` makes both and
//! serves.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Project, eventually};

/// The server, until it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(project: &Project, line: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(line.split(' ')).current_dir(&project.directory);
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_certificate_is_trusted_by_its_authority_alone() {
    let project = Project::empty("trust");
    project.write("names", "subjectAltName=DNS:localhost\n");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let made = [
        format!("req -x509 {key} -keyout authority.key -out authority.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out server.pem"
            .to_owned(),
    ];
    if !made.iter().all(|line| openssl(&project, line)) {
        return println!("skipped: openssl makes no certificates here");
    }
    project.write("package/main.tf", "output \"x\" { value = \"fetched\" }\n");
    let mut packed = Command::new("tar");
    packed.args(["czf", "m.tar.gz", "-C", "package", "."]).current_dir(&project.directory);
    assert!(packed.status().unwrap().success());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("openssl");
    command.args([
        "s_server",
        "-accept",
        &format!("127.0.0.1:{port}"),
        "-cert",
        "server.pem",
        "-key",
        "server.key",
        "-WWW",
    ]);
    command.current_dir(&project.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    eventually("the server answers", Duration::from_secs(60), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let init = |host: &str, trusted: Option<&str>| {
        let source = format!("https://{host}:{port}/m.tar.gz");
        project.write("main.tf", &format!("module \"m\" {{\n  source = \"{source}\"\n}}\n"));
        let mut command = project.command(&["init"]);
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        if let Some(file) = trusted {
            command.env("SSL_CERT_FILE", project.directory.join(file));
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = init("localhost", None);
    assert!(code == Some(1) && said.contains("is not trusted") && said.contains("SSL_CERT_FILE"), "{said}");
    let (code, said) = init("localhost", Some("authority.pem"));
    assert_eq!(code, Some(0), "{said}");
    // The certificate is another name's.
    let (code, said) = init("127.0.0.1", Some("authority.pem"));
    assert!(code == Some(1) && said.contains("is not trusted"), "{said}");
}
