//! `new`: a project that works, to begin from.

use std::fs;
use std::io::ErrorKind;

use andon_text::Diagnostic;

use crate::args::NewArguments;
use crate::context::{Context, Stop};

/// The files of a new project; `PROJECT` in them stands for its name.
const FILES: [(&str, &str); 7] = [
    ("andon.hcl", include_str!("../../starter/andon.hcl")),
    ("stacks/app/main.tf", include_str!("../../starter/main.tf")),
    ("roles/web.role.hcl", include_str!("../../starter/web.role.hcl")),
    ("roles/web/site.conf.tftpl", include_str!("../../starter/site.conf.tftpl")),
    ("images/web.image.hcl", include_str!("../../starter/web.image.hcl")),
    ("tests/web.test.hcl", include_str!("../../starter/web.test.hcl")),
    (".gitignore", ".andon/\n"),
];

/// `andon new PATH`
pub fn run(context: &Context, arguments: &NewArguments) -> Result<(), Stop> {
    let path = context.arguments.directory.join(&arguments.path);
    // `.` has a name, too.
    let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let sound = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    if !sound {
        return Err(Diagnostic::error(format!("`{name}` cannot be the name of a project"))
            .detail("A name begins with a letter and goes on with letters, digits, `-` and `_`.")
            .into());
    }
    let failed = |place: &std::path::Path, error: std::io::Error| {
        Stop::from(Diagnostic::error(format!("`{}` cannot be made: {error}", place.display())))
    };
    match fs::read_dir(&path).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            return Err(Diagnostic::error(format!("`{}` is not empty", path.display()))
                .help("Give the name of a new directory; nothing was written.")
                .into());
        }
        Ok(false) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&path, error)),
    }
    for (file, text) in FILES {
        let place = path.join(file);
        if let Some(directory) = place.parent() {
            fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        }
        fs::write(&place, text.replace("PROJECT", &name)).map_err(|error| failed(&place, error))?;
    }
    context.print(&format!(
        "Made the project {name} in {}: two web servers behind a balancer.\n\n  cd {}\n  andon check\n  andon up\n",
        path.display(),
        path.display()
    ));
    Ok(())
}
