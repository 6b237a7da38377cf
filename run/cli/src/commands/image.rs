//! `image`: what images there are, what is in them, where they come from, and which may go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use andon_engine::baking::referred;
use andon_engine::{provider, who};
use andon_image::provenance::{SigningKey, byproducts, digest_of_file, is_about, is_public_key, open, sign, subject};
use andon_image::{
    Baked, Changed, Digest, Images, Kept, PruneRule, Reference, Registries, digest_of_root, images_of_layout,
    is_layout, sbom,
};
use andon_ledger::Timestamp;
use andon_schema::Failure;
use andon_text::{Diagnostic, Diagnostics, nearest};
use serde_json::{Value as Json, json};

use super::attestations::{CYCLONEDX, PROVENANCE, SIGNED, SPDX, beside, in_layout, statement_of};
use crate::clock::{date_and_time, rfc3339_seconds};
use crate::context::{Context, Stop, interrupt};
use crate::image_args::{
    AttestArguments, DiffArguments, HistoryArguments, ImageCommand, OneImage, PruneArguments, Sbom, VerifyArguments,
};
use crate::servers::refused;
use crate::terminal::print_json;

/// At most so many changed files that no package has are shown.
const SHOWN: usize = 200;

/// `andon image`
pub fn run(context: &Context, command: &ImageCommand) -> Result<(), Stop> {
    let stop = |failure: Failure| refused(&failure);
    let images = provider::images(&context.settings(&context.arguments.directory)).map_err(stop)?;
    let store = Store { context, images };
    match command {
        ImageCommand::List => store.list().map_err(stop),
        ImageCommand::Show(arguments) => store.show(arguments),
        ImageCommand::Diff(arguments) => store.diff(arguments),
        ImageCommand::History(arguments) => store.history(arguments),
        ImageCommand::Verify(arguments) => store.verify(arguments),
        ImageCommand::Prune(arguments) => store.prune(arguments),
        ImageCommand::Attest(arguments) => store.attest(arguments),
        ImageCommand::Keygen { file } => {
            context.print(&SigningKey::generate(file).map_err(stop)?);
            context.say(&format!("The key is in {}; what is printed is its public half.", file.display()));
            Ok(())
        }
    }
}

struct Store<'a> {
    context: &'a Context,
    images: Images,
}

impl Store<'_> {
    /// What was baked here, without what is gone; the first first.
    fn baked(&self) -> Vec<Baked> {
        self.images.history()
    }

    /// The image of a name of this project, a digest, or the beginning of one.
    fn find(&self, text: &str) -> Result<Digest, Stop> {
        let own = self.own();
        let history = self.baked();
        if let Some(baked) = history.iter().rev().find(|it| it.name == text && it.project == own) {
            return Ok(baked.digest.clone());
        }
        let all = self.images.list().map_err(|failure| refused(&failure))?;
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_meant =
            |kept: &&Kept| hex.len() >= 4 && kept.digest.as_str().trim_start_matches("sha256:").starts_with(hex);
        match all.iter().filter(is_meant).collect::<Vec<_>>()[..] {
            [one] => Ok(one.digest.clone()),
            [] => Err(self.unknown(text)),
            ref several => {
                let digests: Vec<String> = several.iter().map(|kept| format!("`{}`", kept.digest)).collect();
                Err(Diagnostic::error(format!("several images begin with `{text}`"))
                    .help(format!("Write more of the digest: {}.", digests.join(", ")))
                    .into())
            }
        }
    }

    /// This project, as images are remembered by it.
    fn own(&self) -> String {
        self.context.arguments.directory.canonicalize().unwrap_or_default().display().to_string()
    }

    /// The names of the images that the project defines; none where there is no project, or where it cannot be read.
    fn defined(&self) -> Vec<String> {
        if !andon_engine::project::is_project(&self.context.arguments.directory) {
            return Vec::new();
        }
        let project = self.context.open_definitions();
        project.map_or_else(|_| Vec::new(), |it| it.session.project().images.keys().map(ToString::to_string).collect())
    }

    /// Why there is no image of a name.
    fn unknown(&self, name: &str) -> Stop {
        let defined = self.defined();
        let (own, history) = (self.own(), self.baked());
        let elsewhere = history.iter().rev().find(|it| it.name == name);
        if let Some(other) = elsewhere {
            // What is of another project is not meant by a name of this one.
            let wrong = match defined.iter().any(|it| it == name) {
                true => Diagnostic::error(format!("the image `{name}` of this project was not baked on this machine"))
                    .help(format!("Bake it: `andon bake {name}`.")),
                false => Diagnostic::error(format!("this project has no image `{name}`")),
            };
            return wrong
                .detail(format!("The project in {} has one of that name: {}.", other.project, other.digest))
                .help("Name that one by its digest.")
                .into();
        }
        if defined.iter().any(|it| it == name) {
            return Diagnostic::error(format!("the image `{name}` was not baked on this machine"))
                .help(format!("Bake it: `andon bake {name}`."))
                .into();
        }
        let history = history.iter().filter(|it| it.project == own).map(|it| &*it.name);
        let known: BTreeSet<&str> = history.chain(defined.iter().map(String::as_str)).collect();
        let wrong = Diagnostic::error(format!("there is no image `{name}` on this machine"));
        let wrong = match nearest(name, known.iter().copied()) {
            Some(near) => wrong.help(format!("Did you mean `{near}`?")),
            None => wrong,
        };
        wrong.help("`andon image list` shows those that there are; `andon bake` makes one.").into()
    }

    fn say_none(&self) {
        self.context.say("There are no images on this machine yet; `andon bake` makes them.");
    }

    fn list(&self) -> Result<(), Failure> {
        let history = self.baked();
        let mut rows = Vec::new();
        let all = self.images.list()?;
        if all.is_empty() && !self.context.arguments.json {
            self.say_none();
        }
        for kept in all {
            let last = history.iter().rev().find(|it| it.digest == kept.digest);
            let referring = self.images.referring(&kept.digest)?;
            if self.context.arguments.json {
                rows.push(json!({
                    "digest": kept.digest.as_str(),
                    "name": last.map(|it| &it.name),
                    "project": last.map(|it| &it.project),
                    "baked": last.map(|it| rfc3339_seconds(Timestamp(it.time_ms))),
                    "bytes": kept.bytes,
                    "layers": kept.layers.len(),
                    "referred": referring,
                }));
                continue;
            }
            let name = last.map_or_else(|| "(base)".to_owned(), |it| it.name.clone());
            let when = last.map_or_else(String::new, |it| date_and_time(Timestamp(it.time_ms)));
            let layers = kept.layers.len();
            let line = format!(
                "{}  {name:<16}  {:>9}  {layers:>2} layer{}  {when:<19}  {}",
                short(&kept.digest),
                size(kept.bytes),
                if layers == 1 { " " } else { "s" },
                referring.join(", "),
            );
            self.context.print(&format!("{}\n", line.trim_end()));
        }
        if self.context.arguments.json {
            print_json(&json!({ "images": rows }));
        }
        Ok(())
    }

    fn show(&self, arguments: &OneImage) -> Result<(), Stop> {
        let stop = |failure: Failure| refused(&failure);
        let digest = self.find(&arguments.image)?;
        let packages = self.images.packages(&digest).map_err(stop)?;
        let last = self.baked().into_iter().rev().find(|it| it.digest == digest);
        let name = last.as_ref().map_or_else(|| short(&digest).to_owned(), |it| it.name.clone());
        if let Some(form) = arguments.sbom {
            print_json(&match form {
                Sbom::Spdx => sbom::spdx(&name, &digest, &packages),
                Sbom::Cyclonedx => sbom::cyclonedx(&name, &digest, &packages),
            });
            return Ok(());
        }
        let stack = self.images.stack(&digest).map_err(stop)?;
        if self.context.arguments.json {
            let package = |it: &andon_image::Package| json!({ "name": it.name, "version": it.version, "architecture": it.architecture });
            print_json(&json!({
                "digest": digest.as_str(),
                "layers": stack.layers().iter().map(Digest::as_str).collect::<Vec<_>>(),
                "baked": last.as_ref().map(baked_json),
                "packages": packages.iter().map(package).collect::<Vec<_>>(),
            }));
            return Ok(());
        }
        let mut text = format!("{digest}\n");
        if let Some(last) = &last {
            text.push_str(&format!("  baked   {}\n", baked_line(last)));
            text.push_str(&format!("  from    {} ({})\n", last.from, short(&last.base)));
            text.push_str(&format!("  roles   {}\n", last.roles.join(", ")));
        }
        for (place, layer) in stack.layers().iter().enumerate() {
            text.push_str(&format!("  {} {}\n", if place == 0 { "layers " } else { "       " }, short(layer)));
        }
        for (place, package) in packages.iter().enumerate() {
            let head = if place == 0 { "packages" } else { "        " };
            text.push_str(&format!("  {head} {} {}\n", package.name, package.version));
        }
        self.context.print(&text);
        Ok(())
    }

    fn diff(&self, arguments: &DiffArguments) -> Result<(), Stop> {
        let (before, after) = (self.find(&arguments.before)?, self.find(&arguments.after)?);
        let found = self.images.differences(&before, &after).map_err(|failure| refused(&failure))?;
        if self.context.arguments.json {
            let all = |all: &[Changed]| {
                let one = |it: &Changed| json!({ "name": it.name, "before": it.before, "after": it.after, "package": it.package });
                all.iter().map(one).collect::<Json>()
            };
            print_json(&json!({ "packages": all(&found.packages), "files": all(&found.files) }));
            return Ok(());
        }
        let mut of_packages: BTreeMap<&str, usize> = BTreeMap::new();
        let changed: BTreeSet<&str> =
            found.packages.iter().map(|it| it.name.split(':').next().unwrap_or_default()).collect();
        let mut rest = Vec::new();
        for file in &found.files {
            match file.package.as_deref().filter(|package| changed.contains(package)) {
                Some(package) => *of_packages.entry(package).or_default() += 1,
                None => rest.push(file),
            }
        }
        let mut text = String::new();
        for package in &found.packages {
            let name = package.name.split(':').next().unwrap_or_default();
            let files = match of_packages.get(name) {
                Some(1) => " (1 file)".to_owned(),
                Some(count) => format!(" ({count} files)"),
                None => String::new(),
            };
            let (name, became) = (visible(name), visible(&became(package)));
            text.push_str(&format!("{} package {name} {became}{files}\n", sign_of(package)));
        }
        for file in rest.iter().take(SHOWN) {
            let of = file.package.as_ref().map(|package| format!(", of {}", visible(package))).unwrap_or_default();
            text.push_str(&format!("{} {} {}{of}\n", sign_of(file), visible(&file.name), visible(&became(file))));
        }
        if rest.len() > SHOWN {
            text.push_str(&format!("and {} more files; --json has all\n", rest.len() - SHOWN));
        }
        if text.is_empty() {
            self.context.say("The two images hold the same.");
        }
        self.context.print(&text);
        Ok(())
    }

    fn history(&self, arguments: &HistoryArguments) -> Result<(), Stop> {
        let (name, own) = (arguments.image.as_deref(), self.own());
        let is_wanted = |it: &Baked| name.is_none_or(|name| it.name == name) && (arguments.all || it.project == own);
        let all = self.baked();
        let has_others = all.iter().any(|it| it.project != own);
        let wanted: Vec<Baked> = all.into_iter().filter(is_wanted).collect();
        if let Some(name) = name.filter(|_| wanted.is_empty()) {
            return Err(self.unknown(name));
        }
        if self.context.arguments.json {
            print_json(&json!({ "history": wanted.iter().map(baked_json).collect::<Vec<_>>() }));
            return Ok(());
        }
        match wanted.is_empty() {
            true if has_others => {
                self.context.say("Nothing was baked in this directory; `--all` shows what other projects have baked.");
            }
            true => self.say_none(),
            false => {}
        }
        for baked in wanted.iter().rev() {
            let project = if arguments.all { format!(", in {}", baked.project) } else { String::new() };
            let line = format!("{}  {:<16}  {}{project}", short(&baked.digest), baked.name, baked_line(baked));
            self.context.print(&format!("{line}\n"));
        }
        Ok(())
    }

    fn verify(&self, arguments: &VerifyArguments) -> Result<(), Stop> {
        let stop = |failure: Failure| refused(&failure);
        let (mut remote, mut files, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        for text in &arguments.images {
            match Meant::by(text)? {
                Meant::Path(path) => files.push((path, None)),
                Meant::Layout { path, tag } => files.push((path, Some(tag))),
                Meant::Remote => remote.push(text),
                Meant::Name => match self.find(text) {
                    Ok(digest) => wanted.push(digest),
                    // No image is called so, and a directory is.
                    Err(_) if Path::new(text).is_dir() => files.push((text.into(), None)),
                    Err(stop) => return Err(stop),
                },
            }
        }
        let keys = arguments.key.iter().map(|path| public_key(path)).collect::<Result<Vec<_>, _>>()?;
        let (mut held, mut wrong) = (Vec::new(), Diagnostics::new());
        // Each of them is held, and all that is wrong is said.
        let mut hold = |came: Result<Vec<Json>, Stop>| match came {
            Ok(all) => {
                held.extend(all);
                Ok(())
            }
            Err(Stop::Because(why)) => {
                wrong.extend(*why);
                Ok(())
            }
            Err(stop) => Err(stop),
        };
        for reference in &remote {
            hold(self.verify_remote(reference, &keys).map(|one| vec![one]))?;
        }
        for (path, layout) in &files {
            let provenance = arguments.provenance.as_deref();
            hold(match layout {
                None if path.is_dir() && !is_layout(path) => {
                    self.verify_root(path, provenance, &keys).map(|one| vec![one])
                }
                None if !path.is_dir() => self.verify_file(path, provenance, &keys).map(|one| vec![one]),
                layout => {
                    let tag = layout.as_ref().and_then(Option::as_deref);
                    self.verify_layout(path, tag, provenance, &keys)
                }
            })?;
        }
        if !wrong.is_empty() {
            return Err(wrong.into());
        }
        let say_all = |held: Vec<Json>| {
            if self.context.arguments.json {
                print_json(&json!({ "verified": held }));
            }
        };
        if wanted.is_empty() && !(files.is_empty() && (remote.is_empty() || arguments.provenance.is_some())) {
            say_all(held);
            return Ok(());
        }
        if arguments.provenance.is_none() && !keys.is_empty() {
            return Err(Diagnostic::error("there is nothing to hold the key against")
                .detail("An image on this machine is held against its digest; nobody has signed that.")
                .help("Name the provenance with --provenance, or a file or a reference to a registry that has one beside it.")
                .into());
        }
        if let Some(path) = &arguments.provenance {
            let envelope = read_json(path)?;
            let statement = open(&envelope, &keys).map_err(|failure| not_trusted(path, failure))?;
            let about = subject(&statement);
            match wanted.as_slice() {
                [] => wanted.extend(about),
                [one] if Some(one) == about.as_ref() => {}
                _ => return Err(Diagnostic::error("the provenance is of another image").into()),
            }
            self.context.say("✓ the provenance is signed by a known key");
        }
        if wanted.is_empty() {
            wanted.extend(self.images.list().map_err(stop)?.into_iter().map(|kept| kept.digest));
            if wanted.is_empty() && !self.context.arguments.json {
                self.say_none();
            }
        }
        let mut damaged = false;
        for digest in wanted {
            let wrong = self.images.verify(&digest).map_err(stop)?;
            damaged |= !wrong.is_empty();
            let one = |(layer, paths): &(Digest, Vec<String>)| json!({ "layer": layer.as_str(), "paths": paths });
            held.push(json!({ "digest": digest.as_str(), "damaged": wrong.iter().map(one).collect::<Vec<_>>() }));
            if self.context.arguments.json {
                continue;
            }
            match wrong.is_empty() {
                true => self.context.print(&format!("✓ {digest} is what its name says\n")),
                false => self.context.print(&format!("✗ {digest} is not what its name says\n")),
            }
            for (layer, paths) in &wrong {
                for path in paths.iter().take(20) {
                    self.context.print(&format!("    {} of layer {}\n", visible(path), short(layer)));
                }
            }
        }
        say_all(held);
        if damaged { Err(Stop::Code(1)) } else { Ok(()) }
    }

    /// Holds a file that was written, such as a disk, against its provenance, which must be signed.
    fn verify_file(&self, file: &Path, provenance: Option<&Path>, keys: &[String]) -> Result<Json, Stop> {
        self.hold(file, provenance, keys, || digest_of_file(file, &interrupt()))
    }

    /// The same of a root file system in a directory.
    fn verify_root(&self, directory: &Path, provenance: Option<&Path>, keys: &[String]) -> Result<Json, Stop> {
        self.hold(directory, provenance, keys, || digest_of_root(directory, &interrupt()))
    }

    /// The same of a layout: of the image of a tag, or of all.
    fn verify_layout(
        &self,
        directory: &Path,
        tag: Option<&str>,
        provenance: Option<&Path>,
        keys: &[String],
    ) -> Result<Vec<Json>, Stop> {
        let images = images_of_layout(directory, &interrupt()).map_err(|failure| refused(&failure))?;
        let is_wanted = |it: &&(Option<String>, Digest)| tag.is_none() || it.0.as_deref() == tag;
        let wanted: Vec<_> = images.iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            let tags: Vec<&str> = images.iter().filter_map(|(tag, _)| tag.as_deref()).collect();
            return Err(Diagnostic::error(format!("there is no image `{}` in this layout", tag.unwrap_or_default()))
                .help(format!("In {} there are: {}.", directory.display(), tags.join(", ")))
                .into());
        }
        let held = wanted.into_iter().map(|(tag, digest)| {
            let path = in_layout(directory, tag.as_deref().unwrap_or_default());
            self.hold(&path, provenance, keys, || Ok(digest.clone()))
        });
        held.collect()
    }

    /// Holds what was written at a path against its provenance, which must be signed.
    fn hold(
        &self,
        path: &Path,
        provenance: Option<&Path>,
        keys: &[String],
        digest: impl FnOnce() -> Result<Digest, Failure>,
    ) -> Result<Json, Stop> {
        let stop = |failure: Failure| refused(&failure);
        if keys.is_empty() {
            return Err(no_key());
        }
        let provenance = provenance.map_or_else(|| beside(path, PROVENANCE), Path::to_owned);
        let statement = open(&read_json(&provenance)?, keys).map_err(|failure| not_trusted(&provenance, failure))?;
        let digest = digest().map_err(stop)?;
        if !is_about(&statement, &digest) {
            return Err(Diagnostic::error("the provenance is of something else")
                .detail(format!("{} is {digest}, which {} does not name.", path.display(), provenance.display()))
                .into());
        }
        for (end, _, named) in byproducts(&statement) {
            // What lies elsewhere is held against its digest by whoever has it.
            let bill = beside(path, end);
            if bill.exists() && digest_of_file(&bill, &interrupt()).map_err(stop)? != named {
                return Err(Diagnostic::error("a bill of materials is not what was signed")
                    .detail(format!("{} is not the one that {} names.", bill.display(), provenance.display()))
                    .help("Write the image again, or have it from whoever made it.")
                    .into());
            }
        }
        if !self.context.arguments.json {
            self.context.print(&format!("✓ {} is {digest}, made by {}\n", path.display(), builder(&statement)));
        }
        Ok(json!({ "file": path, "digest": digest.as_str(), "statement": statement }))
    }

    /// Holds the provenances beside an image in a registry against keys: one of them must be signed, and about it.
    fn verify_remote(&self, reference: &str, keys: &[String]) -> Result<Json, Stop> {
        let stop = |failure: Failure| refused(&failure);
        if keys.is_empty() {
            return Err(no_key());
        }
        let of = Reference::parse(reference).map_err(stop)?;
        let registries = Registries::new().interrupted_by(interrupt());
        let (digest, referrers) = registries.referrers(&of, &[SIGNED, SPDX, CYCLONEDX]).map_err(stop)?;
        let mut why = None;
        for referrer in referrers.iter().filter(|referrer| referrer.media_type == SIGNED) {
            let document = match registries.document(&of, referrer) {
                Ok(document) => document,
                Err(failure) => {
                    why = Some(failure);
                    continue;
                }
            };
            let envelope = serde_json::from_slice(&document.bytes).unwrap_or_default();
            match open(&envelope, keys) {
                Ok(statement) if is_about(&statement, &digest) => {
                    for (_, media_type, named) in byproducts(&statement) {
                        // Other tools put bills of their own beside it: one that is named and not there is not missed.
                        let mut there = referrers.iter().filter(|it| it.media_type == media_type).peekable();
                        if there.peek().is_some() && !there.any(|it| it.document.as_ref() == Ok(&named)) {
                            self.context.say(&format!(
                                "No {media_type} beside {of} is the one that was signed, {named}: somebody else made what is there."
                            ));
                        }
                    }
                    let by = builder(&statement);
                    if !self.context.arguments.json {
                        self.context.print(&format!("✓ {of} is {digest}, made by {by}\n"));
                    }
                    return Ok(json!({ "reference": reference, "manifest": digest.as_str(), "statement": statement }));
                }
                Ok(_) => {}
                Err(failure) => why = Some(Failure { detail: format!("{of}: {}", failure.detail), ..failure }),
            }
        }
        Err(stop(why.unwrap_or_else(|| {
            Failure::new(
                "the image has no provenance",
                format!("{of} is {digest}; nothing signed is there beside it that is about it."),
            )
            .help("Push it with a key: `andon bake --push REFERENCE --key FILE`.")
        })))
    }

    fn attest(&self, arguments: &AttestArguments) -> Result<(), Stop> {
        let stop = |failure: Failure| refused(&failure);
        let digest = self.find(&arguments.image)?;
        let own = self.context.arguments.directory.canonicalize().unwrap_or_default();
        let Some(said) = statement_of(&self.images, &digest, &own).map_err(stop)? else {
            return Err(Diagnostic::error("it is not known how this image was made")
                .detail("It was not baked on this machine.")
                .into());
        };
        match &arguments.key {
            Some(path) => print_json(&sign(&said, &SigningKey::read(path).map_err(stop)?)),
            None => {
                self.context.say("This is not signed: name a key with --key, or in ANDON_IMAGE_KEY.");
                print_json(&said);
            }
        }
        Ok(())
    }

    fn prune(&self, arguments: &PruneArguments) -> Result<(), Stop> {
        let stop = |failure: Failure| refused(&failure);
        let settings = self.context.settings(&self.context.arguments.directory);
        // What this project refers to is known just now; of others it is what they wrote down.
        if andon_engine::project::is_project(&self.context.arguments.directory) {
            let project = self.context.open()?;
            let baker = provider::baker(&settings, project.session.project()).map_err(stop)?;
            let known: BTreeSet<Digest> =
                self.images.list().map_err(stop)?.into_iter().map(|kept| kept.digest).collect();
            let refers = referred(project.session.state()).intersection(&known).cloned().collect();
            self.images.refer_only(&baker.owner(), &refers).map_err(stop)?;
        }
        let in_use = provider::images_in_use(&settings).map_err(stop)?;
        let rule = PruneRule {
            unused_for: arguments.unused_for,
            keep: arguments.keep,
            gone: arguments.gone,
            dry_run: arguments.dry_run,
        };
        let (verdicts, freed) = self.images.prune(&rule, &in_use).map_err(stop)?;
        if self.context.arguments.json {
            let one =
                |it: &andon_image::Pruned| json!({ "digest": it.digest.as_str(), "name": it.name, "kept": it.kept });
            let by = who();
            print_json(&json!({ "images": verdicts.iter().map(one).collect::<Vec<_>>(), "freed": freed, "by": by }));
            return Ok(());
        }
        if verdicts.is_empty() {
            self.say_none();
        }
        for verdict in &verdicts {
            let name = verdict.name.as_deref().unwrap_or("(base)");
            let line = match (&verdict.kept, arguments.dry_run) {
                (Some(why), _) => format!("  keep   {}  {name:<16}  {why}", short(&verdict.digest)),
                (None, true) => format!("- remove {}  {name}", short(&verdict.digest)),
                (None, false) => format!("- removed {}  {name}", short(&verdict.digest)),
            };
            self.context.print(&format!("{line}\n"));
        }
        let is_quiet = arguments.dry_run || (verdicts.is_empty() && freed == 0);
        if !is_quiet {
            self.context.say(&format!("Freed {}.", size(freed)));
        }
        Ok(())
    }
}

/// What somebody means who names something to verify.
enum Meant {
    /// What was written at a path.
    Path(PathBuf),
    /// A layout, and the tag in it.
    Layout { path: PathBuf, tag: Option<String> },
    /// An image in a registry.
    Remote,
    /// A name or a digest; or a directory, where there is no image of that name.
    Name,
}

impl Meant {
    /// What is there is meant first, then a registry. The name of an image has neither dot nor slash.
    fn by(text: &str) -> Result<Meant, Stop> {
        if let Some(layout) = text.strip_prefix("oci:") {
            let (path, tag) = match layout.rsplit_once(':') {
                Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
                _ => (layout, None),
            };
            let path = PathBuf::from(path);
            return match (is_layout(&path), path.is_file() && tag.is_none()) {
                (true, _) => Ok(Meant::Layout { path, tag }),
                (_, true) => Ok(Meant::Path(path)),
                _ => Err(Diagnostic::error(format!("there is no layout `{}`", path.display()))
                    .help("Write oci:DIRECTORY, or oci:DIRECTORY:TAG.")
                    .into()),
            };
        }
        let path = Path::new(text);
        if text.contains(['.', '/']) && path.exists() {
            return Ok(Meant::Path(path.to_owned()));
        }
        if !text.starts_with(['.', '/']) && Reference::is_like(text) {
            return Ok(Meant::Remote);
        }
        match text.contains(['.', '/']) {
            false => Ok(Meant::Name),
            true => Err(Diagnostic::error(format!("there is no file `{text}`"))
                .help("Name what `andon bake` wrote, an image, or a reference to a registry.")
                .into()),
        }
    }
}

/// Why a provenance is not believed, and which one it is.
fn not_trusted(provenance: &Path, failure: Failure) -> Stop {
    refused(&Failure { detail: format!("{}: {}", provenance.display(), failure.detail), ..failure })
}

/// Somebody's public key, in PEM.
fn public_key(path: &Path) -> Result<String, Stop> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Diagnostic::error(format!("the key `{}` cannot be read: {error}", path.display())))?;
    match is_public_key(&text) {
        true => Ok(text),
        false => Err(Diagnostic::error(format!("`{}` is no public key of Ed25519", path.display()))
            .help("It is what `andon image keygen` prints, in PEM; the private half stays with whoever signs.")
            .into()),
    }
}

fn no_key() -> Stop {
    Diagnostic::error("there is no key to hold the provenance against")
        .help("Name the public key of whom you trust: --key FILE.")
        .into()
}

/// Who made what a statement is about.
fn builder(statement: &Json) -> &str {
    statement.pointer("/predicate/runDetails/builder/id").and_then(Json::as_str).unwrap_or_default()
}

fn read_json(path: &Path) -> Result<Json, Stop> {
    let wrong = |why: String| Stop::from(Diagnostic::error(format!("`{}` cannot be read: {why}", path.display())));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

fn baked_json(baked: &Baked) -> Json {
    json!({
        "digest": baked.digest.as_str(),
        "name": baked.name,
        "project": baked.project,
        "time": rfc3339_seconds(Timestamp(baked.time_ms)),
        "from": baked.from,
        "base": baked.base.as_str(),
        "roles": baked.roles,
        "by": baked.by,
        "commit": baked.commit,
        "changed": baked.changed,
        "recipe": baked.recipe,
    })
}

fn baked_line(baked: &Baked) -> String {
    let commit = match &baked.commit {
        Some(commit) => {
            let changed = if baked.changed { " and changes" } else { "" };
            format!(", commit {}{changed}", commit.get(..12).unwrap_or(commit))
        }
        None => String::new(),
    };
    format!("{} UTC by {}{commit}", date_and_time(Timestamp(baked.time_ms)), baked.by)
}

fn sign_of(changed: &Changed) -> char {
    match (&changed.before, &changed.after) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    }
}

fn became(changed: &Changed) -> String {
    match (&changed.before, &changed.after) {
        (Some(before), Some(after)) if before == after => format!("{after}, other content"),
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => String::new(),
    }
}

/// What somebody else called a file, without what a terminal would obey.
fn visible(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, letter| {
        match letter.is_control() {
            true => text.extend(letter.escape_default()),
            false => text.push(letter),
        }
        text
    })
}

fn short(digest: &Digest) -> &str {
    digest.as_str().get(..19).unwrap_or(digest.as_str())
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
