//! What a user without root needs: a place for images and servers, and the realm in which these are made.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use andon_engine::provider::lab_place;

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
    let known = || nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()?.map(|user| user.dir);
    let home = || absolute("HOME").or_else(|| known().filter(|home| home.is_absolute()));
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local/share")));
    data.map_or_else(|| "/var/lib/andon".into(), |data| data.join("andon"))
}

/// The word before all others that says that the realm is needed, whatever the text of the definitions.
const FORCED: &str = "__in-realm";

/// Takes the word that says that the realm is needed away from those that a user typed.
pub fn is_forced(words: &mut Vec<OsString>) -> bool {
    let is_forced = words.get(1).is_some_and(|word| word == FORCED);
    if is_forced {
        words.remove(1);
    }
    is_forced
}

/// Takes this process to its user's realm where a command may need it. To be called while there is one thread. Where the
/// realm cannot be entered, whatever needs it says why.
pub fn enter(arguments: &Arguments, is_forced: bool) {
    let is_needed = || looks_at_the_lab(&arguments.command) && is_of_the_lab(&arguments.directory);
    if nix::unistd::geteuid().is_root() || !(is_forced || makes_images(&arguments.command) || is_needed()) {
        return;
    }
    let entered = andon_lab::enter_realm(&arguments.data_dir, Path::new("/proc/self/exe"));
    if let Ok(Some(said)) = entered {
        eprintln!("note: {said}");
    }
}

/// Begins anew in the realm, where nothing in the text said that it is needed: definitions may come from anywhere. Comes
/// back where it is no matter of a realm.
pub fn begin_anew() {
    if nix::unistd::geteuid().is_root() || andon_lab::is_in_realm() {
        return;
    }
    let mut words = std::env::args_os();
    let mut command = std::process::Command::new("/proc/self/exe");
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    let words: Vec<OsString> = words.collect();
    // A second time would be no better.
    if words.first().is_some_and(|word| word == FORCED) {
        return;
    }
    let _ = command.arg(FORCED).args(words).exec();
}

/// Whether this process is this machine's root: in a realm, root is not.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root() && !andon_lab::is_in_realm()
}

fn makes_images(command: &Command) -> bool {
    matches!(command, Command::Bake(_) | Command::Image(_))
}

/// Whether a command asks the lab, or changes something in it, where its project has objects there.
pub fn looks_at_the_lab(command: &Command) -> bool {
    matches!(
        command,
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
            | Command::Logs(_)
    )
}

/// Whether a project has objects of the lab, or speaks of them. One that only reaches servers elsewhere stays where its
/// user's keys and settings are.
fn is_of_the_lab(directory: &Path) -> bool {
    lab_place::has_a_lab(directory) || speaks_of_the_lab(directory, DEPTH)
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
    fn the_word_that_forces_comes_first_alone() {
        let check = |words: &[&str], expected: bool| {
            let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(is_forced(&mut words), expected);
            assert_eq!(words.iter().filter(|word| *word == FORCED).count(), usize::from(words.len() == 3));
        };
        check(&["andon", "up"], false);
        check(&["andon", FORCED, "up"], true);
        check(&["andon", "up", FORCED], false);
    }

    #[test]
    fn definitions_of_the_lab_are_found() {
        let check = |files: &[(&str, &str)], expected: bool| {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let place = folder.path().join(path);
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(place, text).unwrap();
            }
            assert_eq!(is_of_the_lab(folder.path()), expected, "{files:?}");
        };
        check(&[], false);
        check(&[("main.tf", "resource \"terraform_data\" \"a\" {}")], false);
        check(&[("main.tf", "resource \"lab_network\" \"a\" {}")], true);
        check(&[("stacks/web/main.tf.json", "{\"resource\":{\"lab_server\":{}}}")], true);
        check(&[(".andon/modules/x/main.tf", "resource \"andon_image\" \"a\" {}")], true);
        check(&[("images/web.image.hcl", "")], true);
        check(&[("main.tf", ""), (".andon/lab", "{}")], true);
        check(&[("main.tf", "resource \"andon_host\" \"a\" {}")], false);
        check(&[("README.md", "lab_server"), (".git/main.tf", "lab_server")], false);
    }
}
