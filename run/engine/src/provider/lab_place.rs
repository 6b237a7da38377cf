//! Which of a machine's labs has a project's objects: root has one, each user without root another, and `--data-dir` makes
//! more. It is in a file beside the ledger of a project, and not in the ledger, as other machines may share that.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use andon_lab::Lab;
use andon_schema::Failure;
use serde_json::{Value as Json, json};

use crate::{Session, records};

/// A lab, as this machine's other users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    data: PathBuf,
    user: u32,
}

impl Place {
    fn of(lab: &Lab) -> Place {
        Place { data: settled(lab.data_dir()), user: andon_lab::user() }
    }

    fn read(directory: &Path) -> Option<Place> {
        let json: Json = serde_json::from_slice(&fs::read(path(directory)).ok()?).ok()?;
        let user = u32::try_from(json.get("user")?.as_u64()?).ok()?;
        Some(Place { data: settled(Path::new(json.get("data")?.as_str()?)), user })
    }
}

/// The one name of a directory that may have many, by links and by `..`, also while it or its last part is not there yet.
fn settled(directory: &Path) -> PathBuf {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let mut place = PathBuf::new();
    for part in absolute.components() {
        match part {
            // Of what is not there, nothing is a link.
            Component::ParentDir => drop(place.pop()),
            part => place.push(part),
        }
        if let Ok(known) = place.canonicalize() {
            place = known;
        }
    }
    place
}

fn path(directory: &Path) -> PathBuf {
    records(directory).join("lab")
}

/// Whether a project has, or lately had, objects of a lab of this machine.
pub fn has_a_lab(directory: &Path) -> bool {
    path(directory).exists()
}

/// Writes down where a project's objects are. To be called before the first is made.
pub(super) fn remember(directory: &Path, lab: &Lab) -> Result<(), Failure> {
    let place = Place::of(lab);
    if Place::read(directory).as_ref() == Some(&place) {
        return Ok(());
    }
    let path = path(directory);
    let text = json!({ "data": place.data.to_string_lossy(), "user": place.user }).to_string();
    // Several are made at once.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let unfinished = path.with_extension(format!("{}-{number}.new", std::process::id()));
    let written = fs::create_dir_all(records(directory))
        .and_then(|()| fs::write(&unfinished, text))
        .and_then(|()| fs::rename(&unfinished, &path));
    written.map_err(|error| Failure::new(format!("cannot write {}", path.display()), format!("{error}.")))
}

/// Refuses another lab than the one that has the project's objects: there, all of them would seem to be gone.
///
/// # Errors
/// Names the lab that has them, and how to go there.
pub fn check(session: &Session) -> Result<(), Failure> {
    let settings = session.settings();
    let Some(there) = Place::read(&settings.directory) else { return Ok(()) };
    let environments = session.state().environments.values();
    let mut objects = environments.flat_map(|it| it.instances.keys().chain(it.pending.values().map(|it| &it.address)));
    if !objects.any(|address| address.resource.kind.starts_with("lab_")) {
        // They are gone: the next ones may be made elsewhere.
        let _ = fs::remove_file(path(&settings.directory));
        return Ok(());
    }
    refuse(&there, &Place::of(&super::lab(settings)?), &name_of)
}

fn refuse(there: &Place, here: &Place, name_of: &dyn Fn(u32) -> String) -> Result<(), Failure> {
    if there == here {
        return Ok(());
    }
    let name = name_of(there.user);
    let by = |name: &str| if name == "root" { "root".to_owned() } else { format!("the user `{name}`") };
    let detail = format!(
        "{} made them in {}, and this is {} with {}: each has a lab of its own.",
        by(&name),
        there.data.display(),
        by(&name_of(here.user)),
        here.data.display(),
    );
    let failure = Failure::new("the project's servers are in another lab", capitalised(&detail));
    Err(match (there.user == here.user, &*name) {
        (true, _) => failure.help(format!("Run it with `--data-dir {}`.", there.data.display())),
        (false, "root") => failure.help(format!("Run it with sudo, and with `--data-dir {}`.", there.data.display())),
        (false, name) => {
            failure.help(format!("Run it as `{name}` and without sudo, with `--data-dir {}`.", there.data.display()))
        }
    })
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The name of a user of this machine, or the number of one that has none.
pub(crate) fn name_of(user: u32) -> String {
    let known = nix::unistd::User::from_uid(user.into()).ok().flatten();
    known.map_or_else(|| user.to_string(), |known| known.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_lab_is_refused_by_name() {
        let place = |data: &str, user| Place { data: data.into(), user };
        let name = |user: u32| if user == 0 { "root".to_owned() } else { "ann".to_owned() };
        let check = |there: Place, here: Place, detail: &str, help: &str| {
            let failure = refuse(&there, &here, &name).unwrap_err();
            assert_eq!((&*failure.detail, &*failure.help[0]), (detail, help));
        };
        assert_eq!(refuse(&place("/a", 7), &place("/a", 7), &name), Ok(()));
        check(
            place("/a", 7),
            place("/b", 0),
            "The user `ann` made them in /a, and this is root with /b: each has a lab of its own.",
            "Run it as `ann` and without sudo, with `--data-dir /a`.",
        );
        check(
            place("/b", 0),
            place("/a", 7),
            "Root made them in /b, and this is the user `ann` with /a: each has a lab of its own.",
            "Run it with sudo, and with `--data-dir /b`.",
        );
        check(
            place("/a", 7),
            place("/c", 7),
            "The user `ann` made them in /a, and this is the user `ann` with /c: each has a lab of its own.",
            "Run it with `--data-dir /a`.",
        );
    }

    #[test]
    fn where_objects_are_is_remembered() {
        let folder = std::env::temp_dir().join(format!("andon-lab-place-{}", std::process::id()));
        let settings = |name: &str| andon_lab::LabSettings { data_dir: folder.join(name), helper: "/none".into() };
        assert!(!has_a_lab(&folder));
        for name in ["one", "two"] {
            let lab = Lab::open(settings(name)).unwrap();
            remember(&folder, &lab).unwrap();
            assert_eq!(Place::read(&folder), Some(Place::of(&lab)));
        }
        // The first objects of a project are made at once.
        let lab = Lab::open(settings("three")).unwrap();
        for _ in 0..20 {
            fs::remove_file(path(&folder)).unwrap();
            std::thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(|| remember(&folder, &lab))).collect();
                all.into_iter().for_each(|one| one.join().unwrap().unwrap());
            });
        }
        assert!(has_a_lab(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_place_is_the_same_before_and_after_it_is_made() {
        let folder = std::env::temp_dir().join(format!("andon-lab-settled-{}", std::process::id()));
        fs::create_dir_all(folder.join("there/inner")).unwrap();
        let _ = fs::remove_file(folder.join("link"));
        std::os::unix::fs::symlink("there/inner", folder.join("link")).unwrap();
        let real = folder.canonicalize().unwrap();
        for (number, (way, place)) in [
            ("new", "new"),
            ("there/../new", "new"),
            ("gone/../new", "new"),
            ("link/new", "there/inner/new"),
            ("link/../new", "there/new"),
            ("./there/./inner/../new/deep", "there/new/deep"),
        ]
        .into_iter()
        .enumerate()
        {
            let project = folder.join(format!("project-{number}"));
            let lab = || {
                let data_dir = folder.join(way);
                Lab::open(andon_lab::LabSettings { data_dir, helper: "/none".into() }).unwrap()
            };
            assert_eq!(settled(&folder.join(way)), real.join(place), "{way}");
            remember(&project, &lab()).unwrap();
            fs::create_dir_all(real.join(place)).unwrap();
            let there = Place::read(&project).unwrap();
            assert_eq!(refuse(&there, &Place::of(&lab()), &name_of), Ok(()), "{way}");
            fs::remove_dir_all(real.join(place)).unwrap();
            // As it was written before there was such a name.
            let text = json!({ "data": folder.join(way).to_string_lossy(), "user": andon_lab::user() });
            fs::write(path(&project), text.to_string()).unwrap();
            fs::create_dir_all(real.join(place)).unwrap();
            let there = Place::read(&project).unwrap();
            assert_eq!(refuse(&there, &Place::of(&lab()), &name_of), Ok(()), "{way}");
            fs::remove_dir_all(real.join(place)).unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
