//! From JSON values to bodies and expressions, by what is expected.

use std::collections::HashMap;
use std::sync::Arc;

use andon_text::{Diagnostic, Diagnostics, Span, deeper};

use super::{Content, Meaning, Names, Property, Strings, Text, Value};
use crate::ast::{Attribute, Block, Body, Expr, ExprKind, Ident, Item, ObjectItem, UnaryOperator};

/// The name whose value is a comment, wherever a body is.
const COMMENT: &str = "//";

/// Reads a body again, now that its names are known: arguments that remember their JSON become what the names say.
/// A body that native syntax gave comes back as it is.
pub fn resolve(body: &Body, names: &dyn Names) -> (Body, Diagnostics) {
    let is_json = |item: &Item| matches!(item, Item::Attribute(attribute) if attribute.json.is_some());
    if !body.items.iter().any(is_json) {
        return (body.clone(), Diagnostics::new());
    }
    let mut reader = Reader { out: Diagnostics::new(), depth: 0 };
    let mut items = Vec::with_capacity(body.items.len());
    let mut seen = HashMap::new();
    for item in body.items.iter() {
        match item {
            Item::Attribute(Attribute { name, json: Some(value), .. }) => {
                reader.property(name, value, names.meaning(&name.name), &mut seen, &mut items);
            }
            other => items.push(other.clone()),
        }
    }
    (Body { items: Arc::new(items), span: body.span }, reader.out)
}

impl Value {
    /// Reads a whole file, or the inside of a block: an object, or an array of objects whose properties are those of
    /// one body. A property named `//` is a comment.
    pub fn to_body(&self, names: &dyn Names) -> (Body, Diagnostics) {
        let mut reader = Reader { out: Diagnostics::new(), depth: 0 };
        if matches!(self.content, Content::Null) {
            let diagnostic = Diagnostic::error("a file of JSON is an object").at(self.span);
            reader.out.push(diagnostic.label("this is null").help("Write { and } around its names and values."));
        }
        let body = reader.body(self, names, "a file of JSON is an object, or a list of objects");
        (body, reader.out)
    }

    /// Reads it as the value of an argument.
    pub fn to_expr(&self, strings: Strings) -> (Expr, Diagnostics) {
        let mut reader = Reader { out: Diagnostics::new(), depth: 0 };
        let expr = reader.expr(self, strings, true);
        (expr, reader.out)
    }
}

struct Reader {
    out: Diagnostics,
    /// How many values the one at hand is in.
    depth: u32,
}

impl Reader {
    fn body(&mut self, value: &Value, names: &dyn Names, expected: &str) -> Body {
        let mut items = Vec::new();
        let mut seen = HashMap::new();
        for property in self.properties(value, expected) {
            if &*property.name.text == COMMENT {
                continue;
            }
            let name = property.name.to_ident();
            let meaning = names.meaning(&name.name);
            self.property(&name, &property.value, meaning, &mut seen, &mut items);
        }
        items.shrink_to_fit();
        // Without its opening bracket; its closing one may be missing.
        let opened = usize::from(matches!(value.content, Content::Object(_) | Content::Array(_)));
        let start = value.span.start as usize + opened;
        let inside = Span::new(value.span.source, start, (value.span.end as usize).max(start));
        Body { items: Arc::new(items), span: Some(inside) }
    }

    /// One name of a body, and what it holds. `seen` are the arguments so far.
    fn property(
        &mut self,
        name: &Ident,
        value: &Value,
        meaning: Meaning<'_>,
        seen: &mut HashMap<Arc<str>, Span>,
        items: &mut Vec<Item>,
    ) {
        let (expr, json) = match meaning {
            Meaning::Block { labels, inside } => {
                return self.blocks(name, value, labels, inside, &mut Vec::new(), items);
            }
            Meaning::Open => (self.expr(value, Strings::Template, false), Some(value.clone())),
            Meaning::Argument(strings) => (self.expr(value, strings, true), None),
            Meaning::Fields(names) => (self.fields(value, names), None),
        };
        // Where it is not known yet what the name means, it may be that of several blocks.
        if json.is_none() {
            match seen.get(&name.name) {
                Some(first) => return self.twice(name, *first),
                None => seen.insert(name.name.clone(), name.span),
            };
        }
        let span = name.span.to(value.span);
        items.push(Item::Attribute(Attribute { name: name.clone(), value: expr, span, json }));
    }

    fn twice(&mut self, name: &Ident, first: Span) {
        let diagnostic =
            Diagnostic::error(format!("`{}` is set twice", name.name)).at(name.span).label("set again here");
        self.out.push(diagnostic.related(first, "set here first").help("Keep one of them."));
    }

    /// All blocks of a kind: objects in objects by their labels, then an object, or an array of one for each block.
    fn blocks(
        &mut self,
        kind: &Ident,
        value: &Value,
        labels: usize,
        inside: &dyn Names,
        given: &mut Vec<Ident>,
        items: &mut Vec<Item>,
    ) {
        if given.len() < labels {
            return self.labelled(kind, value, labels, inside, given, items);
        }
        let head = given.last().map_or(kind.span, |label| label.span);
        match &value.content {
            Content::Null | Content::Invalid => {}
            Content::Object(_) => items.push(self.block(kind, value, inside, given, head)),
            Content::Array(elements) => {
                for element in elements.iter() {
                    let head = Span { end: element.span.end.min(element.span.start + 1), ..element.span };
                    items.push(self.block(kind, element, inside, given, head));
                }
            }
            _ => {
                let diagnostic = Diagnostic::error(format!("block `{}` is written as an object", kind.name))
                    .at(value.span)
                    .label(format!("this is {}", value.noun()))
                    .help("Write the block's arguments between { and }, or a list of such objects for several blocks.");
                self.out.push(diagnostic);
            }
        }
    }

    fn labelled(
        &mut self,
        kind: &Ident,
        value: &Value,
        labels: usize,
        inside: &dyn Names,
        given: &mut Vec<Ident>,
        items: &mut Vec<Item>,
    ) {
        let before = self.out.len();
        let what = format!("the names of `{}` blocks are those of an object's properties", kind.name);
        let properties = self.properties(value, &what);
        if properties.is_empty() && self.out.len() == before && !matches!(value.content, Content::Invalid) {
            let diagnostic = Diagnostic::error(format!("block `{}` has no name", kind.name))
                .at(value.span)
                .label(format!("expected {{ \"name\": {{ … }} }} here, with {labels} in all"))
                .help("Write each block under its name, or remove this property.");
            self.out.push(diagnostic);
        }
        for property in properties {
            given.push(property.name.to_ident());
            self.blocks(kind, &property.value, labels, inside, given, items);
            given.pop();
        }
    }

    fn block(&mut self, kind: &Ident, value: &Value, inside: &dyn Names, labels: &[Ident], head: Span) -> Item {
        let body = self.body(value, inside, &format!("block `{}` is written as an object", kind.name));
        let span = head.to(value.span);
        let labels = labels.to_vec();
        Item::Block(Block { kind: kind.clone(), labels, label_templates: Vec::new(), body, span, head })
    }

    /// The properties of an object, or of all objects of an array.
    fn properties<'v>(&mut self, value: &'v Value, expected: &str) -> Vec<&'v Property> {
        match &value.content {
            Content::Null | Content::Invalid => Vec::new(),
            Content::Object(properties) => properties.iter().collect(),
            Content::Array(elements) => {
                let mut all = Vec::new();
                for element in elements.iter() {
                    match &element.content {
                        Content::Object(properties) => all.extend(properties.iter()),
                        Content::Invalid => {}
                        _ => self.no_object(element, expected),
                    }
                }
                all
            }
            _ => {
                self.no_object(value, expected);
                Vec::new()
            }
        }
    }

    fn no_object(&mut self, value: &Value, expected: &str) {
        let diagnostic = Diagnostic::error(expected).at(value.span).label(format!("this is {}", value.noun()));
        self.out.push(diagnostic.help("Write names and values between { and }."));
    }

    /// The value of an argument. `whole` tells that it is nothing else, so that each name in it may be there once.
    fn expr(&mut self, value: &Value, strings: Strings, whole: bool) -> Expr {
        deeper(|| self.expr_here(value, strings, whole))
    }

    fn expr_here(&mut self, value: &Value, strings: Strings, whole: bool) -> Expr {
        let span = value.span;
        self.depth += 1;
        let kind = match &value.content {
            Content::Null => ExprKind::Null,
            Content::Bool(value) => ExprKind::Bool(*value),
            Content::Number(digits) => match digits.strip_prefix('-') {
                Some(digits) => {
                    let inner = Span { start: span.start + 1, ..span };
                    let operand = Box::new(Expr { kind: ExprKind::Number(Arc::from(digits)), span: inner });
                    ExprKind::Unary { operator: UnaryOperator::Negate, operand }
                }
                None => ExprKind::Number(digits.clone()),
            },
            Content::String(text) => {
                self.depth -= 1;
                return self.string(text, strings);
            }
            Content::Array(elements) => {
                ExprKind::Tuple(elements.iter().map(|element| self.expr(element, strings, whole)).collect())
            }
            Content::Object(properties) => {
                if whole {
                    self.duplicates(properties);
                }
                let item = |property: &Property| ObjectItem {
                    key: self.string(&property.name, strings),
                    value: self.expr(&property.value, strings, whole),
                };
                ExprKind::Object(properties.iter().map(item).collect())
            }
            Content::Invalid => ExprKind::Invalid,
        };
        self.depth -= 1;
        Expr { kind, span }
    }

    fn string(&mut self, text: &Text, strings: Strings) -> Expr {
        match strings {
            Strings::Template => text.to_template(self.depth, &mut self.out),
            Strings::Text => text.to_literal(),
            Strings::Expression => text.to_expression(self.depth, &mut self.out),
        }
    }

    /// An object whose names have meanings of their own; any other value is read as templates.
    fn fields(&mut self, value: &Value, names: &dyn Names) -> Expr {
        let Content::Object(properties) = &value.content else { return self.expr(value, Strings::Text, true) };
        self.duplicates(properties);
        let mut items = Vec::with_capacity(properties.len());
        for property in properties.iter() {
            let value = match names.meaning(&property.name.text) {
                Meaning::Argument(strings) => self.expr(&property.value, strings, true),
                Meaning::Fields(names) => self.fields(&property.value, names),
                Meaning::Block { .. } | Meaning::Open => self.expr(&property.value, Strings::Template, true),
            };
            items.push(ObjectItem { key: property.name.to_literal(), value });
        }
        Expr { kind: ExprKind::Object(items), span: value.span }
    }

    fn duplicates(&mut self, properties: &[Property]) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for property in properties {
            if let Some(first) = seen.get(&*property.name.text).copied() {
                self.twice(&property.name.to_ident(), first);
            } else {
                seen.insert(&property.name.text, property.name.span);
            }
        }
    }
}

impl Value {
    /// What it is, in the words of a message.
    fn noun(&self) -> &'static str {
        match self.content {
            Content::Null => "null",
            Content::Bool(_) => "a bool",
            Content::Number(_) => "a number",
            Content::String(_) => "a string",
            Content::Array(_) => "a list",
            Content::Object(_) => "an object",
            Content::Invalid => "not understood",
        }
    }
}
