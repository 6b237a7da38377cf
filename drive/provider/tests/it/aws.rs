//! The real AWS plugin, where a mirror has it: `ANDON_PLUGIN_MIRROR`, or what the machine's Terraform is set up to use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use andon_provider::{Found, Places, Plugin, Program, Protocol, Request, SchemaCache, StartSettings, Wanted, find};
use andon_schema::{Attribute, Block, Mode, Nesting, ProviderAddress, VersionConstraint};
use andon_value::{Path, PathStep, Value, convert, type_to_json};
use serde_json::{Map, Value as Json};

pub(crate) fn plugin() -> Option<PathBuf> {
    let directories: Vec<PathBuf> = std::env::var_os("ANDON_PLUGIN_MIRROR").map(PathBuf::from).into_iter().collect();
    let configuration = tempfile::NamedTempFile::new().unwrap();
    if let [mirror] = directories.as_slice() {
        let mirror = mirror.display();
        let text = format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n");
        std::fs::write(configuration.path(), text).unwrap();
    }
    let variable = |name: &str| match (name, directories.is_empty()) {
        ("TF_CLI_CONFIG_FILE", false) => Some(configuration.path().into()),
        _ => std::env::var_os(name),
    };
    let request =
        Request { address: ProviderAddress::implied("aws"), constraint: VersionConstraint::default(), locked: None };
    match find(&request, &Places::new(&[], variable)) {
        Ok(Found { program: Program::File(program), .. }) => Some(program),
        Ok(Found { program: Program::Packed(_), .. }) => {
            println!("skipped: the AWS plugin is packed");
            None
        }
        Err(reason) => {
            println!("skipped: the AWS plugin: {reason}; name a mirror that has it in ANDON_PLUGIN_MIRROR");
            None
        }
    }
}

#[test]
fn offers_what_it_should() {
    let Some(program) = plugin() else { return };
    let directory = tempfile::tempdir().unwrap();
    let cache = SchemaCache::new(Some(directory.path().join("schemas")));
    let kinds = ["aws_vpc", "aws_instance", "aws_nothing"].map(|kind| (Mode::Managed, kind.to_owned()));
    let few = Wanted::Types(kinds.into());
    let began = Instant::now();
    let (schema, running) = cache.load(&program, &few, StartSettings::default()).unwrap();
    println!("cold: {:?}", began.elapsed());
    let running = running.expect("it is started where nothing is known");
    assert_eq!(running.protocol(), Protocol::Five);
    assert_eq!(schema.resources.keys().collect::<Vec<_>>(), ["aws_instance", "aws_vpc"]);
    println!(
        "{} resource types, {} data sources",
        schema.offered[&Mode::Managed].len(),
        schema.offered[&Mode::Data].len()
    );
    let began = Instant::now();
    let (again, second) = cache.load(&program, &few, StartSettings::default()).unwrap();
    println!("from the cache: {:?}", began.elapsed());
    assert!(second.is_none());
    assert_eq!(again, schema);

    let vpc = &schema.resources["aws_vpc"];
    let config = |cidr: &str| {
        let absent = vpc.block.implied_type();
        let andon_value::Type::Object { attributes, .. } = &absent else { unreachable!() };
        let values = attributes.iter().map(|(name, ty)| {
            let value = if &**name == "cidr_block" { Value::from(cidr) } else { Value::null(ty.clone()) };
            (name.clone(), value)
        });
        convert(&Value::object(values), &absent).unwrap()
    };
    let began = Instant::now();
    assert_eq!(running.validate_type(Mode::Managed, "aws_vpc", vpc, &config("10.0.0.0/16")).wait().unwrap(), []);
    let said = running.validate_type(Mode::Managed, "aws_vpc", vpc, &config("nonsense")).wait().unwrap();
    println!("two validations: {:?}: {said:?}", began.elapsed());
    assert_eq!(said.len(), 1);
    assert!(said[0].error);
    assert_eq!(said[0].path, Path::from_iter([PathStep::Attribute("cidr_block".into())]));
    let began = Instant::now();
    running.shut_down();
    println!("shut down: {:?}", began.elapsed());
}

/// Its key is of the curve that plugins made with Go have.
#[test]
fn speaks_in_secret() {
    let Some(program) = plugin() else { return };
    let settings = StartSettings { tls: true, ..StartSettings::default() };
    let plugin = Plugin::start(&program, settings).unwrap();
    plugin.prepare().unwrap();
    plugin.shut_down();
}

/// What Terraform says that the plugin offers, in its own form.
fn peer(program: &std::path::Path) -> Option<Json> {
    let terraform = std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into());
    if Command::new(&terraform).arg("version").output().is_err() {
        println!("skipped: terraform is not installed; name it in ANDON_TERRAFORM");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let own = program.parent().unwrap().display();
    file("rc", &format!("provider_installation {{\n  dev_overrides {{\n    \"hashicorp/aws\" = \"{own}\"\n  }}\n}}\n"));
    file("main.tf", "terraform {\n  required_providers {\n    aws = {}\n  }\n}\n");
    let output = Command::new(&terraform)
        .args(["providers", "schema", "-json"])
        .current_dir(directory.path())
        .env("TF_CLI_CONFIG_FILE", directory.path().join("rc"))
        .env("CHECKPOINT_DISABLE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all: Json = serde_json::from_slice(&output.stdout).unwrap();
    Some(all["provider_schemas"]["registry.terraform.io/hashicorp/aws"].take())
}

fn block_json(block: &Block) -> Json {
    let mut json = Map::new();
    if !block.attributes.is_empty() {
        json.insert("attributes".to_owned(), attributes_json(&block.attributes));
    }
    let nested = block.blocks.iter().map(|(name, nested)| {
        let mut json = Map::new();
        json.insert("nesting_mode".to_owned(), nesting(nested.nesting).into());
        json.insert("block".to_owned(), block_json(&nested.block));
        for (name, count) in [("min_items", nested.min_items), ("max_items", nested.max_items)] {
            if count > 0 {
                json.insert(name.to_owned(), count.into());
            }
        }
        (name.clone(), Json::Object(json))
    });
    let nested: Map<String, Json> = nested.collect();
    if !nested.is_empty() {
        json.insert("block_types".to_owned(), nested.into());
    }
    texts(&mut json, &block.description, &[("deprecated", block.deprecated)]);
    json.into()
}

fn attributes_json(attributes: &BTreeMap<String, Attribute>) -> Json {
    let json = attributes.iter().map(|(name, attribute)| {
        let mut json = Map::new();
        match &attribute.nested {
            None => json.insert("type".to_owned(), type_to_json(&attribute.ty)),
            Some(nested) => json.insert(
                "nested_type".to_owned(),
                serde_json::json!({
                    "attributes": attributes_json(&nested.attributes),
                    "nesting_mode": nesting(nested.nesting),
                }),
            ),
        };
        let Attribute { required, optional, computed, sensitive, write_only, deprecated, .. } = *attribute;
        let flags = [("required", required), ("optional", optional), ("computed", computed), ("sensitive", sensitive)];
        texts(&mut json, &attribute.description, &flags);
        texts(&mut json, "", &[("write_only", write_only), ("deprecated", deprecated)]);
        (name.clone(), Json::Object(json))
    });
    json.collect::<Map<_, _>>().into()
}

fn texts(json: &mut Map<String, Json>, description: &str, flags: &[(&str, bool)]) {
    if !description.is_empty() {
        json.insert("description".to_owned(), description.into());
    }
    json.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| ((*name).to_owned(), true.into())));
}

fn nesting(nesting: Nesting) -> &'static str {
    match nesting {
        Nesting::Single => "single",
        Nesting::Group => "group",
        Nesting::List => "list",
        Nesting::Set => "set",
        Nesting::Map => "map",
    }
}

/// Takes out what is not kept here: in what markup a description is.
fn without_kinds(json: &mut Json) {
    match json {
        Json::Object(entries) => {
            // An attribute may be called so, too; then it is no text.
            if entries.get("description_kind").is_some_and(Json::is_string) {
                entries.remove("description_kind");
            }
            entries.values_mut().for_each(without_kinds);
        }
        Json::Array(elements) => elements.iter_mut().for_each(without_kinds),
        _ => {}
    }
}

#[test]
fn every_schema_is_what_terraform_reads() {
    let Some(program) = plugin() else { return };
    let Some(mut theirs) = peer(&program) else { return };
    without_kinds(&mut theirs);
    let (ours, _) = SchemaCache::new(None).load(&program, &Wanted::All, StartSettings::default()).unwrap();
    assert_eq!(block_json(&ours.config), theirs["provider"]["block"]);
    for (mode, kind) in [
        (Mode::Managed, "resource_schemas"),
        (Mode::Data, "data_source_schemas"),
        (Mode::Ephemeral, "ephemeral_resource_schemas"),
    ] {
        let types = ours.types(mode);
        let theirs = theirs[kind].as_object().unwrap();
        assert!(types.keys().eq(theirs.keys()), "{kind}");
        for (name, schema) in types {
            let ours = serde_json::json!({ "version": schema.version, "block": block_json(&schema.block) });
            assert!(ours == theirs[name], "{kind} {name}:\n{ours}\n{}", theirs[name]);
        }
        println!("{kind}: {} are equal", types.len());
    }
    let functions = theirs["functions"].as_object().unwrap();
    assert!(ours.functions.keys().eq(functions.keys()));
    for (name, function) in &ours.functions {
        let parameters: Vec<Json> = function.parameters.iter().map(|it| type_to_json(&it.ty)).collect();
        let theirs = &functions[name];
        let their_parameters = theirs["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(parameters.iter().eq(their_parameters.iter().map(|it| &it["type"])), "{name}");
        assert_eq!(type_to_json(&function.returns), theirs["return_type"], "{name}");
    }
}
