//! The edges between crates are what `docs/architecture.md` says they are.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Crates in the order of the architecture page: a crate may use those before it in its own ring, where the ring
/// allows it, and those of the rings that it may see.
const RINGS: [(&str, &[&str]); 4] = [
    ("model", &["text", "value", "hcl", "schema", "ledger"]),
    ("decide", &["lang", "plan", "converge", "fleet", "flow", "audit", "fold", "view"]),
    ("drive", &["host", "reach", "image", "docker", "lab", "store", "provider", "provision", "source", "secret"]),
    ("run", &["engine", "cli"]),
];

/// What drags in an effect: never below a pure crate.
const IMPURE: [&str; 10] =
    ["ureq", "tokio", "tonic", "hyper", "rusqlite", "nix", "libc", "rtnetlink", "rand", "getrandom"];

fn metadata() -> Value {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline", "--manifest-path"])
        .arg(format!("{root}/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn ring_of(name: &str) -> Option<(usize, usize)> {
    let short = name.strip_prefix("andon-")?;
    RINGS.iter().enumerate().find_map(|(ring, (_, crates))| {
        crates.iter().position(|candidate| *candidate == short).map(|place| (ring, place))
    })
}

/// Why a crate may not use another; `None` where it may.
fn refusal(from: (usize, usize), to: (usize, usize)) -> Option<&'static str> {
    const MODEL: usize = 0;
    const DRIVE: usize = 2;
    match (from.0, to.0) {
        (DRIVE, MODEL) => None,
        (DRIVE, _) => Some("a driver knows only model/, and never another driver"),
        (outer, inner) if outer > inner => None,
        (outer, inner) if outer == inner && from.1 > to.1 => None,
        (outer, inner) if outer == inner => Some("a crate uses only earlier crates of its ring"),
        _ => Some("a ring knows nothing of the rings around it"),
    }
}

#[test]
fn crates_use_only_what_their_ring_allows() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(from) = ring_of(name) else {
            let ours = package["source"].is_null() && name != "andon-sim";
            assert!(!ours, "{name} is in no ring: add it to this test and to docs/architecture.md");
            continue;
        };
        let folder = RINGS[from.0].0;
        let manifest = package["manifest_path"].as_str().unwrap();
        let short = name.trim_start_matches("andon-");
        assert!(manifest.ends_with(&format!("/{folder}/{short}/Cargo.toml")), "{name} is not in {folder}/");
        seen.insert(name.to_owned());
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let normal = dependency["kind"].is_null();
            if let (Some(target), true) = (ring_of(to), normal) {
                wrong.extend(refusal(from, target).map(|why| format!("{name} uses {to}: {why}")));
            }
            if from.0 < 2 && normal && IMPURE.contains(&to) {
                wrong.push(format!("{name} uses {to}: {folder}/ is pure"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let expected: usize = RINGS.iter().map(|(_, crates)| crates.len()).sum();
    assert_eq!(seen.len(), expected, "a crate of this test does not exist");
}

#[test]
fn the_rules_refuse_what_they_should() {
    let at = |name| ring_of(name).unwrap();
    for (from, to, allowed) in [
        ("andon-schema", "andon-value", true),
        ("andon-value", "andon-schema", false),
        ("andon-plan", "andon-lang", true),
        ("andon-lang", "andon-plan", false),
        ("andon-lang", "andon-lab", false),
        ("andon-lab", "andon-schema", true),
        ("andon-lab", "andon-host", false),
        ("andon-lab", "andon-plan", false),
        ("andon-engine", "andon-lab", true),
        ("andon-engine", "andon-plan", true),
    ] {
        assert_eq!(refusal(at(from), at(to)).is_none(), allowed, "{from} -> {to}");
    }
}

#[test]
fn the_tree_of_the_binary_stays_lean() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package=andon-cli", "--edges=normal,build", "--prefix=none", "--locked", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let crates: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(crates.len() < 425, "the binary's tree has {} crates; it stays under 425", crates.len());
}
