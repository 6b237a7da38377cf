//! What images were made of, when and by whom; and who refers to them. Records are appended, a line of JSON each; what a
//! project refers to is a file each, so that no two projects write the same one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use crate::images::{Stack, names, remove_all};
use crate::oci::BLOB_FORM;
use crate::owners::Owners;
use crate::tree::Tree;
use crate::trouble::Trouble;
use crate::trust::Trust;
use crate::{Digest, Images, RecipeKey};

/// No run is longer than this between an image and the ledger's word of it.
const RUN_MAX: Duration = Duration::from_secs(3600);

/// One bake, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baked {
    /// When it ended, in milliseconds since 1970.
    pub time_ms: i64,
    /// The image's name in its project.
    pub name: String,
    /// The project's directory.
    pub project: String,
    /// What came of it.
    pub digest: Digest,
    /// All that it was made from.
    pub recipe: String,
    /// What it was made over, as the definition says.
    pub from: String,
    /// What that was.
    pub base: Digest,
    /// Its roles.
    pub roles: Vec<String>,
    /// All parameters of the roles, by role, without what is secret; `null` in the records of earlier versions.
    pub params: Json,
    /// The digest of the manifest of what it was made over, where that is an image of a registry.
    pub manifest: Option<Digest>,
    /// Who had it made.
    pub by: String,
    /// The commit of the project, where it is under version control.
    pub commit: Option<String>,
    /// The project differed from that commit.
    pub changed: bool,
}

/// What prune did, or would do, with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// The image.
    pub digest: Digest,
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Why it stays; `None` where it goes.
    pub kept: Option<String>,
}

/// What may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneRule {
    /// Only what was not used for so long.
    pub unused_for: Duration,
    /// So many of the last of each image of each project stay.
    pub keep: usize,
    /// Projects whose directory is not there keep nothing, and are forgotten.
    pub gone: bool,
    /// Nothing is removed.
    pub dry_run: bool,
}

impl Baked {
    fn encode(&self) -> Json {
        json!({
            "format": 1,
            "time": self.time_ms,
            "name": self.name,
            "project": self.project,
            "digest": self.digest.as_str(),
            "recipe": self.recipe,
            "from": self.from,
            "base": self.base.as_str(),
            "roles": self.roles,
            "params": self.params,
            "manifest": self.manifest.as_ref().map(Digest::as_str),
            "by": self.by,
            "commit": self.commit,
            "changed": self.changed,
        })
    }

    fn decode(line: &str) -> Option<Baked> {
        let json: Json = serde_json::from_str(line).ok()?;
        if json.get("format")?.as_u64()? != 1 {
            return None;
        }
        let text = |name: &str| json.get(name)?.as_str().map(str::to_owned);
        Some(Baked {
            time_ms: json.get("time")?.as_i64()?,
            name: text("name")?,
            project: text("project")?,
            digest: Digest::parse(&text("digest")?)?,
            recipe: text("recipe")?,
            from: text("from")?,
            base: Digest::parse(&text("base")?)?,
            roles: json.get("roles")?.as_array()?.iter().filter_map(|role| Some(role.as_str()?.to_owned())).collect(),
            params: json.get("params").cloned().unwrap_or_default(),
            manifest: text("manifest").and_then(|digest| Digest::parse(&digest)),
            by: text("by")?,
            commit: text("commit"),
            changed: json.get("changed")?.as_bool()?,
        })
    }
}

/// Whether the directory of a project is not there. Of one that cannot be looked at nobody knows.
pub fn is_gone(project: &str) -> bool {
    let project = Path::new(project);
    let missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    project.is_absolute() && fs::symlink_metadata(project).is_err_and(missing)
}

/// Appends a line, wholly or not at all. Of what a loss of power cut short before it, nothing runs on into it.
fn append_line(file: &mut File, line: &str) -> io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if end > 0 {
        file.read_exact_at(&mut last, end - 1)?;
    }
    let before = if last == [b'\n'] { "" } else { "\n" };
    let written = file.write_all(format!("{before}{line}\n").as_bytes()).and_then(|()| file.sync_data());
    written.inspect_err(|_| drop(file.set_len(end)))
}

impl Images {
    /// Remembers a bake.
    pub fn remember(&self, baked: &Baked) -> Result<(), Failure> {
        let path = self.directory.join("history");
        let _lock = self.lock()?;
        let mut file = File::options().create(true).append(true).read(true).open(&path).doing("open", &path)?;
        append_line(&mut file, &baked.encode().to_string()).doing("write", &path)
    }

    /// All bakes on this machine, the first first. A line that a loss of power cut short is none.
    pub fn history(&self) -> Vec<Baked> {
        let text = fs::read_to_string(self.directory.join("history")).unwrap_or_default();
        text.lines().filter_map(Baked::decode).collect()
    }

    /// Writes down that a project refers to an image: as long as that is so, no prune removes it.
    pub fn refer(&self, project: &Path, image: &Digest) -> Result<(), Failure> {
        let place = self.references(project);
        let _lock = self.lock()?;
        fs::create_dir_all(&place).doing("make", &place)?;
        let about = place.join("project");
        if !about.exists() {
            fs::write(&about, project.display().to_string()).doing("write", &about)?;
        }
        let file = place.join(image.directory_name());
        fs::write(&file, "").doing("write", &file)
    }

    /// Writes down what a project refers to now, in place of all that it did.
    pub fn refer_only(&self, project: &Path, images: &BTreeSet<Digest>) -> Result<(), Failure> {
        for name in names(&self.references(project))? {
            if Digest::from_directory_name(&name).is_some_and(|digest| !images.contains(&digest)) {
                let file = self.references(project).join(name);
                // A run that goes on now says what it refers to before the ledger does.
                let age = fs::metadata(&file).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
                if age.is_ok_and(|age| age.unwrap_or_default() < RUN_MAX) {
                    continue;
                }
                fs::remove_file(&file).doing("remove", &file)?;
            }
        }
        images.iter().try_for_each(|image| self.refer(project, image))
    }

    /// Forgets a project, as when its ledger is gone.
    pub fn forget_project(&self, project: &Path) -> Result<(), Failure> {
        remove_all(&self.references(project))
    }

    /// The projects that refer to an image.
    pub fn referring(&self, image: &Digest) -> Result<Vec<String>, Failure> {
        let all = self.directory.join("references");
        let mut projects = Vec::new();
        for name in names(&all)? {
            let place = all.join(name);
            if place.join(image.directory_name()).exists() {
                projects.push(fs::read_to_string(place.join("project")).unwrap_or_default());
            }
        }
        projects.sort();
        Ok(projects)
    }

    /// Forgets the projects whose directory is not there.
    fn forget_gone(&self) -> Result<(), Failure> {
        let all = self.directory.join("references");
        for place in names(&all)?.iter().map(|name| all.join(name)) {
            if fs::read_to_string(place.join("project")).is_ok_and(|project| is_gone(&project)) {
                remove_all(&place)?;
            }
        }
        Ok(())
    }

    fn references(&self, project: &Path) -> PathBuf {
        let name = project.display().to_string();
        self.directory.join("references").join(RecipeKey::of([name.as_bytes()]).as_str())
    }

    /// Remembers that an image was used now. That it could not be is no failure: a look at images changes nothing.
    pub(crate) fn touch(&self, image: &Digest) {
        let _ = fs::write(self.place(image).join("used"), "");
    }

    fn unused_for(&self, image: &Digest) -> Duration {
        let place = self.place(image);
        let time = |name: &str| fs::metadata(place.join(name)).and_then(|metadata| metadata.modified()).ok();
        let last = time("used").max(time("meta")).unwrap_or_else(SystemTime::now);
        last.elapsed().unwrap_or_default()
    }

    /// Removes images that nothing refers to, and then the layers, packed layers and notes that no image is left for.
    /// `in_use` are those that servers run on. Gives what became of each image, and the bytes that were freed.
    pub fn prune(&self, rule: &PruneRule, in_use: &BTreeSet<Digest>) -> Result<(Vec<Pruned>, u64), Failure> {
        let all = self.list()?;
        let history = self.history();
        let is_forgotten = |project: &str| rule.gone && is_gone(project);
        let mut last: BTreeSet<Digest> = BTreeSet::new();
        let images: BTreeSet<(&str, &str)> = history.iter().map(|it| (&*it.project, &*it.name)).collect();
        let images = images.into_iter().filter(|(project, _)| !is_forgotten(project));
        for (project, name) in images {
            let mut seen: Vec<&Digest> = Vec::new();
            for baked in history.iter().rev().filter(|it| it.project == project && it.name == name) {
                if !seen.contains(&&baked.digest) {
                    seen.push(&baked.digest);
                }
            }
            last.extend(seen.into_iter().take(rule.keep).cloned());
        }
        let mut verdicts = Vec::new();
        for kept in &all {
            let name = history.iter().rev().find(|it| it.digest == kept.digest).map(|it| it.name.clone());
            let mut referring = self.referring(&kept.digest)?;
            referring.retain(|project| !is_forgotten(project));
            // What is there is the better reason.
            referring.sort_by_key(|project| is_gone(project));
            let why = if in_use.contains(&kept.digest) {
                Some("a server runs on it".to_owned())
            } else if let Some(project) = referring.first() {
                Some(match is_gone(project) {
                    false => format!("{project} refers to it"),
                    true => format!("{project} refers to it, and is not there: --gone lets it go"),
                })
            } else if last.contains(&kept.digest) {
                Some(match rule.keep {
                    1 => "it is the last of its name".to_owned(),
                    keep => format!("it is one of the last {keep} of its name"),
                })
            } else if self.unused_for(&kept.digest) < rule.unused_for {
                Some("it was used not long ago".to_owned())
            } else {
                None
            };
            verdicts.push(Pruned { digest: kept.digest.clone(), name, kept: why });
        }
        // What a kept image is made over is needed for the next one.
        let layers: Vec<_> = all
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| verdict.kept.is_some())
            .map(|(kept, _)| kept.layers.clone())
            .collect();
        for (kept, verdict) in all.iter().zip(&mut verdicts).filter(|(_, verdict)| verdict.kept.is_none()) {
            if layers.iter().any(|over| over.len() > kept.layers.len() && over.starts_with(&kept.layers)) {
                verdict.kept = Some("another image is made over it".to_owned());
            }
        }
        if rule.dry_run {
            return Ok((verdicts, 0));
        }
        if rule.gone {
            self.forget_gone()?;
        }
        for verdict in verdicts.iter().filter(|verdict| verdict.kept.is_none()) {
            remove_all(&self.place(&verdict.digest))?;
        }
        self.drop_unreadable(in_use)?;
        self.sweep()?;
        let freed = self.drop_layers(&BTreeSet::new())? + self.drop_blobs()?;
        self.sweep()?;
        if names(&self.workplaces())?.is_empty() {
            let cache = self.cache(&Stack::new(Vec::new(), Trust::Nobody), &Tree::default());
            cache.tidy(rule.unused_for.max(Duration::from_secs(30 * 86_400))).doing("tidy", &cache.place)?;
        }
        Ok((verdicts, freed))
    }

    /// Removes images as an earlier version kept them, which this one cannot read.
    fn drop_unreadable(&self, in_use: &BTreeSet<Digest>) -> Result<(), Failure> {
        let _lock = match self.directory.is_dir() {
            true => self.lock()?,
            false => return Ok(()),
        };
        for digest in names(&self.directory)?.iter().filter_map(|name| Digest::from_directory_name(name)) {
            if self.look(&digest).is_none() && !in_use.contains(&digest) {
                remove_all(&self.place(&digest))?;
            }
        }
        Ok(())
    }

    /// Removes packed layers whose layer is gone, those of another form, and notes on layers.
    fn drop_blobs(&self) -> Result<u64, Failure> {
        let mut freed = 0;
        let blobs = self.directory.join("blobs");
        for name in names(&blobs)? {
            let mut parts = name.split('.');
            let layer = parts.next().and_then(Digest::from_directory_name);
            let layer = layer.filter(|_| parts.next() == Some(BLOB_FORM));
            // One that somebody packs now.
            let packer = name.strip_prefix(".draft-").map(|process| Path::new("/proc").join(process));
            let is_packed_now = packer.is_some_and(|packer| packer.is_dir());
            if is_packed_now || layer.is_some_and(|layer| self.layer_place(&layer).is_dir()) {
                continue;
            }
            let path = blobs.join(name);
            freed += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            fs::remove_file(&path).doing("remove", &path)?;
        }
        remove_all(&self.directory.join("notes"))?;
        Ok(freed)
    }

    /// Reads every file of an image again: the layers that are not what their names say, with the paths that differ.
    pub fn verify(&self, image: &Digest) -> Result<Vec<(Digest, Vec<String>)>, Failure> {
        let stack = self.stack(image)?;
        let mut wrong = Vec::new();
        for layer in stack.layers() {
            let listed = self.layer_tree(layer);
            let root = self.layer_place(layer).join("upper");
            let found = crate::layer::read(&root, &Owners::default(), &self.interrupt).doing("read", &root)?;
            match listed {
                Ok(listed) if listed == found && found.digest() == *layer => {}
                Ok(listed) => {
                    let paths: BTreeSet<&[u8]> = listed.iter().chain(found.iter()).map(|(path, _)| path).collect();
                    let differ = paths.into_iter().filter(|path| listed.line(path) != found.line(path));
                    let differ = differ.map(|path| format!("/{}", String::from_utf8_lossy(path))).collect();
                    wrong.push((layer.clone(), differ));
                }
                Err(_) => wrong.push((layer.clone(), vec!["its list of files".to_owned()])),
            }
        }
        if wrong.is_empty() && self.tree(&stack)?.digest() != *image {
            wrong.push((image.clone(), vec!["its layers are those of another image".to_owned()]));
        }
        Ok(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn packed_layers_of_another_form_go() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::open(folder.path(), Settings::default()).unwrap();
        let [kept, gone] = ["1", "2"].map(|digit| Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap());
        fs::create_dir_all(images.layer_place(&kept)).unwrap();
        let blobs = images.directory.join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        let [kept, gone] = [kept, gone].map(|layer| layer.directory_name());
        let now = ["tar", "about", "tar.gz", "tar.about"].map(|end| format!("{kept}.{BLOB_FORM}.{end}"));
        let before = ["tar", "about", "tar.gz", "tar.about", "1.tar"].map(|end| format!("{kept}.{end}"));
        for name in now.iter().chain(&before).chain([&format!("{gone}.{BLOB_FORM}.tar")]) {
            fs::write(blobs.join(name), "12345").unwrap();
        }
        assert_eq!(images.drop_blobs().unwrap(), 6 * 5);
        let left: BTreeSet<String> = names(&blobs).unwrap().into_iter().collect();
        assert_eq!(left, BTreeSet::from(now));
    }

    #[test]
    fn nothing_runs_on_into_a_line_that_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        for (before, after) in [("", "c\n"), ("a\n", "a\nc\n"), ("a\nb", "a\nb\nc\n")] {
            fs::write(&path, before).unwrap();
            let mut file = File::options().append(true).read(true).open(&path).unwrap();
            append_line(&mut file, "c").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after, "{before:?}");
        }
    }
}
