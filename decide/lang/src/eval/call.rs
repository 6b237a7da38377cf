use andon_hcl::ast::{Expr, ExprKind, Ident};
use andon_schema::{FunctionSchema, ProviderAddress};
use andon_text::{Diagnostic, nearest};
use andon_value::{Marks, Type, Value, convert, quote};

use super::expression::{Evaluator, Failed};
use super::{Inputs, ProviderFunction, Scope, describe};
use crate::functions::{Fault, Foresight, Function, Parameter, Run, Secrets, Unknowns, built_in, function, functions};

/// One call of a function: its arguments, checked against its parameters, and what it may read.
pub(crate) struct Call<'a> {
    /// The arguments in order.
    pub(crate) arguments: Vec<Value>,
    /// What the function may read beside them.
    pub(crate) inputs: Inputs<'a>,
    /// Where the call stands.
    pub(crate) scope: &'a dyn Scope,
    /// The template files that this call is inside of.
    pub(crate) templates: &'a [String],
}

impl Evaluator<'_> {
    pub(super) fn call(
        &mut self,
        whole: &Expr,
        name: &Ident,
        arguments: &[Expr],
        expand_last: bool,
    ) -> Result<Value, Failed> {
        let plain = name.name.strip_prefix("core::").unwrap_or(&name.name);
        match plain {
            "try" => return self.call_try(whole, arguments),
            "can" => return self.call_can(whole, arguments),
            _ => {}
        }
        if plain == "templatestring" {
            self.template_by_reference(arguments)?;
        }
        let values = self.all(arguments);
        if let Some(rest) = name.name.strip_prefix("provider::") {
            return self.call_provider(whole, name, rest, values?, arguments, expand_last);
        }
        let Some(function) = function(plain) else {
            return Err(self.fail(no_function(name, plain)));
        };
        let given = self.spread(values?, arguments, expand_last)?;
        let Some(given) = given else { return Ok(Value::UNKNOWN) };
        self.call_checked(function, whole, name, given)
    }

    /// Checks the arguments against the parameters, and calls.
    fn call_checked(
        &mut self,
        function: &Function,
        whole: &Expr,
        name: &Ident,
        given: Vec<(Value, &Expr)>,
    ) -> Result<Value, Failed> {
        self.count(function, whole, name, &given)?;
        let mut marks = Marks::NONE;
        let (mut unknown, mut failed) = (false, false);
        let (mut secret, mut passed_secret) = (false, false);
        let mut checked = Vec::with_capacity(given.len());
        for (at, (value, expr)) in given.iter().enumerate() {
            let Some(parameter) = function.parameter(at) else { continue };
            match self.argument(function, parameter, value.clone(), expr) {
                Ok(value) => {
                    let value = match parameter.secrets {
                        Secrets::Merged => {
                            let (value, taken) = value.unmark_deep();
                            secret |= taken != Marks::NONE;
                            marks = marks.union(taken);
                            value
                        }
                        Secrets::Passed => {
                            passed_secret |= value.is_secret();
                            value
                        }
                    };
                    unknown |= match parameter.unknowns {
                        Unknowns::None => !value.is_wholly_known(),
                        Unknowns::Inside => value.is_unknown(),
                        Unknowns::Any => false,
                    };
                    checked.push(value);
                }
                Err(Failed) => failed = true,
            }
        }
        if failed {
            return Err(Failed);
        }
        if unknown {
            let passed = checked.iter().fold(Marks::NONE, |marks, value| marks.union(value.marks_within()));
            let foreseen = match function.foresight {
                Some(Foresight(foresee)) => {
                    let (inputs, scope) = (self.scope.inputs(), self.scope);
                    foresee(&Call { arguments: checked, inputs, scope, templates: &self.templates })
                }
                None => Value::unknown(function.returns.clone()),
            };
            let foreseen = if function.nullable { foreseen } else { foreseen.not_null() };
            return Ok(foreseen.mark(marks.union(passed)));
        }
        let Run(run) = function.run;
        let templates = std::mem::take(&mut self.templates);
        let (inputs, scope) = (self.scope.inputs(), self.scope);
        let call = Call { arguments: checked, inputs, scope, templates: &templates };
        let result = run(&call);
        self.templates = templates;
        match result {
            Ok(value) if function.nullable => Ok(value.mark(marks)),
            Ok(value) => Ok(value.not_null().mark(marks)),
            Err(fault) => {
                let hidden = secret || passed_secret && !fault.safe;
                Err(self.fault(function, whole, &given, fault, hidden))
            }
        }
    }

    /// The template of `templatestring` comes from elsewhere: a template that is written out needs no function.
    fn template_by_reference(&mut self, arguments: &[Expr]) -> Result<(), Failed> {
        let Some(template) = arguments.first() else { return Ok(()) };
        let by_reference = |expr: &Expr| {
            matches!(expr.kind, ExprKind::Variable(_) | ExprKind::Attribute { .. } | ExprKind::Index { .. })
        };
        match &template.kind {
            _ if by_reference(template) => Ok(()),
            ExprKind::Parentheses(inner) if by_reference(inner) => Ok(()),
            _ => {
                let error = Diagnostic::error("invalid argument \"template\" of \"templatestring\"").at(template.span);
                let error = error.label("a reference to a string is required, such as `local.template`");
                Err(self.fail(error.help("A template that stands here may be written without this function.")))
            }
        }
    }

    /// `provider::NAME::FUNCTION(…)`: a function of a provider that the module requires.
    fn call_provider(
        &mut self,
        whole: &Expr,
        name: &Ident,
        rest: &str,
        values: Vec<Value>,
        arguments: &[Expr],
        expand_last: bool,
    ) -> Result<Value, Failed> {
        let Some((provider, called)) = rest.split_once("::").filter(|(_, called)| !called.contains("::")) else {
            let error = Diagnostic::error(format!("no function {}", quote(&name.name))).at(name.span);
            return Err(self.fail(error.label("a function of a provider is called as `provider::NAME::FUNCTION`")));
        };
        let given = self.spread(values, arguments, expand_last)?;
        let missing =
            |label: String| Diagnostic::error(format!("no function {}", quote(&name.name))).at(name.span).label(label);
        match self.scope.provider_function(provider, called, name.span) {
            ProviderFunction::Unknown => Ok(Value::UNKNOWN),
            ProviderFunction::Absent(address) => {
                let error = missing(format!("the provider {address} is not at hand"));
                Err(self.fail(error.help("Run `andon init`, which installs it.")))
            }
            ProviderFunction::NoProvider => {
                let error = missing(format!("no provider has the local name {} here", quote(provider)));
                Err(self
                    .fail(error.help("Name the provider in `required_providers` of this module's `terraform` block.")))
            }
            ProviderFunction::NoFunction(names) => {
                let error = missing(format!("the provider {} has no such function", quote(provider)));
                Err(self.fail(match nearest(called, names.iter().map(|name| &**name)) {
                    Some(near) => error.help(format!("Did you mean \"provider::{provider}::{near}\"?")),
                    None => error,
                }))
            }
            ProviderFunction::BuiltIn => match built_in(called) {
                Some(function) => match given {
                    Some(given) => self.call_checked(function, whole, name, given),
                    None => Ok(Value::UNKNOWN),
                },
                None => {
                    let error = missing("the provider \"terraform\" has no such function".to_owned());
                    let near = nearest(called, ["decode_tfvars", "encode_expr", "encode_tfvars"]);
                    Err(self.fail(match near {
                        Some(near) => error.help(format!("Did you mean \"provider::{provider}::{near}\"?")),
                        None => error,
                    }))
                }
            },
            ProviderFunction::Plugin(address, signature) => match given {
                Some(given) => self.call_plugin((&address, called), &signature, whole, name, given),
                None => Ok(Value::unknown(signature.returns.clone())),
            },
        }
    }

    /// A function of a plugin: its arguments are checked here; whoever can ask the plugin gives the result.
    fn call_plugin(
        &mut self,
        (provider, called): (&ProviderAddress, &str),
        signature: &FunctionSchema,
        whole: &Expr,
        name: &Ident,
        given: Vec<(Value, &Expr)>,
    ) -> Result<Value, Failed> {
        let wanted = signature.parameters.len();
        if given.len() < wanted || given.len() > wanted && signature.rest.is_none() {
            let error = Diagnostic::error(format!("wrong number of arguments of {}", quote(&name.name))).at(whole.span);
            let or_more = if signature.rest.is_some() { " or more" } else { "" };
            let are = if wanted == 1 && signature.rest.is_none() { "is" } else { "are" };
            let error = error.label(format!("{wanted}{or_more} {are} required, and {} given", given.len()));
            let rest = signature.rest.iter().map(|rest| format!("{}...", rest.name));
            let named: Vec<String> = signature.parameters.iter().map(|it| it.name.clone()).chain(rest).collect();
            return Err(self.fail(error.help(format!("It is called as `{}({})`.", name.name, named.join(", ")))));
        }
        let (mut marks, mut unknown, mut failed) = (Marks::NONE, false, false);
        let mut checked = Vec::with_capacity(given.len());
        for (at, (value, expr)) in given.iter().enumerate() {
            let Some(parameter) = signature.parameters.get(at).or(signature.rest.as_ref()) else { continue };
            let refused = match convert(value, &parameter.ty) {
                Ok(value) if !value.is_null() || parameter.nulls => {
                    let (value, taken) = value.unmark_deep();
                    marks = marks.union(taken);
                    unknown |= !parameter.unknowns && !value.is_wholly_known();
                    checked.push(value);
                    continue;
                }
                Ok(_) => "must not be null".to_owned(),
                Err(error) => error.to_string(),
            };
            failed = true;
            let summary = format!("invalid argument {} of {}", quote(&parameter.name), quote(&name.name));
            let error = Diagnostic::error(summary).at(expr.span).label(refused);
            self.fail_showing(error.detail(format!("The value is {}.", describe(value))), &[expr]);
        }
        if failed {
            return Err(Failed);
        }
        let answer = if unknown { None } else { self.scope.ask_provider(provider, called, &checked) };
        match answer {
            None => Ok(Value::unknown(signature.returns.clone()).mark(marks)),
            Some(Ok(value)) => Ok(value.mark(marks)),
            Some(Err(fault)) => {
                let at = fault.argument;
                let parameter = at.and_then(|at| signature.parameters.get(at).or(signature.rest.as_ref()));
                let error = match (at.and_then(|at| given.get(at)), parameter) {
                    (Some((_, expr)), Some(parameter)) => {
                        let summary = format!("invalid argument {} of {}", quote(&parameter.name), quote(&name.name));
                        Diagnostic::error(summary).at(expr.span)
                    }
                    _ => Diagnostic::error(format!("{} has no result", quote(&name.name))).at(whole.span),
                };
                let hidden = "an argument is sensitive, so what the provider says is not shown".to_owned();
                Err(self.fail(error.label(if marks != Marks::NONE { hidden } else { fault.message })))
            }
        }
    }

    /// The arguments, each with its expression, with the last one spread where it says `...`; `None` where it is not
    /// known how many there are.
    fn spread<'e>(
        &mut self,
        values: Vec<Value>,
        arguments: &'e [Expr],
        expand_last: bool,
    ) -> Result<Option<Vec<(Value, &'e Expr)>>, Failed> {
        let mut given: Vec<(Value, &Expr)> = values.into_iter().zip(arguments).collect();
        if !expand_last {
            return Ok(Some(given));
        }
        let Some((last, expr)) = given.pop() else { return Ok(Some(given)) };
        if last.is_unknown() {
            return Ok(None);
        }
        let Some(elements) = last.elements() else {
            let error = Diagnostic::error("nothing to spread").at(expr.span).label("a list, set or tuple is required");
            let error = error.detail(format!("The value is {}.", describe(&last)));
            return Err(self.fail_showing(error, &[expr]));
        };
        let marks = last.marks();
        given.extend(elements.map(|element| (element.clone().mark(marks), expr)));
        Ok(Some(given))
    }

    /// Whether the function takes as many arguments.
    fn count(
        &mut self,
        function: &Function,
        whole: &Expr,
        name: &Ident,
        given: &[(Value, &Expr)],
    ) -> Result<(), Failed> {
        let least = function.required();
        let most = if function.rest.is_some() { usize::MAX } else { function.parameters.len() };
        let (place, label) = if given.len() < least {
            let missing = function
                .parameter(given.len())
                .map_or_else(String::new, |parameter| format!("the argument {} is missing", quote(parameter.name)));
            (name.span, missing)
        } else if given.len() > most {
            let surplus = given.get(most).map_or(whole.span, |(_, expr)| expr.span);
            (surplus, "this argument is one too many".to_owned())
        } else {
            return Ok(());
        };
        let error = Diagnostic::error(format!("wrong number of arguments of \"{}\"", function.name));
        Err(self.fail(error.at(place).label(label).help(format!("It is called as `{}`.", function.signature()))))
    }

    fn argument(
        &mut self,
        function: &Function,
        parameter: &Parameter,
        value: Value,
        expr: &Expr,
    ) -> Result<Value, Failed> {
        let refused = if value.is_null() && !parameter.nulls {
            "must not be null".to_owned()
        } else {
            match convert(&value, &parameter.ty) {
                Ok(value) => return Ok(value),
                Err(error) => error.to_string(),
            }
        };
        let error = Diagnostic::error(format!("invalid argument {} of \"{}\"", quote(parameter.name), function.name))
            .at(expr.span)
            .label(refused)
            .detail(format!("The value is {}.", describe(&value)))
            .help(format!("The function is `{}`.", function.signature()));
        Err(self.fail_showing(error, &[expr]))
    }

    /// Reports why a function has no result; where that is `hidden`, only that it has none.
    fn fault(
        &mut self,
        function: &Function,
        whole: &Expr,
        given: &[(Value, &Expr)],
        fault: Fault,
        hidden: bool,
    ) -> Failed {
        let at_fault = fault.argument.and_then(|at| given.get(at));
        let mut error = match (at_fault, fault.argument.and_then(|at| function.parameter(at))) {
            (Some((_, expr)), Some(parameter)) => {
                let summary = format!("invalid argument {} of \"{}\"", quote(parameter.name), function.name);
                Diagnostic::error(summary).at(expr.span)
            }
            _ => Diagnostic::error(format!("\"{}\" has no result", function.name)).at(whole.span),
        };
        let mut detail = Vec::new();
        if hidden {
            error = error.label("not suitable; an argument is sensitive, so no more is said");
        } else {
            error = error.label(fault.message);
            detail.extend(fault.detail);
            error.help.extend(fault.help);
        }
        if let Some((value, _)) = at_fault {
            detail.push(format!("The value is {}.", describe(value)));
        }
        let shown: Vec<&Expr> = match at_fault {
            Some((_, expr)) => vec![*expr],
            None => given.iter().map(|(_, expr)| *expr).collect(),
        };
        self.fail_showing(error.detail(detail.join("\n")), &shown)
    }

    /// The first argument that has no error.
    fn call_try(&mut self, whole: &Expr, arguments: &[Expr]) -> Result<Value, Failed> {
        let mut reasons = Vec::new();
        for argument in arguments {
            let (result, errors, open) = self.aside(|this| this.evaluate(argument));
            match result {
                // Once it is known, it may turn out to be an error.
                Ok(_) | Err(Failed) if open => return Ok(Value::UNKNOWN),
                Ok(value) => return Ok(value),
                Err(Failed) => reasons.extend(errors.into_iter().take(1).map(|error| (argument.span, error))),
            }
        }
        let error = Diagnostic::error("every argument of \"try\" has an error").at(whole.span);
        let error = reasons.into_iter().fold(error, |error, (span, reason)| {
            let label = if reason.label.is_empty() { String::new() } else { format!(": {}", reason.label) };
            error.related(span, format!("{}{label}", reason.summary))
        });
        Err(self.fail(error))
    }

    fn call_can(&mut self, whole: &Expr, arguments: &[Expr]) -> Result<Value, Failed> {
        let [argument] = arguments else {
            let error = Diagnostic::error("wrong number of arguments of \"can\"").at(whole.span);
            return Err(self.fail(error.label("one argument is required")));
        };
        let (result, _, open) = self.aside(|this| this.evaluate(argument));
        match result {
            _ if open => Ok(Value::unknown(Type::Bool).not_null()),
            Ok(_) => Ok(Value::from(true)),
            Err(Failed) => Ok(Value::from(false)),
        }
    }
}

fn no_function(name: &Ident, plain: &str) -> Diagnostic {
    let error = Diagnostic::error(format!("no function {}", quote(&name.name))).at(name.span);
    if plain.contains("::") {
        let help = "Those of the language have no prefix or `core::`; those of a provider are called as `provider::NAME::FUNCTION`.";
        return error.label("there are no functions with this prefix").help(help);
    }
    let names = functions().iter().map(|function| function.name);
    let error = error.label("there is no function of this name");
    match nearest(plain, names) {
        Some(near) => error.help(format!("Did you mean \"{near}\"?")),
        None => error,
    }
}
