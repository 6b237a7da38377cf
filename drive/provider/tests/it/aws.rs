//! The real AWS plugin, where a mirror has it: `ANDON_PLUGIN_MIRROR`, or what the machine's Terraform is set up to use.

use std::path::PathBuf;
use std::time::Instant;

use andon_provider::{Found, Places, Protocol, Request, SchemaCache, StartSettings, Wanted, find};
use andon_schema::{Mode, ProviderAddress, VersionConstraint};
use andon_value::{Path, PathStep, Value, convert};

fn plugin() -> Option<PathBuf> {
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
        Ok(Found { program, .. }) => Some(program),
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
    assert_eq!(running.validate_type(Mode::Managed, "aws_vpc", vpc, &config("10.0.0.0/16")).unwrap(), []);
    let said = running.validate_type(Mode::Managed, "aws_vpc", vpc, &config("nonsense")).unwrap();
    println!("two validations: {:?}: {said:?}", began.elapsed());
    assert_eq!(said.len(), 1);
    assert!(said[0].error);
    assert_eq!(said[0].path, Path::from_iter([PathStep::Attribute("cidr_block".into())]));
    let began = Instant::now();
    running.shut_down();
    println!("shut down: {:?}", began.elapsed());
}
