//! `-check` for `--check`: Terraform's users, and their scripts, write long options with one dash.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Command;

/// The words of a command line, with the dash of each long option that `command` knows doubled. Words after `--`, and
/// those of a command that is run somewhere else, stay as they are.
pub fn doubled(words: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let known = long_options(command);
    let mut as_they_are = false;
    let double = |word: OsString| {
        as_they_are |= word == "--" || word == "ssh";
        let Some(text) = word.to_str().filter(|_| !as_they_are) else { return word };
        let Some(option) = text.strip_prefix('-') else { return word };
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("no-color" | "-no-color", None) => "--color=never".into(),
            ("chdir" | "-chdir", Some(directory)) => format!("--directory={directory}").into(),
            _ if name.len() > 1 && known.contains(name) => format!("-{text}").into(),
            _ => word,
        }
    };
    words.into_iter().map(double).collect()
}

/// The names of all long options, of the program and of its commands.
fn long_options(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned);
    let inner = command.get_subcommands().flat_map(long_options);
    own.chain(inner).chain(["help".to_owned(), "version".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::doubled;
    use crate::args::Arguments;

    #[test]
    fn one_dash_will_do() {
        for (given, expected) in [
            (
                "plan -var a=-var -var=b=1 -var-file=x -vars -- -var",
                "plan --var a=-var --var=b=1 --var-file=x -vars -- -var",
            ),
            ("fmt -check -recursive -list=false -", "fmt --check --recursive --list=false -"),
            ("-chdir=a fmt -no-color -C b", "--directory=a fmt --color=never -C b"),
            ("--chdir=a check --no-color", "--directory=a check --color=never"),
            ("ssh web ls -json", "ssh web ls -json"),
            ("plan -json -e dev --json -help", "plan --json -e dev --json --help"),
        ] {
            let words = given.split(' ').map(Into::into);
            let expected: Vec<std::ffi::OsString> = expected.split(' ').map(Into::into).collect();
            assert_eq!(doubled(words, &Arguments::command()), expected);
        }
    }
}
