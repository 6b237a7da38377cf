//! Valid files of every kind of writing, from a seed, in a layout that nobody would choose.

/// Writes texts; the same seed gives the same text.
pub struct Writer {
    state: u64,
    text: String,
    /// How many more constructs may be nested here.
    fuel: u32,
}

/// A whole file.
pub fn file(seed: u64) -> String {
    let mut writer = Writer {
        state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xA5A5_5A5A_1234_5678,
        text: String::new(),
        fuel: 60,
    };
    (0..8).for_each(|_| {
        writer.below(2);
    });
    writer.body(0);
    let text = writer.text;
    match seed % 16 {
        0 => text.replace('\n', "\r\n"),
        1 => format!("\u{feff}{text}"),
        // A line break must follow the end of a heredoc.
        2 if !text.trim_end().ends_with("EOT") => text.trim_end().to_owned(),
        _ => text,
    }
}

const NAMES: &[&str] =
    &["a", "bc", "count", "größe", "x-y", "_z", "for_each", "in_out", "type", "日本", "null_x", "provider", "e1"];
const TEXTS: &[&str] = &[
    "",
    "x",
    "two words",
    "\\n\\t\\\"",
    "\\\\",
    "é日本",
    "$${no}",
    "%%{no}",
    "$",
    "%",
    "$$",
    "#no",
    "//no",
    "\\u00e9",
    "👩‍👩‍👧",
    "a,b",
    "{",
    "}",
    "[",
    "=",
    "'",
];

impl Writer {
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Blanks, or none.
    fn blank(&mut self) {
        let blanks = self.pick(&["", "", "", " ", " ", "  ", "\t", "   ", " /* c */ ", "/**/"]);
        let rare = blanks.contains('/') && !self.chance(15);
        self.put(if rare { " " } else { blanks });
    }

    /// At least one blank.
    fn gap(&mut self) {
        let blanks = self.pick(&[" ", " ", " ", "  ", "\t", " \t "]);
        self.put(blanks);
    }

    /// Blanks where line breaks are blank too.
    fn wide(&mut self, lines: bool) {
        self.blank();
        if lines && self.chance(18) {
            match self.below(5) {
                0 => self.put(" # c\n"),
                1 => self.put("// c\n"),
                2 => self.put("\n\n"),
                _ => self.put("\n"),
            }
            self.blank();
        }
    }

    fn name(&mut self) {
        let name = self.pick(NAMES);
        self.put(name);
    }

    fn body(&mut self, depth: u32) {
        let items = self.below(if depth == 0 { 7 } else { 5 });
        for _ in 0..items {
            self.item(depth);
        }
    }

    fn item(&mut self, depth: u32) {
        match self.below(12) {
            0 => self.put("\n"),
            1 => {
                self.blank_line_indent();
                let comment = self.pick(&["# c\n", "//c\n", "#\n", "/* c */\n", "/* c\n   d */\n", "# é  \n"]);
                self.put(comment);
            }
            2..=4 if depth < 3 && self.fuel > 0 => self.block(depth),
            _ => {
                self.blank_line_indent();
                let name = self.unique("n");
                self.put(&name);
                self.blank();
                self.put("=");
                self.blank();
                self.value();
                self.line_end();
            }
        }
    }

    fn unique(&mut self, stem: &str) -> String {
        let number = self.below(1_000_000);
        let width = self.below(6) as usize;
        format!("{stem}{number}{}", "x".repeat(width))
    }

    fn blank_line_indent(&mut self) {
        let indent = self.pick(&["", "", "  ", "    ", " ", "\t"]);
        self.put(indent);
    }

    fn line_end(&mut self) {
        let end = self.pick(&[
            "\n",
            "\n",
            "\n",
            "\n",
            "  \n",
            " # c\n",
            "#c\n",
            " // c\n",
            "   # d e\n",
            " /* c */\n",
            "\t\n",
        ]);
        // The name that ends a heredoc is alone on its line.
        let plain = self.text.ends_with("EOT");
        self.put(if plain { "\n" } else { end });
    }

    fn block(&mut self, depth: u32) {
        self.fuel = self.fuel.saturating_sub(1);
        self.blank_line_indent();
        let kind = self.pick(&["b", "resource", "variable", "locals", "größe", "terraform"]);
        self.put(kind);
        for _ in 0..self.below(3) {
            self.gap();
            match self.below(3) {
                0 => self.name(),
                _ => {
                    let label =
                        self.pick(&["x", "a b", "\\u00e9", "", "é", "a\\\"b", "a-b", "\\\\", "\\U0001F600", "x\\ty"]);
                    self.put("\"");
                    self.put(label);
                    self.put("\"");
                }
            }
        }
        self.blank();
        self.put("{");
        match self.below(8) {
            0 => self.blank(),
            1 | 2 => {
                self.blank();
                let name = self.unique("o");
                self.put(&name);
                self.blank();
                self.put("=");
                self.blank();
                self.short_value();
                self.blank();
            }
            _ => {
                self.line_end();
                if kind == "variable" && self.chance(60) {
                    let kind = self.pick(&[
                        "string",
                        "list",
                        "map",
                        "set",
                        "any",
                        "\"string\"",
                        "\"list\"",
                        "\"map\"",
                        "\"set\"",
                        "\"number\"",
                        "list(string)",
                        "\"list(string)\"",
                        "object({a=string\nb  = optional(number,1)})",
                        "map( any )",
                        "\"${string}\"",
                        "tuple([string,bool])",
                    ]);
                    self.put("type");
                    self.blank();
                    self.put("=");
                    self.blank();
                    self.put(kind);
                    self.line_end();
                }
                self.body(depth + 1);
                self.blank_line_indent();
            }
        }
        self.put("}");
        self.line_end();
    }

    /// The value of an argument, which may be a heredoc.
    fn value(&mut self) {
        match self.below(12) {
            0 => self.heredoc(),
            1 => {
                let before = self.text.len();
                self.put("\"${");
                self.wide(true);
                self.expr(true);
                self.wide(true);
                self.put("}\"");
                // Layers of it take several runs, as in Terraform.
                if self.text[before..].contains("\"${\"${") {
                    self.text.truncate(before);
                    self.put("1");
                }
            }
            _ => self.expr(false),
        }
    }

    fn short_value(&mut self) {
        let before = self.text.len();
        self.expr(false);
        if self.text[before..].contains('\n') {
            self.text.truncate(before);
            self.put("1");
        }
    }

    fn heredoc(&mut self) {
        let opener = self.pick(&["<<EOT\n", "<<-EOT\n"]);
        self.put(opener);
        for _ in 0..self.below(4) {
            match self.below(8) {
                0 => self.put("\n"),
                1 => self.put("  %{ if a }\n x\n  %{~ else }\ny %{ endif ~}\n"),
                2 => self.put("%{for a,b in c ~}\n  ${a}\n%{endfor}\n"),
                3 => {
                    let indent = self.pick(&["", "  ", "\t", "      "]);
                    self.put(indent);
                    self.put("${");
                    self.wide(true);
                    self.expr(true);
                    self.wide(true);
                    self.put("} x\n");
                }
                _ => {
                    let line = self.pick(&[
                        "  text\n",
                        "text\n",
                        "\ttext  \n",
                        " EOTX\n",
                        "  # no = comment\n",
                        " a = 1\n",
                        "  bcd = 2 # x\n",
                        "$${x} %%{y}\n",
                        "\"quoted\"\n",
                        "{\n",
                        "  }\n",
                    ]);
                    self.put(line);
                }
            }
        }
        let indent = self.pick(&["", "", "  ", "\t", "      "]);
        self.put(indent);
        self.put("EOT");
    }

    fn quoted(&mut self) {
        self.put("\"");
        for _ in 0..self.below(4) {
            match self.below(7) {
                0 | 1 if self.fuel > 0 => {
                    self.fuel -= 1;
                    let opener = self.pick(&["${", "${~", "${ ", "${"]);
                    self.put(opener);
                    self.wide(true);
                    self.expr(true);
                    self.wide(true);
                    let closer = self.pick(&["}", "~}", " }", "}"]);
                    self.put(closer);
                }
                2 => self.put("%{if a}b%{ else }c%{ endif }"),
                3 => self.put("%{ for a , b in  c}${a}%{endfor~}"),
                _ => {
                    let text = self.pick(TEXTS);
                    self.put(text);
                    // A `$` or `%` before what may be a brace would make another thing of it.
                    if text.ends_with(['$', '%']) {
                        self.put(".");
                    }
                }
            }
        }
        self.put("\"");
    }

    /// An expression; `lines` tells that line breaks are blank around it.
    fn expr(&mut self, lines: bool) {
        if self.fuel == 0 {
            return self.leaf();
        }
        self.fuel -= 1;
        match self.below(26) {
            0..=6 => self.leaf(),
            7 => {
                self.operand(lines);
                let operator = self.pick(&["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||"]);
                self.wide(lines);
                self.put(operator);
                // `- -` and `!` after `=` would be other tokens.
                self.wide(lines);
                self.operand(lines);
            }
            8 => {
                self.operand(lines);
                self.wide(lines);
                self.put("?");
                self.wide(lines);
                self.operand(lines);
                self.wide(lines);
                // Two colons would be one token.
                self.put(":");
                self.wide(lines);
                self.operand(lines);
            }
            9 => {
                let operator = self.pick(&["-", "!", "- ", "! ", "!!", "--"]);
                self.put(operator);
                self.operand(lines);
            }
            10 | 11 => {
                self.put("(");
                self.wide(true);
                self.expr(true);
                self.wide(true);
                self.put(")");
            }
            12..=14 => self.list(),
            15..=17 => self.object(),
            18 | 19 => self.call(),
            20 => self.for_list(),
            21 => self.for_object(),
            22 | 23 => self.quoted(),
            _ => self.steps(lines),
        }
    }

    fn operand(&mut self, lines: bool) {
        match self.below(5) {
            0 => self.quoted(),
            1 => self.call(),
            2 => {
                self.put("(");
                self.wide(true);
                self.expr(true);
                self.wide(true);
                self.put(")");
            }
            3 => self.steps(lines),
            _ => self.leaf(),
        }
    }

    fn leaf(&mut self) {
        let leaf = self.pick(&[
            "1",
            "0",
            "12345",
            "1.5",
            "1e3",
            "1E-3",
            "true",
            "false",
            "null",
            "a",
            "var.x",
            "local.größe",
            "\"x\"",
            "\"\"",
            "[]",
            "{}",
            "each.key",
            "x-y",
            "-1",
            "data.a.b",
            "path.module",
            "a.b[0]",
            "\"${a}b\"",
        ]);
        self.put(leaf);
    }

    fn list(&mut self) {
        self.put("[");
        let elements = self.below(4);
        for index in 0..elements {
            self.wide(true);
            if self.chance(6) {
                self.heredoc();
                self.put("\n");
            } else {
                self.expr(true);
            }
            self.wide(true);
            if index + 1 < elements || self.chance(30) {
                self.put(",");
            }
        }
        self.wide(true);
        self.put("]");
    }

    fn object(&mut self) {
        self.put("{");
        let items = self.below(4);
        for index in 0..items {
            if self.chance(60) {
                let line = self.pick(&["\n", "\n", " # c\n", "\n\n"]);
                self.put(line);
            }
            self.blank();
            match self.below(6) {
                0 => self.quoted(),
                1 => {
                    self.put("(");
                    self.wide(true);
                    self.expr(true);
                    self.put(")");
                }
                2 => self.put("1"),
                _ => {
                    let name = self.unique("k");
                    self.put(&name);
                }
            }
            self.blank();
            let sign = self.pick(&["=", "=", ":"]);
            self.put(sign);
            self.blank();
            if self.chance(6) {
                self.heredoc();
                self.put("\n");
            } else {
                self.expr(false);
                self.blank();
                match self.below(4) {
                    0 | 1 if index + 1 < items => self.put(","),
                    0 => self.put(","),
                    1 => self.put(",\n"),
                    2 => self.put(" # c\n"),
                    _ => self.put("\n"),
                }
            }
        }
        self.blank();
        self.put("}");
    }

    fn call(&mut self) {
        let name = self.pick(&["f", "length", "provider::a::b", "core::max", "x-y"]);
        self.put(name);
        self.put("(");
        let arguments = self.below(4);
        for index in 0..arguments {
            self.wide(true);
            if self.chance(5) {
                self.heredoc();
                self.put("\n");
            } else {
                self.expr(true);
            }
            self.wide(true);
            if index + 1 < arguments {
                self.put(",");
            } else if self.chance(15) {
                self.put("...");
            } else if self.chance(15) {
                self.put(",");
            }
        }
        self.wide(true);
        self.put(")");
    }

    fn for_head(&mut self) {
        self.put("for");
        self.gap();
        self.put("k");
        if self.chance(50) {
            self.blank();
            self.put(",");
            self.wide(true);
            self.put("v");
        }
        self.gap();
        self.put("in");
        self.gap();
        self.operand(true);
        self.wide(true);
        self.put(":");
        self.wide(true);
    }

    fn for_list(&mut self) {
        self.put("[");
        self.wide(true);
        self.for_head();
        self.expr(true);
        self.for_condition();
        self.put("]");
    }

    fn for_object(&mut self) {
        self.put("{");
        self.wide(true);
        self.for_head();
        self.operand(true);
        self.wide(true);
        self.put("=>");
        self.wide(true);
        self.expr(true);
        if self.chance(30) {
            self.blank();
            self.put("...");
        }
        self.for_condition();
        self.put("}");
    }

    fn for_condition(&mut self) {
        if self.chance(40) {
            self.gap();
            self.put("if");
            self.gap();
            self.operand(true);
        }
        self.wide(true);
    }

    fn steps(&mut self, lines: bool) {
        let root = self.pick(&["a", "var.x", "f(1)", "(b)", "[1]", "\"x\""]);
        self.put(root);
        for _ in 0..self.below(4) {
            match self.below(7) {
                0 => self.put("[0]"),
                1 => {
                    let blank = self.pick(&["", "", " "]);
                    self.put(blank);
                    self.put("[");
                    self.wide(true);
                    self.expr(true);
                    self.wide(true);
                    self.put("]");
                }
                2 => self.put("[*]"),
                3 => self.put("[ * ].y"),
                4 if lines => self.put(" .z"),
                5 if !self.text.ends_with(|last: char| last.is_ascii_digit()) => self.put(".0"),
                _ => self.put(".name"),
            }
        }
        if self.chance(8) {
            self.put(".*.x");
        }
    }
}
