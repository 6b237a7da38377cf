//! Every call of both protocols, put to the plugin of `examples/toy`, well behaved and not.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use andon_provider::{
    ApplyRequest, Call, DataRequest, Deferral, EphemeralKeeper, EphemeralRequest, ImportBy, ImportRequest, Listener,
    Meta, MoveRequest, PlanRequest, Plugin, PluginDiagnostic, PluginError, ReadRequest, StartSettings, Stored,
    UpgradeIdentityRequest, UpgradeRequest,
};
use andon_schema::{Attribute, Block, Mode, ProviderSchema, TypeSchema};
use andon_value::{Marks, Type, Value};
use serde_json::json;
use tempfile::TempDir;

use crate::toy::{load, start_with, thing, things};

/// The toy, prepared and configured.
struct Toy {
    _directory: TempDir,
    schema: ProviderSchema,
    plugin: Arc<Plugin>,
}

impl Toy {
    fn new(way: &str) -> Toy {
        let (directory, schema, plugin) = load(way, &things());
        let config = Value::object([("region", Value::unknown(Type::String))]);
        assert_eq!(plugin.configure(&schema.config, &config).wait().unwrap(), []);
        Toy { _directory: directory, schema, plugin: Arc::new(plugin) }
    }

    fn ty(&self) -> &TypeSchema {
        &self.schema.resources["toy_thing"]
    }

    fn thing(&self, given: &[(&str, Value)]) -> Value {
        thing(&self.schema, given)
    }

    fn named(&self, name: &str) -> Value {
        self.thing(&[("name", Value::from(name))])
    }

    fn read(&self, state: &Value) -> Call<andon_provider::ReadAnswer> {
        let schema = self.ty();
        let request = ReadRequest { kind: "toy_thing", schema, state, private: b"0", meta: None, identity: None };
        self.plugin.read(&request)
    }

    fn plan(&self, prior: &Value, config: &Value) -> Call<andon_provider::PlanAnswer> {
        self.plugin.plan(&PlanRequest {
            kind: "toy_thing",
            schema: self.ty(),
            prior,
            proposed: config,
            config,
            private: b"0",
            meta: None,
            identity: None,
        })
    }

    fn apply(&self, prior: &Value, planned: &Value, config: &Value) -> Call<andon_provider::ApplyAnswer> {
        self.plugin.apply(&ApplyRequest {
            kind: "toy_thing",
            schema: self.ty(),
            prior,
            planned,
            config,
            private: b"0p",
            meta: None,
            identity: None,
        })
    }
}

fn words(said: &[PluginDiagnostic]) -> Vec<String> {
    let word = |it: &PluginDiagnostic| {
        let kind = if it.error { "error" } else { "warning" };
        format!("{kind}{}: {}", it.path, it.summary)
    };
    said.iter().map(word).collect()
}

#[test]
fn a_thing_lives_its_life_in_both_protocols() {
    for way in ["well", "five", "json", "ready"] {
        let toy = Toy::new(way);
        let identity = toy.ty().identity.clone().expect("things have identities");
        assert_eq!((identity.version, identity.implied_type()), (2, Type::object([("id", Type::String)])));
        assert!(toy.schema.capabilities.plan_destroy && toy.schema.capabilities.move_state);
        assert_eq!(toy.schema.capabilities.schema_optional, way == "ready");

        // A secret in the configuration is sent as what it is.
        let secret = Value::from("s").mark(Marks::SENSITIVE);
        let config =
            toy.thing(&[("name", Value::from("a")), ("secret", secret), ("any", Value::tuple([Value::from(1)]))]);
        let none = Value::NULL;
        let planned = toy.plan(&none, &config).wait().unwrap();
        assert_eq!(planned.private, b"0p", "{way}");
        assert_eq!(planned.legacy, way == "five");
        assert_eq!(planned.planned.get("id").unwrap().known_prefix(), "id-");
        assert_eq!(planned.planned.get_str("secret"), Some("s"));
        assert_eq!((planned.requires_replace.as_slice(), planned.deferral), (&[][..], None));

        let made = toy.apply(&none, &planned.planned, &config).wait().unwrap();
        assert_eq!((made.state.get_str("id"), made.private.as_slice()), (Some("id-a"), &b"0pa"[..]));
        assert_eq!((made.legacy, made.diagnostics.as_slice()), (way == "five", &[][..]));
        assert_eq!(made.identity, Some(Value::object([("id", Value::from("id-a"))])));

        let read = toy.read(&made.state).wait().unwrap();
        assert_eq!((&read.state, read.private.as_slice(), read.deferral), (&made.state, &b"0r"[..], None));
        assert_eq!(toy.read(&toy.named("gone")).wait().unwrap().state, Value::null(toy.ty().block.implied_type()));

        let renamed = toy.plan(&made.state, &toy.named("b")).wait().unwrap();
        let paths: Vec<String> = renamed.requires_replace.iter().map(ToString::to_string).collect();
        assert_eq!(paths, [".name", ".listed[0].port", ".keyed[\"k\"].port"]);
        assert_eq!(toy.plan(&none, &toy.named("later")).wait().unwrap().deferral, Some(Deferral::PrerequisiteAbsent));

        let deletion = toy.plan(&made.state, &none).wait().unwrap();
        assert!(deletion.planned.is_null());
        assert!(toy.apply(&made.state, &none, &none).wait().unwrap().state.is_null());

        // What was made of a thing is there with the errors.
        let half = toy.apply(&none, &toy.thing(&[("name", Value::from("half")), ("size", Value::from(3))]), &config);
        let half = half.wait().unwrap();
        assert_eq!(words(&half.diagnostics), ["warning: it went slowly", "error.size: half of it is there"]);
        assert_eq!((half.state.get_str("id"), half.state.get("size").unwrap().is_null()), (Some("id-half"), true));
    }
}

#[test]
fn identities_and_meta_travel() {
    let toy = Toy::new("well");
    let state = toy.named("a");
    let identity = Value::object([("id", Value::from("id-a"))]);
    let schema = Block {
        attributes: BTreeMap::from([("module".to_owned(), Attribute::optional(Type::Dynamic, ""))]),
        ..Block::default()
    };
    for value in [Value::NULL, Value::object([("module", Value::from("m"))])] {
        let meta = Some(Meta { schema: &schema, value: &value });
        let (schema, identity) = (toy.ty(), Some(&identity));
        let request = ReadRequest { kind: "toy_thing", schema, state: &state, private: &[], meta, identity };
        let read = toy.plugin.read(&request).wait().unwrap();
        assert_eq!(words(&read.diagnostics), ["warning: meta came"]);
        assert_eq!(read.identity.as_ref(), identity);
    }
    for stored in [json!({"id": "id-a"}), json!({"id": "id-a", "dropped": 1})] {
        let schema = toy.ty();
        let stored = Stored::Json(&stored);
        let request = UpgradeIdentityRequest { kind: "toy_thing", schema, version: 2, stored };
        assert_eq!(toy.plugin.upgrade_identity(&request).wait().unwrap().identity.as_ref(), Some(&identity));
    }
}

#[test]
fn stored_things_are_brought_up_to_date() {
    let toy = Toy::new("well");
    let flat = BTreeMap::from([("name".to_owned(), "a".to_owned()), ("id".to_owned(), "1".to_owned())]);
    let (old, same, dropped) = (
        json!({"title": "a", "id": "1"}),
        json!({"name": "a", "id": "1", "any": {"value": [1, "x"], "type": ["tuple", ["number", "string"]]}}),
        json!({"name": "a", "id": "1", "dropped": {"x": 1}, "listed": [{"port": 1, "gone": true}]}),
    );
    for (version, stored, expected) in [
        (1, Stored::Json(&old), "1"),
        (0, Stored::Flat(&flat), "1"),
        (3, Stored::Json(&same), "1"),
        // What the schema does not have any more is not sent.
        (3, Stored::Json(&dropped), "1"),
        // Of another version nobody but the plugin knows what it should be.
        (2, Stored::Json(&json!({"title": "a", "other": 1})), "error: there is no \"other\" in it"),
    ] {
        let request = UpgradeRequest { kind: "toy_thing", schema: toy.ty(), version, stored };
        let answer = toy.plugin.upgrade(&request).wait().unwrap();
        match expected {
            "1" => {
                assert_eq!((answer.state.get_str("name"), answer.state.get_str("id")), (Some("a"), Some("1")));
                assert_eq!(answer.diagnostics, []);
            }
            error => assert_eq!(words(&answer.diagnostics), [error]),
        }
    }
    let request = UpgradeRequest { kind: "toy_thing", schema: toy.ty(), version: 3, stored: Stored::Json(&same) };
    let any = toy.plugin.upgrade(&request).wait().unwrap().state;
    assert_eq!(any.get("any"), Some(&Value::tuple([Value::from(1), Value::from("x")])));
}

#[test]
fn things_are_imported_moved_and_written_down() {
    for way in ["well", "five"] {
        let toy = Toy::new(way);
        let import = |by| {
            let answer = toy.plugin.import(&ImportRequest { kind: "toy_thing", schema: toy.ty(), by }).wait().unwrap();
            let kinds: Vec<String> = answer.imported.iter().map(|it| it.kind.clone()).collect();
            (answer, kinds)
        };
        let identity = Value::object([("id", Value::from("id-a"))]);
        for by in [ImportBy::Id("id-a"), ImportBy::Identity(&identity)] {
            let (answer, kinds) = import(by);
            assert_eq!(kinds, ["toy_thing"]);
            let one = &answer.imported[0];
            assert_eq!(one.state.as_ref().unwrap().get_str("id"), Some("id-a"));
            assert_eq!((one.private.as_slice(), one.identity.as_ref()), (&b"i"[..], Some(&identity)));
        }
        let (answer, kinds) = import(ImportBy::Id("id-many"));
        assert_eq!(kinds, ["toy_thing", "toy_part"]);
        assert_eq!(answer.imported[1].state, None);
        assert_eq!(words(&import(ImportBy::Id("id-none")).0.diagnostics), ["error: there is no such thing"]);

        let (state, identity) = (json!({"title": "t", "x": [1]}), json!({"id": "7"}));
        let moved = toy.plugin.move_state(&MoveRequest {
            from_provider: "example.com/a/b",
            from_kind: "other_thing",
            from_version: 4,
            from_state: Stored::Json(&state),
            from_private: b"q",
            from_identity: Some((Stored::Json(&identity), 1)),
            kind: "toy_thing",
            schema: toy.ty(),
        });
        let moved = moved.wait().unwrap();
        assert_eq!(moved.state.get_str("name"), Some("t"));
        assert_eq!(moved.state.get_str("secret"), Some("example.com/a/b other_thing 4"));
        assert_eq!((moved.private.as_slice(), moved.identity.is_some()), (&b"q"[..], true));

        let state = toy.thing(&[("name", Value::from("a")), ("id", Value::from("id-a"))]);
        let written = toy.plugin.generate_config("toy_thing", toy.ty(), &state).wait().unwrap();
        assert_eq!(written.config, toy.named("a"));
    }
}

#[test]
fn data_sources_are_read() {
    let toy = Toy::new("well");
    let read = |config: &Value| {
        let schema = &toy.schema.data["toy_thing"];
        toy.plugin.read_data(&DataRequest { kind: "toy_thing", schema, config, meta: None }).wait().unwrap()
    };
    assert_eq!(read(&toy.named("a")).state.get_str("id"), Some("id-data"));
    let gone = read(&toy.named("gone"));
    assert!(gone.state.is_null());
    assert_eq!(words(&gone.diagnostics), ["error.name: there is no such thing"]);
}

#[test]
fn ephemeral_things_are_renewed_and_closed() {
    let toy = Toy::new("well");
    let open = |name: &str| {
        let schema = &toy.schema.ephemeral["toy_thing"];
        let request = EphemeralRequest { kind: "toy_thing", schema, config: &toy.named(name) };
        toy.plugin.open_ephemeral(&request).wait().unwrap()
    };
    let lasting = open("lasting");
    assert_eq!((lasting.value.get_str("token"), lasting.opened.renew_at), (Some("t0"), None));
    let end = EphemeralKeeper::new(toy.plugin.clone(), lasting.opened).close();
    assert_eq!(words(&end.diagnostics), ["warning: closed after 0 renewals"]);

    let short = open("short");
    assert!(short.opened.renew_at.is_some());
    let renewed = toy.plugin.renew_ephemeral(&short.opened).wait().unwrap();
    assert_eq!(renewed.opened.private, Some(b"1".to_vec()));
    let keeper = EphemeralKeeper::new(toy.plugin.clone(), short.opened);
    // The fifth renewal fails; then it is let be, and said at the end.
    thread::sleep(Duration::from_millis(1200));
    let end = keeper.close();
    let last = words(&end.diagnostics).pop().unwrap();
    assert!(last.starts_with("warning: closed after ") && !last.contains(" 0 "), "{last}");
    assert!(end.failures.is_empty());

    // A plugin that is gone cannot close.
    let keeper = EphemeralKeeper::new(toy.plugin.clone(), open("lasting").opened);
    toy.plugin.kill();
    let end = keeper.close();
    assert!(end.failures[0].to_string().contains("failed at CloseEphemeralResource"), "{:?}", end.failures);
}

/// Makes every call with this text in what it sends.
fn every_call(toy: &Toy, text: &str) -> Vec<(&'static str, Result<(), PluginError>)> {
    let none = Value::NULL;
    let state = toy.named(text);
    let schema = toy.ty();
    let kind = "toy_thing";
    let five = toy.plugin.protocol() == andon_provider::Protocol::Five;
    let name = |old, new| if five { old } else { new };
    let stored = json!({ "name": text });
    let identity = json!({ "id": text });
    let opened = {
        let schema = &toy.schema.ephemeral[kind];
        let opened = toy.plugin.open_ephemeral(&EphemeralRequest { kind, schema, config: &toy.named("x") }).wait();
        opened.map(|answer| andon_provider::OpenedEphemeral { private: Some(text.into()), ..answer.opened })
    };
    let upgrade = UpgradeRequest { kind, schema, version: 3, stored: Stored::Json(&stored) };
    let upgrade_identity = UpgradeIdentityRequest { kind, schema, version: 2, stored: Stored::Json(&identity) };
    let moving = MoveRequest {
        from_provider: "example.com/a/b",
        from_kind: "other_thing",
        from_version: 4,
        from_state: Stored::Json(&json!({ "title": text })),
        from_private: b"q",
        from_identity: None,
        kind,
        schema,
    };
    let plugin = &toy.plugin;
    let region = Value::object([("region", Value::from(text))]);
    let mut made = vec![
        (
            name("PrepareProviderConfig", "ValidateProviderConfig"),
            plugin.validate_provider(&toy.schema.config, &region).wait().map(drop),
        ),
        (
            name("ValidateResourceTypeConfig", "ValidateResourceConfig"),
            plugin.validate_type(Mode::Managed, kind, schema, &state).wait().map(drop),
        ),
        (
            name("ValidateDataSourceConfig", "ValidateDataResourceConfig"),
            plugin.validate_type(Mode::Data, kind, schema, &state).wait().map(drop),
        ),
        (
            "ValidateEphemeralResourceConfig",
            plugin.validate_type(Mode::Ephemeral, kind, schema, &state).wait().map(drop),
        ),
        (name("Configure", "ConfigureProvider"), plugin.configure(&toy.schema.config, &region).wait().map(drop)),
        (
            "CallFunction",
            plugin.call_function("echo", &toy.schema.functions["echo"], &[Value::from(text)]).wait().map(drop),
        ),
        ("UpgradeResourceState", plugin.upgrade(&upgrade).wait().map(drop)),
        ("UpgradeResourceIdentity", plugin.upgrade_identity(&upgrade_identity).wait().map(drop)),
        ("ReadResource", toy.read(&state).wait().map(drop)),
        ("PlanResourceChange", toy.plan(&none, &state).wait().map(drop)),
        ("ApplyResourceChange", toy.apply(&none, &state, &state).wait().map(drop)),
        (
            "ImportResourceState",
            plugin.import(&ImportRequest { kind, schema, by: ImportBy::Id(text) }).wait().map(drop),
        ),
        ("MoveResourceState", plugin.move_state(&moving).wait().map(drop)),
        ("GenerateResourceConfig", plugin.generate_config(kind, schema, &state).wait().map(drop)),
        (
            "ReadDataSource",
            plugin.read_data(&DataRequest { kind, schema, config: &state, meta: None }).wait().map(drop),
        ),
        (
            "OpenEphemeralResource",
            plugin.open_ephemeral(&EphemeralRequest { kind, schema, config: &state }).wait().map(drop),
        ),
    ];
    match opened {
        Ok(opened) => {
            // It counts in what it is handed back, so that it would stumble over a text.
            if text.contains("RenewEphemeral") {
                made.push(("RenewEphemeralResource", plugin.renew_ephemeral(&opened).wait().map(drop)));
            }
            if text.contains("CloseEphemeral") {
                made.push(("CloseEphemeralResource", plugin.close_ephemeral(&opened).wait().map(drop)));
            }
        }
        Err(error) => panic!("{error}"),
    }
    made
}

const CALLS: [[&str; 2]; 18] = [
    ["PrepareProviderConfig", "ValidateProviderConfig"],
    ["ValidateResourceTypeConfig", "ValidateResourceConfig"],
    ["ValidateDataSourceConfig", "ValidateDataResourceConfig"],
    ["ValidateEphemeralResourceConfig"; 2],
    ["Configure", "ConfigureProvider"],
    ["CallFunction"; 2],
    ["UpgradeResourceState"; 2],
    ["UpgradeResourceIdentity"; 2],
    ["ReadResource"; 2],
    ["PlanResourceChange"; 2],
    ["ApplyResourceChange"; 2],
    ["ImportResourceState"; 2],
    ["MoveResourceState"; 2],
    ["GenerateResourceConfig"; 2],
    ["ReadDataSource"; 2],
    ["OpenEphemeralResource"; 2],
    ["RenewEphemeralResource"; 2],
    ["CloseEphemeralResource"; 2],
];

#[test]
fn nonsense_and_refusals_are_errors_of_their_call_alone() {
    for (at, way) in [(0, "five"), (1, "well")] {
        let toy = Toy::new(way);
        let program = toy.plugin.program().display().to_string();
        for call in CALLS.map(|names| names[at]) {
            for (what, expected) in [("garbage", "failed to decode Protobuf message"), ("refuse", "not today")] {
                for (name, result) in every_call(&toy, &format!("{what} at {call}")) {
                    match result {
                        // Names that begin alike are asked for alike.
                        Err(error) if call.starts_with(name) => {
                            let error = error.to_string();
                            assert!(error.starts_with(&format!("the provider plugin {program} failed at {name}: ")));
                            assert!(error.contains(expected), "{error}");
                        }
                        result => assert!(result.is_ok() && name != call, "{call}: {name}: {result:?}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_crash_at_any_call_names_it_and_its_cause() {
    thread::scope(|scope| {
        for (at, way) in [(0, "five"), (1, "well")] {
            scope.spawn(move || {
                for call in CALLS.map(|names| names[at]) {
                    let toy = Toy::new(way);
                    let all = every_call(&toy, &format!("crash at {call}"));
                    let (_, result) = all.into_iter().find(|(_, result)| result.is_err()).expect("it crashed");
                    let error = result.unwrap_err().to_string();
                    let program = toy.plugin.program().display();
                    let end = format!("\nIts output ends with:\npanic: {call} was too much");
                    let expected =
                        format!("the provider plugin {program} failed at {call}: it crashed or was stopped{end}");
                    assert_eq!(error, expected);
                    assert_eq!(toy.plugin.crash().as_deref(), Some(&*format!("panic: {call} was too much\n")));
                    // It stays gone.
                    assert!(toy.read(&toy.named("x")).wait().unwrap_err().to_string().contains("crashed"));
                }
            });
        }
    });
}

#[test]
fn a_thousand_calls_are_under_way_at_once() {
    let toy = Toy::new("well");
    let state = toy.named("wait at ReadResource");
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let (told, answers) = mpsc::channel();
    for number in 0..1000 {
        let told = told.clone();
        // The toy's HTTP library takes too many streams that nobody looked at yet for an attack.
        if number % 100 == 99 {
            toy.read(&toy.named("x")).wait().unwrap();
        }
        toy.read(&state).then(move |answer| told.send((number, answer.map(|answer| answer.state))).unwrap());
    }
    assert!(answers.recv_timeout(Duration::from_millis(100)).is_err(), "nobody may be answered yet");
    // Other tests start threads, too.
    assert!(threads() < before + 500);
    toy.plugin.stop().wait().unwrap();
    let mut numbers: Vec<i32> = (0..1000)
        .map(|_| {
            let (number, answer) = answers.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(answer.unwrap(), state);
            number
        })
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1000));
}

#[test]
fn who_is_told_may_ask_again() {
    let toy = Arc::new(Toy::new("well"));
    let (told, answers) = mpsc::channel();
    let again = toy.clone();
    toy.read(&toy.named("a")).then(move |answer| {
        let state = answer.unwrap().state;
        told.send(again.read(&state).wait().unwrap().state).unwrap();
    });
    assert_eq!(answers.recv_timeout(Duration::from_secs(30)).unwrap(), toy.named("a"));
}

#[test]
fn large_values_travel() {
    let toy = Toy::new("well");
    let state = toy.read(&toy.named("huge")).wait().unwrap().state;
    assert_eq!(state.get_str("secret").unwrap().len(), 20_000_000);
    let planned = toy.plan(&state, &state).wait().unwrap();
    assert_eq!(planned.planned, state);
}

#[test]
fn a_value_that_does_not_fit_is_not_sent() {
    let toy = Toy::new("well");
    let error = toy.read(&Value::object([("x", Value::from(1))])).wait().unwrap_err().to_string();
    assert!(error.contains("failed at ReadResource: the value is not an object"), "{error}");
    // There is no identity to name it by.
    let plain = Toy::new("plain");
    assert_eq!(plain.ty().identity, None);
    let by = ImportBy::Identity(&Value::NULL);
    let import = plain.plugin.import(&ImportRequest { kind: "toy_thing", schema: plain.ty(), by }).wait();
    assert!(import.unwrap_err().to_string().contains("objects of toy_thing have no identity"));
}

#[test]
fn what_is_killed_under_way_fails() {
    let toy = Toy::new("well");
    let (told, answers) = mpsc::channel();
    toy.read(&toy.named("wait at ReadResource")).then(move |answer| told.send(answer.map(drop)).unwrap());
    toy.read(&toy.named("x")).wait().unwrap();
    toy.plugin.kill();
    let error = answers.recv_timeout(Duration::from_secs(30)).unwrap().unwrap_err().to_string();
    assert!(error.contains("failed at ReadResource: it crashed or was stopped"), "{error}");
}

#[test]
fn what_it_writes_is_told() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let listener = Listener::new({
        let lines = lines.clone();
        move |line| lines.lock().unwrap().push(line)
    });
    let settings = StartSettings { listener: Some(listener), ..StartSettings::default() };
    let (_directory, plugin) = start_with("loud", settings);
    let plugin = plugin.unwrap();
    let all_there = || {
        let lines = lines.lock().unwrap();
        lines.len() == 60_001 && lines.iter().any(|line| line.message == "said inside")
    };
    for _ in 0..3000 {
        if all_there() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(all_there());
    assert_eq!(lines.lock().unwrap()[0].program, plugin.program());
}
