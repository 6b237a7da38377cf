//! The plugin of `examples/toy.rs`, well behaved and not.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use andon_provider::{Judged, Plugin, Protocol, SchemaCache, StartSettings, Wanted};
use andon_schema::{Mode, Nesting, ProviderSchema};
use andon_value::{Number, Type, Value, convert};
use tempfile::TempDir;

/// A plugin's file that starts the toy in some way.
pub(crate) fn program(directory: &Path, way: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let toy = own.parent().and_then(Path::parent).unwrap().join("examples/toy");
    assert!(toy.is_file(), "cargo build -p andon-provider --example toy");
    let path = directory.join("terraform-provider-toy_v1.0.0");
    fs::write(&path, format!("#!/bin/sh\nANDON_TOY={way} exec {}\n", toy.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

pub(crate) fn start(way: &str) -> (TempDir, Result<Plugin, String>) {
    let start_limit = Duration::from_secs(if way == "slow" { 2 } else { 30 });
    start_with(way, StartSettings { start_limit, ..StartSettings::default() })
}

pub(crate) fn start_with(way: &str, settings: StartSettings) -> (TempDir, Result<Plugin, String>) {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path(), way);
    // Another test may be starting a program just while this one's file was open for writing.
    let started = loop {
        match Plugin::start(&program, settings.clone()).map_err(|error| error.to_string()) {
            Err(error) if error.contains("busy") => thread::sleep(Duration::from_millis(10)),
            started => break started,
        }
    };
    (directory, started)
}

pub(crate) fn load(way: &str, wanted: &Wanted) -> (TempDir, ProviderSchema, Plugin) {
    let (directory, plugin) = start(way);
    drop(plugin);
    let cache = SchemaCache::new(Some(directory.path().join("cache")));
    let program = directory.path().join("terraform-provider-toy_v1.0.0");
    let (schema, plugin) = cache.load(&program, wanted, StartSettings::default()).unwrap();
    (directory, schema, plugin.expect("nothing was known"))
}

pub(crate) fn things() -> Wanted {
    Wanted::Types([Mode::Managed, Mode::Data, Mode::Ephemeral].map(|mode| (mode, "toy_thing".to_owned())).into())
}

pub(crate) fn thing(schema: &ProviderSchema, given: &[(&str, Value)]) -> Value {
    let block = &schema.resources["toy_thing"].block;
    let Type::Object { attributes, .. } = block.implied_type() else { unreachable!() };
    let values = attributes.iter().map(|(name, ty)| {
        let given = given.iter().find(|(given, _)| *given == &**name).map(|(_, value)| convert(value, ty).unwrap());
        let absent = match block.blocks.get(&**name).map(|nested| nested.nesting) {
            Some(Nesting::List) => Value::list(ty.element().unwrap().clone(), []),
            Some(Nesting::Set) => Value::set(ty.element().unwrap().clone(), []),
            Some(Nesting::Map) => Value::map::<&str>(ty.element().unwrap().clone(), []),
            Some(Nesting::Group) => Value::object([("port", Value::null(Type::Number))]),
            _ => Value::null(ty.clone()),
        };
        (name.clone(), given.unwrap_or(absent))
    });
    Value::object(values)
}

#[test]
fn every_kind_of_schema_is_read() {
    let (_directory, schema, plugin) = load("well", &things());
    assert_eq!(plugin.protocol(), Protocol::Six);
    let thing = &schema.resources["toy_thing"];
    assert_eq!(thing.version, 3);
    let attributes = &thing.block.attributes;
    assert!(attributes["name"].required && !attributes["name"].optional);
    assert!(attributes["id"].computed && !attributes["id"].optional);
    assert!(attributes["size"].computed && attributes["size"].optional);
    assert_eq!(attributes["size"].description, "How **large**.");
    assert!(attributes["secret"].sensitive && attributes["token"].write_only && attributes["old"].deprecated);
    let port = Type::object_with_optional([("port", Type::Number)], ["port".into()]);
    for (name, nesting, ty) in [
        ("one", Nesting::Single, port.clone()),
        ("many", Nesting::List, Type::list(port.clone())),
        ("some", Nesting::Set, Type::set(port.clone())),
        ("named", Nesting::Map, Type::map(port)),
    ] {
        assert_eq!(attributes[name].nested.as_ref().unwrap().nesting, nesting, "{name}");
        assert_eq!(attributes[name].ty, ty, "{name}");
    }
    let nestings = ["grouped", "keyed", "listed", "only", "set"].map(|name| thing.block.blocks[name].nesting);
    assert_eq!(nestings, [Nesting::Group, Nesting::Map, Nesting::List, Nesting::Single, Nesting::Set]);
    assert_eq!(thing.block.blocks["listed"].max_items, 2);
    assert_eq!(schema.functions.keys().collect::<Vec<_>>(), ["echo", "shout", "sum"]);
    assert!(schema.offered[&Mode::Managed].contains("toy_broken"));
    assert!(schema.config.attributes.contains_key("region"));
}

#[test]
fn configurations_are_judged() {
    let (_directory, schema, plugin) = load("well", &things());
    let ports =
        |numbers: &[i64]| Value::tuple(numbers.iter().map(|port| Value::object([("port", Value::from(*port))])));
    let unknown = Value::unknown(Type::String);
    let named = |name: &str| ("name", Value::from(name));
    for (given, expected) in [
        (vec![named("good")], vec![]),
        (vec![("name", unknown.clone()), ("size", Value::unknown(Type::Number))], vec![]),
        (vec![("name", unknown.with_prefix("b")), ("any", Value::tuple([Value::from("x"), Value::NULL]))], vec![]),
        (vec![named("bad")], vec![".name: the name is bad"]),
        (vec![named("good"), ("size", Value::from(101))], vec![".size: that is large"]),
        (vec![named("good"), ("listed", ports(&[1, 70_000]))], vec![".listed[1].port: no such port"]),
        (vec![named("good"), ("many", ports(&[1])), ("set", ports(&[3, 2])), ("some", ports(&[4, 5]))], vec![]),
        (vec![named("good"), ("one", Value::object([("port", Value::NULL)]))], vec![]),
    ] {
        let config = thing(&schema, &given);
        for (mode, types) in
            [(Mode::Managed, &schema.resources), (Mode::Data, &schema.data), (Mode::Ephemeral, &schema.ephemeral)]
        {
            let said = plugin.validate_type(mode, "toy_thing", &types["toy_thing"], &config).wait().unwrap();
            let said: Vec<String> = said.iter().map(|it| format!("{}: {}", it.path, it.summary)).collect();
            assert_eq!(said, expected, "{given:?}");
        }
    }
    let of = &schema.config;
    let nowhere = Value::object([("region", Value::from("nowhere"))]);
    assert_eq!(plugin.validate_provider(of, &nowhere).wait().unwrap().len(), 1);
    let somewhere = Value::object([("region", Value::null(Type::String))]);
    assert_eq!(plugin.validate_provider(of, &somewhere).wait().unwrap(), []);
    // What does not fit the schema is not sent.
    let error = plugin.validate_provider(of, &Value::object([("x", Value::from(1))])).wait().unwrap_err().to_string();
    assert!(error.contains("is not an object"), "{error}");
}

#[test]
fn functions_are_called() {
    let (_directory, schema, plugin) = load("well", &things());
    let call = |name: &str, arguments: &[Value]| {
        let answer = plugin.call_function(name, &schema.functions[name], arguments).wait().unwrap();
        answer.map_err(|refused| (refused.message, refused.argument))
    };
    assert_eq!(call("shout", &[Value::from("ä")]), Ok(Value::from("Ä")));
    assert_eq!(call("shout", &[Value::from("")]), Err(("there is nothing to shout".to_owned(), Some(0))));
    assert_eq!(call("sum", &[]), Ok(Value::from(0)));
    let third = Value::from(Number::parse("0.1").unwrap());
    assert_eq!(call("sum", &[Value::from(1), third]), Ok(Value::from(Number::parse("1.1").unwrap())));
    let nested = Value::object([("a", Value::tuple([Value::from(true), Value::from("x")]))]);
    assert_eq!(call("echo", std::slice::from_ref(&nested)), Ok(nested));
}

#[test]
fn many_threads_ask_one_plugin() {
    let (_directory, schema, plugin) = load("five", &Wanted::Types([].into()));
    assert_eq!(plugin.protocol(), Protocol::Five);
    thread::scope(|scope| {
        for worker in 0..8 {
            let (plugin, schema) = (&plugin, &schema);
            scope.spawn(move || {
                for number in 0..25 {
                    let argument = [Value::from(worker * 1000 + number)];
                    let sum = plugin.call_function("sum", &schema.functions["sum"], &argument).wait().unwrap().unwrap();
                    assert_eq!(sum, argument[0]);
                }
            });
        }
    });
    let began = Instant::now();
    plugin.shut_down();
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn what_does_not_start_says_why() {
    for (way, expected) in [
        ("garbage", "its first line is no handshake: \"Hello! I am a program.\"\nIts output ends with:\nGoodbye."),
        ("old", "it speaks version 4 of the plugin protocol, and 5 and 6 are understood"),
        (
            "exits",
            "it ended at once (exit status: 7)\nIts output ends with:\npanic: no luck today\ngoroutine 1 [running]:",
        ),
        ("slow", "it was not ready within 2 s"),
    ] {
        let (directory, started) = start(way);
        let error = started.map(drop).unwrap_err();
        let path = directory.path().join("terraform-provider-toy_v1.0.0");
        assert_eq!(error, format!("the provider plugin {} does not start: {expected}", path.display()), "{way}");
    }
    let error = Plugin::start(Path::new("/nonexistent/plugin"), StartSettings::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn what_crashes_says_so() {
    let (_directory, plugin) = start("crash");
    let error = plugin.unwrap().schema().unwrap_err().to_string();
    assert!(error.contains("failed at GetProviderSchema: it crashed or was stopped"), "{error}");
    assert!(error.ends_with("panic: the schema is lost"), "{error}");

    let (_directory, schema, plugin) = load("well", &things());
    let config = thing(&schema, &[("name", Value::from("crash"))]);
    let error =
        plugin.validate_type(Mode::Managed, "toy_thing", &schema.resources["toy_thing"], &config).wait().unwrap_err();
    assert!(error.to_string().ends_with("panic: a thing called crash"), "{error}");
}

#[test]
fn much_output_and_large_schemas_are_no_trouble() {
    let (_directory, plugin) = start("loud");
    plugin.unwrap().schema().unwrap();
    let wanted = Wanted::Types([(Mode::Managed, "toy_big_7".to_owned())].into());
    let (directory, schema, _plugin) = load("big", &wanted);
    assert_eq!(schema.offered[&Mode::Managed].len(), 1002);
    assert_eq!(schema.resources.len(), 1);
    let program = directory.path().join("terraform-provider-toy_v1.0.0");
    let cache = SchemaCache::new(Some(directory.path().join("cache")));
    let (again, started) = cache.load(&program, &wanted, StartSettings::default()).unwrap();
    assert!(started.is_none() && again == schema);
}

#[test]
fn a_schema_that_makes_no_sense_is_refused() {
    let (directory, plugin) = start("well");
    drop(plugin);
    let program = directory.path().join("terraform-provider-toy_v1.0.0");
    let wanted = Wanted::Types([(Mode::Managed, "toy_broken".to_owned())].into());
    let error = SchemaCache::new(None).load(&program, &wanted, StartSettings::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("toy_broken: bad: "), "{error}");
}

#[test]
fn the_cache_mends_itself() {
    let (directory, schema, plugin) = load("well", &things());
    drop(plugin);
    let program = directory.path().join("terraform-provider-toy_v1.0.0");
    let cache = SchemaCache::new(Some(directory.path().join("cache")));
    let files = || fs::read_dir(directory.path().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let file = files().next().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    let in_index = {
        let mut bytes = whole.clone();
        bytes[60] ^= 1;
        bytes
    };
    for torn in [&whole[..0], &whole[..20], &whole[..whole.len() / 2], &changed, &in_index, b"something else"] {
        fs::write(&file, torn).unwrap();
        let (again, started) = cache.load(&program, &things(), StartSettings::default()).unwrap();
        assert!(started.is_some(), "what is torn is not believed");
        assert_eq!(again.resources["toy_thing"], schema.resources["toy_thing"]);
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
    assert!(cache.load(&program, &things(), StartSettings::default()).unwrap().1.is_none());
    // Another program at the same place is another plugin.
    fs::write(&program, fs::read(&program).unwrap()).unwrap();
    let (_, started) = cache.load(&program, &things(), StartSettings::default()).unwrap();
    assert!(started.is_some());
    assert_eq!(files().count(), 2);
}

#[test]
fn packed_plugins_are_unpacked_once() {
    let (directory, plugin) = start("well");
    drop(plugin);
    let program = directory.path().join("terraform-provider-toy_v1.0.0");
    let archive = directory.path().join("terraform-provider-toy_1.0.0_linux_amd64.zip");
    let pack = |name: &str| {
        let mut writer = zip::ZipWriter::new(fs::File::create(&archive).unwrap());
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, &fs::read(&program).unwrap()).unwrap();
        writer.finish().unwrap();
    };
    pack("terraform-provider-toy_v1.0.0");
    let cache = SchemaCache::new(Some(directory.path().join("cache")));
    let unpacked = cache.unpack(&archive, "toy").unwrap();
    assert_eq!(fs::read(&unpacked).unwrap(), fs::read(&program).unwrap());
    assert_ne!(fs::metadata(&unpacked).unwrap().permissions().mode() & 0o100, 0);
    assert_eq!(cache.unpack(&archive, "toy").unwrap(), unpacked);
    for (name, expected) in [("README", "no program of toy"), ("../terraform-provider-toy", "leads out")] {
        pack(name);
        let error = cache.unpack(&archive, "toy").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(&archive, "no archive").unwrap();
    assert!(cache.unpack(&archive, "toy").is_err());
    assert!(SchemaCache::new(None).unpack(&archive, "toy").is_err());
}

#[test]
fn judgements_are_remembered() {
    let (directory, schema, plugin) = load("well", &things());
    drop(plugin);
    let program = directory.path().join("terraform-provider-toy_v1.0.0");
    let cache = SchemaCache::new(Some(directory.path().join("cache")));
    let block = &schema.resources["toy_thing"].block;
    let key = |name: &str, of, surroundings: &[String]| {
        Judged::key(of, block, &thing(&schema, &[("name", Value::from(name))]), surroundings).unwrap()
    };
    let managed = Some((Mode::Managed, "toy_thing"));
    let keys = [
        key("a", managed, &[]),
        key("b", managed, &[]),
        key("a", Some((Mode::Data, "toy_thing")), &[]),
        key("a", managed, &["TOY_X=1".to_owned()]),
    ];
    let mut judged = cache.judged(&program);
    judged.learn(keys[..1].iter().copied());
    let other = cache.judged(&program);
    assert_eq!(keys.map(|key| other.is_sound(&key)), [true, false, false, false]);
    // A run that was cut short leaves part of an entry.
    let file = fs::read_dir(directory.path().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some()).unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let mut judged = cache.judged(&program);
    assert!(!judged.is_sound(&keys[0]));
    judged.learn(keys[1..3].iter().copied());
    let other = cache.judged(&program);
    assert_eq!(keys.map(|key| other.is_sound(&key)), [false, true, true, false]);
}

#[test]
fn nothing_is_left_behind() {
    let marker = format!("andon-plugin-{}-", std::process::id());
    let (_directory, _schema, plugin) = load("well", &things());
    let sockets = || {
        let entries = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&marker)).count()
    };
    drop(plugin);
    // Other tests of this process may be starting theirs: each is gone as soon as there is a connection.
    let until = Instant::now() + Duration::from_secs(10);
    while sockets() > 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(sockets(), 0);
}

#[test]
fn what_is_said_may_be_encrypted() {
    let settings = |tls| StartSettings { tls, start_limit: Duration::from_secs(10), ..StartSettings::default() };
    let (_directory, plugin) = start_with("tls", settings(true));
    plugin.unwrap().schema().unwrap();
    for (way, tls, expected) in [
        // Somebody else than it says.
        ("tls-other", true, "its socket does not answer"),
        ("well", true, "it does not encrypt what is said to it"),
        ("tls", false, "its first line is empty"),
    ] {
        let (_directory, plugin) = start_with(way, settings(tls));
        let error = plugin.map(drop).unwrap_err();
        // Without a certificate the toy ends at once.
        assert!(error.contains(expected) || (way == "tls" && error.contains("it ended at once")), "{way}: {error}");
    }
}

#[test]
fn plugins_listen_on_ports_too_and_may_run_already() {
    let (_directory, plugin) = start("tcp");
    plugin.unwrap().schema().unwrap();

    let directory = tempfile::tempdir().unwrap();
    let mut running = std::process::Command::new(program(directory.path(), "well"))
        .env("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
        .env("PLUGIN_UNIX_SOCKET_DIR", directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(running.stdout.as_mut().unwrap()), &mut line).unwrap();
    let address = line.split('|').nth(3).unwrap();
    let text = format!(
        "{{\"example.com/a/toy\":{{\"Protocol\":\"grpc\",\"ProtocolVersion\":6,\"Pid\":{},\"Test\":true,\
         \"Addr\":{{\"Network\":\"unix\",\"String\":\"{address}\"}}}}}}",
        running.id()
    );
    let attachment = andon_provider::attachments(&text).unwrap().into_values().next().unwrap();
    for _ in 0..2 {
        let plugin = Plugin::attach(&attachment, StartSettings::default()).unwrap();
        plugin.schema().unwrap();
        plugin.shut_down();
        plugin.kill();
        drop(plugin);
    }
    assert!(running.try_wait().unwrap().is_none(), "it is not ours to end");
    running.kill().unwrap();
    running.wait().unwrap();
    let error = Plugin::attach(&attachment, StartSettings::default()).map(drop).unwrap_err().to_string();
    assert!(error.contains("its socket does not answer"), "{error}");
}
