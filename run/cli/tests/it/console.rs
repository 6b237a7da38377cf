//! `andon console`: what it prints, held against the peer; what it reads of a project; and the real thing, at a terminal.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Project, Ran};

const STACK: &str = r#"
variable "region" { default = "eu" }

variable "token" {
  default   = "hush"
  sensitive = true
}

variable "size" { type = number }

variable "shape" {
  type    = object({ a = string, b = optional(list(string)) })
  default = { a = "x" }
}

locals {
  label = "${var.region}-x"
}

resource "terraform_data" "one" {
  input = { region = var.region, token = var.token }
}

resource "terraform_data" "many" {
  count = 2
  input = count.index
}

resource "terraform_data" "keyed" {
  for_each = { a = 1, b = 2 }
  input    = each.value
}

module "m" {
  source = "./m"
  name   = local.label
}

output "label" { value = local.label }
"#;

const MODULE: &str = r#"
variable "name" {}

resource "terraform_data" "in" { input = var.name }

output "said" { value = "hi ${terraform_data.in.output}" }
"#;

fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", STACK);
    project.write("m/main.tf", MODULE);
    project
}

/// What it prints for expressions that are piped to it.
#[track_caller]
fn piped(project: &Project, words: &[&str], text: &str, code: i32) -> Ran {
    let mut command = project.command(&[&["console"], words].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let ran = Ran::new(words, &child.wait_with_output().unwrap(), Duration::ZERO);
    assert_eq!(ran.code, Some(code), "{ran}");
    ran
}

#[test]
fn values_of_a_project_before_and_after_an_apply() {
    let project = project("console-values");
    let ask = |words: &[&str], expression: &str| {
        project.ok(&[&["console"], words, &["-c", expression]].concat()).out.trim_end().to_owned()
    };
    for (expression, expected) in [
        ("var.region", r#""eu""#),
        ("var.token", "(sensitive value)"),
        ("\"${var.token}!\"", "(sensitive value)"),
        ("var.size", "(known after apply)"),
        ("var.size + 1", "(known after apply)"),
        ("var.shape.b", "tolist(null) /* of string */"),
        ("local.label", r#""eu-x""#),
        ("terraform_data.one.output", "(known after apply)"),
        ("terraform_data.many[*].id", "[\n  (known after apply),\n  (known after apply),\n]"),
        ("length(terraform_data.many)", "2"),
        ("module.m.said", "(known after apply)"),
        ("path.module", "\".\""),
        ("terraform.workspace", "\"default\""),
    ] {
        assert_eq!(ask(&[], expression), expected, "{expression}");
    }
    project.write("terraform.tfvars", "size = 3\n");
    project.ok(&["apply", "-y"]);
    project.edit("main.tf", "default = \"eu\"", "default = \"us\"");
    project.edit("main.tf", "count = 2", "count = 3");
    for (expression, now, planned) in [
        ("var.size", "3", "3"),
        ("local.label", r#""us-x""#, r#""us-x""#),
        ("terraform_data.one.output.region", r#""eu""#, "(known after apply)"),
        ("terraform_data.one.input.region", r#""eu""#, r#""us""#),
        ("terraform_data.one.input.token", "(sensitive value)", "(sensitive value)"),
        ("module.m.said", r#""hi eu-x""#, "(known after apply)"),
        ("terraform_data.keyed[\"b\"].output", "2", "2"),
        ("keys(terraform_data.keyed)", "[\n  \"a\",\n  \"b\",\n]", "[\n  \"a\",\n  \"b\",\n]"),
        (
            "[for each in terraform_data.many : each.input]",
            "[\n  0,\n  1,\n  (known after apply),\n]",
            "[\n  0,\n  1,\n  2,\n]",
        ),
    ] {
        assert_eq!(ask(&[], expression), now, "{expression}");
        assert_eq!(ask(&["--plan"], expression), planned, "{expression} in a plan");
    }
}

#[test]
fn data_and_errors_as_json() {
    let project = project("console-json");
    let text = "var.shape\nvar.regio\ntype(1)\nvar.token\n";
    let ran = piped(&project, &["--json"], text, 1);
    insta::assert_snapshot!(ran.out, @r#"
    {"sensitive":false,"sensitive_paths":[],"type":"object({a=string,b=list(string)})","value":{"a":"x","b":null}}
    {"diagnostics":[{"detail":"","help":["Is `region` meant?"],"label":"","name":null,"range":{"end":{"byte":9,"column":10,"line":1},"filename":"<console>","start":{"byte":0,"column":1,"line":1}},"related":[],"severity":"error","snippet":{"code":"var.regio","context":null,"highlight_end_offset":9,"highlight_start_offset":0,"start_line":1,"values":[]},"subject":null,"summary":"there is no variable \"regio\""}]}
    {"type":"type","value":"number"}
    {"sensitive":true,"sensitive_paths":[""],"type":"string","value":"(sensitive value)"}
    "#);
}

#[test]
fn a_mistake_elsewhere_does_not_stop_an_answer() {
    let project = project("console-mistake");
    project
        .write("more.tf", "output \"bad\" { value = nope.x }\nresource \"terraform_data\" \"worse\" { inputs = 1 }\n");
    let ran = project.ok(&["console", "-c", "local.label"]);
    assert_eq!(ran.out, "\"eu-x\"\n", "{ran}");
    assert!(
        ran.err.contains("\"nope\" means nothing here") && ran.err.contains("the definitions have mistakes"),
        "{ran}"
    );
    assert_eq!(project.exits(1, &["console", "--json", "-c", "1", "-c", "nope.x"]).out.lines().count(), 2);
}

#[test]
fn what_is_wrong_is_said_each_time() {
    let project = project("console-wrong");
    project.edit("main.tf", "locals {\n", "locals {\n  broken = tonumber(var.region)\n");
    let ran = piped(&project, &[], "local.broken\nlocal.label\nlocal.broken\n", 1);
    assert_eq!(ran.out, "\"eu-x\"\n", "{ran}");
    assert_eq!(ran.err.matches("main.tf:").count(), 2, "{ran}");
    let refused = project.exits(1, &["console", "--stack", "nope", "-c", "1"]);
    assert!(refused.err.contains("there is no stack `nope`"), "{refused}");
    project.write("more.tf", "output \"x\" {\n");
    let refused = project.exits(1, &["console", "-c", "1"]);
    assert!(refused.err.contains("more.tf:1"), "{refused}");
}

#[test]
fn what_is_open_goes_on_in_the_next_line() {
    let project = Project::empty("console-lines");
    let text = "[\n  1,\n\n  2\n]\n\n# a comment\nupper(<<-EOT\n  a\n\n  b\n  EOT\n)\n{ a = \"${\n1}\" }\n\"(\"\n/* \n */ 3\nexit\n4\n";
    insta::assert_snapshot!(piped(&project, &[], text, 0).out, @r#"
    [
      1,
      2,
    ]
    <<EOT
    A

    B

    EOT
    {
      "a" = 1
    }
    "("
    3
    "#);
    let ran = piped(&project, &[], "1\n[1,\n", 1);
    assert_eq!(ran.out, "1\n", "{ran}");
    let ran = piped(&project, &[], ")\nvar.x\n2", 1);
    assert_eq!(ran.out, "2\n", "{ran}");
    assert!(ran.err.contains("holds no project"), "{ran}");
    assert!(!project.directory.join(".andon").exists());
}

/// Everything that can be printed, and how: the peer is asked the same in one go.
#[test]
fn values_print_as_the_peer_prints_them() {
    let expressions = [
        r#""a""#,
        "null",
        "tostring(null)",
        "tolist(null)",
        "tomap(null)",
        "[tobool(null)]",
        "tonumber(null)",
        r#"tolist(["a"])"#,
        "tolist([])",
        r#"toset(["b","a"])"#,
        "toset([])",
        "tomap({a=1})",
        "tomap({})",
        "[]",
        "{}",
        "[{}]",
        "[[]]",
        r#"{a=1,"b c"=[1,{x=null}]}"#,
        r#""a\nb""#,
        r#"["a\nb\n"]"#,
        r#"{a="l1\n  l2\n"}"#,
        r#""\n""#,
        r#""a\nEOT\nb""#,
        r#""a\nEOT_1\n EOT ""#,
        r#"[[["x\ny"]]]"#,
        r#"{a={b="x\ny"}}"#,
        "1e30",
        "1/3",
        "0.1",
        "true",
        r#""\u0001\t\"\\\r\u0007é""#,
        r#""$${x} %%{y}""#,
        r#"["a$${x}\n"]"#,
        r#""\u200b\u00a0\u0301😀'""#,
        r#"tolist([["a"],["b"]])"#,
        "tomap({a=tolist([1])})",
        r#"tolist([null,"a"])"#,
        "tolist([null])",
        "tolist([tomap({a=toset([1])})])",
        r#"toset([["a"]])"#,
        r#"{"a\"b\nc"=1}"#,
        r#"sensitive("a")"#,
        r#"[sensitive(1), {a=sensitive("b")}]"#,
        "type(1)",
        "type(null)",
        r#"type([1,"a"])"#,
        "type([])",
        "type({})",
        "type(tolist([{a=1}]))",
        "type(tomap({a=[1]}))",
        "type(toset([]))",
        r#"type({"b c"=1, b=[{a=tolist([{x=1}])}]})"#,
        "type(tolist([[1]]))",
        "type(tolist([tolist([1])]))",
        "type(sensitive(1))",
        r#"type(tostring(null))"#,
        "type(tomap({a=tomap({b=tolist([true])})}))",
        "tolist([tomap({})])",
        r#""\\n""#,
        "[1,[2,[3]]]",
    ];
    let project = Project::empty("console-peer");
    // The peer prints only the last of several: so all that can be an element is put to it in one go, too.
    let elements: Vec<&str> = expressions.iter().filter(|text| !text.starts_with("type(")).copied().collect();
    let all = format!("[{}]", elements.join(", "));
    let alone = expressions.iter().filter(|text| text.starts_with("type(") || text.len() < 12).copied();
    let asked: Vec<&str> = alone.chain([all.as_str()]).collect();
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
    if Command::new(&terraform).arg("version").output().is_err() {
        return println!("skipped: there is no `{terraform}` to compare with");
    }
    let peer = &|expression: &str, number: usize| {
        // A directory of its own: the peer locks the state there.
        let directory = project.directory.join(format!("peer-{number}"));
        fs::create_dir_all(&directory).unwrap();
        let mut child = Command::new(&terraform)
            .args(["console"])
            .current_dir(&directory)
            .env("TF_CLI_CONFIG_FILE", "/dev/null")
            .env("CHECKPOINT_DISABLE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{expression}").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    for some in asked.chunks(4) {
        std::thread::scope(|scope| {
            let theirs: Vec<_> = some
                .iter()
                .enumerate()
                .map(|(number, expression)| scope.spawn(move || peer(expression, number)))
                .collect();
            for (expression, theirs) in some.iter().zip(theirs) {
                let theirs = theirs.join().unwrap();
                assert!(!theirs.is_empty(), "the peer refuses {expression}");
                // A warning about its settings may come first.
                let ours = piped(&project, &[], &format!("{expression}\n"), 0).out;
                assert!(theirs.ends_with(&ours), "{expression}\nours:\n{ours}\ntheirs:\n{theirs}");
            }
        });
    }
}

/// The program at a terminal of its own.
pub struct Terminal {
    keyboard: fs::File,
    screen: fs::File,
    child: std::process::Child,
    seen: String,
}

impl Terminal {
    pub fn open(project: &Project, words: &[&str]) -> Terminal {
        let size = nix::pty::Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = nix::pty::openpty(&size, None).unwrap();
        let mut command = project.command(words);
        let slave = || Stdio::from(pair.slave.as_fd().try_clone_to_owned().unwrap());
        command.stdin(slave()).stdout(slave()).stderr(slave()).env("TERM", "xterm");
        command.env("XDG_STATE_HOME", project.directory.join("state"));
        // SAFETY: both calls are safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        drop(pair.slave);
        let screen = fs::File::from(pair.master);
        let keyboard = screen.try_clone().unwrap();
        Terminal { keyboard, screen, child, seen: String::new() }
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until something is on the screen, and gives all up to there.
    #[track_caller]
    pub fn shows(&mut self, what: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.seen.find(what) {
                return self.seen.drain(..at + what.len()).collect();
            }
            assert!(Instant::now() < deadline, "{what:?} does not come; there is {:?}", self.seen);
            let mut poll = [nix::poll::PollFd::new(self.screen.as_fd(), nix::poll::PollFlags::POLLIN)];
            if nix::poll::poll(&mut poll, 100u16).unwrap() > 0 {
                let mut bytes = [0; 4096];
                let count = self.screen.read(&mut bytes).unwrap_or(0);
                assert!(count > 0, "{what:?} does not come, and it has ended: {:?}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    }

    /// Waits for a new prompt: keys that come before it may be lost.
    #[track_caller]
    fn asks(&mut self) {
        self.shows("\x1b[?2004h");
        self.shows("> ");
    }

    /// Waits for its end, and gives its exit code.
    #[track_caller]
    pub fn ends(mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn at_a_terminal() {
    let project = project("console-terminal");
    let mut terminal = Terminal::open(&project, &["console"]);
    terminal.asks();
    // A name is completed, and the value comes.
    terminal.types("var.reg\t\r");
    terminal.shows("\"eu\"");
    terminal.asks();
    // The function that is being called says what it takes.
    terminal.types("replace(");
    terminal.shows("replace(str: string, ");
    // Ctrl-C abandons, and so does an empty line.
    terminal.types("\x03");
    terminal.asks();
    terminal.types("[1,\r\r");
    terminal.asks();
    terminal.types("3 + 4\r");
    terminal.shows("\r\n7\r\n");
    terminal.asks();
    // Lines go on while something is open.
    terminal.types("{\ra = (1 +\r2)\r}\r");
    terminal.shows("\"a\" = 3");
    terminal.asks();
    terminal.types("nope\r");
    terminal.shows("`nope` means nothing here");
    terminal.asks();
    // What begins with a space is not kept.
    terminal.types(" \"quiet\"\r");
    terminal.shows("\r\n\"quiet\"\r\n");
    terminal.asks();
    terminal.types("\x04");
    assert_eq!(terminal.ends(), Some(0));
    let history = project.directory.join("state/andon/console_history");
    assert_eq!(fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read_to_string(&history).unwrap();
    assert_eq!(kept, "var.region\n[1,\n3 + 4\n{\\na = (1 +\\n2)\\n}\nnope\n");
    // The next console has it at hand: the last but one is two steps up.
    let mut terminal = Terminal::open(&project, &["console"]);
    terminal.asks();
    terminal.types("\x1b[A\x1b[A\r");
    terminal.shows("\"a\" = 3");
    terminal.asks();
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
}
