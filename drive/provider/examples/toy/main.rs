//! A provider plugin to test with: it serves protocol 6 (5 where `ANDON_TOY` asks for it) as real ones do, on a private
//! Unix socket, and behaves badly where `ANDON_TOY` says how. Run by hand it serves nobody.
//!
//! A request that has text such as `crash at ReadResource` anywhere in it makes it crash at that call; there are also
//! `garbage at`, `refuse at` and `wait at`, which waits until it is stopped.

#![allow(missing_docs, dead_code, reason = "a program for tests, with generated code in it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "it may stop at once"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use andon_provider::{decode, encode};
use andon_value::{Path, PathStep, Type, Value};
use prost::Message;
use prost::bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

mod cloud;
mod secret;
#[path = "../../src/wire/schema6.rs"]
#[rustfmt::skip]
mod schema;
#[path = "../../src/wire/schema5.rs"]
#[rustfmt::skip]
mod schema5;
#[path = "../../src/wire/plugin.rs"]
#[rustfmt::skip]
mod wire;

use schema::{Attribute, Block, NestedBlock, Object, Schema};

const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

fn main() {
    let way = std::env::var("ANDON_TOY").unwrap_or_default();
    assert_eq!(std::env::var("TF_PLUGIN_MAGIC_COOKIE").as_deref(), Ok(COOKIE), "this program is a plugin");
    match way.as_str() {
        "garbage" => return println!("Hello! I am a program.\nGoodbye."),
        "exits" => {
            eprintln!("starting\npanic: no luck today\n\ngoroutine 1 [running]:");
            std::process::exit(7);
        }
        "slow" => std::thread::sleep(Duration::from_secs(60)),
        "loud" => (0..60_000).for_each(|line| eprintln!("line {line} of very many, to fill what holds them")),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let version = match way.as_str() {
        "old" => 4,
        "five" => 5,
        _ => 6,
    };
    runtime.block_on(async {
        if way == "tcp" {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            println!("1|{version}|tcp|{}|grpc|", listener.local_addr().unwrap());
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, way.clone()));
            }
        }
        let directory = std::env::var("PLUGIN_UNIX_SOCKET_DIR").expect("a directory for the socket");
        let socket = format!("{directory}/plugin1");
        let listener = UnixListener::bind(&socket).unwrap();
        let secret = way.starts_with("tls").then(|| secret::acceptor(&way));
        let certificate = secret.as_ref().map(|(_, certificate)| certificate.as_str()).unwrap_or_default();
        println!("1|{version}|unix|{socket}|grpc|{certificate}");
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (way, secret) = (way.clone(), secret.clone());
            tokio::spawn(async move {
                match secret {
                    None => serve(stream, way).await,
                    Some((acceptor, _)) => match acceptor.accept(stream).await {
                        Ok(stream) => serve(stream, way).await,
                        Err(error) => eprintln!("no client: {error}"),
                    },
                }
            });
        }
    });
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, way: String) {
    let mut connection = h2::server::Builder::new().max_concurrent_streams(10_000).handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let way = way.clone();
        tokio::spawn(async move {
            let method = request.uri().path().to_owned();
            let mut body = request.into_body();
            let mut received = Vec::new();
            while let Some(Ok(part)) = body.data().await {
                let _ = body.flow_control().release_capacity(part.len());
                received.extend(part);
            }
            let head = http::Response::builder().header("content-type", "application/grpc");
            let (_, name) = method.rsplit_once('/').unwrap();
            let asked = |what: &str| {
                let text = format!("{what} at {name}");
                received.windows(text.len()).any(|window| window == text.as_bytes())
            };
            if asked("crash") {
                eprintln!("panic: {name} was too much");
                std::process::exit(2);
            }
            if asked("refuse") {
                let head = head.header("grpc-status", "13").header("grpc-message", "not today");
                let _ = respond.send_response(head.body(()).unwrap(), true);
                return;
            }
            if asked("wait") {
                while !cloud::is_stopped() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            let answer = if asked("garbage") {
                Some(b"\xff\xff\xff\xff this is no message".to_vec())
            } else {
                answer(&method, &received[5..], &way)
            };
            let Some(answer) = answer else {
                let _ = respond.send_response(head.header("grpc-status", "12").body(()).unwrap(), true);
                return;
            };
            let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
            let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
            let mut left: Bytes = [&[0], length.as_slice(), &answer].concat().into();
            if name == "StreamStdio" {
                // It stays open.
                stream.send_data(left, false).unwrap();
                return std::future::pending().await;
            }
            while !left.is_empty() {
                stream.reserve_capacity(left.len());
                let Some(Ok(room)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
                    return;
                };
                let part = left.split_to(room.min(left.len()));
                stream.send_data(part, false).unwrap();
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let _ = stream.send_trailers(trailers);
        });
    }
}

/// The answer to a call; none where there is no such call.
fn answer(method: &str, request: &[u8], way: &str) -> Option<Vec<u8>> {
    let (_, name) = method.rsplit_once('/').unwrap();
    Some(match name {
        "GetProviderSchema" | "GetSchema" => {
            if way == "crash" {
                eprintln!("panic: the schema is lost");
                std::process::exit(2);
            }
            cloud::prepare();
            offer(way).encode_to_vec()
        }
        "ValidateProviderConfig" | "PrepareProviderConfig" => {
            let request = wire::ValidateProviderRequest::decode(request).unwrap();
            let config = value(request.config, &config_type());
            let bad = config.get_str("region") == Some("nowhere");
            let diagnostics = bad.then(|| complaint("there is no region \"nowhere\".", "", &[attribute("region")]));
            wire::ValidateProviderResponse { diagnostics: diagnostics.into_iter().collect() }.encode_to_vec()
        }
        "ValidateResourceConfig"
        | "ValidateResourceTypeConfig"
        | "ValidateDataResourceConfig"
        | "ValidateDataSourceConfig"
        | "ValidateEphemeralResourceConfig" => {
            let request = wire::ValidateTypeRequest::decode(request).unwrap();
            let is_managed = matches!(name, "ValidateResourceConfig" | "ValidateResourceTypeConfig");
            assert_eq!(request.client_capabilities.is_some(), is_managed);
            let config = value(request.config, &thing_type(way));
            wire::ValidateTypeResponse { diagnostics: judge(&config) }.encode_to_vec()
        }
        "CallFunction" => {
            let request = wire::CallFunctionRequest::decode(request).unwrap();
            call(&request.name, request.arguments).encode_to_vec()
        }
        "Shutdown" => std::process::exit(0),
        "StreamStdio" => wire::StdioData { channel: 1, data: "said inside\n".into() }.encode_to_vec(),
        _ => return cloud::answer(name, request, way),
    })
}

fn value(sent: Option<wire::DynamicValue>, ty: &Type) -> Value {
    decode(&sent.unwrap().msgpack, ty).unwrap()
}

fn judge(config: &Value) -> Vec<wire::Diagnostic> {
    let mut said = Vec::new();
    match config.get_str("name") {
        Some("crash") => {
            eprintln!("panic: a thing called crash");
            std::process::exit(2);
        }
        Some("bad") => {
            let secret = config.get_str("secret").unwrap_or("none");
            said.push(complaint("the name is bad", &format!("The secret is {secret}."), &[attribute("name")]));
        }
        _ => {}
    }
    if config.get("size").and_then(Value::as_number).is_some_and(|size| size.to_f64() > 100.0) {
        let mut warning = complaint("that is large", "", &[attribute("size")]);
        warning.severity = wire::diagnostic::Severity::Warning.into();
        said.push(warning);
    }
    let listed = Path::from_iter([PathStep::Attribute("listed".into())]);
    for (index, block) in config.at(&listed).and_then(Value::elements).into_iter().flatten().enumerate() {
        if block.get("port").and_then(Value::as_number).is_some_and(|port| port.to_f64() > 65535.0) {
            let index = i64::try_from(index).unwrap();
            let index = wire::attribute_path::step::Selector::ElementKeyInt(index);
            said.push(complaint("no such port", "", &[attribute("listed"), index, attribute("port")]));
        }
    }
    said
}

fn call(name: &str, arguments: Vec<wire::DynamicValue>) -> wire::CallFunctionResponse {
    let refuse = |text: &str, argument| wire::CallFunctionResponse {
        result: None,
        error: Some(wire::FunctionError { text: text.to_owned(), function_argument: argument }),
    };
    let result = match name {
        "shout" => match decode(&arguments[0].msgpack, &Type::String).unwrap().as_str() {
            Some(text) if text.is_empty() => return refuse("there is nothing to shout", Some(0)),
            Some(text) => encode(&Value::string(text.to_uppercase()), &Type::String),
            None => return refuse("null", None),
        },
        "sum" => {
            let numbers = arguments.iter().map(|it| decode(&it.msgpack, &Type::Number).unwrap());
            let sum = numbers.fold(andon_value::Number::from(0), |sum, it| sum.add(it.as_number().unwrap()).unwrap());
            encode(&Value::from(sum), &Type::Number)
        }
        _ => encode(&decode(&arguments[0].msgpack, &Type::Dynamic).unwrap(), &Type::Dynamic),
    };
    let result = wire::DynamicValue { msgpack: result.unwrap().into(), json: Bytes::new() };
    wire::CallFunctionResponse { result: Some(result), error: None }
}

fn attribute(name: &str) -> wire::attribute_path::step::Selector {
    wire::attribute_path::step::Selector::AttributeName(name.to_owned())
}

fn complaint(summary: &str, detail: &str, path: &[wire::attribute_path::step::Selector]) -> wire::Diagnostic {
    let step = |it: &wire::attribute_path::step::Selector| wire::attribute_path::Step { selector: Some(it.clone()) };
    wire::Diagnostic {
        severity: wire::diagnostic::Severity::Error.into(),
        summary: summary.to_owned(),
        detail: detail.to_owned(),
        attribute: Some(wire::AttributePath { steps: path.iter().map(step).collect() }),
    }
}

fn config_type() -> Type {
    Type::object([("region", Type::String)])
}

fn port() -> Type {
    Type::object([("port", Type::Number)])
}

/// What `thing` below implies, by hand.
fn thing_type(way: &str) -> Type {
    let ty = full_thing_type();
    if way != "five" {
        return ty;
    }
    let Type::Object { attributes, .. } = ty else { unreachable!() };
    Type::object(
        attributes.iter().filter(|(name, _)| !NESTED.contains(&&***name)).map(|(name, ty)| (name.clone(), ty.clone())),
    )
}

/// The attributes that protocol 5 cannot have.
const NESTED: [&str; 4] = ["many", "named", "one", "some"];

fn full_thing_type() -> Type {
    Type::object([
        ("any", Type::Dynamic),
        ("grouped", port()),
        ("id", Type::String),
        ("keyed", Type::map(port())),
        ("listed", Type::list(port())),
        ("many", Type::list(port())),
        ("name", Type::String),
        ("named", Type::map(port())),
        ("old", Type::Bool),
        ("one", port()),
        ("only", port()),
        ("secret", Type::String),
        ("set", Type::set(port())),
        ("size", Type::Number),
        ("some", Type::set(port())),
        ("token", Type::String),
    ])
}

fn offer(way: &str) -> wire::GetProviderSchema {
    let plain = |name: &str, ty: &str| Attribute {
        name: name.to_owned(),
        r#type: ty.as_bytes().to_vec().into(),
        optional: true,
        ..Attribute::default()
    };
    let ports = || vec![plain("port", "\"number\"")];
    let nested = |name: &str, nesting| Attribute {
        r#type: Bytes::new(),
        nested_type: Some(Object { attributes: ports(), nesting }),
        ..plain(name, "")
    };
    let block = |name: &str, nesting, max_items| NestedBlock {
        type_name: name.to_owned(),
        block: Some(Block { attributes: ports(), ..Block::default() }),
        nesting,
        min_items: 0,
        max_items,
    };
    let thing = Schema {
        version: 3,
        block: Some(Block {
            attributes: vec![
                Attribute { required: true, optional: false, ..plain("name", "\"string\"") },
                Attribute { optional: false, computed: true, ..plain("id", "\"string\"") },
                Attribute { computed: true, description: "How **large**.".to_owned(), ..plain("size", "\"number\"") },
                Attribute { sensitive: true, ..plain("secret", "\"string\"") },
                Attribute { write_only: true, ..plain("token", "\"string\"") },
                Attribute { deprecated: true, ..plain("old", "\"bool\"") },
                plain("any", "\"dynamic\""),
                nested("one", 1),
                nested("many", 2),
                nested("some", 3),
                nested("named", 4),
            ],
            block_types: vec![
                block("only", 1, 0),
                block("listed", 2, 2),
                block("set", 3, 0),
                block("keyed", 4, 0),
                block("grouped", 5, 0),
            ],
            ..Block::default()
        }),
    };
    let broken =
        Schema { version: 0, block: Some(Block { attributes: vec![plain("bad", "[\"list\"]")], ..Block::default() }) };
    let parameter = |name: &str, ty: &str| wire::function::Parameter {
        name: name.to_owned(),
        r#type: ty.as_bytes().to_vec().into(),
        ..Default::default()
    };
    let function = |parameters, rest, returns: &str| wire::Function {
        parameters,
        variadic_parameter: rest,
        r#return: Some(wire::function::Return { r#type: returns.as_bytes().to_vec().into() }),
        summary: "A function.".to_owned(),
        ..Default::default()
    };
    let functions = [
        ("shout", function(vec![parameter("text", "\"string\"")], None, "\"string\"")),
        ("sum", function(vec![], Some(parameter("numbers", "\"number\"")), "\"number\"")),
        ("echo", function(vec![parameter("value", "\"dynamic\"")], None, "\"dynamic\"")),
    ];
    let region = Block { attributes: vec![plain("region", "\"string\"")], ..Block::default() };
    let thing: Bytes = if way == "five" { five(thing).encode_to_vec() } else { thing.encode_to_vec() }.into();
    let only = |name: &str, schema: &Bytes| BTreeMap::from([(name.to_owned(), schema.clone())]);
    let mut resources = only("toy_thing", &thing);
    resources.insert("toy_broken".to_owned(), broken.encode_to_vec().into());
    if way == "big" {
        let padded = Block { description: "x".repeat(20_000), ..Block::default() };
        let schema: Bytes = Schema { version: 0, block: Some(padded) }.encode_to_vec().into();
        resources.extend((0..1000).map(|number| (format!("toy_big_{number}"), schema.clone())));
    }
    wire::GetProviderSchema {
        provider: Schema { version: 0, block: Some(region) }.encode_to_vec().into(),
        resource_schemas: resources,
        data_source_schemas: only("toy_thing", &thing),
        ephemeral_resource_schemas: only("toy_thing", &thing),
        functions: functions.into_iter().map(|(name, it)| (name.to_owned(), it.encode_to_vec().into())).collect(),
        server_capabilities: Some(wire::ServerCapabilities {
            plan_destroy: true,
            get_provider_schema_optional: way == "ready",
            move_resource_state: true,
            generate_resource_config: way != "five",
        }),
        ..Default::default()
    }
}

/// A schema as protocol 5 has it, without what it cannot have.
fn five(schema: Schema) -> schema5::Schema {
    let attribute = |it: Attribute| schema5::Attribute {
        name: it.name,
        r#type: it.r#type,
        description: it.description,
        required: it.required,
        optional: it.optional,
        computed: it.computed,
        sensitive: it.sensitive,
        description_kind: it.description_kind,
        deprecated: it.deprecated,
        write_only: it.write_only,
    };
    fn block(from: Block, attribute: &dyn Fn(Attribute) -> schema5::Attribute) -> schema5::Block {
        let plain = from.attributes.into_iter().filter(|it| it.nested_type.is_none());
        schema5::Block {
            attributes: plain.map(attribute).collect(),
            block_types: from
                .block_types
                .into_iter()
                .map(|it| schema5::NestedBlock {
                    type_name: it.type_name,
                    block: it.block.map(|it| block(it, attribute)),
                    nesting: it.nesting,
                    min_items: it.min_items,
                    max_items: it.max_items,
                })
                .collect(),
            ..schema5::Block::default()
        }
    }
    schema5::Schema { version: schema.version, block: schema.block.map(|it| block(it, &attribute)) }
}
