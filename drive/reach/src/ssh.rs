//! The way to a server over the system's `ssh`, with the user's own configuration, keys and agent.
//!
//! This program is kept on the server under the digest of its file, in the login's cache directory, which nobody else may
//! read. One connection asks for the work: where the program is there, it answers at once; where it is not, the server says
//! what kind of machine it is, the program is sent, and the work is asked for again.
//!
//! ```text
//! ssh ADDRESS  → sh: is there ~/.cache/andon/DIGEST?
//!                  yes → it takes the request, says lines, replies            one round trip
//!                  no  → "Linux x86_64 glibc 2.36" → a second ssh sends it → a third one asks again
//! ```
//!
//! What a login's shell says before (a message of the day) is passed over: an agent opens with a line of its own.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::agent::{AGENT_ARGUMENT, REMOTE};
use crate::call::{Helper, SEARCH_PATH, Talk, TalkError, how};
use crate::elf;
use crate::frame::Frame;
use crate::{Contact, ReachError};

/// With what an agent begins that was reached over a way that others may have written to.
pub(crate) const OPENING: &[u8] = b"andon-agent 1\n";

/// With what a server begins that has no such agent; the rest of the line says what it is.
pub(crate) const MISSING: &[u8] = b"andon-missing 1 ";

/// What `ssh` ends with when it failed itself.
const FAILED: i32 = 255;

/// A server reached by `ssh`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ssh {
    /// A host name, an address, or a `Host` of the user's configuration.
    pub address: String,
    /// Whom to log in as; as `ssh` has it where none is given.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// A file with a private key.
    pub identity_file: Option<String>,
    /// Further options of ssh_config(5), by name.
    pub options: Vec<(String, String)>,
    /// Root does the work: by `sudo -n` where the login is another user.
    pub becomes_root: bool,
    /// `ssh` may ask at the terminal: for a passphrase, of an unknown key.
    pub may_ask: bool,
    /// Where this process is root of a user namespace that is a user's: that one's numbers and its group's, in which `ssh`
    /// sees itself, so that it has the user's settings, keys and name.
    pub run_as: Option<(u32, u32)>,
}

impl Ssh {
    /// Where it leads, as a message names it: `deploy@web-1:2222`.
    pub fn name(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{user}{}{port}", self.address)
    }

    /// `ssh` on the way there, ready for a command of the login's shell.
    pub(crate) fn command(&self, more: &[&str]) -> Result<Command, ReachError> {
        let odd = |text: &str| text.is_empty() || text.starts_with('-') || text.contains(char::is_control);
        if odd(&self.address) || self.address.contains(char::is_whitespace) || self.user.as_deref().is_some_and(odd) {
            let step = "use the address".to_owned();
            return Err(ReachError::Enter { step, cause: format!("{:?} is no name and no address", self.name()) });
        }
        let mut command = Command::new("ssh");
        if let Some((user, group)) = self.run_as {
            see_itself_as(&mut command, user, group);
        }
        command.args(more);
        for (name, value) in &self.options {
            command.arg("-o").arg(format!("{name}={value}"));
        }
        if !self.may_ask {
            command.args(["-o", "BatchMode=yes"]);
        }
        // A server that is down is found out in seconds, and one that goes away, too.
        command.args(["-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]);
        if let Some(user) = &self.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = self.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(file) = &self.identity_file {
            command.arg("-i").arg(file);
        }
        command.arg("--").arg(&self.address);
        Ok(command)
    }

    /// The same without a terminal there, for a script of a shell. It holds no single quote and no line break, so that
    /// every login shell hands it on as it is.
    fn script(&self, more: &[&str], script: &str) -> Result<Command, ReachError> {
        let mut command = self.command(&[&["-T", "-x"], more].concat())?;
        command.arg(format!("exec /bin/sh -c '{script}'")).env("LC_ALL", "C");
        self.detach(&mut command);
        Ok(command)
    }

    /// Keys that interrupt are for the caller; whoever may be asked at the terminal stays in front of it.
    pub(crate) fn detach(&self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        if !self.may_ask {
            command.process_group(0);
            return;
        }
        // SAFETY: between fork and exec only signal(2) is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                libc::signal(libc::SIGQUIT, libc::SIG_IGN);
                Ok(())
            });
        }
    }

    /// Words before a command that have root run it.
    pub(crate) fn root_words(&self) -> &'static str {
        if self.becomes_root { "s=; test \"$(id -u)\" = 0 || s=\"sudo -n --\"; " } else { "s=; " }
    }

    /// The failure of `ssh` itself, or of what it had the server run.
    pub(crate) fn refused(&self, status: Option<i32>, how: String, said: &[u8]) -> ReachError {
        let said = String::from_utf8_lossy(said).into_owned();
        let is_sudo = said.lines().any(|line| line.starts_with("sudo: ") || line.ends_with(": sudo: not found"));
        match status {
            Some(FAILED) => ReachError::Connect { name: self.name(), said },
            _ if is_sudo => ReachError::NotRoot { name: self.name(), said },
            _ => ReachError::Died { how, said },
        }
    }
}

/// Has a program run in a user namespace of its own, in which root of this process's is a user with such numbers: so it may
/// do what that user may, and no more (user_namespaces(7), "Defining user and group ID mappings").
fn see_itself_as(command: &mut Command, user: u32, group: u32) {
    use std::os::unix::process::CommandExt;
    let files = [
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/uid_map", format!("{user} 0 1")),
        (c"/proc/self/gid_map", format!("{group} 0 1")),
    ];
    // SAFETY: between fork and exec only unshare, open, write and close are called, which are async-signal-safe; the paths end
    // with a zero byte, and the texts are as long as they are said to be.
    unsafe {
        command.pre_exec(move || {
            if libc::unshare(libc::CLONE_NEWUSER) != 0 {
                return Err(io::Error::last_os_error());
            }
            for (path, text) in &files {
                let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                let written = if file < 0 { -1 } else { libc::write(file, text.as_ptr().cast(), text.len()) };
                if usize::try_from(written) != Ok(text.len()) {
                    return Err(io::Error::last_os_error());
                }
                libc::close(file);
            }
            Ok(())
        });
    }
}

/// Runs the work on a server; see [`crate::run_agent`].
pub(crate) fn run_agent(
    ssh: &Ssh,
    helper: &Path,
    request: &[u8],
    contact: &mut Contact<'_>,
) -> Result<Vec<u8>, ReachError> {
    let program = Program::read(helper)?;
    let mut sent = false;
    loop {
        match ask(ssh, &program, request, contact)? {
            Frame::Reply(reply) => return Ok(reply),
            Frame::Missing(machine) if !sent => {
                program.fits(ssh, &machine)?;
                (contact.say)("sending this program");
                program.send(ssh)?;
                sent = true;
            }
            Frame::Missing(_) => {
                let said = "it was sent, and is not there: something removes it, or its file system runs no programs";
                return Err(ReachError::NotStored { name: ssh.name(), said: said.to_owned() });
            }
            Frame::Refused(step, cause) => return Err(ReachError::Enter { step, cause }),
            Frame::Line(_) | Frame::Gone => return Err(ReachError::Garbled { helper: helper.to_owned() }),
        }
    }
}

fn ask(ssh: &Ssh, program: &Program<'_>, request: &[u8], contact: &mut Contact<'_>) -> Result<Frame, ReachError> {
    let missing = String::from_utf8_lossy(MISSING);
    let proxies: String =
        ["http_proxy", "https_proxy", "no_proxy"].map(|name| format!("${{{name}:+\"{name}=${name}\"}} ")).concat();
    let script = format!(
        "b=\"${{XDG_CACHE_HOME:-$HOME/.cache}}/andon/{digest}\"; if test -x \"$b\"; then {root}\
         exec $s env -i PATH={SEARCH_PATH} {home} LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive {proxies}\
         \"$b\" {AGENT_ARGUMENT} {REMOTE}; fi; \
         echo \"{missing}$(uname -s) $(uname -m) $(getconf GNU_LIBC_VERSION 2>/dev/null || echo none)\"",
        digest = program.digest,
        root = ssh.root_words(),
        home = if ssh.becomes_root { "HOME=/root" } else { "\"HOME=$HOME\"" },
    );
    let mut command = ssh.script(&[], &script)?;
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut talk = Talk::over_a_distance(Helper(child.map_err(no_ssh)?));
    let status = talk.hold(request, contact).map_err(|error| match error {
        TalkError::Broken(source) => ReachError::Talk { source },
        TalkError::Garbled => ReachError::Garbled { helper: program.file.to_owned() },
    })?;
    let said = std::mem::take(&mut talk.said);
    let has_begun = talk.has_begun();
    talk.answer.ok_or_else(|| match status.code() {
        Some(FAILED) if has_begun => {
            ReachError::Lost { name: ssh.name(), said: String::from_utf8_lossy(&said).into_owned() }
        }
        code => ssh.refused(code, how(status), &said),
    })
}

/// A shell of the login, or a command, with this process's own input and output; as whoever calls `ssh` by hand has it.
pub(crate) fn shell(ssh: &Ssh, words: &[std::ffi::OsString]) -> Result<i32, ReachError> {
    use std::os::unix::process::ExitStatusExt;
    let mut command = Ssh { may_ask: true, ..ssh.clone() }.command(&[])?;
    // The login's shell reads the words again.
    let quoted = words.iter().map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")));
    let status = command.args(quoted).status().map_err(no_ssh)?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

pub(crate) fn no_ssh(source: io::Error) -> ReachError {
    match source.kind() {
        io::ErrorKind::NotFound => ReachError::NoSsh,
        _ => ReachError::Start { helper: "ssh".into(), source },
    }
}

/// This program as a file.
struct Program<'a> {
    file: &'a Path,
    digest: String,
}

impl Program<'_> {
    fn read(file: &Path) -> Result<Program<'_>, ReachError> {
        let digest = digest_of(file).map_err(|source| ReachError::Start { helper: file.to_owned(), source })?;
        Ok(Program { file, digest })
    }

    /// Refuses a machine on which it would not run.
    fn fits(&self, ssh: &Ssh, machine: &str) -> Result<(), ReachError> {
        let foreign = |needs: String| ReachError::Foreign { name: ssh.name(), machine: machine.to_owned(), needs };
        let mut words = machine.split_whitespace();
        let (system, architecture) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let library: Vec<&str> = words.collect();
        let architecture = match architecture {
            "arm64" => "aarch64",
            "amd64" => "x86_64",
            "i486" | "i586" | "i686" => "x86",
            "ppc64le" => "powerpc64",
            other if other.starts_with("armv") => "arm",
            other => other,
        };
        if system != "Linux" || architecture != std::env::consts::ARCH {
            return Err(foreign(format!("Linux on {}", std::env::consts::ARCH)));
        }
        let needed = elf::needed_glibc(self.file)
            .map_err(|source| ReachError::Start { helper: self.file.to_owned(), source })?;
        let has = match library.as_slice() {
            ["glibc", version] => elf::version(version),
            _ => None,
        };
        match needed {
            Some(needed) if has.is_none_or(|has| has < needed) => {
                Err(foreign(format!("the GNU C library, {}.{} or newer", needed.0, needed.1)))
            }
            _ => Ok(()),
        }
    }

    /// Puts it on the server, whole or not at all.
    fn send(&self, ssh: &Ssh) -> Result<(), ReachError> {
        let start = |source| ReachError::Start { helper: self.file.to_owned(), source };
        let file = File::open(self.file).map_err(start)?;
        let length = file.metadata().map_err(start)?.len();
        // Versions that were in use a month ago are not kept for ever.
        let script = format!(
            "umask 077; c=\"${{XDG_CACHE_HOME:-$HOME/.cache}}/andon\"; t=\"$c/.new-$$\"; \
             mkdir -p \"$c\" && chmod 700 \"$c\" && cat >\"$t\" && test \"$(wc -c <\"$t\")\" -eq {length} && \
             chmod 700 \"$t\" && mv -f \"$t\" \"$c/{}\" && \
             {{ find \"$c\" -type f -mtime +30 -exec rm -f {{}} + 2>/dev/null; exit 0; }}; rm -f \"$t\"; exit 1",
            self.digest
        );
        // On the way to another machine the wire is slower than the packing, unless the options say what is.
        let says = ssh.options.iter().any(|(name, _)| name.eq_ignore_ascii_case("Compression"));
        let is_near = matches!(ssh.address.as_str(), "localhost" | "::1") || ssh.address.starts_with("127.");
        let more: &[&str] = if is_near || says { &[] } else { &["-C"] };
        let output = ssh.script(more, &script)?.stdin(Stdio::from(file)).output().map_err(no_ssh)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(match output.status.code() {
            Some(FAILED) => ReachError::Connect { name: ssh.name(), said },
            _ => ReachError::NotStored { name: ssh.name(), said },
        })
    }
}

/// The digest of a file, computed once in the life of this process, and not again where it is remembered.
fn digest_of(file: &Path) -> io::Result<String> {
    use std::sync::{Mutex, PoisonError};
    static KNOWN: Mutex<Vec<(std::path::PathBuf, String)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, digest)) = known.iter().find(|(path, _)| path == file) {
        return Ok(digest.clone());
    }
    let mut open = File::open(file)?;
    let identity = identity(&open.metadata()?);
    let digest = match remembered(&identity) {
        Some(digest) => digest,
        None => {
            let mut hash = Sha256::new();
            io::copy(&mut open, &mut Hasher(&mut hash))?;
            let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            remember(&identity, &digest);
            digest
        }
    };
    known.push((file.to_owned(), digest.clone()));
    Ok(digest)
}

/// What changes with every change of a file: where it is, how long, and its times.
fn identity(metadata: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    let (changed, written) = ((metadata.ctime(), metadata.ctime_nsec()), (metadata.mtime(), metadata.mtime_nsec()));
    format!("{} {} {} {changed:?} {written:?}", metadata.dev(), metadata.ino(), metadata.len())
}

/// The user's own file with the digest of the program that was used last.
fn memory() -> Option<std::path::PathBuf> {
    let own = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from).filter(|path| path.is_absolute());
    Some(own("XDG_CACHE_HOME").or_else(|| Some(own("HOME")?.join(".cache")))?.join("andon-program"))
}

fn remembered(identity: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let place = memory()?;
    // What another user wrote is not believed.
    let own = std::fs::metadata(&place).ok()?.uid() == nix::unistd::geteuid().as_raw();
    let text = own.then(|| std::fs::read_to_string(place).ok())??;
    let (known, digest) = text.trim_end().split_once('\n')?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (known == identity && is_digest).then(|| digest.to_owned())
}

/// Where it cannot be written, it is computed the next time, too.
fn remember(identity: &str, digest: &str) {
    let Some(place) = memory() else { return };
    let new = place.with_extension(std::process::id().to_string());
    let written = std::fs::write(&new, format!("{identity}\n{digest}\n"));
    if written.and_then(|()| std::fs::rename(&new, &place)).is_err() {
        let _ = std::fs::remove_file(&new);
    }
}

struct Hasher<'a>(&'a mut Sha256);

impl io::Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh() -> Ssh {
        Ssh { address: "web-1".into(), becomes_root: true, ..Ssh::default() }
    }

    #[test]
    fn the_command_says_what_the_connection_does() {
        let words = |ssh: &Ssh| {
            let command = ssh.command(&[]).unwrap();
            command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let own = "-o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4";
        assert_eq!(words(&ssh()), format!("-o BatchMode=yes {own} -- web-1"));
        let whole = Ssh {
            user: Some("deploy".into()),
            port: Some(2222),
            identity_file: Some("/k".into()),
            options: vec![("ProxyJump".into(), "bastion".into())],
            may_ask: true,
            ..ssh()
        };
        assert_eq!(words(&whole), format!("-o ProxyJump=bastion {own} -l deploy -p 2222 -i /k -- web-1"));
        assert_eq!(whole.name(), "deploy@web-1:2222");
        for odd in ["", "-oProxyCommand=sh", "a b", "a\nb"] {
            assert!(Ssh { address: odd.into(), ..ssh() }.command(&[]).is_err(), "{odd:?}");
        }
        assert!(Ssh { user: Some("-l".into()), ..ssh() }.command(&[]).is_err());
    }

    #[test]
    fn machines_on_which_the_program_does_not_run_are_refused() {
        let own = Path::new("/proc/self/exe");
        let program = Program::read(own).unwrap();
        let here = std::env::consts::ARCH;
        let check = |machine: &str, expected: Option<&str>| {
            let said = program.fits(&ssh(), machine).err().map(|error| error.to_string());
            match expected {
                Some(part) => assert!(said.as_ref().is_some_and(|said| said.contains(part)), "{machine}: {said:?}"),
                None => assert_eq!(said, None, "{machine}"),
            }
        };
        check(&format!("Linux {here} glibc 9.99"), None);
        check("Linux s390x glibc 9.99", Some("Linux on"));
        check(&format!("FreeBSD {here} none"), Some("Linux on"));
        check("", Some("Linux on"));
        if elf::needed_glibc(own).unwrap().is_some() {
            check(&format!("Linux {here} glibc 2.5"), Some("the GNU C library, 2."));
            check(&format!("Linux {here} none"), Some("the GNU C library, 2."));
        }
    }

    #[test]
    fn a_digest_is_remembered_of_this_very_file() {
        let directory = std::env::temp_dir().join(format!("andon-digest-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("program");
        std::fs::write(&file, "one").unwrap();
        let one = identity(&std::fs::metadata(&file).unwrap());
        assert_eq!(one, identity(&std::fs::metadata(&file).unwrap()));
        std::fs::rename(&file, directory.join("old")).unwrap();
        std::fs::write(&file, "two").unwrap();
        assert_ne!(one, identity(&std::fs::metadata(&file).unwrap()), "another file of the same length");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn scripts_hold_nothing_that_a_login_shell_would_read() {
        let program = Program::read(Path::new("/proc/self/exe")).unwrap();
        assert_eq!(program.digest.len(), 64);
        let command = ssh().script(&[], "a \"$b\"").unwrap();
        assert_eq!(command.get_args().last().unwrap(), "exec /bin/sh -c 'a \"$b\"'");
    }
}
