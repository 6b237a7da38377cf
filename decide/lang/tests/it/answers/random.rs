//! Expressions that nobody wrote: functions, operators, loops, splats, templates and conditionals, one in another. The
//! seed is printed; `ANDON_SEED=n` asks for another one, `ANDON_EXPRESSIONS=n` for more of them.

use std::fmt::Write as _;

use super::{OPERATORS, POOL, answer, calls};
use crate::console::ask;
use crate::expressions::differences;

/// Not asked here: other answers each time, files of the machine, and the known differences.
const LEFT_OUT: [&str; 10] = [
    "timestamp",
    "plantimestamp",
    "uuid",
    "bcrypt",
    "rsadecrypt",
    "base64gzip",
    "file",
    "templatefile",
    "pow",
    "cidrsubnet",
];

/// Values beside those of the pool: secrets, which every mark follows, and texts that mean something to some function.
const MORE: [&str; 8] = [
    "sensitive(\"s\")",
    "sensitive([1])",
    "{a = sensitive(\"b\"), c = [1]}",
    "\"10.0.0.0/8\"",
    "\"2020-01-02T03:04:05Z\"",
    "\"{\\\"a\\\": [1, null]}\"",
    "\"%s and %v\"",
    "toset([1, 2])",
];

/// A sequence of numbers (xorshift, Marsaglia 2003), so that a seed tells everything.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn value(&mut self) -> String {
        let at = self.below(POOL.len() + MORE.len());
        POOL.iter().chain(&MORE).nth(at).expect("one of them").to_string()
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 || self.below(8) == 0 {
            return self.value();
        }
        let mut part = || self.expression(depth - 1);
        let (one, other) = (part(), part());
        match self.below(24) {
            0 => format!("({one}) {} ({other})", self.pick(&OPERATORS)),
            1 => format!("true ? ({one}) : ({other})"),
            2 => format!("({one}) ? ({other}) : null"),
            3 => format!("[for x in {one} : {}]", self.pick(&["x", "[x]", "upper(x)", "{v = x}", "x if x != null"])),
            4 => format!(
                "{{for k, x in {one} : {}}}",
                self.pick(&["k => x", "x => k", "\"${k}\" => x...", "k => [k, x]"])
            ),
            5 => format!("({one})[{}]", self.pick(&["0", "1", "-1", "\"a\"", "*", "2.5"])),
            6 => format!("({one}){}", self.pick(&[".a", ".*", "[*].a", ".*.a", ".0"])),
            7 => format!("\"<${{{one}}}>%{{ for q in {other} }}${{q}},%{{ endfor }}\""),
            8 => format!("\"%{{ if {one} }}y%{{ else }}${{{other}}}%{{ endif }}\""),
            9 => format!("[{one}, {other}]"),
            10 => format!("{{a = {one}, b = {other}}}"),
            11 => format!("!({one})"),
            _ => self.call(&one, &other),
        }
    }

    fn call(&mut self, one: &str, other: &str) -> String {
        let all: Vec<_> = calls().filter(|(name, _)| !LEFT_OUT.contains(name)).collect();
        let (name, mut arguments) = all[self.below(all.len())].clone();
        for value in [one, other] {
            if !arguments.is_empty() && self.below(2) == 0 {
                let at = self.below(arguments.len());
                arguments[at] = value;
            }
        }
        let spread = if !arguments.is_empty() && self.below(30) == 0 { "..." } else { "" };
        format!("{name}({}{spread})", arguments.join(", "))
    }
}

#[test]
fn terraform_agrees_on_what_nobody_wrote() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("ANDON_SEED").unwrap_or(20_261_121);
    let count = number("ANDON_EXPRESSIONS").unwrap_or(600) as usize;
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    let mut rest: Vec<String> = (0..count).map(|_| random.expression(3)).filter(|text| text.len() < 600).collect();
    let (mut wrong, mut values) = (String::new(), 0);
    while !rest.is_empty() {
        // Its console takes lines of at most 64 kB, in which each expression stands three times.
        let mut room = 58_000usize;
        let mut fits = |asked: &&String| {
            room = room.saturating_sub(asked.len() * 3 + 80);
            room > 0
        };
        let later = rest.split_off(rest.iter().take_while(|asked| fits(asked)).count().max(1));
        let Some(theirs) = ask(&rest.iter().map(String::as_str).collect::<Vec<_>>()) else { return };
        for (asked, theirs) in rest.iter().zip(theirs) {
            let ours = answer(asked);
            values += usize::from(theirs != "error");
            if ours != theirs && !differences().any(|known| asked.contains(known)) {
                let _ = writeln!(wrong, "{asked}\n  theirs {theirs}\n  ours   {ours}");
            }
        }
        rest = later;
    }
    assert!(wrong.is_empty(), "seed {seed}\n{wrong}");
    assert!(values * 4 > count, "only {values} of {count} come to a value");
}
