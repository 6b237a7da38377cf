use std::fs;
use std::path::{Path, PathBuf};

use andon_lang::modules::parse_source;
use andon_schema::Failure;
use andon_schema::source::{ModuleSource, Package};
use andon_source::{Newer, Web};
use serde_json::{Value as Json, json};

/// How often one page may lead to the next.
const LONGEST_WAY: usize = 10;

/// Where the definitions come from that a server is kept by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A directory of this machine, read where it is.
    Directory(PathBuf),
    /// A package that is fetched, and the project's directory in it.
    Package {
        /// The package.
        package: Package,
        /// The directory; empty for the package's own.
        directory: String,
    },
}

/// The definitions as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definitions {
    /// The project's directory.
    pub directory: PathBuf,
    /// Why they are those of an earlier time, where they are.
    pub stale: Option<String>,
}

impl Origin {
    /// Reads a source: a directory, or whatever a `module` block's source may be that is no registry's.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Origin, Failure> {
        let path = Path::new(text);
        if path.is_dir() {
            let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            return Ok(Origin::Directory(whole));
        }
        if path.is_absolute() && !path.is_file() {
            // It may be there later: a network's file system that is not mounted yet.
            return Ok(Origin::Directory(path.to_owned()));
        }
        let refused = |detail: String, help: &str| {
            Failure::new(format!("`{text}` is no source of definitions"), detail).help(help)
        };
        const FORMS: &str = "Give a directory, an archive such as https://example.com/shop.tar.gz, or a git repository \
                             such as git::https://example.com/shop.git?ref=main.";
        match parse_source(text) {
            Ok(ModuleSource::Package { package, directory }) => match package {
                Package::Directory { path } => Ok(Origin::Directory(Path::new(&*path).join(&*directory))),
                package => Ok(Origin::Package { package, directory: directory.to_string() }),
            },
            Ok(ModuleSource::Local(_)) => Err(refused("There is no such directory.".to_owned(), FORMS)),
            Ok(ModuleSource::Registry { .. }) => {
                Err(refused("A registry has modules, and no roles.".to_owned(), FORMS))
            }
            Err(error) => Err(refused(format!("{}.", error.problem), FORMS)),
        }
    }

    /// The definitions, fetched anew where there are newer ones. What was fetched is kept in `kept`: where the source
    /// cannot be reached, that is what there is.
    ///
    /// # Errors
    /// Where nothing was ever fetched.
    pub fn refresh(&self, web: &dyn Fn() -> Web, kept: &Path) -> Result<Definitions, Failure> {
        match self {
            Origin::Directory(directory) => Ok(Definitions { directory: directory.clone(), stale: None }),
            Origin::Package { package, directory } => {
                let place = kept.join("definitions");
                let stale = match fetch(&web(), package, kept, &place) {
                    Ok(()) => None,
                    Err(failure) if place.is_dir() => Some(failure.summary),
                    Err(failure) => return Err(failure),
                };
                Ok(Definitions { directory: place.join(directory), stale })
            }
        }
    }
}

/// Fetches what is newer than what is at `place`, and puts it there whole or not at all.
fn fetch(web: &Web, package: &Package, kept: &Path, place: &Path) -> Result<(), Failure> {
    let file = |error: std::io::Error| Failure::new(format!("{} cannot be written", kept.display()), error.to_string());
    let named = package.to_string();
    let mark_file = kept.join("mark.json");
    // A mark of something else, or of what is no longer there, says nothing.
    let mark = Some(&mark_file).filter(|_| place.is_dir()).and_then(|path| read_mark(path, &named));
    let new = kept.join("definitions.new");
    let _ = fs::remove_dir_all(&new);
    let mut package = package.clone();
    for _ in 0..LONGEST_WAY {
        let fetched = web.fetch_newer(&package, mark.as_deref(), &new, &|_, _| {});
        match fetched.map_err(|error| failed(&error))? {
            Newer::Same => return Ok(()),
            Newer::Here(mark) => {
                let old = kept.join("definitions.old");
                let _ = fs::remove_dir_all(&old);
                // A kill between these leaves no mark that fits, so that the next time fetches again.
                let _ = fs::remove_file(&mark_file);
                if place.is_dir() {
                    fs::rename(place, &old).map_err(file)?;
                }
                fs::rename(&new, place).map_err(file)?;
                let _ = fs::remove_dir_all(&old);
                return fs::write(&mark_file, json!({ "source": named, "mark": mark }).to_string()).map_err(file);
            }
            Newer::Elsewhere(source) => match Origin::parse(&source)? {
                Origin::Package { package: next, .. } => package = next,
                Origin::Directory(_) => break,
            },
        }
    }
    Err(Failure::new(format!("{named} leads to no definitions"), "One page leads to the next."))
}

fn failed(error: &andon_source::FetchError) -> Failure {
    let failure = Failure::new(error.to_string(), "");
    error.help().into_iter().fold(failure, |failure, help| failure.help(help))
}

fn read_mark(path: &Path, source: &str) -> Option<String> {
    let json: Json = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let mark = json.get("mark")?.as_str().filter(|mark| !mark.is_empty())?;
    (json.get("source")?.as_str()? == source).then(|| mark.to_owned())
}
