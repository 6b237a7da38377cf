//! `-check` for `--check`: Terraform's users, and their scripts, write long options with one dash.

use std::collections::BTreeMap;
use std::ffi::OsString;

use andon_text::nearest;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command, Error};

/// The words of a command line, with the dash of each long option that `command` knows doubled. Words after `--`, and
/// those of a command that is run somewhere else, stay as they are. What is a plain flag here may be given a truth, as
/// in `-or-create=true`.
pub fn doubled(words: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let known = long_options(command);
    let mut as_they_are = false;
    let double = |word: OsString| {
        as_they_are |= word == "--" || word == "ssh";
        let Some(text) = word.to_str().filter(|_| !as_they_are) else { return Some(word) };
        let Some(option) = text.strip_prefix('-') else { return Some(word) };
        let option = option.strip_prefix('-').unwrap_or(option);
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("no-color", None | Some("true")) => Some("--color=never".into()),
            ("no-color", Some("false")) => None,
            ("chdir", Some(directory)) => Some(format!("--directory={directory}").into()),
            (_, Some("false")) if known.get(name) == Some(&true) => None,
            (_, Some("true")) if known.get(name) == Some(&true) => Some(format!("--{name}").into()),
            _ if name.len() > 1 && known.contains_key(name) => Some(format!("--{option}").into()),
            _ => Some(word),
        }
    };
    words.into_iter().filter_map(double).collect()
}

/// What a command line begins with: the program and its command; before the command's own words go those that Terraform's
/// `TF_CLI_ARGS`, and `TF_CLI_ARGS_plan` for `plan`, hold, as a shell splits them.
pub fn with_variables(
    mut words: Vec<OsString>,
    command: &Command,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<OsString> {
    const WITH_VALUE: [&str; 5] = ["-C", "--directory", "-e", "--environment", "--color"];
    let is_value = |at: usize| words.get(at.wrapping_sub(1)).is_some_and(|it| WITH_VALUE.iter().any(|with| it == with));
    let first = |at: &usize| words.get(*at).and_then(|it| command.find_subcommand(it)).is_some() && !is_value(*at);
    let Some(mut at) = (1..words.len()).find(first) else { return words };
    let mut name = String::from("TF_CLI_ARGS");
    let mut found = Some(command);
    while let Some(next) = found.and_then(|it| it.find_subcommand(words.get(at)?)) {
        name = format!("{name}_{}", words.get(at).map(|it| it.to_string_lossy().into_owned()).unwrap_or_default());
        (found, at) = (Some(next), at + 1);
    }
    let given = ["TF_CLI_ARGS", &name].into_iter().filter_map(variable).flat_map(|text| split(&text));
    let given: Vec<OsString> = given.map(Into::into).collect();
    words.splice(at..at, given);
    words
}

/// Words as a shell makes them, with quotes and backslashes and nothing else.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == letter => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What to say of an option that nobody knows: it whole, as it was typed, and what is like it. Without this a word with
/// one dash would be named by its first letter.
pub fn unknown(mut error: Error, words: impl IntoIterator<Item = OsString>, command: &Command) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(said)) = error.get(ContextKind::InvalidArg).cloned() else { return error };
    // How a made-up option is used, and how it would be no option, helps nobody.
    error.remove(ContextKind::Usage);
    error.remove(ContextKind::Suggested);
    let words: Vec<OsString> = words.into_iter().collect();
    let is_letter = said.chars().count() == 2;
    let typed = words
        .iter()
        .filter_map(|word| word.clone().into_string().ok())
        .find(|word| is_letter && word.starts_with(&said) && word.len() > said.len());
    let whole = typed.as_deref().unwrap_or(&said).split('=').next().unwrap_or_default();
    if let Some((_, instead)) = INSTEAD.iter().find(|(name, _)| *name == whole.trim_start_matches('-')) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(whole.to_owned()));
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*instead).into()]));
        return error;
    }
    if let Some(word) = typed {
        let name = word.split('=').next().unwrap_or_default();
        error.insert(ContextKind::InvalidArg, ContextValue::String(name.to_owned()));
        let known = long_options(command);
        if let Some(near) = nearest(name.trim_start_matches('-'), known.keys().map(String::as_str)) {
            error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("-{near}")));
        }
    }
    error
}

/// Options of Terraform's that are not taken, and what does what they do.
const INSTEAD: [(&str, &str); 15] = [
    ("state", "the state is in the ledger: leave it out; `andon state push FILE` takes a state file over"),
    ("state-out", "the state is in the ledger: leave it out; `andon state pull` prints it as a state file"),
    ("backup", "the ledger keeps what was before: leave it out; `andon state pull` prints the state as it is now"),
    ("backup-out", "the ledger keeps what was before: leave it out; `andon state pull` prints the state as it is now"),
    ("config", "the definitions of the project are read: name another project's directory with -C"),
    ("ignore-remote-version", "the state is in the ledger, which nothing else writes: leave it out"),
    ("from-module", "nothing is copied: fetch the module yourself, and run `andon init` in its directory"),
    ("get-plugins", "providers are always installed: leave it out; `-plugin-dir=DIR` names where from"),
    ("verify-plugins", "packages are always checked against the lock file: leave it out"),
    ("no-tests", "tests of stacks are not checked until `andon test` runs them: leave it out"),
    ("test-directory", "tests are looked for where `andon test -test-directory` says: leave it out"),
    ("module-depth", "all modules are shown: leave it out"),
    ("draw-cycles", "a circle is an error that `andon check` tells of: leave it out"),
    ("type", "the graph is that of what the definitions read: leave it out"),
    ("cloud-run", "tests run on this machine: leave it out"),
];

/// The names of all long options, of the program and of its commands, and whether each is a flag wherever it is known.
fn long_options(command: &Command) -> BTreeMap<String, bool> {
    let mut all = BTreeMap::from([("help".to_owned(), true), ("version".to_owned(), true)]);
    let own = command.get_arguments().flat_map(|argument| {
        let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
        let names = argument.get_long_and_visible_aliases().unwrap_or_default();
        names.into_iter().map(move |name| (name.to_owned(), is_flag))
    });
    for (name, is_flag) in own.chain(command.get_subcommands().flat_map(long_options)) {
        *all.entry(name).or_insert(is_flag) &= is_flag;
    }
    all
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{doubled, unknown, with_variables};
    use crate::args::Arguments;

    fn words(text: &str) -> Vec<std::ffi::OsString> {
        text.split(' ').map(Into::into).collect()
    }

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
            ("workspace select -or-create=true x", "workspace select --or-create x"),
            ("apply -auto-approve=true -full=false -refresh=false", "apply --auto-approve --refresh=false"),
            ("plan -no-color=true -no-color=false --json=true", "plan --color=never --json"),
        ] {
            assert_eq!(doubled(words(given), &Arguments::command()), words(expected));
        }
    }

    #[test]
    fn words_come_from_terraforms_variables_too() {
        let variable = |name: &str| match name {
            "TF_CLI_ARGS" => Some("-no-color".to_owned()),
            "TF_CLI_ARGS_plan" => Some(r#" -var "a=x y"  -var 'b="'\ c"" "#.to_owned()),
            "TF_CLI_ARGS_state_list" => Some("-id=x".to_owned()),
            _ => None,
        };
        for (given, expected) in [
            (
                "andon -C plan plan x",
                ["andon", "-C", "plan", "plan", "-no-color", "-var", "a=x y", "-var", "b=\" c", "x"].as_slice(),
            ),
            ("andon state list a", &["andon", "state", "list", "-no-color", "-id=x", "a"]),
            ("andon apply plan", &["andon", "apply", "-no-color", "plan"]),
            ("andon --help", &["andon", "--help"]),
        ] {
            assert_eq!(with_variables(words(given), &Arguments::command(), variable), expected);
        }
    }

    #[test]
    fn what_pipelines_say_is_understood() {
        for line in [
            "init -input=false -reconfigure -backend-config=a.hcl -backend-config=key=x -get=true -lock-timeout=60s",
            "init -migrate-state -force-copy -lock=false -no-color -upgrade=false -backend=false",
            "plan -input=false -lock=false -lock-timeout=5m -compact-warnings -no-color -out=x -detailed-exitcode",
            "apply -input=false -auto-approve -lock=true -lock-timeout=5m -compact-warnings x.plan",
            "destroy -auto-approve=true -input=false -parallelism=10",
            "import -input=false -lock-timeout=5m -var a=b terraform_data.a x",
            "refresh -input=false -lock-timeout=5m -compact-warnings -var a=b",
            "workspace select -or-create=true x",
            "version -json",
            "get -update=true -no-color",
            "validate -json -no-color",
            "output -json -no-color",
        ] {
            let line = doubled(words(&format!("andon {line}")), &Arguments::command());
            if let Err(error) = Arguments::try_parse_from(&line) {
                panic!("{line:?}: {error}");
            }
        }
    }

    #[test]
    fn what_nobody_knows_is_named_whole() {
        for (given, expected) in [
            ("plan -inptu=false", "unexpected argument '-inptu' found\n\n  tip: a similar argument exists: '-input'\n"),
            ("plan -zzzzzzzz", "unexpected argument '-zzzzzzzz' found\n\nFor more"),
            ("plan --zzzzzzzz", "unexpected argument '--zzzzzzzz' found\n\nFor more"),
            (
                "plan -state=a.tfstate",
                "unexpected argument '--state' found\n\n  tip: the state is in the ledger: leave it out; `andon state push FILE`",
            ),
            (
                "apply -state-out a",
                "'-state-out' found\n\n  tip: the state is in the ledger: leave it out; `andon state pull`",
            ),
            ("state mv -backup=- a b", "'-backup' found\n\n  tip: the ledger keeps what was before"),
            ("import -config=dir a.b c", "'-config' found\n\n  tip: the definitions of the project are read"),
            ("init -from-module=x", "'-from-module' found\n\n  tip: nothing is copied"),
            (
                "up --yess",
                "unexpected argument '--yess' found\n\n  tip: a similar argument exists: '--yes'\n\nFor more",
            ),
        ] {
            let given = words(&format!("andon {given}"));
            let error = Arguments::try_parse_from(doubled(given.clone(), &Arguments::command())).unwrap_err();
            let said = unknown(error, given, &Arguments::command()).to_string();
            assert!(said.contains(expected), "{said}");
        }
    }
}
