//! The time, randomness, and functions of providers: what an evaluation is given, and nothing else.

use andon_hcl::parse_expression;
use andon_lang::FileSet;
use andon_lang::eval::{Inputs, Moment, Name, ProviderFunction, Resolved, Scope, Step, evaluate};
use andon_schema::{FunctionAnswer, FunctionFault, FunctionSchema, ParameterSchema, ProviderAddress};
use andon_text::{Diagnostic, SourceMap, Span};
use andon_value::{Marks, Type, Value};

struct Given<'a> {
    files: FileSet,
    moment: Option<&'a Moment>,
    /// What the plugin answers.
    answer: Option<Result<Value, String>>,
}

impl Scope for Given<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        let value = if &**root.name == "secret" {
            Value::from("hunter2").mark(Marks::SENSITIVE)
        } else {
            Value::unknown(Type::String)
        };
        Ok(Resolved { value, used: 0 })
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs { moment: self.moment, home: "/home/ann", ..Inputs::of_files(&self.files, "", "/project") }
    }

    fn provider_function(&self, provider: &str, function: &str, _: Span) -> ProviderFunction {
        match (provider, function) {
            ("terraform", _) => ProviderFunction::BuiltIn,
            ("plugin", "double") => ProviderFunction::Plugin(
                ProviderAddress::implied("plugin"),
                FunctionSchema {
                    parameters: vec![ParameterSchema {
                        name: "text".to_owned(),
                        ty: Type::String,
                        nulls: false,
                        unknowns: false,
                    }],
                    rest: None,
                    returns: Type::String,
                    description: String::new(),
                    deprecation: String::new(),
                },
            ),
            ("plugin", _) => ProviderFunction::NoFunction(vec!["double".into()]),
            ("later", _) => ProviderFunction::Unknown,
            _ => ProviderFunction::NoProvider,
        }
    }

    fn ask_provider(&self, _: &ProviderAddress, _: &str, _: &[Value]) -> Option<FunctionAnswer> {
        let fault = |message| FunctionFault { message, argument: None };
        Some(self.answer.clone()?.map_err(fault))
    }
}

fn come_to(text: &str, moment: Option<&Moment>, answer: Option<Result<Value, String>>) -> Result<Value, String> {
    let mut sources = SourceMap::new();
    let id = sources.add("case", text);
    let (expression, errors) = parse_expression(id, text);
    assert!(!errors.has_errors(), "{text}");
    let scope = Given { files: FileSet::new(), moment, answer };
    evaluate(&expression, &scope).map_err(|errors| {
        let error = errors.iter().next().expect("an error");
        format!(
            "{} [{}]{}",
            error.summary,
            error.label,
            error.help.iter().map(|help| format!(" {help}")).collect::<String>()
        )
    })
}

#[test]
fn what_only_an_apply_knows_is_unknown_before() {
    let unknown = || Ok(Value::unknown(Type::String).not_null());
    let planning = Moment::planning(1_600_000_000);
    for text in ["timestamp()", "uuid()", "bcrypt(\"a\", 4)", "\"${timestamp()}\""] {
        assert_eq!(come_to(text, None, None), unknown(), "{text}");
        assert_eq!(come_to(text, Some(&planning), None), unknown(), "{text}");
    }
    assert_eq!(come_to("plantimestamp()", None, None), unknown());
    assert_eq!(come_to("plantimestamp()", Some(&planning), None), Ok("2020-09-13T12:26:40Z".into()));
    assert_eq!(come_to("pathexpand(\"~/x\")", None, None), Ok("/home/ann/x".into()));
}

#[test]
fn an_apply_has_one_time_and_fresh_randomness() {
    let applying = || Moment::applying(1_600_000_000, 1_600_000_060, [7; 32]);
    let moment = applying();
    let is = |text: &str| assert_eq!(come_to(text, Some(&moment), None), Ok(true.into()), "{text}");
    is("plantimestamp() == \"2020-09-13T12:26:40Z\" && timestamp() == \"2020-09-13T12:27:40Z\"");
    is("uuid() != uuid()");
    is("length(regexall(\"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$\", uuid())) == 1");
    is("length(bcrypt(\"a\", 4)) == 60 && startswith(bcrypt(\"a\", 4), \"$2a$04$\")");
    // The same moment gives the same again.
    let drawn = |moment: &Moment| come_to("[uuid(), uuid()]", Some(moment), None).expect("two");
    assert_eq!(drawn(&applying()), drawn(&applying()));
}

#[test]
fn functions_of_providers_are_those_that_the_module_requires() {
    for (text, expected) in [
        ("provider::terraform::encode_expr({a = [1, \"x\", null]})", "{\n  a = [1, \"x\", null]\n}"),
        ("provider::terraform::encode_expr([])", "[]"),
        (
            "provider::terraform::encode_tfvars({abc = 1, b = {c = [1, {d = 1}]}})",
            "abc = 1\nb = {\n  c = [1, {\n    d = 1\n  }]\n}\n",
        ),
        ("jsonencode(provider::terraform::decode_tfvars(\"a=1\\nb=[\\\"x\\\"]\"))", "{\"a\":1,\"b\":[\"x\"]}"),
    ] {
        assert_eq!(come_to(text, None, None), Ok(expected.into()), "{text}");
    }
    for (text, expected) in [
        (
            "provider::nope::f(1)",
            "no function \"provider::nope::f\" [no provider has the local name \"nope\" here] Name the provider in `required_providers` of this module's `terraform` block.",
        ),
        (
            "provider::terraform::encode_exp(1)",
            "no function \"provider::terraform::encode_exp\" [the provider \"terraform\" has no such function] Did you mean \"provider::terraform::encode_expr\"?",
        ),
        (
            "provider::plugin::duble(1)",
            "no function \"provider::plugin::duble\" [the provider \"plugin\" has no such function] Did you mean \"provider::plugin::double\"?",
        ),
        (
            "provider::plugin::double()",
            "wrong number of arguments of \"provider::plugin::double\" [1 is required, and 0 given] It is called as `provider::plugin::double(text)`.",
        ),
        (
            "provider::plugin::double([])",
            "invalid argument \"text\" of \"provider::plugin::double\" [a string is required, but this is an empty tuple]",
        ),
        (
            "provider::plugin::double(null)",
            "invalid argument \"text\" of \"provider::plugin::double\" [must not be null]",
        ),
        (
            "provider::terraform::encode_tfvars(1)",
            "invalid argument \"value\" of \"encode_tfvars\" [an object whose attributes are the variables is required]",
        ),
        (
            "foo::bar(1)",
            "no function \"foo::bar\" [there are no functions with this prefix] Those of the language have no prefix or `core::`; those of a provider are called as `provider::NAME::FUNCTION`.",
        ),
    ] {
        assert_eq!(come_to(text, None, None), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn a_plugin_is_asked_with_arguments_that_are_known() {
    let answer = || Some(Ok(Value::from("aa")));
    let unknown = Value::unknown(Type::String);
    assert_eq!(come_to("provider::plugin::double(\"a\")", None, None), Ok(unknown.clone()));
    assert_eq!(come_to("provider::plugin::double(\"a\")", None, answer()), Ok("aa".into()));
    assert_eq!(come_to("provider::plugin::double(later)", None, answer()), Ok(unknown));
    assert_eq!(come_to("provider::later::f(1)", None, answer()), Ok(Value::UNKNOWN));
    let secret = come_to("provider::plugin::double(secret)", None, answer());
    assert_eq!(secret, Ok(Value::from("aa").mark(Marks::SENSITIVE)));
    let refused = come_to("provider::plugin::double(secret)", None, Some(Err("hunter2 is too short".to_owned())));
    assert!(!refused.expect_err("refused").contains("hunter2"));
}
