//! Short ways to write catalogs.

use andon_converge::schemas;
use andon_schema::host::{Assertion, Catalog, Check, HostResource, Notify};
use andon_value::{Kind, Type, Value};

/// A resource, as the language gives it: what is not given is null.
pub fn resource(kind: &str, name: &str, given: &[(&str, Value)]) -> HostResource {
    HostResource {
        kind: kind.into(),
        name: name.into(),
        attributes: attributes(kind, &schemas().0[kind], given),
        absent: false,
        notifies: Vec::new(),
        only_on: None,
        role: "web".into(),
        origin: format!("{kind}.role.hcl:{}", name.len()).into(),
    }
}

fn attributes(kind: &str, block: &andon_schema::Block, given: &[(&str, Value)]) -> Value {
    for (name, _) in given {
        assert!(block.attributes.contains_key(*name), "{kind} has no {name}");
    }
    let value = |name: &String| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    Value::object(
        block
            .attributes
            .iter()
            .map(|(name, attribute)| (name.as_str(), value(name).unwrap_or_else(|| Value::null(attribute.ty.clone())))),
    )
}

pub fn texts(texts: &[&str]) -> Value {
    Value::new(Kind::Set(Type::String, std::sync::Arc::new(texts.iter().map(|text| Value::from(*text)).collect())))
}

pub fn list(texts: &[&str]) -> Value {
    Value::list(Type::String, texts.iter().map(|text| Value::from(*text)))
}

pub fn file(path: &str, content: &str) -> HostResource {
    resource("file", path, &[("content", content.into())])
}

pub fn absent(resource: HostResource) -> HostResource {
    HostResource { absent: true, ..resource }
}

pub fn reloads(mut resource: HostResource, service: &str) -> HostResource {
    resource.notifies.push(Notify { service: service.into(), restart: false });
    resource
}

pub fn restarts(mut resource: HostResource, service: &str) -> HostResource {
    resource.notifies.push(Notify { service: service.into(), restart: true });
    resource
}

pub fn service(name: &str) -> HostResource {
    resource("service", name, &[("running", true.into()), ("enabled", true.into())])
}

pub fn catalog(resources: Vec<HostResource>) -> Catalog {
    Catalog { roles: vec!["web".into()], resources, ..Catalog::default() }
}

pub fn with_check(mut catalog: Catalog, kind: &str, name: &str, given: &[(&str, Value)]) -> Catalog {
    let attributes = attributes(kind, &schemas().1[kind], given);
    let assertion = Assertion { kind: kind.into(), name: name.into(), attributes, origin: "web.role.hcl:40".into() };
    catalog.checks.push(Check { name: "answers".into(), assertions: vec![assertion] });
    catalog
}
