//! The real AWS plugin: plans with credentials that nobody made, and the life of a parameter in an imitation of the cloud
//! (`moto`, of Python) on loopback. Skipped, with a word on it, where either is not there.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use andon_provider::{
    ApplyRequest, ImportBy, ImportRequest, Key, PlanRequest, Plugin, Pool, ReadRequest, SchemaCache, Source,
    StartSettings, Stored, UpgradeRequest, Wanted,
};
use andon_schema::{Block, Mode, Nesting, ProviderSchema, TypeSchema};
use andon_value::{Type, Value};
use serde_json::json;

use crate::aws;

/// A body with nothing in it but this.
fn body(block: &Block, given: &[(&str, Value)]) -> Value {
    let Type::Object { attributes, .. } = block.implied_type() else { unreachable!() };
    Value::object(attributes.iter().map(|(name, ty)| {
        let given = given.iter().find(|(given, _)| *given == &**name).map(|(_, value)| value.clone());
        let absent = || match (block.blocks.get(&**name).map(|nested| nested.nesting), ty) {
            (Some(Nesting::List), Type::List(element)) => Value::list((**element).clone(), []),
            (Some(Nesting::Set), Type::Set(element)) => Value::set((**element).clone(), []),
            _ => Value::null(ty.clone()),
        };
        (name.clone(), given.unwrap_or_else(absent))
    }))
}

struct Aws {
    pool: Pool,
    schema: ProviderSchema,
    plugin: Arc<Plugin>,
}

impl Aws {
    /// The plugin, with its services at this address where one is given.
    fn new(endpoint: Option<&str>) -> Option<Aws> {
        let program = aws::plugin()?;
        let kinds = BTreeSet::from([(Mode::Managed, "aws_ssm_parameter".to_owned())]);
        let cache = SchemaCache::new(None);
        let (schema, started) = cache.load(&program, &Wanted::Types(kinds), StartSettings::default()).unwrap();
        let pool = Pool::new(StartSettings::default());
        pool.adopt(started.unwrap());
        let endpoints = &schema.config.blocks["endpoints"];
        let element = endpoints.block.implied_type();
        let services = endpoint.map(|endpoint| body(&endpoints.block, &[("ssm", Value::from(endpoint))]));
        let config = body(
            &schema.config,
            &[
                ("region", Value::from("us-east-1")),
                ("access_key", Value::from("nobody")),
                ("secret_key", Value::from("nothing")),
                ("skip_credentials_validation", Value::from(true)),
                ("skip_requesting_account_id", Value::from(true)),
                ("skip_metadata_api_check", Value::from("true")),
                ("skip_region_validation", Value::from(true)),
                ("endpoints", Value::set(element, services)),
            ],
        );
        let configured = pool.configured(&Key::new(Source::Program(program), &config), &schema);
        let plugin = configured.unwrap_or_else(|failure| panic!("{failure:?}")).plugin;
        Some(Aws { pool, schema, plugin })
    }

    fn parameter(&self) -> &TypeSchema {
        &self.schema.resources["aws_ssm_parameter"]
    }

    fn plan(&self, prior: &Value, config: &Value) -> andon_provider::PlanAnswer {
        let request = PlanRequest {
            kind: "aws_ssm_parameter",
            schema: self.parameter(),
            prior,
            proposed: config,
            config,
            private: &[],
            meta: None,
            identity: None,
        };
        let planned = self.plugin.plan(&request).wait().unwrap();
        assert_eq!(planned.diagnostics, []);
        planned
    }

    fn apply(&self, prior: &Value, planned: &Value, config: &Value, private: &[u8]) -> andon_provider::ApplyAnswer {
        let request = ApplyRequest {
            kind: "aws_ssm_parameter",
            schema: self.parameter(),
            prior,
            planned,
            config,
            private,
            meta: None,
            identity: None,
        };
        let made = self.plugin.apply(&request).wait().unwrap();
        assert_eq!(made.diagnostics, []);
        made
    }

    fn read(&self, state: &Value, private: &[u8]) -> Value {
        let schema = self.parameter();
        let request = ReadRequest { kind: "aws_ssm_parameter", schema, state, private, meta: None, identity: None };
        let read = self.plugin.read(&request).wait().unwrap();
        assert_eq!(read.diagnostics, []);
        read.state
    }
}

#[test]
fn plans_and_upgrades_need_no_cloud() {
    let Some(aws) = Aws::new(None) else { return };
    let config = body(
        &aws.parameter().block,
        &[("name", Value::from("q")), ("type", Value::from("String")), ("value", Value::from("v"))],
    );
    let planned = aws.plan(&Value::NULL, &config);
    assert!(planned.legacy, "its SDK is the old one");
    assert!(planned.planned.get("arn").unwrap().is_unknown());
    assert_eq!(planned.planned.get_str("name"), Some("q"));
    let stored = json!({"id": "q", "name": "q", "type": "String", "value": "v", "an_attribute_of_long_ago": 1});
    let request = UpgradeRequest {
        kind: "aws_ssm_parameter",
        schema: aws.parameter(),
        version: aws.parameter().version,
        stored: Stored::Json(&stored),
    };
    let upgraded = aws.plugin.upgrade(&request).wait().unwrap();
    assert_eq!(upgraded.diagnostics, []);
    assert_eq!(upgraded.state.get_str("id"), Some("q"));
    aws.pool.end();
}

/// The imitation; it ends with the test.
struct Moto(Child, u16);

impl Moto {
    fn start() -> Option<Moto> {
        let is_there = Command::new("python3").args(["-c", "import moto.server"]).output();
        if !is_there.is_ok_and(|output| output.status.success()) {
            println!("skipped: python3 has no moto.server");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Moto(child, port);
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(moto);
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("moto does not listen");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_parameter_lives_its_life() {
    if aws::plugin().is_none() {
        return;
    }
    let Some(moto) = Moto::start() else { return };
    let aws = Aws::new(Some(&format!("http://127.0.0.1:{}", moto.1))).unwrap();
    let config = body(
        &aws.parameter().block,
        &[("name", Value::from("q")), ("type", Value::from("String")), ("value", Value::from("v"))],
    );
    let planned = aws.plan(&Value::NULL, &config);
    let made = aws.apply(&Value::NULL, &planned.planned, &config, &planned.private);
    assert!(made.state.get_str("id") == Some("q") && made.state.is_wholly_known());
    assert_eq!(aws.read(&made.state, &made.private).get_str("arn"), made.state.get_str("arn"));

    let import = ImportRequest { kind: "aws_ssm_parameter", schema: aws.parameter(), by: ImportBy::Id("q") };
    let imported = aws.plugin.import(&import).wait().unwrap();
    let one = &imported.imported[0];
    let read = aws.read(one.state.as_ref().unwrap(), &one.private);
    assert_eq!(read.get_str("name"), Some("q"));

    let planned = aws.plan(&made.state, &Value::NULL);
    assert!(aws.apply(&made.state, &Value::NULL, &Value::NULL, &planned.private).state.is_null());
    assert!(aws.read(&made.state, &made.private).is_null());
    aws.pool.end();
}
