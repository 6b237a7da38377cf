//! A digest of definitions that tells what they mean, not how they are laid out: comments, blanks and places in the
//! file do not count.

use andon_hcl::ast::{Body, Expr, ExprKind, ForExpr, Item, TemplatePart};
use andon_text::deeper;
use sha2::{Digest, Sha256};

use crate::FileSet;
use crate::literal;

/// A digest being made. Every piece is written with its length, so that no two sequences of pieces are the same.
pub(crate) struct Fingerprint<'a> {
    hasher: Sha256,
    files: &'a FileSet,
    /// The directory that paths start from.
    base: &'a str,
}

impl<'a> Fingerprint<'a> {
    pub fn new(files: &'a FileSet) -> Fingerprint<'a> {
        Fingerprint { hasher: Sha256::new(), files, base: "" }
    }

    /// From here on paths start from this directory.
    pub fn rebase(&mut self, base: &'a str) {
        self.base = base;
    }

    /// Adds a piece.
    pub fn piece(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.hasher.update(bytes.len().to_le_bytes());
        self.hasher.update(bytes);
    }

    /// The digest, 64 hexadecimal digits.
    pub fn finish(self) -> String {
        self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds a body. The order of its items counts.
    pub fn body(&mut self, body: &Body) {
        self.piece("{");
        for item in body.items.iter() {
            match item {
                Item::Attribute(attribute) => {
                    self.piece(&*attribute.name.name);
                    self.piece("=");
                    self.expr(&attribute.value);
                }
                Item::Block(block) => {
                    self.piece(&*block.kind.name);
                    block.labels.iter().for_each(|label| self.piece(&*label.name));
                    deeper(|| self.body(&block.body));
                }
            }
        }
        self.piece("}");
    }

    /// Adds an expression and the files that it names.
    pub fn expr(&mut self, expr: &Expr) {
        deeper(|| self.expr_here(expr));
    }

    fn expr_here(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Null => self.piece("null"),
            ExprKind::Bool(truth) => self.piece(if *truth { "true" } else { "false" }),
            ExprKind::Number(digits) => self.piece(&**digits),
            ExprKind::Template(template) => {
                self.piece("\"");
                self.parts(&template.parts);
            }
            ExprKind::Variable(name) => self.piece(&**name),
            ExprKind::Attribute { target, name } => {
                self.expr(target);
                self.piece(".");
                self.piece(&*name.name);
            }
            ExprKind::Index { target, key } => self.all("[]", [&**target, &**key]),
            ExprKind::Splat { target, each, full } => {
                self.all(if *full { "[*]" } else { ".*" }, [&**target, &**each]);
            }
            ExprKind::SplatElement => self.piece("*"),
            ExprKind::Call { name, arguments, expand_last } => {
                self.piece(&*name.name);
                self.all(if *expand_last { "(...)" } else { "()" }, arguments);
                if name.name.starts_with("file") || &*name.name == "templatefile" {
                    self.read(arguments.first());
                }
            }
            ExprKind::Tuple(elements) => self.all("[", elements),
            ExprKind::Object(items) => {
                self.piece("{");
                items.iter().for_each(|item| self.all("=", [&item.key, &item.value]));
                self.piece("}");
            }
            ExprKind::For(each) => self.for_expr(each),
            ExprKind::Unary { operator, operand } => {
                self.piece(format!("{operator:?}"));
                self.expr(operand);
            }
            ExprKind::Binary { operator, left, right, .. } => {
                self.piece(format!("{operator:?}"));
                self.all("", [&**left, &**right]);
            }
            ExprKind::Conditional { condition, yes, no } => self.all("?", [&**condition, &**yes, &**no]),
            ExprKind::Parentheses(inner) => self.expr(inner),
            ExprKind::Invalid => self.piece("invalid"),
        }
    }

    fn all<'e>(&mut self, word: &str, all: impl IntoIterator<Item = &'e Expr>) {
        self.piece(word);
        all.into_iter().for_each(|expr| self.expr(expr));
        self.piece("");
    }

    fn for_expr(&mut self, each: &ForExpr) {
        self.piece(if each.group { "for..." } else { "for" });
        each.key_name.iter().chain([&each.value_name]).for_each(|name| self.piece(&*name.name));
        self.all("in", [&each.collection, &each.value]);
        self.all("key", &each.key);
        self.all("if", &each.condition);
    }

    fn parts(&mut self, parts: &[TemplatePart]) {
        for part in parts {
            match part {
                TemplatePart::Literal(text, _) => self.piece(&**text),
                TemplatePart::Interpolation(expr) => self.all("${", [expr]),
                TemplatePart::If { condition, yes, no, .. } => {
                    self.all("%{if", [&**condition]);
                    self.parts(yes);
                    self.piece("else");
                    self.parts(no);
                }
                TemplatePart::For { key_name, value_name, collection, body, .. } => {
                    self.all("%{for", [&**collection]);
                    key_name.iter().chain([value_name]).for_each(|name| self.piece(&*name.name));
                    self.parts(body);
                }
            }
        }
        self.piece("");
    }

    /// Adds the file that a function reads, or every one that it may read where its path is computed.
    fn read(&mut self, path: Option<&Expr>) {
        // A template in Jinja may include any other.
        let alone = path.and_then(literal::string).filter(|path| !path.ends_with(".j2"));
        match alone.and_then(|path| self.files.read(self.base, &path)) {
            Some(content) => {
                let content = content.clone();
                self.piece(content);
            }
            None => {
                for (path, content) in self.files.under(self.base).filter(|(path, _)| !path.ends_with(".role.hcl")) {
                    self.hasher.update(path.len().to_le_bytes());
                    self.hasher.update(path.as_bytes());
                    self.hasher.update(content.len().to_le_bytes());
                    self.hasher.update(content);
                }
            }
        }
    }
}
