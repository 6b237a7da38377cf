use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Attribute, Block, Body, Expr, ExprKind, Ident};
use andon_schema::{Attribute as AttributeSchema, Block as Schema, NestedBlock, Nesting};
use andon_text::{Diagnostic, Diagnostics, Span, deeper, nearest};
use andon_value::{Marks, Type, Value, convert, quote};

use super::expression::{Evaluator, Failed};
use super::{Scope, describe, legacy, resolved};
use crate::literal;

/// The value of a body: an object of the schema's implied type. What the body does not give is null. Attributes are
/// converted to their types; what does not fit is an error at the attribute's expression.
pub fn evaluate_block(body: &Body, schema: &Schema, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    evaluate_block_with_doubts(body, schema, scope).0
}

/// The same, and the errors in parts of it that may turn out not to be needed, such as the content of a `dynamic` block
/// that makes no block.
pub(crate) fn evaluate_block_with_doubts(
    body: &Body,
    schema: &Schema,
    scope: &dyn Scope,
) -> (Result<Value, Diagnostics>, Diagnostics) {
    let (body, problems) = resolved(body, schema);
    if problems.has_errors() {
        return (Err(problems), Diagnostics::new());
    }
    let mut evaluator = Evaluator::new(scope);
    let result = evaluator.body(&body, schema, body.span);
    let (errors, doubts) = evaluator.into_errors_and_doubts();
    (result.map_err(|Failed| errors), doubts)
}

/// The same without what the body leaves out: of many alike that say little each, only what they say is kept.
pub(crate) fn evaluate_given(body: &Body, schema: &Schema, scope: &dyn Scope) -> Result<Value, Diagnostics> {
    let (body, problems) = resolved(body, schema);
    if problems.has_errors() {
        return Err(problems);
    }
    let mut evaluator = Evaluator::new(scope);
    let given = evaluator.given(&body, schema, body.span);
    given.map(Value::object).map_err(|Failed| evaluator.into_errors_and_doubts().0)
}

/// The type of the object that a body of a schema gives.
pub fn implied_type(schema: &Schema) -> Type {
    schema.implied_type()
}

/// One nested block, as written or as a `dynamic` block made it.
pub(super) struct Made {
    label: Option<Value>,
    value: Value,
    span: Span,
}

/// The blocks of one kind, and what is to be said of all of them.
#[derive(Default)]
pub(super) struct Kind {
    pub(super) made: Vec<Made>,
    /// How many there are is not known yet.
    pub(super) unknown: bool,
    pub(super) marks: Marks,
}

impl Evaluator<'_> {
    pub(super) fn body(&mut self, body: &Body, schema: &Schema, place: Option<Span>) -> Result<Value, Failed> {
        let schema = &*legacy::effective(schema, body);
        let mut values = self.given(body, schema, place)?;
        // What is left out is null, or no block.
        for (name, attribute) in &schema.attributes {
            if !values.contains_key(name.as_str()) {
                values.insert(name.as_str().into(), Value::null(attribute.ty.without_optional()));
            }
        }
        for (name, nested) in &schema.blocks {
            if !values.contains_key(name.as_str()) {
                values.insert(name.as_str().into(), self.nested(name, nested, Kind::default(), place)?);
            }
        }
        Ok(Value::object(values))
    }

    /// What a body gives, by name.
    fn given(
        &mut self,
        body: &Body,
        schema: &Schema,
        place: Option<Span>,
    ) -> Result<BTreeMap<Arc<str>, Value>, Failed> {
        let mut failed = false;
        let mut values: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        let mut given: BTreeMap<&str, Span> = BTreeMap::new();
        for attribute in body.attributes() {
            if let Some(first) = given.insert(&attribute.name.name, attribute.name.span) {
                let error = Diagnostic::error(format!("argument {} given twice", quote(&attribute.name.name)));
                failed = true;
                self.fail(error.at(attribute.name.span).related(first, "given first here"));
            }
            match self.attribute(attribute, schema) {
                Ok(value) => drop(values.insert(attribute.name.name.clone(), value)),
                Err(Failed) => failed = true,
            }
        }
        for (name, attribute) in &schema.attributes {
            if attribute.required && !given.contains_key(name.as_str()) {
                failed = true;
                self.fail(missing(name, attribute, place));
            }
        }
        let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
        for block in body.blocks() {
            failed |= self.block(block, schema, &mut kinds).is_err();
        }
        for (name, nested) in &schema.blocks {
            let kind = kinds.remove(name.as_str());
            if kind.is_none() && nested.min_items == 0 {
                continue;
            }
            match self.nested(name, nested, kind.unwrap_or_default(), place) {
                Ok(value) => drop(values.insert(name.as_str().into(), value)),
                Err(Failed) => failed = true,
            }
        }
        if failed { Err(Failed) } else { Ok(values) }
    }

    fn attribute(&mut self, attribute: &Attribute, schema: &Schema) -> Result<Value, Failed> {
        let name = &attribute.name;
        match schema.attributes.get(&*name.name) {
            None if schema.open => self.evaluate(&attribute.value),
            None => {
                // Its own errors are reported beside the error of its name.
                let _ = self.evaluate(&attribute.value);
                Err(self.fail(unsupported(name, schema)))
            }
            Some(AttributeSchema { required: false, optional: false, .. }) => {
                // That is as if it were not given.
                if self.evaluate(&attribute.value)?.is_null() {
                    let ty = schema.attributes.get(&*name.name).map_or(Type::Dynamic, |it| it.ty.without_optional());
                    return Ok(Value::null(ty));
                }
                let error = Diagnostic::error(format!("argument {} cannot be given", quote(&name.name)));
                Err(self.fail(error.at(name.span).label("it is decided when the change is applied").help("Remove it.")))
            }
            Some(attribute_schema) => {
                let value = self.evaluate(&attribute.value)?;
                let value = self.fitting(value, &attribute.value, &name.name, &attribute_schema.ty)?;
                if attribute_schema.required && value.is_null() {
                    let error = Diagnostic::error(format!("argument {} is null", quote(&name.name)));
                    let error = error.at(attribute.value.span).label("it must have a value");
                    return Err(self.fail_showing(error, &[&attribute.value]));
                }
                self.written_so(&value, &attribute.value, attribute_schema)?;
                Ok(if attribute_schema.sensitive && !value.is_null() { value.mark(Marks::SENSITIVE) } else { value })
            }
        }
    }

    /// Whether a value is written as the argument asks, as far as it is known.
    fn written_so(&mut self, value: &Value, expr: &Expr, schema: &AttributeSchema) -> Result<(), Failed> {
        let Some(format) = schema.format.filter(|_| !schema.sensitive) else { return Ok(()) };
        format.judge(value).map_err(|(wrong, failure)| {
            let element = match &expr.kind {
                ExprKind::Tuple(elements) => {
                    let written = |it: &&Expr| literal::string(it).is_some_and(|text| Some(&text) == wrong.as_str());
                    elements.iter().find(written).map(|it| it.span)
                }
                _ => None,
            };
            let error = Diagnostic::error(&failure.summary).at(element.unwrap_or(expr.span)).detail(&failure.detail);
            let error = if failure.help.is_empty() {
                error.help(format!("Write {}, such as {}.", format.name, format.example))
            } else {
                failure.help.iter().fold(error, |error, help| error.help(help))
            };
            self.fail(error)
        })
    }

    /// The value converted to the type of an argument.
    pub(super) fn fitting(&mut self, value: Value, expr: &Expr, name: &str, ty: &Type) -> Result<Value, Failed> {
        convert(&value, ty).map_err(|error| {
            let error = Diagnostic::error(format!("argument {} has the wrong type", quote(name)))
                .at(expr.span)
                .label(error.to_string())
                .detail(format!("The value is {}.", describe(&value)));
            self.fail_showing(error, &[expr])
        })
    }

    fn block<'b>(
        &mut self,
        block: &'b Block,
        schema: &Schema,
        kinds: &mut BTreeMap<&'b str, Kind>,
    ) -> Result<(), Failed> {
        let name = &block.kind;
        match schema.blocks.get(&*name.name) {
            Some(nested) => {
                let labels = block.labels.iter().map(|label| (Value::string(label.name.clone()), label.span)).collect();
                let made = self.made(nested, &block.body, labels, block.head)?;
                kinds.entry(&name.name).or_default().made.push(made);
                Ok(())
            }
            None if &*name.name == "dynamic" => self.dynamic(block, schema, kinds),
            None => Err(self.fail(unsupported(name, schema))),
        }
    }

    pub(super) fn made(
        &mut self,
        nested: &NestedBlock,
        body: &Body,
        labels: Vec<(Value, Span)>,
        span: Span,
    ) -> Result<Made, Failed> {
        let value = deeper(|| self.body(body, &nested.block, body.span.or(Some(span))));
        let wanted = usize::from(nested.nesting == Nesting::Map);
        if labels.len() != wanted {
            let (place, label) = match labels.get(wanted) {
                Some((_, surplus)) => (*surplus, "a block of this kind takes no such label"),
                None => (span, "a block of this kind needs a label"),
            };
            return Err(self.fail(Diagnostic::error("wrong number of labels").at(place).label(label)));
        }
        Ok(Made { label: labels.into_iter().next().map(|(label, _)| label), value: value?, span })
    }

    /// The value of all blocks of one kind.
    fn nested(&mut self, name: &str, nested: &NestedBlock, kind: Kind, place: Option<Span>) -> Result<Value, Failed> {
        let marks = kind.marks;
        let most = match nested.nesting {
            Nesting::Single | Nesting::Group => 1,
            Nesting::List | Nesting::Set | Nesting::Map => nested.max_items,
        };
        if let Some(surplus) = kind.made.get(most as usize).filter(|_| most > 0) {
            let times = if most == 1 { "one block".to_owned() } else { format!("{most} blocks") };
            let error = Diagnostic::error(format!("too many {} blocks", quote(name))).at(surplus.span);
            return Err(self.fail(error.label(format!("at most {times} of this kind may be given"))));
        }
        if kind.made.len() < nested.min_items as usize && !kind.unknown {
            let error = Diagnostic::error(format!("missing block {}", quote(name)));
            let error = if let Some(place) = place { error.at(place.head()) } else { error };
            return Err(self.fail(error.label(format!("at least {} of this kind must be given", nested.min_items))));
        }
        let ty = nested.implied_type();
        if kind.unknown {
            return Ok(Value::unknown(ty).mark(marks));
        }
        let inner = implied_type(&nested.block);
        let mut values = kind.made.into_iter();
        let value = match nested.nesting {
            Nesting::Single => values.next().map_or_else(|| Value::null(ty), |made| made.value),
            Nesting::Group => values.next().map_or_else(|| nothing_given(&nested.block), |made| made.value),
            Nesting::Map => return self.labelled(name, inner, values).map(|value| value.mark(marks)),
            _ if inner.has_dynamic() => Value::tuple(values.map(|made| made.value)),
            Nesting::List => Value::list(inner, values.map(|made| made.value)),
            Nesting::Set => Value::set(inner, values.map(|made| made.value)),
        };
        Ok(value.mark(marks))
    }

    fn labelled(&mut self, name: &str, inner: Type, made: impl Iterator<Item = Made>) -> Result<Value, Failed> {
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for made in made {
            let label = made.label.as_ref().and_then(Value::as_str).cloned().unwrap_or_default();
            if entries.insert(label.clone(), made.value).is_some() {
                let error = Diagnostic::error(format!("two {} blocks with the label {}", quote(name), quote(&label)));
                return Err(self.fail(error.at(made.span).label("each label may be used once")));
            }
        }
        Ok(if inner.has_dynamic() { Value::object(entries) } else { Value::map(inner, entries) })
    }
}

pub(super) fn missing(name: &str, attribute: &AttributeSchema, place: Option<Span>) -> Diagnostic {
    let error = Diagnostic::error(format!("missing argument {}", quote(name)));
    let error = if let Some(place) = place { error.at(place.head()).label("it must be given here") } else { error };
    error.help(format!("Add `{name} = …`, {}.", attribute.ty.in_words()))
}

/// The object of a body that gives nothing: all in it is null or empty.
pub(crate) fn nothing_given(schema: &Schema) -> Value {
    let attributes = schema.attributes.iter();
    let attributes = attributes.map(|(name, attribute)| (name.as_str(), Value::null(attribute.ty.without_optional())));
    let blocks = schema.blocks.iter().map(|(name, nested)| {
        let inner = implied_type(&nested.block);
        let value = match nested.nesting {
            Nesting::Single => Value::null(inner),
            Nesting::Group => nothing_given(&nested.block),
            Nesting::List | Nesting::Set if inner.has_dynamic() => Value::tuple([]),
            Nesting::List => Value::list(inner, []),
            Nesting::Set => Value::set(inner, []),
            Nesting::Map if inner.has_dynamic() => Value::object::<&str>([]),
            Nesting::Map => Value::map::<&str>(inner, []),
        };
        (name.as_str(), value)
    });
    Value::object(attributes.chain(blocks))
}

/// Blocks that every resource may have, whatever its schema.
const META_BLOCKS: [&str; 4] = ["lifecycle", "provisioner", "connection", "dynamic"];

/// Of so many names all are told.
const FEW: usize = 8;

pub(super) fn unsupported(name: &Ident, schema: &Schema) -> Diagnostic {
    let (what, other) = match schema.attributes.contains_key(&*name.name) {
        true => ("block", Some(format!("{} is an argument: write `{} = …`.", quote(&name.name), name.name))),
        _ if schema.blocks.contains_key(&*name.name) => {
            ("argument", Some(format!("{} is a block: write `{} {{ … }}`.", quote(&name.name), name.name)))
        }
        _ => ("argument or block", None),
    };
    let error = Diagnostic::error(format!("unsupported {what} {}", quote(&name.name))).at(name.span);
    let own: Vec<&str> = schema.attributes.keys().chain(schema.blocks.keys()).map(String::as_str).collect();
    let names = own.iter().copied().chain(META_BLOCKS);
    let error = error.label("there is none of this name here");
    match (other, nearest(&name.name, names)) {
        (Some(other), _) => error.help(other),
        (None, Some(near)) if *near == *name.name => {
            error.help(format!("{} is a block of resources: write `{near} {{ … }}`, without \"=\".", quote(near)))
        }
        (None, Some(near)) => error.help(format!("Did you mean {}?", quote(near))),
        (None, None) if own.is_empty() || own.len() > FEW => error,
        (None, None) => error.help(format!("There is: {}.", own.join(", "))),
    }
}
