use andon_hcl::ast::{Expr, Ident, Template, TemplatePart};
use andon_text::Diagnostic;
use andon_value::{Marks, Type, Value, convert};

use super::expression::{Evaluator, Failed};

/// The text of a template so far, and what is to be said of all of it.
struct Text {
    text: String,
    marks: Marks,
    /// How the text starts, once a part of it is unknown.
    start: Option<String>,
}

impl Text {
    /// From here on it is not known; what comes next starts with `next`.
    fn unknown_from_here(&mut self, next: &str) {
        self.start.get_or_insert_with(|| format!("{}{next}", self.text));
    }
}

impl Evaluator<'_> {
    /// A lone interpolation passes its value through; everything else is a string.
    pub(crate) fn template(&mut self, template: &Template) -> Result<Value, Failed> {
        match template.parts.as_slice() {
            [] => return Ok(Value::string("")),
            [TemplatePart::Literal(text, _)] => return Ok(Value::string(text.clone())),
            [TemplatePart::Interpolation(expr)] => return self.evaluate(expr),
            _ => {}
        }
        let mut out = Text { text: String::new(), marks: Marks::NONE, start: None };
        self.parts(&template.parts, &mut out)?;
        let value = match out.start {
            Some(start) => Value::unknown(Type::String).with_prefix(&start),
            None => Value::string(out.text),
        };
        Ok(value.mark(out.marks))
    }

    fn parts(&mut self, parts: &[TemplatePart], out: &mut Text) -> Result<(), Failed> {
        let mut result = Ok(());
        for part in parts {
            let done = match part {
                TemplatePart::Literal(text, _) => {
                    out.text.push_str(text);
                    Ok(())
                }
                TemplatePart::Interpolation(expr) => self.interpolation(expr, out),
                TemplatePart::If { condition, yes, no, .. } => self.if_part(condition, yes, no, out),
                TemplatePart::For { key_name, value_name, collection, body, .. } => {
                    self.for_part(key_name.as_ref(), value_name, collection, body, out)
                }
            };
            // The parts are independent, so the errors of all are found.
            if done.is_err() {
                result = done;
            }
        }
        result
    }

    fn interpolation(&mut self, expr: &Expr, out: &mut Text) -> Result<(), Failed> {
        let value = self.evaluate(expr)?;
        let refused = if value.is_null() {
            "a string is required, but this is null".to_owned()
        } else {
            match convert(&value, &Type::String) {
                Ok(value) => {
                    out.marks = out.marks.union(value.marks());
                    match value.as_str() {
                        Some(text) => out.text.push_str(text),
                        None => out.unknown_from_here(value.known_prefix()),
                    }
                    return Ok(());
                }
                Err(error) => error.to_string(),
            }
        };
        // Whoever forgives this error still knows that there was a secret.
        out.marks = out.marks.union(value.marks_within());
        let error = Diagnostic::error("a part of a template is not a string").at(expr.span).label(refused);
        let error = match value.ty() {
            Type::List(_) | Type::Set(_) | Type::Tuple(_) if !value.is_null() => {
                error.help("Make one string of the elements with `join`, or show them with `jsonencode`.")
            }
            Type::Map(_) | Type::Object { .. } if !value.is_null() => error.help("Show it with `jsonencode`."),
            _ => error,
        };
        Err(self.fail_showing(error, &[expr]))
    }

    fn if_part(
        &mut self,
        condition: &Expr,
        yes: &[TemplatePart],
        no: &[TemplatePart],
        out: &mut Text,
    ) -> Result<(), Failed> {
        let value = self.evaluate(condition)?;
        let value = self.as_condition(value, condition)?;
        out.marks = out.marks.union(value.marks());
        // As in a conditional, the side that is not taken gives its marks.
        let mut aside = |parts: &[TemplatePart]| {
            let mut other = Text { text: String::new(), marks: Marks::NONE, start: None };
            let _ = self.aside(|this| this.parts(parts, &mut other)).0;
            out.marks = out.marks.union(other.marks);
        };
        match value.as_bool() {
            Some(true) => {
                aside(no);
                self.parts(yes, out)
            }
            Some(false) => {
                aside(yes);
                self.parts(no, out)
            }
            None => {
                out.unknown_from_here("");
                self.in_doubt(|this| this.parts(yes, out));
                self.in_doubt(|this| this.parts(no, out));
                Ok(())
            }
        }
    }

    fn for_part(
        &mut self,
        key_name: Option<&Ident>,
        value_name: &Ident,
        collection: &Expr,
        body: &[TemplatePart],
        out: &mut Text,
    ) -> Result<(), Failed> {
        let value = self.evaluate(collection)?;
        let pairs = self.pairs(&value, collection)?;
        out.marks = out.marks.union(value.marks());
        let Some(pairs) = pairs else {
            out.unknown_from_here("");
            return Ok(());
        };
        for (key, value) in pairs {
            self.bound(key_name, key, value_name, value, |this| this.parts(body, out))?;
        }
        Ok(())
    }
}
