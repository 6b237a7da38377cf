//! `bake`: images, without anything that uses them.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use andon_engine::agent::Ways;
use andon_engine::baking::Baker;
use andon_engine::provider;
use andon_image::provenance::{SigningKey, digest_of_file};
use andon_image::{
    ContainerConfig, Digest, DiskConfig, DiskFormat, Reference, Registries, can_be_directory, can_be_file,
    can_be_layout,
};
use andon_lang::modules::LOCK_FILE;
use andon_lang::{Output, Places, Written, image_outputs};
use andon_schema::units::parse_bytes;
use andon_schema::{Change, Failure, HostReport, Identity};
use andon_text::{Diagnostic, nearest};
use serde_json::{Value as Json, json};

use super::attestations::{self, Attestations};
use crate::context::{Context, Stop, interrupt};
use crate::image_args::{BakeArguments, Place};
use crate::servers::{STOPPED, refused, stopped_by_hand};
use crate::terminal::print_json;

/// One thing to do with a baked image, and whether what is said of the image goes with it.
struct Wanted {
    form: Form,
    is_attested: bool,
}

enum Form {
    Layout { path: PathBuf, config: ContainerConfig },
    Push { to: Reference, config: ContainerConfig },
    Archive(PathBuf),
    Directory(PathBuf),
    Disk { path: PathBuf, config: DiskConfig },
}

impl Form {
    /// The same, with another configuration where it has one.
    fn with(&self, of: impl Fn(&ContainerConfig) -> Result<ContainerConfig, Failure>) -> Result<Form, Failure> {
        Ok(match self {
            Form::Layout { path, config } => Form::Layout { path: path.clone(), config: of(config)? },
            Form::Push { to, config } => Form::Push { to: to.clone(), config: of(config)? },
            Form::Archive(path) => Form::Archive(path.clone()),
            Form::Directory(path) => Form::Directory(path.clone()),
            Form::Disk { path, config } => Form::Disk { path: path.clone(), config: config.clone() },
        })
    }

    /// What keeps it from being written, as far as that is known before there is an image.
    fn check(&self) -> Result<(), Failure> {
        match self {
            Form::Layout { path, .. } if !is_archive(path) => can_be_layout(path),
            Form::Layout { path, .. } | Form::Archive(path) | Form::Disk { path, .. } => can_be_file(path),
            Form::Directory(path) => can_be_directory(path),
            Form::Push { .. } => Ok(()),
        }
    }

    /// Where it is written on this machine, whatever the path is called, and what.
    fn place(&self) -> Option<(PathBuf, Written)> {
        let (path, written) = match self {
            Form::Layout { path, .. } if !is_archive(path) => return Some((settled(path), Written::Layout)),
            Form::Directory(path) => (path, Written::Directory),
            Form::Layout { path, .. } | Form::Archive(path) | Form::Disk { path, .. } => (path, Written::File),
            Form::Push { .. } => return None,
        };
        // What takes the place of a link does not take that of what it leads to.
        Some(match (path.parent(), path.file_name()) {
            (Some(above), Some(name)) => (settled(above).join(name), written),
            _ => (settled(path), written),
        })
    }
}

/// A path from the root, without links as far as it is there.
fn settled(path: &Path) -> PathBuf {
    let mut settled = PathBuf::new();
    let here = || std::env::current_dir().unwrap_or_default().join(path);
    for part in std::path::absolute(path).unwrap_or_else(|_| here()).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(settled.pop()),
            part => {
                settled.push(part);
                settled = settled.canonicalize().unwrap_or(settled);
            }
        }
    }
    settled
}

/// Refuses two things that would be written over each other.
fn check_places(planned: &[(&str, Vec<Wanted>)]) -> Result<(), Diagnostic> {
    let mut places = Places::default();
    for (name, wanted) in planned {
        for (place, written) in wanted.iter().filter_map(|it| it.form.place()) {
            places.take(&place, name, written, ()).map_err(|(diagnostic, ())| {
                diagnostic
                    .help("Name another place with --output, or leave out those of the definition with --no-outputs.")
            })?;
        }
    }
    Ok(())
}

/// `andon bake`
pub fn run(context: &Context, arguments: &BakeArguments) -> Result<(), Stop> {
    let project = context.sound(context.open_definitions()?)?;
    let definitions = Arc::clone(project.session.project());
    let known: Vec<&str> = definitions.images.keys().map(|name| &**name).collect();
    for name in &arguments.images {
        if !known.contains(&name.as_str()) {
            let diagnostic = Diagnostic::error(format!("there is no image `{name}` in this project"));
            let near = nearest(name, known.iter().copied());
            return Err(near
                .into_iter()
                .fold(diagnostic, |it, near| it.help(format!("Did you mean `{near}`?")))
                .into());
        }
    }
    let names: Vec<&str> = match &*arguments.images {
        [] => known,
        named => named.iter().map(String::as_str).collect(),
    };
    if names.is_empty() {
        return Err(Diagnostic::error("this project has no images")
            .help("Define one in images/NAME.image.hcl.")
            .into());
    }
    if names.len() > 1 && !(arguments.push.is_empty() && arguments.output.is_empty()) {
        return Err(Diagnostic::error("several images cannot go to one place").help("Bake them one by one.").into());
    }
    // What cannot be written is said before anything is baked.
    let mut planned = Vec::new();
    for name in names {
        match wanted(context, arguments, &definitions, name) {
            Ok(wanted) => {
                wanted.iter().try_for_each(|it| it.form.check()).map_err(|failure| refused(&failure))?;
                planned.push((name, wanted));
            }
            Err(Stop::Because(wrong)) => {
                context.say_diagnostics(&wrong, project.sources());
                return Err(Stop::Code(1));
            }
            Err(stop) => return Err(stop),
        }
    }
    check_places(&planned)?;
    let key = arguments.key.as_deref().map(SigningKey::read).transpose().map_err(|failure| refused(&failure))?;
    let mut baker = provider::baker(project.session.settings(), &definitions).map_err(|failure| refused(&failure))?;
    baker.afresh = arguments.update;
    for (name, wanted) in planned {
        bake(context, &mut baker, name, &wanted, key.as_ref())?;
    }
    Ok(())
}

fn bake(
    context: &Context,
    baker: &mut Baker,
    name: &str,
    wanted: &[Wanted],
    key: Option<&SigningKey>,
) -> Result<(), Stop> {
    let began = std::time::Instant::now();
    let interrupted = interrupt();
    let mut say = |line: &str| context.say(&format!("  {name}: {line}"));
    let go_on = || !interrupted.load(Ordering::Relaxed);
    let stopped = |failure: Failure| match stopped_by_hand() {
        true => {
            context.say("Stopped; nothing half made was kept.");
            Stop::Code(STOPPED)
        }
        false => refused(&failure),
    };
    let prepared = baker.prepare(name).map_err(|failure| refused(&failure))?;
    // Two projects may have images of one name.
    let identity = Identity::parse(&format!("bake-{}", prepared.key.as_str().get(..16).unwrap_or_default()));
    let identity = identity.ok_or_else(|| Stop::from(Diagnostic::error("the image has no identity")))?;
    let baked = baker.bake(&prepared, &identity, &mut Ways { say: &mut say, go_on: &go_on });
    let (digest, report) = baked.map_err(|reasons| stopped(reasons.0))?;
    let took = began.elapsed();
    let locked = baker.write_lock(&prepared, &digest).map_err(stopped)?;
    let mut written = Vec::new();
    let said = match wanted.iter().any(|wanted| wanted.is_attested) {
        true => Some(Attestations::of(&baker.images, &baker.owner(), name, &digest).map_err(stopped)?),
        false => None,
    };
    for wanted in wanted {
        let said = said.as_ref().filter(|_| wanted.is_attested).map(|said| (said, key));
        let form = wanted.form.with(|config| baker.container(&prepared, config)).map_err(stopped)?;
        written.push(write(baker, name, &digest, (&form, said), &mut say).map_err(stopped)?);
    }
    if context.arguments.json {
        print_json(&json!({
            "image": name,
            "digest": digest.as_str(),
            "baked": report.is_some(),
            "changes": report.as_ref().map_or(0, changes),
            "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "locked": locked,
            "outputs": written,
        }));
        return Ok(());
    }
    match &report {
        None => context.say(&format!("✓ {name} is there already")),
        Some(report) => {
            let count = changes(report);
            let noun = if count == 1 { "change" } else { "changes" };
            context.say(&format!("✓ baked {name}: {count} {noun} in {:.1} s", took.as_secs_f64()));
        }
    }
    if locked {
        context.say(&format!("✓ {LOCK_FILE} names what {name} was baked with"));
    }
    for line in written.iter().filter_map(|it| it.get("said")?.as_str()) {
        context.say(&format!("✓ {line}"));
    }
    context.print(&format!("{digest}\n"));
    Ok(())
}

fn changes(report: &HostReport) -> usize {
    report.entries.iter().filter(|entry| entry.change != Change::None).count()
}

/// What is asked for by the definition and the command line.
fn wanted(
    context: &Context,
    arguments: &BakeArguments,
    project: &Arc<andon_lang::definitions::Project>,
    name: &str,
) -> Result<Vec<Wanted>, Stop> {
    let mut wanted = Vec::new();
    let mut config = ContainerConfig::default();
    let outputs = image_outputs(project, name)?;
    for output in &outputs {
        let own = container_config(output);
        let path = output.text("path").map(|path| context.arguments.directory.join(path));
        let is_attested = !arguments.no_attestations && output.flag("attestations").unwrap_or(true);
        let mut all = Vec::new();
        match (&*output.format, path) {
            ("oci", path) => {
                all.extend(path.map(|path| Form::Layout { path, config: own.clone() }));
                for to in output.texts("push") {
                    let to = Reference::parse_target(&to).map_err(|failure| {
                        let diagnostic = Diagnostic::error(failure.summary).at(output.span).detail(failure.detail);
                        Stop::from(failure.help.into_iter().fold(diagnostic, Diagnostic::help))
                    })?;
                    all.push(Form::Push { to, config: own.clone() });
                }
                config = own;
            }
            ("disk", path) => all.push(disk(context, name, output, path)),
            ("archive", Some(path)) => all.push(Form::Archive(path)),
            (_, Some(path)) => all.push(Form::Directory(path)),
            (_, None) => {}
        }
        if !arguments.no_outputs {
            wanted.extend(all.into_iter().map(|form| Wanted { form, is_attested }));
        }
    }
    let mut also = Vec::new();
    for text in &arguments.output {
        also.push(match Place::parse(text).map_err(|failure| refused(&failure))? {
            Place::Oci(path) => Form::Layout { path, config: config.clone() },
            Place::Archive(path) => Form::Archive(path),
            Place::Directory(path) => Form::Directory(path),
            Place::Disk(path, format) => Form::Disk { path, config: DiskConfig { format, ..DiskConfig::default() } },
        });
    }
    for to in &arguments.push {
        let to = Reference::parse_target(to).map_err(|failure| refused(&failure))?;
        also.push(Form::Push { to, config: config.clone() });
    }
    let is_attested = !arguments.no_attestations;
    wanted.extend(also.into_iter().map(|form| Wanted { form, is_attested }));
    Ok(wanted)
}

fn disk(context: &Context, name: &str, output: &Output, path: Option<PathBuf>) -> Form {
    let (format, end) = match output.text("format") {
        Some("raw") => (DiskFormat::Raw, "raw"),
        _ => (DiskFormat::Qcow2, "qcow2"),
    };
    let path = path.unwrap_or_else(|| context.arguments.directory.join(format!("{name}.{end}")));
    let given = output.arguments.get("kernel_arguments").is_some_and(|it| !it.is_null());
    let size = output.text("size").and_then(parse_bytes);
    let mut config = DiskConfig { format, size, ..DiskConfig::default() };
    if given {
        config.kernel_arguments = output.texts("kernel_arguments");
    }
    Form::Disk { path, config }
}

fn container_config(output: &Output) -> ContainerConfig {
    ContainerConfig {
        entrypoint: output.texts("entrypoint"),
        command: output.texts("command"),
        environment: output.map("environment"),
        user: output.text("user").map(str::to_owned),
        working_dir: output.text("working_dir").map(str::to_owned),
        ports: output.texts("ports"),
        labels: output.map("labels"),
        plain: output.text("compression") == Some("none"),
        ..ContainerConfig::default()
    }
}

/// A path as it is told: without a `./` that says nothing.
fn shown(path: &Path) -> String {
    let short = path.strip_prefix(".").ok().filter(|short| !short.as_os_str().is_empty());
    short.unwrap_or(path).display().to_string()
}

/// Whether a layout is one file.
fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "tar")
}

fn write(
    baker: &Baker,
    name: &str,
    digest: &Digest,
    (form, said): (&Form, Option<(&Attestations, Option<&SigningKey>)>),
    say: &mut dyn FnMut(&str),
) -> Result<Json, Failure> {
    let place = shown;
    let beside = |path: &Path, also: &[Digest]| -> Result<Vec<String>, Failure> {
        let Some((said, key)) = said else { return attestations::remove_beside(path).map(|()| Vec::new()) };
        Ok(said.write_beside(path, key, also)?.iter().map(|path| place(path)).collect())
    };
    // A file is known again by its own digest.
    let beside_file = |path: &Path, also: &[Digest]| {
        // What is said of an earlier one is not true of this one, whatever happens from here on.
        attestations::remove_beside(path)?;
        let own = said.is_some().then(|| digest_of_file(path, &interrupt())).transpose()?;
        beside(path, &also.iter().cloned().chain(own).collect::<Vec<_>>())
    };
    match form {
        Form::Layout { path, config } => {
            let image = baker.images.oci(digest, config, say)?;
            let attested = match is_archive(path) {
                true => {
                    image.write_archive(path, name)?;
                    beside_file(path, std::slice::from_ref(&image.digest))?
                }
                false => {
                    image.write_layout(path, name)?;
                    beside(&attestations::in_layout(path, name), std::slice::from_ref(&image.digest))?
                }
            };
            let said = format!("wrote {} ({})", place(path), image.digest);
            Ok(
                json!({ "format": "oci", "path": place(path), "manifest": image.digest.as_str(), "attestations": attested, "said": said }),
            )
        }
        Form::Push { to, config } => {
            let image = baker.images.oci(digest, config, say)?;
            let registries = Registries::new().interrupted_by(interrupt());
            registries.push(&image, to, say)?;
            if let Some((said, key)) = said {
                let documents =
                    said.documents(key, std::slice::from_ref(&image.digest)).into_iter().map(|(_, document)| document);
                registries.attach(&image, to, &documents.collect::<Vec<_>>())?;
            }
            let said = format!("pushed {to} ({})", image.digest);
            Ok(
                json!({ "format": "registry", "reference": to.to_string(), "manifest": image.digest.as_str(), "said": said }),
            )
        }
        Form::Disk { path, config } => {
            say("writing its disk");
            baker.images.write_disk(digest, config, path)?;
            let attested = beside_file(path, &[])?;
            let said = format!("wrote {}", place(path));
            Ok(json!({ "format": "disk", "path": place(path), "attestations": attested, "said": said }))
        }
        Form::Archive(path) => {
            baker.images.write_root_archive(digest, path)?;
            let attested = beside_file(path, &[])?;
            let said = format!("wrote {}", place(path));
            Ok(json!({ "format": "archive", "path": place(path), "attestations": attested, "said": said }))
        }
        Form::Directory(path) => {
            baker.images.write_root(digest, path)?;
            let attested = beside(path, &[])?;
            let said = format!("wrote {}", place(path));
            Ok(json!({ "format": "directory", "path": place(path), "attestations": attested, "said": said }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_as_short_as_it_is() {
        for (path, told) in [(".", "."), ("./", "./"), ("./out/x", "out/x"), ("out", "out"), ("/out", "/out")] {
            assert_eq!(shown(Path::new(path)), told);
        }
    }

    #[test]
    fn nothing_is_written_over_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        std::os::unix::fs::symlink("x.tar", at("real/latest.tar")).unwrap();
        let layout = |path: &str| Form::Layout { path: at(path), config: ContainerConfig::default() };
        let archive = |path: &str| Form::Archive(at(path));
        let here = std::env::current_dir().unwrap();
        for (one, other, same_image, clashes) in [
            (archive("x.tar"), archive("./no/../x.tar"), true, true),
            (archive("x.tar"), layout("x.tar"), false, true),
            (archive("real/x.tar"), archive("link/x.tar"), true, true),
            (archive("real/x.tar"), archive("real/latest.tar"), true, false),
            (Form::Directory(at("out/x")), Form::Directory(at("out/x/")), true, true),
            (Form::Archive("x.tar".into()), Form::Archive(here.join("x.tar")), true, true),
            (layout("real"), layout("link"), true, true),
            (layout("real"), layout("link"), false, false),
            (archive("x.tar"), archive("link/../x.tar"), true, true),
            (archive("x.tar"), archive("real/x.tar"), true, false),
        ] {
            let told = format!("{:?} {:?}", one.place(), other.place());
            let [one, other] = [one, other].map(|form| Wanted { form, is_attested: true });
            let planned = match same_image {
                true => vec![("a", vec![one, other])],
                false => vec![("a", vec![one]), ("b", vec![other])],
            };
            assert_eq!(check_places(&planned).is_err(), clashes, "{told}");
        }
    }
}
