//! The forms that an image is written in: `output "oci" { … }` in its definition.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use andon_hcl::ast::Body;
use andon_schema::units::parse_bytes;
use andon_schema::{Attribute, Block, Failure, Format};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Type, Value};

use crate::definitions::{Image, ImageOutput, Project};
use crate::eval::evaluate_block;
use crate::image::find_image;
use crate::literal;
use crate::shape::suggest;
use crate::variable::Constants;

/// One form that an image is written in.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// `oci`, `archive`, `directory` or `disk`.
    pub format: Arc<str>,
    /// Its arguments: an object, each null where it was not given.
    pub arguments: Value,
    /// Where it is defined.
    pub span: Span,
}

impl Output {
    /// A text that was given.
    pub fn text(&self, argument: &str) -> Option<&str> {
        self.arguments.get_str(argument)
    }

    /// A truth that was given.
    pub fn flag(&self, argument: &str) -> Option<bool> {
        self.arguments.get(argument).and_then(Value::as_bool)
    }

    /// A list of texts, or all values of a map; empty where it was not given.
    pub fn texts(&self, argument: &str) -> Vec<String> {
        let list = self.arguments.get(argument).and_then(Value::as_elements);
        list.into_iter().flat_map(|list| list.iter()).filter_map(|text| Some(text.as_str()?.to_string())).collect()
    }

    /// A map of texts; empty where it was not given.
    pub fn map(&self, argument: &str) -> BTreeMap<String, String> {
        let entries = self.arguments.get(argument).and_then(Value::as_entries);
        let text = |(name, value): (&Arc<str>, &Value)| Some((name.to_string(), value.as_str()?.to_string()));
        entries.into_iter().flat_map(|entries| entries.iter()).filter_map(text).collect()
    }
}

/// The outputs of an image.
pub fn image_outputs(project: &Project, name: &str) -> Result<Vec<Output>, Diagnostics> {
    let image = find_image(project, name, None)?;
    let mut out = Diagnostics::new();
    let outputs = image.outputs.iter().filter_map(|output| match sound(project, image, output) {
        Ok(output) => Some(output),
        Err(errors) => {
            out.extend(errors);
            None
        }
    });
    let outputs: Vec<Output> = outputs.collect();
    if out.is_empty() { Ok(outputs) } else { Err(out) }
}

/// What is wrong with the outputs of an image.
pub(crate) fn check_outputs(project: &Project, image: &Image, out: &mut Diagnostics) {
    for output in &image.outputs {
        out.extend(sound(project, image, output).err().into_iter().flatten());
    }
}

/// An output that can be written, as far as its definition tells.
fn sound(project: &Project, image: &Image, output: &ImageOutput) -> Result<Output, Diagnostics> {
    let output = evaluated(project, output)?;
    outside_of_base(image, &output)?;
    if let Some(name) = output.map("environment").keys().find(|name| name.is_empty() || name.contains('=')) {
        return Err(Diagnostic::error(format!("`{name}` is no name of a variable"))
            .at(output.span)
            .detail("In an environment, what is before the first `=` is the name.")
            .help("Write `environment = { NAME = \"value\" }`.")
            .into());
    }
    Ok(output)
}

/// What is written at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A file.
    File,
    /// A directory that is replaced with all that is in it.
    Directory,
    /// A layout, in which images of several names may be.
    Layout,
}

/// What is written where, so that nothing is written over anything else.
#[derive(Debug)]
pub struct Places<'a, T>(BTreeMap<PathBuf, Vec<(&'a str, Written, T)>>);

impl<T> Default for Places<'_, T> {
    fn default() -> Self {
        Places(BTreeMap::new())
    }
}

impl<'a, T: Copy> Places<'a, T> {
    /// Takes a place for an image. Where it is another's, or the same image's once more, or one of both is in the other:
    /// what is to be said, and what was noted of that one.
    pub fn take(
        &mut self,
        place: &Path,
        image: &'a str,
        written: Written,
        note: T,
    ) -> Result<(), (Box<Diagnostic>, T)> {
        let around = self.around(place, written);
        let others = self.0.entry(place.to_owned()).or_default();
        let is_over = |(other, too, _): &&(&str, Written, T)| {
            !(written == Written::Layout && *too == Written::Layout && *other != image)
        };
        let over = others.iter().find(is_over).map(|(.., note)| *note);
        others.push((image, written, note));
        if let Some(over) = over {
            let diagnostic = Diagnostic::error("two outputs are written to one place");
            let detail = format!("Each would replace `{}` of the other one.", place.display());
            return Err((Box::new(diagnostic.detail(detail)), over));
        }
        around.map_or(Ok(()), Err)
    }

    /// What is wrong where a directory is written around another output, which would go when the directory is replaced.
    fn around(&self, place: &Path, written: Written) -> Option<(Box<Diagnostic>, T)> {
        self.0.iter().filter(|(other, _)| *other != place).find_map(|(other, taken)| {
            let is_in = |inner: &Path, outer: &Path, outer_is: Written| {
                (outer_is == Written::Directory && inner.starts_with(outer)).then(|| {
                    let (inner, outer) = (inner.display(), outer.display());
                    let diagnostic = Diagnostic::error("an output is written into another one");
                    Box::new(diagnostic.detail(format!("`{inner}` is in `{outer}`, which is replaced with all in it.")))
                })
            };
            taken.iter().find_map(|(_, other_is, note)| {
                let said = is_in(place, other, *other_is).or_else(|| is_in(other, place, written));
                said.map(|diagnostic| (diagnostic, *note))
            })
        })
    }
}

/// Outputs that are written over each other.
pub(crate) fn check_places(project: &Project, out: &mut Diagnostics) {
    let mut places = Places::default();
    for image in project.images.values() {
        let name = &*image.name.name;
        // What is wrong with each of them is said elsewhere.
        for output in image.outputs.iter().filter_map(|output| evaluated(project, output).ok()) {
            let Some(path) = place(&output, name) else { continue };
            let written = match &*output.format {
                "oci" if !path.ends_with(".tar") => Written::Layout,
                "directory" => Written::Directory,
                _ => Written::File,
            };
            if let Err((diagnostic, other)) = places.take(Path::new(&path), name, written, output.span) {
                let diagnostic = diagnostic.at(output.span).related(other, "the other one");
                out.push(diagnostic.help("Give each a path of its own."));
            }
        }
    }
}

/// Where an output is written, from the project's directory, as short as it is. `None` where it is only pushed.
fn place(output: &Output, image: &str) -> Option<String> {
    let path = match (output.text("path"), &*output.format) {
        (Some(path), _) => path.to_owned(),
        (None, "disk") => format!("{image}.{}", output.text("format").unwrap_or("qcow2")),
        (None, _) => return None,
    };
    Some(short(&path))
}

/// A path as short as it is.
fn short(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').enumerate().filter(|(at, part)| *at == 0 || !part.is_empty()).map(|(_, part)| part) {
        match (part, parts.last()) {
            (".", _) => {}
            ("..", Some(last)) if !["", ".."].contains(last) => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a place is in a directory, both as short as they are. The project's own is empty then, and so is the root.
fn is_beneath(place: &str, base: &str, is_absolute: bool) -> bool {
    match base {
        "" => place.starts_with('/') == is_absolute && !place.starts_with(".."),
        base => Path::new(place).starts_with(base),
    }
}

/// Refuses an output that is written to what its image is made from: each image would hold the one before.
fn outside_of_base(image: &Image, output: &Output) -> Result<(), Diagnostics> {
    let Some(from) = literal::string(&image.from).filter(|from| from.starts_with(['.', '/'])) else { return Ok(()) };
    let Some(place) = place(output, &image.name.name) else { return Ok(()) };
    let base = short(&from);
    let detail = if place == base {
        format!("`{place}` would be replaced by the image.")
    } else if is_beneath(&place, &base, from.starts_with('/')) {
        format!("`{place}` would be in the next image.")
    } else {
        return Ok(());
    };
    Err(Diagnostic::error("an output is written to what the image is made from")
        .at(output.span)
        .related(image.from.span, "made from this")
        .detail(detail)
        .help("Write it to another place.")
        .into())
}

fn evaluated(project: &Project, output: &ImageOutput) -> Result<Output, Diagnostics> {
    let format = &output.format;
    let Some(schema) = FORMATS.get(&*format.name) else {
        let name = &*format.name;
        let diagnostic = Diagnostic::error(format!("there is no form of images \"{name}\"")).at(format.span);
        let diagnostic = suggest(diagnostic, name, FORMATS.keys().copied());
        return Err(diagnostic.help("The forms are \"oci\", \"archive\", \"directory\" and \"disk\".").into());
    };
    let body = Body { span: Some(output.span), ..output.body.clone() };
    let arguments = evaluate_block(&body, schema, &Constants(project.inputs("images")))?;
    Ok(Output { format: format.name.clone(), arguments, span: output.span })
}

/// The arguments of each form.
static FORMATS: LazyLock<BTreeMap<&str, Block>> = LazyLock::new(|| {
    let text = |description: &str| Attribute::optional(Type::String, description);
    let path = |description: &str| Attribute::required(Type::String, description);
    let texts = |description: &str| Attribute::optional(Type::list(Type::String), description);
    let map = |description: &str| Attribute::optional(Type::map(Type::String), description);
    let attestations = || {
        let said = "Whether bills of materials (SPDX, CycloneDX) and the provenance go with it. Default: true.";
        ("attestations", Attribute::optional(Type::Bool, said))
    };
    let config =
        || {
            [
            (
                "path",
                text("Where it is written, from the project's directory: a directory, or one file that ends with .tar.")
                    .format(LAYOUT),
            ),
            ("push", texts("The registries' references that it is pushed to: REGISTRY/NAME:TAG.").format(PUSH)),
            ("compression", text("How layers are packed: gzip, the default, or none.").format(COMPRESSION)),
            ("entrypoint", texts("The command that a container runs, to which arguments are added.")),
            ("command", texts("The command that a container runs, or its arguments; systemd where neither is given.")),
            ("environment", map("Variables of a container's environment.")),
            ("user", text("Who runs the command.")),
            ("working_dir", text("Where the command runs.").format(WORKING_DIRECTORY)),
            ("ports", texts("The ports that a container listens on: \"80/tcp\".").format(PORT)),
            ("labels", map("Labels of the image.")),
            attestations(),
        ]
        };
    BTreeMap::from([
        ("oci", block(config())),
        (
            "archive",
            block([
                (
                    "path",
                    path(
                        "The file, from the project's directory: .tar; packed by gzip .tar.gz or .tgz, by Zstandard .tar.zst or .tzst.",
                    )
                        .format(ARCHIVE),
                ),
                attestations(),
            ]),
        ),
        (
            "disk",
            block([
                (
                    "path",
                    text(
                        "The file, from the project's directory. Default: the image's name, and the format behind a dot.",
                    ),
                ),
                ("format", text("`qcow2`, the default, or `raw`.").format(DISK_FORMAT)),
                ("size", text("How large the disk is. Default: what the image needs, and some room.").format(SIZE)),
                (
                    "kernel_arguments",
                    texts("What the kernel is told. Default: a console on the screen and on the first serial port.")
                        .format(KERNEL_ARGUMENT),
                ),
                attestations(),
            ]),
        ),
        (
            "directory",
            block([("path", path("Where its files are written, from the project's directory.")), attestations()]),
        ),
    ])
});

const ARCHIVE: Format = Format { name: "the name of an archive", example: "\"web.tar.gz\"", check: archive };
const LAYOUT: Format = Format { name: "the place of a layout", example: "\"out/web\"", check: layout };
const PUSH: Format = Format {
    name: "a reference to push to",
    example: "[\"registry.example.com/shop/web:1.2\"]",
    check: |it| it.as_str().map_or(Ok(()), |text| push_target(text)),
};
const COMPRESSION: Format =
    Format { name: "a compression", example: "\"gzip\"", check: |it| one_of(it, "compression", ["gzip", "none"]) };
const PORT: Format = Format { name: "a port", example: "[\"80/tcp\"]", check: port };
const WORKING_DIRECTORY: Format = Format { name: "an absolute path", example: "\"/srv\"", check: working_directory };
const DISK_FORMAT: Format = Format {
    name: "a format of disks",
    example: "\"qcow2\"",
    check: |it| one_of(it, "format of disks", ["qcow2", "raw"]),
};
const SIZE: Format = Format { name: "the size of a disk", example: "\"4G\"", check: size };
const KERNEL_ARGUMENT: Format =
    Format { name: "arguments of a kernel", example: "[\"console=ttyS0\"]", check: kernel_argument };

fn one_of(value: &Value, what: &str, all: [&str; 2]) -> Result<(), Failure> {
    match value.as_str().filter(|text| all.iter().all(|it| *it != &***text)) {
        None => Ok(()),
        Some(wrong) => {
            let [one, other] = all;
            Err(Failure::new(format!("there is no {what} \"{wrong}\""), "")
                .help(format!("Use \"{one}\" or \"{other}\".")))
        }
    }
}

/// What ends the name of an archive of a root file system.
const ARCHIVES: [&str; 5] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];

/// Whether this can be the name of an archive of a root file system, in `output "archive"` and after `--output`.
///
/// # Errors
/// Where it is packed in another way.
pub fn archive_place(path: &str) -> Result<(), Failure> {
    match ARCHIVES.iter().any(|end| path.ends_with(end)) {
        true => Ok(()),
        false => {
            let detail = "It is packed by gzip, by Zstandard, or not at all.";
            Err(Failure::new(format!("`{path}` is no name of an archive"), detail)
                .help("Let it end with .tar, .tar.gz, .tgz, .tar.zst or .tzst."))
        }
    }
}

fn archive(value: &Value) -> Result<(), Failure> {
    value.as_str().map_or(Ok(()), |path| archive_place(path))
}

/// What ends the name of an archive that is packed: a layout is none.
const PACKED: [&str; 9] = [".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.bz2", ".tar.lz4", ".zip"];

/// Whether this can be the place of a layout of the Open Container Initiative, in `output "oci"` and after `oci:`.
///
/// # Errors
/// Where it is the name of an archive that is packed.
pub fn layout_place(path: &str) -> Result<(), Failure> {
    if path.is_empty() {
        return Err(
            Failure::new("the layout has no place", "Its path is empty.").help("Name a directory: `oci:out/web`.")
        );
    }
    match PACKED.iter().any(|end| path.ends_with(end)) {
        false => Ok(()),
        true => Err(Failure::new(
            format!("`{path}` is no place of a layout"),
            "A layout is a directory, or an archive that is not packed: its layers are.",
        )
        .help("Let it end with .tar, or name a directory.")),
    }
}

fn layout(value: &Value) -> Result<(), Failure> {
    value.as_str().map_or(Ok(()), |path| layout_place(path))
}

/// What of a reference can be told without knowing how registries call things: that it names one, and no digest.
fn push_target(text: &str) -> Result<(), Failure> {
    let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
    if !text.split_once('/').is_some_and(|(host, _)| is_host(host)) {
        let detail = format!("`{text}` does not begin with the registry's host name.");
        return Err(Failure::new("this is no reference to a registry", detail)
            .help("Write REGISTRY/NAME:TAG, such as registry.example.com/team/web:1.2."));
    }
    match text.split_once('@') {
        None => Ok(()),
        Some((tag, _)) => Err(Failure::new(
            "nothing can be pushed to a digest",
            format!("`{text}`: what a manifest's digest is follows from what is pushed."),
        )
        .help(format!("Push to a tag: {tag}."))),
    }
}

fn port(value: &Value) -> Result<(), Failure> {
    let Some(text) = value.as_str() else { return Ok(()) };
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok_and(|it| it > 0);
    if is_number && ["tcp", "udp", "sctp"].contains(&protocol) {
        return Ok(());
    }
    let detail = "It is a number from 1 to 65535, and tcp, udp or sctp after a slash.";
    Err(Failure::new(format!("`{text}` is no port of a container"), detail).help("Write one such as `80/tcp`."))
}

fn working_directory(value: &Value) -> Result<(), Failure> {
    match value.as_str().filter(|text| !text.is_empty() && !text.starts_with('/')) {
        None => Ok(()),
        Some(text) => Err(Failure::new(format!("`{text}` is no absolute path"), "It is one in the container.")
            .help(format!("Write `/{text}`."))),
    }
}

fn size(value: &Value) -> Result<(), Failure> {
    let Some(text) = value.as_str() else { return Ok(()) };
    match parse_bytes(text).filter(|bytes| (64 << 20..=1 << 44).contains(bytes)) {
        Some(_) => Ok(()),
        None => {
            let detail = "It is a number followed by M, G or T, from 64M to 16T.";
            Err(Failure::new(format!("`{text}` is no size of a disk"), detail).help("Write one such as `4G`."))
        }
    }
}

fn kernel_argument(value: &Value) -> Result<(), Failure> {
    let Some(text) = value.as_str() else { return Ok(()) };
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,:=/@+%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_sound) {
        return Ok(());
    }
    let detail = "An argument has letters, digits and -_.,:=/@+% only.";
    Err(Failure::new(format!("`{text}` is no argument of a kernel"), detail)
        .help("Write one such as `console=ttyS0`, each as an element of its own."))
}

fn block<const N: usize>(attributes: [(&str, Attribute); N]) -> Block {
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    Block { attributes, ..Block::default() }
}
