//! `fmt`: definition files in the one true format.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use andon_text::{Diagnostic, Diagnostics, SourceMap};
use similar::TextDiff;

use crate::args::FmtArguments;
use crate::context::{Context, Stop};

/// The ends of the names of definition files.
const SUFFIXES: [&str; 4] = [".tf", ".tfvars", ".tftest.hcl", ".hcl"];

/// `andon fmt`
pub fn run(context: &Context, arguments: &FmtArguments) -> Result<(), Stop> {
    if arguments.paths.iter().any(|path| path == Path::new("-")) {
        return standard_input(context, arguments);
    }
    let mut files = Vec::new();
    let whole = [context.arguments.directory.clone()];
    let paths: &[PathBuf] = if arguments.paths.is_empty() { &whole } else { &arguments.paths };
    for path in paths {
        collect(path, path, &mut files)?;
    }
    files.sort();
    let mut sources = SourceMap::new();
    let mut broken = Diagnostics::new();
    let mut differing = false;
    for path in &files {
        let failed = |error| unreadable(path, &error);
        let text = match String::from_utf8(fs::read(path).map_err(failed)?) {
            Ok(text) => text,
            Err(_) => {
                broken.push(Diagnostic::error(format!("`{}` is not UTF-8 text", path.display())));
                continue;
            }
        };
        let id = sources.add(path.strip_prefix(".").unwrap_or(path).display().to_string(), text.as_str());
        let (_, errors) = andon_hcl::parse_body(id, &text);
        if errors.has_errors() {
            // A file that is not understood is left as it is.
            broken.extend(errors);
            continue;
        }
        let formatted = andon_hcl::format(&text);
        if formatted == text {
            continue;
        }
        differing = true;
        if arguments.diff {
            context.print(&diff(&path.display().to_string(), &text, &formatted, context));
        } else {
            context.print(&format!("{}\n", path.display()));
        }
        if !arguments.check {
            replace(path, &formatted).map_err(failed)?;
        }
    }
    if !broken.is_empty() {
        context.say_diagnostics(&broken, &sources);
        return Err(Stop::Code(1));
    }
    if arguments.check && differing { Err(Stop::Code(3)) } else { Ok(()) }
}

fn standard_input(context: &Context, arguments: &FmtArguments) -> Result<(), Stop> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Stop::from(Diagnostic::error(format!("standard input cannot be read: {error}"))))?;
    let mut sources = SourceMap::new();
    let id = sources.add("<standard input>", text.as_str());
    let (_, errors) = andon_hcl::parse_body(id, &text);
    if errors.has_errors() {
        context.say_diagnostics(&errors, &sources);
        return Err(Stop::Code(1));
    }
    let formatted = andon_hcl::format(&text);
    match (arguments.diff, arguments.check) {
        (true, _) if formatted != text => context.print(&diff("<standard input>", &text, &formatted, context)),
        (false, false) => context.print(&formatted),
        _ => {}
    }
    if arguments.check && formatted != text { Err(Stop::Code(3)) } else { Ok(()) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Stop {
    let path = path.display();
    let summary = match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file or directory `{path}`"),
        _ => format!("`{path}` cannot be read: {error}"),
    };
    Diagnostic::error(summary).into()
}

fn collect(named: &Path, path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Stop> {
    let failed = |error| unreadable(path, &error);
    if fs::metadata(path).map_err(failed)?.is_file() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // The lock file of providers is written by a program.
        let wanted = SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) && !name.starts_with('.');
        if wanted || named == path {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if !link && !name.to_string_lossy().starts_with('.') && name != "target" && name != "node_modules" {
            collect(named, &entry.path(), files)?;
        }
    }
    Ok(())
}

/// Replaces a file's text whole, or not at all, and keeps its mode.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = directory.join(format!(".{name}.andon-{}", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::metadata(path)?.permissions())?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn diff(name: &str, before: &str, after: &str, context: &Context) -> String {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(3).header(name, name).to_string();
    text.lines().map(|line| context.out.diff_line(line) + "\n").collect()
}
