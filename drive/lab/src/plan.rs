//! What would become of an object: defaults, what the lab decides, and what cannot change in place. Pure.

use andon_schema::Failure;
use andon_value::{Type, Value};

use crate::codec::same;
use crate::kind::Kind;
use crate::{pool, schema, snapshot, spec, vm, volume};

/// All attributes as they would be, unknown where only the apply decides, and the attributes whose change replaces the
/// object.
pub(crate) fn plan(kind: Kind, prior: Option<&Value>, config: &Value) -> Result<(Value, Vec<String>), Failure> {
    let prior = prior.filter(|prior| !prior.is_null());
    let schema = schema::schema(kind);
    if kind == Kind::Server {
        spec::origin(config)?;
    }
    let mut planned: Vec<(String, Value)> = Vec::new();
    let mut replace: Vec<String> = Vec::new();
    for (name, attribute) in &schema.block.attributes {
        let given = config.get(name).filter(|value| !value.is_null());
        if let Some(given) = given {
            spec::check(kind, name, given)?;
        } else if attribute.required {
            return Err(Failure::new(format!("`{name}` is missing"), format!("A `{}` needs it.", kind.name())));
        }
        let default = || schema::default(kind, name);
        let before = prior.and_then(|prior| prior.get(name));
        let value = match given.cloned().or_else(default) {
            Some(value) => value,
            None if attribute.computed => {
                before.cloned().unwrap_or_else(|| Value::unknown(attribute.ty.without_optional()))
            }
            None => Value::null(attribute.ty.without_optional()),
        };
        let changed = before.is_some_and(|before| !same(before, &value));
        let is_told_once = kind == Kind::Server && vm::is_machine(config) && vm::REPLACING.contains(&name.as_str());
        if changed && (is_told_once || schema::replacing(kind).contains(&name.as_str())) {
            replace.push(name.clone());
        }
        planned.push((name.clone(), value));
    }
    if let Some(prior) = prior.filter(|_| kind == Kind::Volume) {
        volume::check_change(prior, &Value::object(planned.iter().cloned()))?;
    }
    if let Some(prior) = prior.filter(|_| kind == Kind::Server && replace.is_empty()) {
        vm::check_change(prior, &Value::object(planned.iter().cloned()))?;
    }
    if let Some(prior) = prior.filter(|_| kind == Kind::Snapshot) {
        snapshot::check_change(prior, &Value::object(planned.iter().cloned()))?;
    }
    for (name, nested) in &schema.block.blocks {
        planned.push((name.clone(), config.get(name).cloned().unwrap_or_else(|| Value::null(nested.implied_type()))));
    }
    spec::check_together(kind, &Value::object(planned.iter().cloned()))?;
    if kind == Kind::Server && is_started(prior, &planned) {
        // Nobody can reach it before.
        for (name, value) in planned.iter_mut().filter(|(name, _)| name == "connection") {
            *value = Value::unknown(schema.block.attributes.get(name).map_or(Type::Dynamic, |it| it.ty.clone()));
        }
    }
    for (changed, follower) in schema::following(kind) {
        let before = prior.and_then(|prior| prior.get(changed));
        let is_changed =
            planned.iter().any(|(name, value)| name == changed && before.is_some_and(|before| !same(before, value)));
        let attribute = schema.block.attributes.get(*follower).filter(|_| is_changed);
        if let (Some(attribute), Some((_, value))) = (attribute, planned.iter_mut().find(|(name, _)| name == follower))
        {
            *value = Value::unknown(attribute.ty.without_optional());
        }
    }
    if !replace.is_empty() {
        for (name, value) in &mut planned {
            let attribute = schema.block.attributes.get(name);
            let decided =
                config.get(name).is_some_and(|given| !given.is_null()) || schema::default(kind, name).is_some();
            if let Some(attribute) = attribute.filter(|attribute| attribute.computed && !decided) {
                *value = Value::unknown(attribute.ty.without_optional());
            }
        }
    }
    let planned = Value::object(planned);
    Ok((if kind == Kind::Pool { pool::foresee(prior, &planned) } else { planned }, replace))
}

/// Whether a server that does not run is to run.
fn is_started(prior: Option<&Value>, planned: &[(String, Value)]) -> bool {
    let was = prior.and_then(|prior| prior.get("running")).and_then(Value::as_bool);
    let will = planned.iter().find(|(name, _)| name == "running").and_then(|(_, value)| value.as_bool());
    was == Some(false) && will != Some(false)
}

/// A planned value with what the lab decided in place of all that was unknown.
pub(crate) fn complete<const N: usize>(planned: &Value, decided: [(&str, Value); N]) -> Value {
    let mut attributes = planned.as_entries().map(|entries| (**entries).clone()).unwrap_or_default();
    for (name, value) in decided {
        attributes.insert(name.into(), value);
    }
    Value::object(attributes)
}

#[cfg(test)]
mod tests {
    use andon_schema::Block;

    use super::*;

    fn object(kind: Kind, given: &[(&str, Value)]) -> Value {
        let Block { attributes, blocks, .. } = schema::schema(kind).block;
        let attributes = attributes.into_iter().map(|(name, attribute)| (name, attribute.ty.without_optional()));
        let blocks = blocks.into_iter().map(|(name, block)| (name, block.implied_type()));
        Value::object(attributes.chain(blocks).map(|(name, ty)| {
            let given = given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone());
            (name, given.unwrap_or_else(|| Value::null(ty)))
        }))
    }

    #[test]
    fn what_was_kept_is_not_lost_with_its_volume() {
        let snapshot = |volume: Value| object(Kind::Snapshot, &[("volume", volume)]);
        let prior = snapshot("a".into());
        let of = |volume: Value| plan(Kind::Snapshot, Some(&prior), &snapshot(volume));
        assert!(of("a".into()).unwrap().1.is_empty());
        assert_eq!(of("b".into()).unwrap().1, ["volume"]);
        let lost = of(Value::unknown(Type::String)).unwrap_err();
        assert!(lost.summary.contains("lost with its volume") && lost.help[0].contains("ignore_changes"), "{lost:?}");
        // A volume has what it began with, whatever becomes of the snapshot.
        let volume = |given: Value| object(Kind::Volume, &[("size", "1G".into()), ("snapshot", given)]);
        for after in [Value::null(Type::String), "b".into(), Value::unknown(Type::String)] {
            assert!(plan(Kind::Volume, Some(&volume("a".into())), &volume(after)).unwrap().1.is_empty());
        }
    }

    #[test]
    fn a_new_network_is_mostly_unknown() {
        let (planned, replace) = plan(Kind::Network, None, &object(Kind::Network, &[])).unwrap();
        for name in ["cidr", "id", "gateway"] {
            assert!(planned.get(name).unwrap().is_unknown(), "{name}");
        }
        assert_eq!(planned.get("masquerade"), Some(&Value::from(true)));
        assert!(planned.get("name").unwrap().is_null());
        assert!(replace.is_empty());
    }

    #[test]
    fn what_was_decided_stays_until_the_object_is_replaced() {
        let given = |cidr: Value| object(Kind::Network, &[("cidr", cidr)]);
        let prior = object(
            Kind::Network,
            &[
                ("cidr", "10.64.0.0/24".into()),
                ("id", "a".into()),
                ("gateway", "10.64.0.1".into()),
                ("masquerade", true.into()),
                ("up", true.into()),
            ],
        );
        let (planned, replace) = plan(Kind::Network, Some(&prior), &given(Value::null(Type::String))).unwrap();
        assert_eq!((planned, replace), (prior.clone(), vec![]));
        let (planned, replace) = plan(Kind::Network, Some(&prior), &given("10.64.0.0/24".into())).unwrap();
        assert_eq!((planned, replace), (prior.clone(), vec![]));
        for other in [Value::from("10.65.0.0/24"), Value::unknown(Type::String)] {
            let (planned, replace) = plan(Kind::Network, Some(&prior), &given(other)).unwrap();
            assert_eq!(replace, ["cidr"]);
            assert!(planned.get("id").unwrap().is_unknown());
            assert!(planned.get("gateway").unwrap().is_unknown());
        }
    }

    #[test]
    fn a_server_changes_memory_in_place_and_image_by_replacement() {
        let given = |image: &str, memory: &str| {
            object(
                Kind::Server,
                &[("name", "web".into()), ("image", image.into()), ("network", "n".into()), ("memory", memory.into())],
            )
        };
        let prior = complete(
            &given("one", "256M"),
            [
                ("id", "a".into()),
                ("address", "10.64.0.2".into()),
                ("connection", Value::object([("kind", "lab".into())])),
            ],
        );
        let (planned, replace) = plan(Kind::Server, Some(&prior), &given("one", "512M")).unwrap();
        assert!(replace.is_empty());
        assert_eq!(planned.get_str("id"), Some("a"));
        let (planned, replace) = plan(Kind::Server, Some(&prior), &given("two", "256M")).unwrap();
        assert_eq!(replace, ["image"]);
        assert!(planned.get("address").unwrap().is_unknown());
        assert!(plan(Kind::Server, Some(&prior), &given("two", "1")).is_err());
    }

    #[test]
    fn a_machine_is_replaced_for_what_it_is_told_once() {
        let given = |name: &str, memory: &str| {
            let vm = ("vm", Value::from(true));
            let named =
                [("name", name.into()), ("image", "a".into()), ("network", "n".into()), ("memory", memory.into()), vm];
            object(Kind::Server, &named)
        };
        let prior = complete(&given("one", "1G"), [("id", "a".into())]);
        let replaced = |config: &Value| plan(Kind::Server, Some(&prior), config).unwrap().1;
        assert_eq!(replaced(&given("one", "2G")), Vec::<String>::new());
        assert_eq!(replaced(&given("two", "1G")), ["name"]);
        assert_eq!(replaced(&complete(&given("one", "1G"), [("vm", Value::null(Type::Bool))])), ["vm"]);
        let disk = |size: &str| complete(&given("one", "1G"), [("disk", size.into())]);
        let of = |before: &str, after: &str| plan(Kind::Server, Some(&disk(before)), &disk(after));
        assert!(of("10G", "12G").unwrap().1.is_empty());
        assert_eq!(of("10G", "9G").unwrap_err().summary, "the disk of a machine does not shrink");
        // One that is made anew may have any.
        let other = complete(&given("two", "1G"), [("disk", "9G".into())]);
        assert_eq!(plan(Kind::Server, Some(&disk("10G")), &other).unwrap().1, ["name"]);
        let odd = complete(&given("one", "1G"), [("read_only_root", true.into())]);
        assert_eq!(plan(Kind::Server, None, &odd).unwrap_err().summary, "a machine has no `read_only_root`");
    }

    #[test]
    fn a_server_is_of_an_image_or_of_this_machine() {
        let given = |more: &[(&str, Value)]| {
            object(Kind::Server, &[&[("name", Value::from("web")), ("network", "n".into())], more].concat())
        };
        let host = ("on_host", Value::from("host"));
        let (planned, _) = plan(Kind::Server, None, &given(std::slice::from_ref(&host))).unwrap();
        assert!(planned.get("image").unwrap().is_unknown());
        let prior = complete(&planned, [("image", "one".into()), ("id", "a".into()), ("address", "10.64.0.2".into())]);
        let (again, replace) = plan(Kind::Server, Some(&prior), &given(std::slice::from_ref(&host))).unwrap();
        assert!(replace.is_empty() && again.get_str("image") == Some("one"));
        let (_, replace) = plan(Kind::Server, Some(&prior), &given(&[("image", "one".into())])).unwrap();
        assert_eq!(replace, ["on_host"]);
        let of_image = complete(&prior, [("on_host", Value::null(Type::String))]);
        let (planned, replace) = plan(Kind::Server, Some(&of_image), &given(std::slice::from_ref(&host))).unwrap();
        assert!(replace == ["on_host"] && planned.get("image").unwrap().is_unknown());
        for (more, summary) in [
            (vec![], "`image` is missing"),
            (vec![host.clone(), ("image", "one".into())], "`image` and `on_host` exclude each other"),
            (vec![host.clone(), ("image", Value::unknown(Type::String))], "`image` and `on_host` exclude each other"),
            (vec![host.clone(), ("cloud_init", "#!/bin/sh".into())], "`cloud_init` and `on_host` exclude each other"),
            (vec![host.clone(), ("on_drift", "report".into())], "`on_drift` and `on_host` exclude each other"),
            (vec![host.clone(), ("vm", true.into())], "`vm` and `on_host` exclude each other"),
            (vec![("on_host", "elsewhere".into())], "no server is on `elsewhere`"),
        ] {
            assert_eq!(plan(Kind::Server, None, &given(&more)).unwrap_err().summary, summary);
        }
    }

    #[test]
    fn what_does_not_run_is_started_in_place() {
        let given = object(Kind::Server, &[("name", "web".into()), ("image", "a".into()), ("network", "n".into())]);
        let connection = Value::object([("kind", Value::from("lab"))]);
        let prior = |running: bool| {
            let created = ("created", Value::from("2026-01-01T00:00:00Z"));
            let known = [("running", running.into()), ("id", "a".into()), ("connection", connection.clone()), created];
            complete(&given, known)
        };
        let (planned, replace) = plan(Kind::Server, Some(&prior(false)), &given).unwrap();
        assert!(replace.is_empty());
        assert_eq!(planned.get("running"), Some(&Value::from(true)));
        assert!(planned.get("connection").unwrap().is_unknown(), "nobody reaches it before");
        let (planned, _) = plan(Kind::Server, Some(&prior(true)), &given).unwrap();
        assert_eq!(planned, prior(true));
        // One that was made by an older version says nothing of it.
        let older = complete(&prior(true), [("running", Value::null(Type::Bool))]);
        assert_eq!(plan(Kind::Server, Some(&older), &given).unwrap().0.get("connection"), Some(&connection));
        let stopped = complete(&given, [("running", false.into())]);
        let (planned, replace) = plan(Kind::Server, Some(&prior(true)), &stopped).unwrap();
        assert!(replace.is_empty() && planned.get("running") == Some(&Value::from(false)));
        for (kind, name) in [(Kind::Network, "up"), (Kind::Balancer, "running")] {
            let given = object(kind, &[("listen", "127.0.0.1:80".into())].map(|it| it));
            let (planned, replace) = plan(kind, Some(&complete(&given, [(name, false.into())])), &given).unwrap();
            assert!(replace.is_empty() && planned.get(name) == Some(&Value::from(true)), "{kind:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_argument_is_said_there() {
        let server = |more: &[(&'static str, Value)]| {
            [&[("name", Value::from("web")), ("image", "i".into()), ("network", "n".into())], more].concat()
        };
        let map = |entries: &[(&str, &str)]| {
            Value::map(Type::String, entries.iter().map(|(key, value)| (*key, Value::from(*value))))
        };
        let list = |texts: &[&str]| Value::list(Type::String, texts.iter().map(|text| Value::from(*text)));
        let on_host = |more: (&'static str, Value)| {
            [("name", Value::from("web")), ("network", "n".into()), ("on_host", "host".into()), more]
        };
        let balancer = |more: &[(&'static str, Value)]| [&[("listen", Value::from("127.0.0.1:80"))], more].concat();
        let settings = Value::from("#cloud-config\n- a\n");
        type Given = Vec<(&'static str, Value)>;
        let cases: Vec<(Kind, Given, &str)> = vec![
            (Kind::Network, vec![("cidr", "10.64.1.7/24".into())], ".cidr"),
            (Kind::Network, vec![("name", "a_b".into())], ".name"),
            (Kind::Volume, vec![("size", "none".into())], ".size"),
            (Kind::Server, server(&[("memory", "1".into())]), ".memory"),
            (Kind::Server, server(&[("cloud_init", settings.clone())]), ".cloud_init"),
            (Kind::Server, server(&[("keys", list(&["no key"]))]), ".keys[0]"),
            (Kind::Server, server(&[("volumes", map(&[("srv", "v")]))]), ".volumes[\"srv\"]"),
            (Kind::Server, server(&[("volumes", map(&[("/a", "v"), ("/b", "v")]))]), ".volumes[\"/b\"]"),
            (
                Kind::Server,
                server(&[("volumes", map(&[("/a", "v")])), ("shares", map(&[("/a", "s")]))]),
                ".shares[\"/a\"]",
            ),
            (Kind::Server, server(&[("volumes", map(&[("/a", "")]))]), ".volumes[\"/a\"]"),
            (Kind::Server, server(&[("disk", "1G".into())]), ".disk"),
            (Kind::Server, server(&[("vm", true.into()), ("init", "andon".into())]), ".init"),
            (Kind::Server, server(&[("on_host", "host".into())]), ".on_host"),
            (Kind::Server, on_host(("cloud_init", settings)).to_vec(), ".cloud_init"),
            (Kind::Server, on_host(("vm", true.into())).to_vec(), ".vm"),
            (Kind::Balancer, balancer(&[("mode", "tcp".into()), ("sticky", "cookie".into())]), ".sticky"),
            (Kind::Balancer, balancer(&[("access_log_size", "1M".into())]), ".access_log_size"),
            (Kind::Balancer, balancer(&[("health_status", "200".into())]), ".health_status"),
            (Kind::Balancer, balancer(&[("port", 80.into())]), ".port"),
            (Kind::Balancer, balancer(&[("targets", list(&["10.64.0.2:80", "web"]))]), ".targets[1]"),
        ];
        let place = |failure: Failure| match failure.complaints.as_slice() {
            [complaint] => complaint.path.to_string(),
            other => format!("{other:?}"),
        };
        for (kind, given, expected) in cases {
            let failure = plan(kind, None, &object(kind, &given)).unwrap_err();
            assert_eq!(place(failure.clone()), expected, "{failure}");
            assert_eq!(failure.complaints[0].summary, failure.summary);
        }
        let volume = |size: &str| object(Kind::Volume, &[("size", size.into())]);
        assert_eq!(place(plan(Kind::Volume, Some(&volume("2G")), &volume("1G")).unwrap_err()), ".size");
        // What is not there at all is nowhere.
        assert_eq!(plan(Kind::Balancer, None, &object(Kind::Balancer, &[])).unwrap_err().complaints, []);
    }

    #[test]
    fn a_missing_required_attribute_is_named() {
        let failure = plan(Kind::Balancer, None, &object(Kind::Balancer, &[])).unwrap_err();
        assert_eq!(failure.summary, "`listen` is missing");
    }
}
