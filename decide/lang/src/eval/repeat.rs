use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use andon_hcl::ast::{Expr, ForExpr, Ident};
use andon_text::Diagnostic;
use andon_value::{Kind, Marks, Number, Type, Value, convert, quote, unify};

use super::describe;
use super::expression::{Evaluator, Failed};

impl Evaluator<'_> {
    pub(super) fn for_expression(&mut self, each: &ForExpr) -> Result<Value, Failed> {
        let collection = self.evaluate(&each.collection)?;
        let Some(pairs) = self.pairs(&collection, &each.collection)? else {
            return Ok(Value::UNKNOWN.mark(collection.marks()));
        };
        match &each.key {
            None => self.for_tuple(each, pairs, collection.marks()),
            Some(key) => self.for_object(each, key, pairs, collection.marks()),
        }
    }

    fn for_tuple(&mut self, each: &ForExpr, pairs: Vec<(Value, Value)>, mut marks: Marks) -> Result<Value, Failed> {
        let mut elements = Vec::with_capacity(pairs.len());
        let mut unknown = false;
        for (key, value) in pairs {
            let result = self.bound(each.key_name.as_ref(), key, &each.value_name, value, |this| {
                let kept = this.kept(each)?;
                let value = if kept.as_bool() == Some(false) { None } else { Some(this.evaluate(&each.value)?) };
                Ok((kept, value))
            })?;
            let (kept, value) = result;
            marks = marks.union(kept.marks());
            unknown |= kept.is_unknown();
            elements.extend(value);
        }
        let result = if unknown { Value::UNKNOWN } else { Value::tuple(elements) };
        Ok(result.mark(marks))
    }

    fn for_object(
        &mut self,
        each: &ForExpr,
        key_expr: &Expr,
        pairs: Vec<(Value, Value)>,
        mut marks: Marks,
    ) -> Result<Value, Failed> {
        let mut groups: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
        let mut unknown = false;
        for (key, value) in pairs {
            let (kept, entry) = self.bound(each.key_name.as_ref(), key, &each.value_name, value, |this| {
                let kept = this.kept(each)?;
                if kept.as_bool() == Some(false) {
                    return Ok((kept, None));
                }
                let key = this.evaluate(key_expr).and_then(|key| this.as_key(key, key_expr));
                let value = this.evaluate(&each.value);
                Ok((kept, Some((key?, value?))))
            })?;
            marks = marks.union(kept.marks());
            unknown |= kept.is_unknown();
            let Some((key, value)) = entry else { continue };
            marks = marks.union(key.marks());
            let Some(name) = key.as_str() else {
                unknown = true;
                continue;
            };
            match groups.entry(name.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(vec![value]);
                }
                Entry::Occupied(mut occupied) if each.group => occupied.get_mut().push(value),
                Entry::Occupied(_) => {
                    let label = if key.marks() != Marks::NONE {
                        "two elements give the same key, which is sensitive".to_owned()
                    } else {
                        format!("two elements give the key {}", quote(name))
                    };
                    let error =
                        Diagnostic::error("duplicate key in a \"for\" expression").at(key_expr.span).label(label);
                    return Err(self.fail(error.help("To collect all values of a key, write `...` after the value.")));
                }
            }
        }
        if unknown {
            return Ok(Value::UNKNOWN.mark(marks));
        }
        let entries = groups.into_iter().map(|(name, mut values)| match values.pop() {
            Some(only) if !each.group => (name, only),
            last => (name, Value::tuple(values.into_iter().chain(last))),
        });
        Ok(Value::object(entries).mark(marks))
    }

    /// Whether the `if` of a `for` expression keeps the element at hand; true where there is none.
    fn kept(&mut self, each: &ForExpr) -> Result<Value, Failed> {
        match &each.condition {
            None => Ok(Value::from(true)),
            Some(condition) => {
                let value = self.evaluate(condition)?;
                self.as_condition(value, condition)
            }
        }
    }

    /// What a `for` goes over, as keys and values; `None` where it is not known yet.
    pub(crate) fn pairs(&mut self, value: &Value, expr: &Expr) -> Result<Option<Vec<(Value, Value)>>, Failed> {
        let pairs = match value.kind() {
            Kind::List(_, elements) | Kind::Tuple(elements) => elements
                .iter()
                .enumerate()
                .map(|(at, element)| (Value::from(Number::from(at)), element.clone()))
                .collect(),
            Kind::Set(_, elements) => {
                // Two unknown elements may turn out to be one.
                if !elements.iter().all(Value::is_wholly_known) {
                    return Ok(None);
                }
                elements.iter().map(|element| (element.clone(), element.clone())).collect()
            }
            Kind::Map(_, entries) | Kind::Object(entries) => {
                entries.iter().map(|(key, value)| (Value::string(key.clone()), value.clone())).collect()
            }
            Kind::Unknown(Type::Dynamic | Type::List(_) | Type::Set(_) | Type::Map(_), _)
            | Kind::Unknown(Type::Tuple(_) | Type::Object { .. }, _) => return Ok(None),
            _ => {
                let error = Diagnostic::error("nothing to go over")
                    .at(expr.span)
                    .label("a list, set, tuple, map or object is required")
                    .detail(format!("The value is {}.", describe(value)));
                return Err(self.fail_showing(error, &[expr]));
            }
        };
        Ok(Some(pairs))
    }

    /// Does some work with the variables of a `for` bound.
    pub(super) fn bound<T>(
        &mut self,
        key_name: Option<&Ident>,
        key: Value,
        value_name: &Ident,
        value: Value,
        work: impl FnOnce(&mut Self) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let depth = self.locals.len();
        self.locals.extend(key_name.map(|name| (name.name.clone(), key)));
        self.locals.push((value_name.name.clone(), value));
        let result = work(self);
        self.locals.truncate(depth);
        result
    }

    /// `target[*]`: of a list or set a list, of a tuple a tuple; of null nothing; of anything else a tuple of it.
    pub(super) fn splat(&mut self, target: &Expr, each: &Expr) -> Result<Value, Failed> {
        let value = self.evaluate(target)?;
        let marks = value.marks();
        let result = match value.kind() {
            Kind::Null(Type::List(_) | Type::Set(_)) => {
                let error = Diagnostic::error("no elements to go over").at(target.span).label("this list is null");
                return Err(self.fail_showing(error, &[target]));
            }
            Kind::Null(_) => Value::tuple([]),
            Kind::Unknown(Type::List(element) | Type::Set(element), _) => {
                let element = self.at_element(Value::unknown((**element).clone()), each)?;
                // Of a null list this would be an error.
                let (least, most) = value.length_bounds();
                Value::unknown(Type::list(element.ty())).with_length(least, most).mark(element.marks_within())
            }
            Kind::Unknown(Type::Tuple(types), _) => {
                let elements = types.iter().map(|ty| self.at_element(Value::unknown(ty.clone()), each));
                let elements = Value::tuple(elements.collect::<Result<Vec<_>, _>>()?);
                Value::unknown(elements.ty()).mark(elements.marks_within())
            }
            Kind::Unknown(ty, _) if *ty != Type::Dynamic && value.is_never_null() => {
                Value::tuple([self.at_element(value.clone(), each)?])
            }
            // It may be null, and so nothing.
            Kind::Unknown(ty, _) => {
                self.at_element(Value::unknown(ty.clone()), each)?;
                Value::UNKNOWN
            }
            Kind::List(ty, elements) => {
                let elements = self.at_elements(elements.iter(), each)?;
                self.list_of(ty, elements, each)?
            }
            Kind::Set(ty, _) if !value.is_wholly_known() => {
                let element = self.at_element(Value::unknown(ty.clone()), each)?;
                let (least, most) = value.length_bounds();
                Value::unknown(Type::list(element.ty())).with_length(least, most).mark(element.marks_within())
            }
            Kind::Set(ty, elements) => {
                let elements = self.at_elements(elements.iter(), each)?;
                self.list_of(ty, elements, each)?
            }
            Kind::Tuple(elements) => Value::tuple(self.at_elements(elements.iter(), each)?),
            _ => Value::tuple(self.at_elements(std::iter::once(&value), each)?),
        };
        Ok(result.mark(marks))
    }

    fn at_elements<'v>(
        &mut self,
        elements: impl Iterator<Item = &'v Value>,
        each: &Expr,
    ) -> Result<Vec<Value>, Failed> {
        elements.map(|element| self.at_element(element.clone(), each)).collect()
    }

    fn at_element(&mut self, element: Value, each: &Expr) -> Result<Value, Failed> {
        self.splats.push(element);
        let result = self.evaluate(each);
        self.splats.pop();
        result
    }

    /// The results of a splat over a list, as a list where they agree on a type.
    fn list_of(&mut self, element: &Type, results: Vec<Value>, each: &Expr) -> Result<Value, Failed> {
        if results.is_empty() {
            // What an element would have given says the type. It is only supposed: nothing that it meets counts as met.
            let would_be = self.supposing(|this| this.at_element(Value::unknown(element.clone()), each))?;
            return Ok(Value::list(would_be.ty(), []));
        }
        let tuple = Value::tuple(results);
        Ok(convert(&tuple, &Type::list(Type::Dynamic)).unwrap_or(tuple))
    }
}

/// The types of the keys and of the elements of a collection of a type.
pub(crate) fn element_types(ty: &Type) -> (Type, Type) {
    let agreed = |types: Vec<Type>| unify(&types).unwrap_or(Type::Dynamic);
    match ty {
        Type::List(element) => (Type::Number, (**element).clone()),
        Type::Set(element) => ((**element).clone(), (**element).clone()),
        Type::Map(element) => (Type::String, (**element).clone()),
        Type::Tuple(elements) => (Type::Number, agreed(elements.to_vec())),
        Type::Object { attributes, .. } => (Type::String, agreed(attributes.values().cloned().collect())),
        _ => (Type::Dynamic, Type::Dynamic),
    }
}
