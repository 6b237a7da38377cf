//! `dynamic` blocks: one block for each element of a collection
//! (<https://developer.hashicorp.com/terraform/language/expressions/dynamic-blocks>).

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Expr, ExprKind, Ident};
use andon_schema::{Block as Schema, NestedBlock, Nesting};
use andon_text::{Diagnostic, Span, deeper};
use andon_value::{Type, Value, quote};

use super::block::{Kind, missing, unsupported};
use super::expression::{Evaluator, Failed};
use super::legacy;
use super::repeat::element_types;

/// The arguments of a `dynamic` block.
const ARGUMENTS: [&str; 3] = ["for_each", "iterator", "labels"];

/// What a `dynamic` block says.
struct Dynamic<'b> {
    kind: &'b Ident,
    for_each: &'b Expr,
    labels: Option<&'b Expr>,
    /// What its elements are called in its content.
    iterator: &'b Arc<str>,
    content: &'b Block,
}

impl<'b> Dynamic<'b> {
    /// What a block says, or what is wrong with it whatever kind of block it makes.
    fn of(block: &'b Block) -> Result<Dynamic<'b>, Diagnostic> {
        let [kind] = block.labels.as_slice() else {
            let error = Diagnostic::error("wrong number of labels").at(block.head);
            return Err(error.label("a `dynamic` block needs the kind of block that it makes as its label"));
        };
        let surplus = |name: &Ident, what: &str| {
            let error = Diagnostic::error(format!("unsupported {what} {}", quote(&name.name))).at(name.span);
            Err(error.label("a `dynamic` block has for_each, iterator, labels and one content block"))
        };
        if let Some(other) = block.body.attributes().find(|it| !ARGUMENTS.contains(&&*it.name.name)) {
            return surplus(&other.name, "argument");
        }
        if let Some(other) = block.body.blocks().find(|it| &*it.kind.name != "content") {
            return surplus(&other.kind, "block");
        }
        let mut contents = block.body.blocks();
        let argument = |name: &str| block.body.attribute(name).map(|attribute| &attribute.value);
        let (Some(for_each), Some(content)) = (argument("for_each"), contents.next()) else {
            let error = Diagnostic::error("incomplete `dynamic` block").at(block.head);
            return Err(error.label("`for_each` and a `content` block are required"));
        };
        if let Some(second) = contents.next() {
            let error = Diagnostic::error("duplicate block \"content\"").at(second.head);
            return Err(error.related(content.head, "the first is here").help("Write both as one."));
        }
        if let Some(label) = content.labels.first() {
            let error = Diagnostic::error("wrong number of labels").at(label.span);
            return Err(error.label("a `content` block has none"));
        }
        let iterator = match argument("iterator") {
            None => &kind.name,
            Some(Expr { kind: ExprKind::Variable(name), .. }) => name,
            Some(other) => {
                return Err(Diagnostic::error("invalid `iterator`").at(other.span).label("a bare name is required"));
            }
        };
        Ok(Dynamic { kind, for_each, labels: argument("labels"), iterator, content })
    }
}

impl Evaluator<'_> {
    pub(super) fn dynamic<'b>(
        &mut self,
        block: &'b Block,
        schema: &Schema,
        kinds: &mut BTreeMap<&'b str, Kind>,
    ) -> Result<(), Failed> {
        let (dynamic, nested) = self.dynamic_of(block, schema)?;
        let collection = self.evaluate(dynamic.for_each)?;
        let pairs = self.pairs(&collection, dynamic.for_each)?;
        let kind = kinds.entry(&dynamic.kind.name).or_default();
        kind.marks = kind.marks.union(collection.marks());
        kind.unknown |= pairs.is_none();
        if pairs.is_none() {
            self.content_fits(&dynamic.content.body, &nested.block, block.head)?;
        }
        let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else {
            // It may make no block, so what is wrong in its content may do no harm.
            let (key, element) = element_types(&collection.ty());
            let item = iteration(Value::unknown(key), Value::unknown(element));
            self.in_doubt(|this| {
                this.locals.push((dynamic.iterator.clone(), item));
                let body = &dynamic.content.body;
                this.body(body, &nested.block, body.span)
            });
            return Ok(());
        };
        for (key, value) in pairs {
            self.locals.push((dynamic.iterator.clone(), iteration(key, value)));
            let made = self
                .dynamic_labels(dynamic.labels)
                .and_then(|labels| self.made(nested, &dynamic.content.body, labels, block.head));
            self.locals.pop();
            kinds.entry(&dynamic.kind.name).or_default().made.push(made?);
        }
        Ok(())
    }

    /// What a `dynamic` block says, and of what kind of block.
    fn dynamic_of<'b, 's>(
        &mut self,
        block: &'b Block,
        schema: &'s Schema,
    ) -> Result<(Dynamic<'b>, &'s NestedBlock), Failed> {
        if let [kind] = block.labels.as_slice()
            && !schema.blocks.contains_key(&*kind.name)
        {
            return Err(self.fail(unsupported(kind, schema)));
        }
        let dynamic = Dynamic::of(block).map_err(|error| self.fail(error))?;
        let Some(nested) = schema.blocks.get(&*dynamic.kind.name) else { return Err(Failed) };
        match dynamic.labels {
            Some(labels) if nested.nesting != Nesting::Map => {
                let error = Diagnostic::error("wrong number of labels").at(labels.span);
                Err(self.fail(error.label("a block of this kind takes no label")))
            }
            _ => Ok((dynamic, nested)),
        }
    }

    /// Whether the names in a content block fit, where nothing is known of the elements.
    fn content_fits(&mut self, body: &Body, schema: &Schema, place: Span) -> Result<(), Failed> {
        let schema = &*legacy::effective(schema, body);
        let place = body.span.unwrap_or(place);
        let mut result = Ok(());
        let mut wrong = |this: &mut Self, error: Diagnostic| result = Err(this.fail(error));
        for attribute in body.attributes().filter(|it| !schema.attributes.contains_key(&*it.name.name)) {
            wrong(self, unsupported(&attribute.name, schema));
        }
        for (name, attribute) in schema.attributes.iter().filter(|(_, attribute)| attribute.required) {
            if body.attribute(name).is_none() {
                wrong(self, missing(name, attribute, Some(place)));
            }
        }
        let mut inner = Vec::new();
        for block in body.blocks() {
            match schema.blocks.get(&*block.kind.name) {
                Some(nested) => inner.push((&block.body, nested, block.head)),
                None if &*block.kind.name == "dynamic" => match self.dynamic_of(block, schema) {
                    Ok((dynamic, nested)) => inner.push((&dynamic.content.body, nested, block.head)),
                    Err(Failed) => result = Err(Failed),
                },
                None => result = Err(self.fail(unsupported(&block.kind, schema))),
            }
        }
        inner.into_iter().fold(result, |result, (body, nested, head)| {
            let fits = deeper(|| self.content_fits(body, &nested.block, head));
            result.and(fits)
        })
    }

    fn dynamic_labels(&mut self, labels: Option<&Expr>) -> Result<Vec<(Value, Span)>, Failed> {
        let Some(expr) = labels else { return Ok(Vec::new()) };
        let labels = self.evaluate(expr)?;
        let labels = self.fitting(labels, expr, "labels", &Type::list(Type::String))?;
        match labels.as_elements() {
            Some(labels) => Ok(labels.iter().map(|label| (label.clone(), expr.span)).collect()),
            None => {
                let error = Diagnostic::error("labels are not known").at(expr.span);
                Err(self.fail(error.label("the labels of a block must be known before anything is applied")))
            }
        }
    }
}

/// What the iterator of a `dynamic` block is.
pub(crate) fn iteration(key: Value, value: Value) -> Value {
    Value::object([("key", key), ("value", value)])
}
