//! What a `docker_server` looks like to a user.

use std::sync::Arc;

use andon_schema::{
    Attribute, Block, Exclusive, Failure, IdentityAttribute, IdentitySchema, NestedBlock, Nesting, TypeSchema,
};
use andon_value::{Type, Value};

use crate::spec::{self, format};

/// The name of the resource type.
pub(crate) const NAME: &str = "docker_server";

/// The attributes whose change makes another container: an engine changes them in none that exists.
pub(crate) const REPLACING: [&str; 11] = [
    "image",
    "host",
    "command",
    "environment",
    "user",
    "network",
    "ports",
    "volumes",
    "labels",
    "privileged",
    "read_only_root",
];

/// What one container of an engine has, and no other one there.
const ON_ENGINE: Exclusive = Exclusive { within: Some("host"), ..Exclusive::SAME };

/// The schema.
pub(crate) fn schema() -> TypeSchema {
    let text = |what: &str| Attribute::optional(Type::String, what);
    let texts = |what: &str| Attribute::optional(Type::list(Type::String), what);
    let pairs = |what: &str| Attribute::optional(Type::map(Type::String), what);
    let switch = |what: &str| Attribute::optional(Type::Bool, what);
    let attributes = [
        ("name", Attribute::required(Type::String, "The name of the container, and its host name.").format(format::NAME).exclusive(ON_ENGINE)),
        (
            "image",
            Attribute::required(
                Type::String,
                "The image, as the engine names it: `docker.io/library/nginx:1.27`. One that the engine does not have is pulled. A change replaces the server.",
            )
            .format(format::IMAGE),
        ),
        (
            "host",
            text(
                "Where the engine answers: `unix:///run/podman/podman.sock` or `tcp://127.0.0.1:2375`. Without it, what \
                 `DOCKER_HOST` says, else the socket of Docker or Podman that is there. A change replaces the server.",
            )
            .format(format::HOST),
        ),
        ("command", texts("What runs in place of the image's command, a word each. A change replaces the server.")),
        ("environment", pairs("Environment variables, by name. A change replaces the server.")),
        ("user", text("Who runs the command: a name or a number of the image. A change replaces the server.")),
        (
            "memory",
            text("The most memory that everything in the server may use together, such as `256M`. Without it there is no limit. Taking it away replaces the server, as engines lift it from none that exists.")
                .format(format::MEMORY),
        ),
        (
            "cpus",
            Attribute::optional(Type::Number, "The most processor time that the server may use, in processors, such as `0.5`.")
                .format(format::PROCESSORS),
        ),
        (
            "processes",
            Attribute::optional(Type::Number, "The most processes and threads that may be in the server.").format(format::PROCESSES),
        ),
        (
            "restart",
            text(
                "When the engine starts the server again by itself: `no`, `on-failure`, `always` or `unless-stopped`. Default `no`: \
                 the next apply does.",
            )
            .format(format::RESTART),
        ),
        ("network", text("A network of the engine, by name. Without it, the engine's own choice. A change replaces the server.")),
        (
            "ports",
            texts(
                "Ports of this machine that lead to the server's: `8080:80`, `127.0.0.1:8080:80`, `5353:53/udp`. A change replaces the server. \
                 They do not go with `create_before_destroy`.",
            )
            .format(format::PORT)
            .exclusive(ON_ENGINE),
        ),
        (
            "volumes",
            texts(
                "Directories and the engine's volumes in the server: `/srv/data:/data`, `cache:/var/cache:ro`. A change replaces the server.",
            )
            .format(format::VOLUME),
        ),
        ("labels", pairs("Labels of the container, by name. A change replaces the server.")),
        ("privileged", switch("Whether root in the server may do what root of the machine may. Default `false`. A change replaces the server.")),
        ("read_only_root", switch("Whether the server's own files cannot be changed. Default `false`. A change replaces the server.")),
        ("id", Attribute::computed(Type::String, "The engine's name of the container: 64 hexadecimal digits.")),
        ("address", Attribute::computed(Type::String, "The container's address in its network; null where it has none.")),
        ("running", Attribute::computed(Type::Bool, "Whether it runs. One that does not is started again by the next apply.")),
        ("connection", Attribute::computed(connection(), "How `andon_host` reaches the server.")),
    ];
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let description = "A container of Docker or Podman as a server, through the engine's API.".to_owned();
    let host = IdentityAttribute {
        ty: Type::String,
        required: false,
        optional: true,
        description: "Where the engine answers.".to_owned(),
    };
    // A container is found by its label, and that only where its engine is.
    let identity = IdentitySchema { version: 0, attributes: [("host".to_owned(), host)].into() };
    let blocks = [("smoke_test".to_owned(), smoke_test())].into();
    let schema = TypeSchema::of(Block { attributes, blocks, description, ..Block::default() });
    TypeSchema { identity: Some(Arc::new(identity)), ..schema }
}

/// What a new container must be. Whoever has it made judges it.
fn smoke_test() -> NestedBlock {
    let texts = |what: &str| Attribute::optional(Type::list(Type::String), what);
    let switch = |what: &str| Attribute::optional(Type::Bool, what);
    let attributes = [
        ("enabled", switch("Whether a new server is tested at all before it counts as created. Default `true`.")),
        ("units", switch("Whether all units of its init must be up, where that has units. Default `true`.")),
        ("services", texts("The services that its init runs, and no others. Default: any.")),
        ("users", texts("The users whose number is 1000 or more, and no others. Default: any.")),
        (
            "ports",
            texts("The ports that others can reach, and no others: `[\"80\", \"53/udp\"]`. Default: any.")
                .format(format::OPEN_PORT),
        ),
        (
            "reachable",
            switch(
                "Whether each TCP port of `ports` that a port of this machine leads to must take a connection there. Default `true`.",
            ),
        ),
        (
            "timeout",
            Attribute::optional(Type::String, "How long it may take until all is so. Default `10s`.")
                .format(format::DURATION),
        ),
    ];
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let description = "What a new server must be before it counts as created. One that is not is removed. Where the engine is on another machine, \
         nobody looks into the server.";
    let block = Block { attributes, description: description.to_owned(), ..Block::default() };
    NestedBlock { nesting: Nesting::Single, block, min_items: 0, max_items: 1 }
}

fn connection() -> Type {
    Type::object(["kind", "host", "id"].map(|name| (name, Type::String)))
}

/// What would become of a container, and the attributes whose change makes another one. Pure: asks no engine.
pub(crate) fn plan(prior: Option<&Value>, config: &Value) -> Result<(Value, Vec<String>), Failure> {
    let prior = prior.filter(|prior| !prior.is_null());
    spec::check(config)?;
    let given = |name: &str| config.get(name).filter(|value| !value.is_null());
    let changed = |name: &&str| {
        let (before, now) = (prior.and_then(|prior| prior.get(name)), given(name));
        prior.is_some() && !alike(before.filter(|before| !before.is_null()), now)
    };
    let lifted = prior.is_some_and(|prior| spec::lifts_memory(prior, config)).then_some("memory");
    let replace = REPLACING.into_iter().filter(changed).chain(lifted).map(str::to_owned);
    let replace: Vec<String> = replace.collect();
    let kept = prior.filter(|_| replace.is_empty());
    // One that is started may get another address, and nobody can reach it before.
    let is_started = kept.and_then(|prior| prior.get("running")).and_then(Value::as_bool) == Some(false);
    let Block { attributes, blocks, .. } = schema().block;
    let blocks = blocks.into_iter().map(|(name, block)| {
        let value = config.get(&name).cloned().unwrap_or_else(|| Value::null(block.implied_type()));
        (name, value)
    });
    let attributes = attributes.into_iter().map(|(name, attribute)| {
        let value = match given(&name) {
            Some(value) => value.clone(),
            None if name == "running" => Value::from(true),
            None if !attribute.computed => Value::null(attribute.ty),
            None if is_started && matches!(&*name, "address" | "connection") => Value::unknown(attribute.ty),
            None => kept.and_then(|prior| prior.get(&name)).cloned().unwrap_or_else(|| Value::unknown(attribute.ty)),
        };
        (name, value)
    });
    Ok((Value::object(attributes.chain(blocks)), replace))
}

/// Whether two values are the same, whatever their marks; what is not known is the same as nothing.
fn alike(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.is_wholly_known() && other.is_wholly_known() && one.clone().unmark().0 == other.clone().unmark().0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(given: &[(&'static str, Value)]) -> Value {
        let Block { attributes, blocks, .. } = schema().block;
        let attributes = attributes.into_iter().map(|(name, attribute)| (name, attribute.ty));
        let blocks = blocks.into_iter().map(|(name, block)| (name, block.implied_type()));
        Value::object(attributes.chain(blocks).map(|(name, ty)| {
            let given = given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone());
            (name, given.unwrap_or_else(|| Value::null(ty)))
        }))
    }

    #[test]
    fn what_changes_in_place_and_what_does_not() {
        let web = |more: &[(&'static str, Value)]| {
            let own = [("name", Value::from("web")), ("image", "nginx:1".into())];
            config(&more.iter().cloned().chain(own).collect::<Vec<_>>())
        };
        let (new, replace) = plan(None, &web(&[])).unwrap();
        assert!(new.get("id").unwrap().is_unknown() && replace.is_empty());
        assert_eq!(new.get("running"), Some(&Value::from(true)));
        let made = |value: &Value, running: bool| {
            let known = [("id", "abc".into()), ("address", "10.1.1.1".into()), ("running", Value::from(running))];
            let entries = value.as_entries().unwrap().iter().map(|(name, value)| {
                let known = known.iter().find(|(known, _)| **known == **name).map(|(_, value)| value.clone());
                let is_way = &**name == "connection";
                (
                    name.clone(),
                    known.unwrap_or_else(|| {
                        if is_way { Value::object([("kind", Value::from("docker"))]) } else { value.clone() }
                    }),
                )
            });
            Value::object(entries)
        };
        let prior = made(&new, true);
        assert_eq!(plan(Some(&prior), &web(&[])).unwrap(), (prior.clone(), vec![]));
        let (again, replace) = plan(Some(&made(&new, false)), &web(&[])).unwrap();
        assert!(
            replace.is_empty() && again.get("running") == Some(&Value::from(true)),
            "one that does not run is started"
        );
        assert!(again.get("connection").unwrap().is_unknown() && again.get("address").unwrap().is_unknown());
        assert_eq!(again.get("id"), prior.get("id"));
        let limited = |limits: &[(&'static str, Value)]| made(&plan(None, &web(limits)).unwrap().0, true);
        let prior_with = limited(&[("memory", "64M".into()), ("cpus", 1.into()), ("processes", 9.into())]);
        for (kept, replaced) in [
            (&[("memory", "64M".into())][..], &[][..]),
            (&[("memory", Value::unknown(Type::String))], &[]),
            (&[("cpus", 1.into()), ("processes", 9.into())], &["memory"]),
        ] {
            let (planned, replace) = plan(Some(&prior_with), &web(kept)).unwrap();
            assert_eq!(replace, replaced, "what is taken away but not of {kept:?}");
            assert_eq!(planned.get("id").unwrap().is_unknown(), !replaced.is_empty());
        }
        for (name, value, replaces) in [
            ("memory", Value::from("64M"), false),
            ("restart", "always".into(), false),
            ("processes", 20.into(), false),
            ("name", "shop".into(), false),
            ("image", "nginx:2".into(), true),
            ("ports", Value::list(Type::String, ["8080:80".into()]), true),
            ("privileged", true.into(), true),
            ("host", Value::unknown(Type::String), true),
        ] {
            let (planned, replace) = plan(Some(&prior), &web(&[(name, value.clone())])).unwrap();
            assert_eq!(replace, if replaces { vec![name.to_owned()] } else { vec![] });
            assert_eq!(planned.get("id").unwrap().is_unknown(), replaces, "{name}");
        }
    }
}
