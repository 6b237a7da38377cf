//! `fmt`: definition files in the one true format.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use andon_text::{Diagnostic, Diagnostics, SourceMap, Span};
use serde_json::json;
use similar::TextDiff;

use crate::args::FmtArguments;
use crate::context::{Context, Stop};
use crate::terminal::print_json;

/// The ends of the names of definition files.
const SUFFIXES: [&str; 3] = [".tf", ".tfvars", ".hcl"];
/// Those of files in which Terraform's own rules hold.
const TERRAFORMS: [&str; 4] = [".tf", ".tfvars", ".tftest.hcl", ".tfmock.hcl"];
/// What is printed in place of a file's name.
const STANDARD_INPUT: &str = "<stdin>";
/// The exit codes are Terraform's: 2 where anything could not be read, understood or written, 3 where `-check` finds a
/// file that is not in the format.
const FAILED: u8 = 2;
const DIFFERS: u8 = 3;

/// `andon fmt`
pub fn run(context: &Context, arguments: &FmtArguments) -> Result<(), Stop> {
    let mut work =
        Work { context, arguments, sources: SourceMap::new(), broken: Diagnostics::new(), differing: Vec::new() };
    let whole = [PathBuf::new()];
    let paths: &[PathBuf] = if arguments.paths.is_empty() { &whole } else { &arguments.paths };
    if paths.iter().any(|path| path == Path::new("-")) {
        if paths.len() > 1 {
            let diagnostic = Diagnostic::error("`-` is given beside other paths");
            return Err(diagnostic.help("Format standard input alone, or the files alone.").into());
        }
        work.standard_input();
    } else {
        let mut files = Files { recursive: arguments.recursive, found: Vec::new(), seen: BTreeSet::new() };
        for path in paths {
            if let Err(diagnostic) = files.named(&context.arguments.directory, path) {
                work.broken.push(diagnostic);
            }
        }
        for (path, shown) in files.found {
            if let Err(diagnostic) = work.file(&path, &shown) {
                work.broken.push(diagnostic);
            }
        }
    }
    if context.arguments.json {
        let diagnostics = andon_view::diagnostics_json(&work.broken, &work.sources);
        print_json(&json!({ "differing": work.differing, "diagnostics": diagnostics }));
    }
    if !work.broken.is_empty() {
        if context.arguments.json {
            return Err(Stop::Code(FAILED));
        }
        context.say_diagnostics(&work.broken, &work.sources);
        return Err(Stop::Code(FAILED));
    }
    if arguments.check && !work.differing.is_empty() { Err(Stop::Code(DIFFERS)) } else { Ok(()) }
}

/// What is done with each file, and what came of it.
struct Work<'a> {
    context: &'a Context,
    arguments: &'a FmtArguments,
    sources: SourceMap,
    broken: Diagnostics,
    /// The names of files that are not in the format, in the order found.
    differing: Vec<String>,
}

impl Work<'_> {
    fn standard_input(&mut self) {
        let mut bytes = Vec::new();
        if let Err(error) = std::io::stdin().read_to_end(&mut bytes) {
            return self.broken.push(Diagnostic::error(format!("standard input cannot be read: {error}")));
        }
        let Some((text, formatted)) = self.format(STANDARD_INPUT, bytes) else { return };
        let differs = formatted != text;
        if differs {
            self.differing.push(STANDARD_INPUT.to_owned());
        }
        if self.context.arguments.json {
            return;
        }
        if self.arguments.diff && differs {
            self.context.print(&diff(STANDARD_INPUT, &text, &formatted, self.context));
        } else if !self.arguments.diff && !self.arguments.check {
            self.context.print(&formatted);
        }
    }

    fn file(&mut self, path: &Path, shown: &str) -> Result<(), Diagnostic> {
        let bytes = fs::read(path).map_err(|error| unreadable(shown, &error))?;
        let Some((text, formatted)) = self.format(shown, bytes) else { return Ok(()) };
        if formatted == text {
            return Ok(());
        }
        if self.arguments.write && !self.arguments.check {
            replace(path, &formatted).map_err(|error| {
                Diagnostic::error(format!("`{shown}` cannot be written: {error}"))
                    .help("Make the file and its directory writable. The file is as it was.")
            })?;
        }
        self.differing.push(shown.to_owned());
        if self.context.arguments.json {
            return Ok(());
        }
        if self.arguments.list {
            self.context.print(&format!("{shown}\n"));
        }
        if self.arguments.diff {
            self.context.print(&diff(shown, &text, &formatted, self.context));
        }
        Ok(())
    }

    /// The text of a file, and the text that it should have; `None` for one that is not understood, which is told.
    fn format(&mut self, shown: &str, bytes: Vec<u8>) -> Option<(String, String)> {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let line = text.get(..at).unwrap_or_default().lines().count().max(1);
                let mut diagnostic =
                    Diagnostic::error(format!("`{shown}` is not UTF-8 text")).help("Save the file as UTF-8.");
                if is_of_values(shown) {
                    diagnostic = diagnostic.detail(format!("The first byte that is none is in line {line}."));
                } else {
                    let id = self.sources.add(shown, text);
                    diagnostic = diagnostic.at(Span::new(id, at, at)).label("this byte is not");
                }
                self.broken.push(diagnostic);
                return None;
            }
        };
        // A file that is understood needs no place in the map: nothing will point into it.
        let probe = SourceMap::new().add(shown, "");
        let own = !TERRAFORMS.iter().any(|suffix| shown.ends_with(suffix));
        let format = if own { andon_hcl::format_source } else { andon_hcl::format_terraform };
        if let Ok(formatted) = format(probe, &text) {
            return Some((text, formatted));
        }
        let id = self.sources.add(shown, text.as_str());
        if is_of_values(shown) {
            self.sources.hide(Span::new(id, 0, text.len()));
        }
        if let Err(errors) = format(id, &text) {
            self.broken.extend(errors);
        }
        None
    }
}

/// Whether a file gives values to variables. Which of them are secrets is not known here, so none is shown.
fn is_of_values(shown: &str) -> bool {
    shown.ends_with(".tfvars")
}

/// Finds files, in the order that their names are given and then in that of the alphabet, each once.
struct Files {
    recursive: bool,
    /// Each with its name as the user would write it.
    found: Vec<(PathBuf, String)>,
    seen: BTreeSet<PathBuf>,
}

impl Files {
    /// A file or directory that the user named; relative to `base`.
    fn named(&mut self, base: &Path, path: &Path) -> Result<(), Diagnostic> {
        let place = base.join(path);
        let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let metadata = fs::metadata(&place).map_err(|error| unreadable(&shown.display().to_string(), &error))?;
        if metadata.is_dir() {
            let is_project = ["andon.hcl", "stacks", "roles"].iter().any(|name| place.join(name).exists());
            let real = fs::canonicalize(&place).unwrap_or_else(|_| place.clone());
            return self.directory(&place, &real, path, self.recursive || is_project);
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
            let diagnostic = Diagnostic::error(format!("`{}` is no file of definitions", path.display()));
            return Err(if name.ends_with(".json") {
                diagnostic.help("Only the native syntax has a format. For JSON use a formatter of JSON.")
            } else {
                diagnostic.help("Name files that end in .tf, .tfvars or .hcl, directories, or - for standard input.")
            });
        }
        let real = fs::canonicalize(&place).unwrap_or_else(|_| place.clone());
        self.add(place, real, path);
        Ok(())
    }

    /// The files in a directory, whose path without symbolic links is `real`: to look those up for every file is slow.
    fn directory(&mut self, place: &Path, real: &Path, shown: &Path, below: bool) -> Result<(), Diagnostic> {
        let failed = |error: std::io::Error| unreadable(&place.display().to_string(), &error);
        let mut entries = fs::read_dir(place).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            // Hidden files are not for people: the lock file of providers, what editors leave.
            if text.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                if below {
                    self.directory(&entry.path(), &real.join(&name), &shown.join(&name), below)?;
                }
            } else if SUFFIXES.iter().any(|suffix| text.ends_with(suffix)) {
                let inside = real.join(&name);
                let real = if kind.is_symlink() { fs::canonicalize(entry.path()).unwrap_or(inside) } else { inside };
                self.add(entry.path(), real, &shown.join(&name));
            }
        }
        Ok(())
    }

    fn add(&mut self, place: PathBuf, real: PathBuf, shown: &Path) {
        if self.seen.insert(real) {
            let shown = shown.strip_prefix(".").unwrap_or(shown);
            self.found.push((place, shown.display().to_string()));
        }
    }
}

fn unreadable(shown: &str, error: &std::io::Error) -> Diagnostic {
    match error.kind() {
        std::io::ErrorKind::NotFound => Diagnostic::error(format!("there is no file or directory `{shown}`"))
            .help("Check the path, or where a symbolic link goes."),
        _ => Diagnostic::error(format!("`{shown}` cannot be read: {error}")).help("Make it readable, or leave it out."),
    }
}

/// Replaces a file's text whole, or not at all. Its mode and owner stay; a symbolic link stays one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path)?;
    // A directory that may be written in would let a file go that may not be written.
    let metadata = fs::OpenOptions::new().write(true).open(&path)?.metadata()?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.andon-{}", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        keep_owner(&file, &metadata);
        file.set_permissions(metadata.permissions())?;
        fs::rename(&temporary, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Only root may give files away; for anybody else the file is theirs already, or becomes theirs.
#[cfg(unix)]
fn keep_owner(file: &fs::File, metadata: &fs::Metadata) {
    use std::os::unix::fs::MetadataExt;
    let _ = std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_: &fs::File, _: &fs::Metadata) {}

fn diff(name: &str, before: &str, after: &str, context: &Context) -> String {
    let diff = TextDiff::from_lines(before, after);
    let (old, new) = (format!("old/{name}"), format!("new/{name}"));
    let text = diff.unified_diff().context_radius(3).header(&old, &new).to_string();
    // A carriage return is a part of the line.
    text.split_terminator('\n').map(|line| context.out.diff_line(line) + "\n").collect()
}
