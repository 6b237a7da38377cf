//! What a user without root needs: a place for images and servers, and the realm in which these are made.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::{Arguments, Command};

/// Directories below a project's that are not looked into.
const PASSED_OVER: [&str; 3] = [".git", "node_modules", "providers"];
/// How deep definitions are looked for.
const DEPTH: usize = 12;

/// Where images and servers are kept: the machine's place for root, the user's own for any other
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
pub fn data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return "/var/lib/andon".into();
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    data.map_or_else(|| "/var/lib/andon".into(), |data| data.join("andon"))
}

/// Takes this process to its user's realm where a command may need it. To be called while there is one thread. Where the
/// realm cannot be entered, whatever needs it says why.
pub fn enter(arguments: &Arguments) {
    if nix::unistd::geteuid().is_root() || !may_need(arguments) {
        return;
    }
    let _ = andon_lab::enter_realm(&arguments.data_dir, Path::new("/proc/self/exe"));
}

/// Whether this process is this machine's root: in a realm, root is not.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root() && !andon_lab::is_in_realm()
}

fn may_need(arguments: &Arguments) -> bool {
    match &arguments.command {
        Command::Bake(_) | Command::Image(_) => true,
        Command::Test(_)
        | Command::Plan(_)
        | Command::Apply(_)
        | Command::Refresh(_)
        | Command::Destroy(_)
        | Command::Up(_)
        | Command::Down(_)
        | Command::Drift(_)
        | Command::Sync(_)
        | Command::Status(_)
        | Command::Ssh(_)
        | Command::Restart(_)
        | Command::Run(_)
        | Command::Exec(_)
        | Command::Undo(_)
        | Command::Import(_)
        | Command::CheckServer(_)
        | Command::Facts(_)
        | Command::Logs(_) => {
            arguments.data_dir.join("lab/realm").exists() || speaks_of_the_lab(&arguments.directory, DEPTH)
        }
        _ => false,
    }
}

/// Whether any definition below a directory says a word that only the lab's resources and images have. Only looks at the
/// text: a word too many makes a realm that nobody needs.
fn speaks_of_the_lab(directory: &Path, depth: usize) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                depth > 0 && !PASSED_OVER.contains(&&*name) && speaks_of_the_lab(&entry.path(), depth - 1)
            }
            _ if name.ends_with(".image.hcl") => true,
            _ if name.ends_with(".tf") || name.ends_with(".tf.json") || name.ends_with(".hcl") => {
                let text = fs::read(entry.path()).unwrap_or_default();
                let says = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
                says(b"lab_") || says(b"andon_image")
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_the_lab_are_found() {
        let check = |files: &[(&str, &str)], expected: bool| {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let place = folder.path().join(path);
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(place, text).unwrap();
            }
            assert_eq!(speaks_of_the_lab(folder.path(), DEPTH), expected, "{files:?}");
        };
        check(&[], false);
        check(&[("main.tf", "resource \"terraform_data\" \"a\" {}")], false);
        check(&[("main.tf", "resource \"lab_network\" \"a\" {}")], true);
        check(&[("stacks/web/main.tf.json", "{\"resource\":{\"lab_server\":{}}}")], true);
        check(&[(".andon/modules/x/main.tf", "resource \"andon_image\" \"a\" {}")], true);
        check(&[("images/web.image.hcl", "")], true);
        check(&[("README.md", "lab_server"), (".git/main.tf", "lab_server")], false);
    }
}
