//! Terraform's state files, read and written. The files in `tests/state_files` are Terraform's own: `applied.tfstate`
//! is what an apply left, `foreign.tfstate` is what `terraform state pull` makes of `foreign.json`.
#![allow(clippy::disallowed_types, clippy::disallowed_macros, reason = "Terraform itself is asked, where it is there")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use andon_ledger::state_file::{
    Attributes, Check, CheckObject, Instance, Output, RawJson, Resource, StateFile, StateFileError,
};
use andon_schema::{InstanceKey, Mode};
use andon_value::{Path, PathStep, Type, Value, to_json};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::generate;

fn text(name: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/state_files").join(name)).unwrap()
}

/// Where two texts begin to differ.
fn differs(one: &str, other: &str) -> String {
    let first = one.lines().zip(other.lines()).position(|(one, other)| one != other).unwrap_or(0);
    let around = |text: &str| text.lines().skip(first.saturating_sub(4)).take(8).collect::<Vec<_>>().join("\n");
    format!("{}\nand\n{}", around(one), around(other))
}

#[test]
fn files_of_terraform_are_written_back_byte_for_byte() {
    for name in ["applied.tfstate", "foreign.tfstate"] {
        let text = text(name);
        let written = StateFile::read(&text).unwrap().write();
        assert!(written == text, "{name}: {}", differs(&written, &text));
    }
}

#[test]
fn a_file_of_another_program_is_written_as_terraform_writes_it() {
    let mut file = StateFile::read(&text("foreign.json")).unwrap();
    file.terraform_version = "1.11.4".to_owned();
    let (written, expected) = (file.write(), text("foreign.tfstate"));
    assert!(written == expected, "{}", differs(&written, &expected));
}

#[test]
fn what_is_read_is_what_was_applied() {
    let file = StateFile::read(&text("applied.tfstate")).unwrap();
    assert_eq!(file.terraform_version, "1.11.4");
    let resource = |text: &str| file.resources.iter().find(|resource| resource.to_string() == text).unwrap();
    let secret = &resource("terraform_data.secret").instances[0];
    let mut paths: Vec<String> = secret.sensitive.iter().map(ToString::to_string).collect();
    paths.sort();
    assert_eq!(paths, [".input.k", ".input.l[0]", ".input.m.n", ".triggers_replace[1]"]);
    assert_eq!(secret.dependencies, ["terraform_data.plain"]);
    let ty = Type::object([
        ("id", Type::String),
        ("input", Type::Dynamic),
        ("output", Type::Dynamic),
        ("triggers_replace", Type::Dynamic),
    ]);
    let Attributes::Json(raw) = &secret.attributes else { panic!() };
    let value = raw.decode(&ty).unwrap();
    assert_eq!(value.get("input").unwrap().get("k").unwrap().as_str().map(|text| &**text), Some("s3cret<&>"));
    // The other way round, it is the same text but for what the file escapes.
    let unescaped = raw.as_str().replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
    assert_eq!(RawJson::encode(&value, &ty).unwrap().as_str(), unescaped);
    assert_eq!(to_json(&raw.decode_untyped().unwrap()).unwrap()["input"]["value"]["k"], "s3cret<&>");
    assert!(raw.decode(&Type::object([("id", Type::String)])).is_err());
    let each = resource("terraform_data.each");
    let tainted: Vec<_> = each.instances.iter().filter(|instance| instance.tainted).map(|it| it.key.clone()).collect();
    assert_eq!(tainted, [Some(InstanceKey::Name("a".into()))]);
    let inner = resource("module.m[\"k\"].terraform_data.in").address("web").unwrap();
    assert_eq!(inner.to_string(), "web/module.m[\"k\"].terraform_data.in");
    assert!(file.outputs["sec"].sensitive);
    assert_eq!(file.outputs["set"].value, Value::set(Type::Number, [3, 1, 2].map(Value::from)));
    let failed = file.checks.as_ref().unwrap().iter().find(|check| check.status == "fail").unwrap();
    assert_eq!(failed.objects.as_ref().unwrap()[0].messages, ["too few"]);
}

#[test]
fn what_is_no_state_file_is_refused_with_its_place() {
    let resource = |rest: &str| {
        format!(r#"{{"version":4,"resources":[{{"mode":"managed","type":"a_b","name":"c","provider":"p",{rest}}}]}}"#)
    };
    let instance = |rest: &str| resource(&format!(r#""instances":[{{{rest}}}]"#));
    for (text, expected) in [
        (String::new(), "it is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{".to_owned(), "it is not JSON: EOF while parsing an object at line 1 column 1"),
        ("[]".to_owned(), "it has no format version, so that it is no state file"),
        ("{}".to_owned(), "it has no format version, so that it is no state file"),
        (r#"{"version":"4"}"#.to_owned(), "it has no format version, so that it is no state file"),
        (
            r#"{"version":3,"modules":[]}"#.to_owned(),
            "it has format version 3, as Terraform before 0.12 wrote it: `terraform state pull` of a later Terraform \
             gives it in version 4, which can be read",
        ),
        (r#"{"version":5}"#.to_owned(), "it has format version 5, and only version 4 can be read"),
        (r#"{"version":4,"serial":-1}"#.to_owned(), "serial must be a whole number"),
        (r#"{"version":4,"resources":{}}"#.to_owned(), "resources must be a list"),
        (r#"{"version":4,"resources":[1]}"#.to_owned(), "resources[0] must be an object"),
        (r#"{"version":4,"outputs":{"a":{"value":1}}}"#.to_owned(), "outputs.a.type must be a type"),
        (
            r#"{"version":4,"outputs":{"a":{"value":"x","type":"number"}}}"#.to_owned(),
            "outputs.a.value must be of the output's type",
        ),
        (r#"{"version":4,"resources":[{"mode":"x"}]}"#.to_owned(), "resources[0].mode must be \"managed\" or \"data\""),
        (resource(r#""module":"m""#), "resources[0].name must be a name, of a type, in a module"),
        (instance(r#""index_key":-1"#), "resources[0].instances[0].index_key must be a text or a whole number"),
        (instance(r#""status":"new""#), "resources[0].instances[0].status must be \"tainted\" or left out"),
        (instance(r#""attributes":[]"#), "resources[0].instances[0].attributes must be an object"),
        (instance(r#""private":"?""#), "resources[0].instances[0].private must be base64"),
        (
            instance(r#""sensitive_attributes":[[{"type":"x"}]]"#),
            "resources[0].instances[0].sensitive_attributes must be a list of paths",
        ),
        (resource(r#""instances":[{},{}]"#), "a_b.c is there twice"),
        (resource(r#""instances":[{"index_key":1},{"index_key":1}]"#), "a_b.c[1] is there twice"),
    ] {
        assert_eq!(StateFile::read(&text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }
    let twice = r#"{"mode":"data","type":"a","name":"b","module":"module.m","provider":"p"}"#;
    let text = format!(r#"{{"version":4,"resources":[{twice},{twice}]}}"#);
    assert_eq!(StateFile::read(&text), Err(StateFileError::Twice("module.m.data.a.b".to_owned())));
}

#[test]
fn little_is_enough() {
    assert_eq!(StateFile::read("\u{feff} {\"version\": 4}\n"), Ok(StateFile::default()));
    let text = r#"{"version":4,"resources":[{"mode":"data","type":"a","name":"b","provider":"p",
        "instances":[{"deposed":"","status":null,"attributes":null,"provider":"q","new":{"x":[1]}}]}]}"#;
    let file = StateFile::read(text).unwrap();
    assert_eq!(file.resources[0].instances, [plain(None)]);
    let deep = |levels: usize| {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let resource = format!(
            r#"{{"mode":"data","type":"a","name":"b","provider":"p","instances":[{{"attributes":{{"a":{deep}}}}}]}}"#
        );
        StateFile::read(&format!(r#"{{"version":4,"resources":[{resource}]}}"#))
    };
    let file = deep(490).unwrap();
    let Attributes::Json(raw) = &file.resources[0].instances[0].attributes else { panic!() };
    assert!(raw.decode_untyped().is_ok());
    assert_eq!(StateFile::read(&file.write()), Ok(file));
    assert_eq!(deep(100_000), Err(StateFileError::TooDeep(500)));
}

fn plain(key: Option<InstanceKey>) -> Instance {
    Instance {
        key,
        deposed: None,
        tainted: false,
        schema_version: 0,
        attributes: Attributes::Json(RawJson::default()),
        sensitive: Vec::new(),
        identity_schema_version: None,
        identity: None,
        private: Vec::new(),
        dependencies: Vec::new(),
        create_before_destroy: false,
    }
}

/// A file of anything; with the names that Terraform asks for.
fn files() -> impl Strategy<Value = StateFile> {
    let name = || "[a-zA-Z_][a-zA-Z0-9_-]{0,3}";
    let text = || "[ -~é漢😀]{0,6}|[\"\\\\<>&\u{2028}\n\t\u{1}é]{0,4}";
    let key = prop_oneof![
        Just(None),
        (0..12u64).prop_map(|index| Some(InstanceKey::Index(index))),
        "[a-z\"\\\\é]{1,2}".prop_map(|name| Some(InstanceKey::Name(name.into()))),
    ];
    let step = prop_oneof![
        name().prop_map(|name| PathStep::Attribute(name.into())),
        text().prop_map(|key| PathStep::Key(key.into())),
        (0..100usize).prop_map(PathStep::Index),
    ];
    let path = proptest::collection::vec(step, 1..3).prop_map(|steps| steps.into_iter().collect::<Path>());
    let attributes = prop_oneof![
        generate::value().prop_map(|value| {
            let object = Value::object([("a", value)]);
            Attributes::Json(RawJson::encode(&object, &Type::object([("a", Type::Dynamic)])).unwrap_or_default())
        }),
        proptest::collection::btree_map(text(), text(), 1..3).prop_map(Attributes::Flat),
    ];
    let instance = (
        (key, proptest::option::of("[0-9a-f]{8}"), any::<bool>(), 0..3u64, attributes),
        (
            proptest::collection::vec(path, 0..3),
            proptest::collection::vec(any::<u8>(), 0..5),
            proptest::collection::vec("a_b\\.[a-z]{1,3}", 0..3),
            any::<bool>(),
        ),
    )
        .prop_map(
            |((key, deposed, tainted, schema_version, attributes), (sensitive, private, dependencies, cbd))| Instance {
                deposed,
                tainted,
                schema_version,
                attributes,
                sensitive,
                private,
                dependencies,
                create_before_destroy: cbd,
                ..plain(key)
            },
        );
    let resource = (
        prop_oneof![Just(String::new()), Just("module.a[0].module.b[\"x.y\"]".to_owned()), Just("module.a".to_owned())],
        any::<bool>(),
        name(),
        name(),
        proptest::collection::vec(instance, 0..4),
    )
        .prop_map(|(module, managed, kind, name, mut instances)| {
            instances.sort_by(|one, other| (&one.key, &one.deposed).cmp(&(&other.key, &other.deposed)));
            instances.dedup_by(|one, other| (&one.key, &one.deposed) == (&other.key, &other.deposed));
            // Terraform has no order of the keys of `count` and `for_each` among each other, as no resource has both.
            let named = matches!(instances.last(), Some(Instance { key: Some(InstanceKey::Name(_)), .. }));
            instances.retain(|it| it.key.as_ref().is_none_or(|key| matches!(key, InstanceKey::Name(_)) == named));
            let mode = if managed { Mode::Managed } else { Mode::Data };
            let provider = "provider[\"registry.terraform.io/hashicorp/aws\"].x".to_owned();
            Resource { module, mode, kind, name, provider, instances }
        });
    let output = (generate::value(), any::<bool>());
    let check = (name(), text()).prop_map(|(name, message)| Check {
        kind: "check".to_owned(),
        address: format!("check.{name}"),
        status: "fail".to_owned(),
        objects: Some(vec![CheckObject {
            address: format!("check.{name}"),
            status: "fail".to_owned(),
            messages: vec![message],
        }]),
    });
    (
        proptest::collection::btree_map(name(), output, 0..4),
        proptest::collection::vec(resource, 0..4),
        proptest::option::of(proptest::collection::vec(check, 1..2)),
        0..1000u64,
    )
        .prop_map(|(outputs, mut resources, checks, serial)| {
            let key = |it: &Resource| (it.module.clone(), it.mode == Mode::Managed, it.kind.clone(), it.name.clone());
            resources.sort_by_key(key);
            resources.dedup_by_key(|resource| key(resource));
            let outputs = outputs.into_iter().map(|(name, (value, sensitive))| {
                let value = value.unmark_deep().0;
                let value = if value.is_wholly_known() { value } else { Value::from("unknown") };
                let value = if to_json(&value).is_ok() { value } else { Value::from("infinite") };
                (name, Output { value, sensitive })
            });
            let outputs = outputs.collect();
            let version = "1.11.4".to_owned();
            StateFile { terraform_version: version, serial, lineage: "l".to_owned(), outputs, resources, checks }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(file in files()) {
        let text = file.write();
        let back = StateFile::read(&text).unwrap();
        prop_assert_eq!(&back.write(), &text);
        prop_assert_eq!(back.resources.len(), file.resources.len());
        for (one, other) in back.resources.iter().zip(&file.resources) {
            prop_assert_eq!(one.to_string(), other.to_string());
            prop_assert_eq!(one.instances.len(), other.instances.len());
            for (one, other) in one.instances.iter().zip(&other.instances) {
                prop_assert_eq!((&one.key, &one.deposed, &one.private), (&other.key, &other.deposed, &other.private));
                prop_assert_eq!((&one.sensitive, &one.dependencies), (&other.sensitive, &other.dependencies));
            }
        }
    }
}

/// Terraform reads what is written here, and writes the same.
#[test]
fn terraform_writes_the_same() {
    let program = std::env::var_os("ANDON_TERRAFORM").map_or_else(|| PathBuf::from("terraform"), PathBuf::from);
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("state-files-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let version = Command::new(&program).args(["version", "-json"]).output();
    let Ok(version) = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()) else {
        println!("skipped: {} cannot be run; set ANDON_TERRAFORM to a terraform", program.display());
        return;
    };
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..4 {
        let mut file = files().new_tree(&mut runner).unwrap().current();
        // More of everything in one file, so that Terraform need not be started often.
        for part in 0..12 {
            let mut more = files().new_tree(&mut runner).unwrap().current();
            for resource in &mut more.resources {
                resource.name = format!("{}{part}", resource.name);
            }
            file.resources.append(&mut more.resources);
            file.outputs.extend(more.outputs.into_iter().map(|(name, output)| (format!("{name}{part}"), output)));
        }
        // Terraform normalises names beyond ASCII, and refuses those that it would change.
        file.outputs.retain(|_, output| to_json(&output.value).is_ok_and(|json| json.to_string().is_ascii()));
        file.terraform_version = version["terraform_version"].as_str().unwrap().to_owned();
        fs::write(directory.join("terraform.tfstate"), file.write()).unwrap();
        let output = Command::new(&program).args(["state", "pull"]).current_dir(&directory).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        let expected = format!("{}\n", file.write());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(found == expected, "{errors}\n{}", differs(&found, &expected));
    }
    fs::remove_dir_all(&directory).unwrap();
}
