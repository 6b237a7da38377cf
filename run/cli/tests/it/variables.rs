//! Values of input variables on the command line, by the real binary.

use crate::console::Terminal;
use crate::support::Project;

fn project() -> Project {
    let mut project = Project::empty("variables");
    project.data_dir = project.directory.join(".data");
    project.write(
        "main.tf",
        "variable \"size\" { type = number }\nvariable \"zones\" {\n  type    = list(string)\n  default = []\n}\noutput \"all\" { value = [var.size, var.zones] }\n",
    );
    project.write("big.tfvars", "size = 9\n");
    project.write("more.tfvars.json", "{ \"zones\": [\"${as it is}\"] }\n");
    project
}

/// The output that a plan would publish, without the blanks.
fn planned(words: &[&str]) -> String {
    let project = project();
    let words: Vec<&str> = ["plan"].iter().chain(words).copied().collect();
    let out = project.ok(&words).out;
    let from = out.find("all = ").unwrap_or_default();
    out[from..out.find("Plan for").unwrap()].split_whitespace().collect()
}

#[test]
fn the_command_line_gives_values_in_its_order() {
    for (words, expected) in [
        (["-var", "size=2", "-var-file", "big.tfvars"].as_slice(), "all=[9,[],]"),
        (&["-var-file=big.tfvars", "-var=size=2"], "all=[2,[],]"),
        (&["--var", "size=2", "--var", "zones=[\"a\", 1]"], "all=[2,[\"a\",\"1\",],]"),
        (&["-var", "size=1", "-var-file", "more.tfvars.json"], "all=[1,[\"$${asitis}\",],]"),
    ] {
        assert!(planned(words).starts_with(expected), "{words:?}: {}", planned(words));
    }
}

#[test]
fn what_is_missing_or_odd_is_said() {
    for (words, expected) in [
        ([].as_slice(), "the variable \"size\" has no value"),
        (&["-var", "size=x"], "variable \"size\" has a value of the wrong type"),
        (&["-var", "sze=1"], "Did you mean \"size\"?"),
        (&["-var", "size"], "an argument of `-var` has no \"=\" in it"),
        (&["-var", "zones=[", "-var", "size=1"], "-var zones:1:"),
        (&["-var-file", "none.tfvars"], "the file of values `none.tfvars` cannot be read"),
    ] {
        let project = project();
        let words: Vec<&str> = ["plan"].iter().chain(words).copied().collect();
        let ran = project.exits(1, &words);
        assert!(ran.err.contains(expected), "{words:?}: {ran}");
    }
    // Definitions are judged without values.
    assert_eq!(project().ok(&["check"]).out, "The definitions are sound: 1 stack, 1 environment.\n");
}

#[test]
fn a_secret_that_is_asked_for_is_not_shown() {
    let project = Project::empty("asks");
    project.write("main.tf", "variable \"pin\" {\n  type      = string\n  sensitive = true\n}\noutput \"long\" {\n  value = nonsensitive(length(var.pin))\n}\n");
    let mut terminal = Terminal::open(&project, &["plan"]);
    terminal.shows("Enter a value: ");
    terminal.types("geheim99\n");
    let shown = terminal.shows("only outputs change");
    assert!(shown.contains("long") && shown.contains('8') && !shown.contains("geheim99"), "{shown}");
    assert_eq!(terminal.ends(), Some(0));
    // An interrupt ends it.
    let mut terminal = Terminal::open(&project, &["plan"]);
    terminal.shows("Enter a value: ");
    terminal.types("\x03");
    assert_eq!(terminal.ends(), Some(130));
}
