//! The loop that an engine writes, and catalogs made true in a real root file system.

use andon_converge::{Converge, Mode, Step, schemas, validate};
use andon_host::{act, observe};
use andon_schema::host::{Catalog, HostResource};
use andon_schema::{EntryStatus, HostReport};
use andon_value::{Type, Value};

use crate::packages::{has_apt, source};
use crate::root::{in_a_root, text};

pub fn converge(catalog: &Catalog, mode: Mode) -> HostReport {
    let mut converge = Converge::new(catalog.clone(), mode);
    loop {
        match converge.next() {
            Step::Look(looks) => converge.seen(observe(&looks, mode.stage())),
            Step::Act(acts) => converge.acted(act(&acts, mode.stage())),
            Step::Done(report) => break report,
        }
    }
}

/// Plan and apply both change so many, and then nothing is left to do.
pub fn apply(resources: Vec<HostResource>, count: usize) {
    let catalog = catalog(resources);
    let (plan, report) = (converge(&catalog, Mode::Plan), converge(&catalog, Mode::Apply));
    assert!(!plan.has_failed() && !report.has_failed(), "{plan:#?} {report:#?}");
    assert_eq!((changes(&plan), changes(&report)), (count, count), "{plan:#?} {report:#?}");
    let again = converge(&catalog, Mode::Apply);
    assert!(again.is_clean(), "{again:#?}");
}

pub fn resource(kind: &str, name: &str, given: &[(&str, Value)]) -> HostResource {
    let attributes = schemas().0[kind].attributes.clone();
    let value = |name: &String| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let attributes = attributes
        .iter()
        .map(|(name, attribute)| (name.as_str(), value(name).unwrap_or_else(|| Value::null(attribute.ty.clone()))));
    HostResource {
        kind: kind.into(),
        name: name.into(),
        attributes: Value::object(attributes),
        absent: false,
        notifies: Vec::new(),
        only_on: None,
        role: "web".into(),
        origin: "web.role.hcl:1".into(),
    }
}

pub fn catalog(resources: Vec<HostResource>) -> Catalog {
    let catalog = Catalog { roles: vec!["web".into()], resources, ..Catalog::default() };
    assert_eq!(validate(&catalog), []);
    catalog
}

pub fn changes(report: &HostReport) -> usize {
    report.changes().count()
}

#[test]
fn an_image_is_made_so_and_then_nothing_changes() {
    if !has_apt() {
        return;
    }
    in_a_root(|| {
        source(&[("andon-web", "1.0", "useradd --system --user-group andon-web"), ("andon-more", "1.0", "")]);
        let groups = Value::set(Type::String, [Value::from("adm")]);
        let catalog = catalog(vec![
            resource("package", "andon-web", &[]),
            resource("package", "andon-more", &[("version", "1.*".into())]),
            resource("directory", "/etc/andon-web", &[("purge", true.into())]),
            resource(
                "file",
                "/etc/andon-web/site",
                &[
                    ("content", "listen 80;\n".into()),
                    ("owner", "andon-web".into()),
                    ("mode", "0640".into()),
                    ("validate", "grep -q listen /etc/andon-web/site".into()),
                ],
            ),
            resource("line", "hosts", &[("path", "/etc/hosts".into()), ("line", "10.0.0.9 db".into())]),
            resource("line", "more hosts", &[("path", "/etc/hosts".into()), ("line", "10.0.0.8 cache".into())]),
            resource("link", "/etc/andon-web/now", &[("target", "site".into())]),
            resource("group", "crew", &[]),
            resource("user", "deploy", &[("groups", groups), ("group", "crew".into())]),
            resource("sysctl", "net.core.somaxconn", &[("value", "4096".into())]),
        ]);
        let report = converge(&catalog, Mode::Image);
        assert!(!report.has_failed(), "{report:#?}");
        assert_eq!(changes(&report), 10, "{report:#?}");
        assert_eq!(text("/etc/andon-web/shipped"), None, "what is not defined is purged");
        assert_eq!(text("/etc/andon-web/now").as_deref(), Some("listen 80;\n"));
        assert!(text("/etc/hosts").unwrap().ends_with("10.0.0.9 db\n10.0.0.8 cache\n"));
        let again = converge(&catalog, Mode::Image);
        assert!(again.is_clean(), "{again:#?}");
        std::fs::write("/etc/andon-web/site", "listen 81;\n").unwrap();
        let plan = converge(&catalog, Mode::Image);
        assert_eq!(plan.changes().next().unwrap().diff.as_deref(), Some("@@ -1 +1 @@\n-listen 81;\n+listen 80;\n"));
    });
}

#[test]
fn a_refused_file_leaves_the_old_one() {
    in_a_root(|| {
        std::fs::write("/srv/site", "old\n").unwrap();
        let given = [("content", "new\n".into()), ("validate", "echo site:1: bad; false".into())];
        let catalog = catalog(vec![resource("file", "/srv/site", &given), resource("file", "/srv/next", &[])]);
        let plan = converge(&catalog, Mode::Plan);
        assert_eq!((changes(&plan), plan.has_failed()), (2, false));
        let report = converge(&catalog, Mode::Apply);
        assert!(matches!(&report.entries[0].status, EntryStatus::Failed(why) if why.contains("site:1: bad")));
        assert!(matches!(&report.entries[1].status, EntryStatus::Skipped(_)));
        assert_eq!((text("/srv/site").as_deref(), text("/srv/next")), (Some("old\n"), None));
    });
}

#[test]
fn ten_thousand_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let file = |number| resource("file", &format!("{path}/{number}"), &[("content", "x".repeat(470).into())]);
    let count = 10_000;
    let catalog = catalog((0..count).map(file).collect());
    for expected in [count, 0] {
        let began = std::time::Instant::now();
        let report = converge(&catalog, Mode::Apply);
        println!("{expected} changes in {count} files: {:?}", began.elapsed());
        assert_eq!((changes(&report), report.has_failed()), (expected, false));
    }
}

/// apt fetches what can be had from the new source before the first install, once; a key is put into armor.
#[test]
fn a_repository_is_there_for_the_next_package() {
    if !has_apt() {
        return;
    }
    in_a_root(|| {
        source(&[("andon-one", "1.0", ""), ("andon-one", "1.5", ""), ("andon-two", "2.0", "")]);
        std::fs::write("/etc/apt/sources.list", "").unwrap();
        let texts = |texts: &[&str]| Value::list(Type::String, texts.iter().map(|text| Value::from(*text)));
        let mut wanted = catalog(vec![
            resource(
                "repository",
                "own",
                &[
                    ("url", "file:/srv/repository".into()),
                    ("suites", texts(&["./"])),
                    ("trusted", true.into()),
                    ("key", "/etc/own.key".into()),
                ],
            ),
            resource("package", "andon-one", &[("version", ">= 1.2".into()), ("hold", true.into())]),
            resource("package", "more", &[("names", texts(&["andon-two"]))]),
        ]);
        std::fs::write("/etc/own.key", "").unwrap();
        let report = converge(&wanted, Mode::Image);
        assert!(!report.has_failed(), "{report:#?}");
        assert_eq!(changes(&report), 3, "{report:#?}");
        assert_eq!(report.entries[1].differences, ["version not installed → 1.5", "hold false → true"]);
        let again = converge(&wanted, Mode::Image);
        assert!(again.is_clean(), "{again:#?}");
        wanted.files.insert("roles/own.gpg".into(), vec![0x99, 0x02, 0x0d, 0x00, 0xff].into());
        let mut repository = wanted.resources[0].clone();
        let attributes = repository.attributes.as_entries().unwrap().iter();
        let with_key = |(name, value): (&std::sync::Arc<str>, &Value)| {
            (name.to_string(), if &**name == "key" { Value::from("own.gpg") } else { value.clone() })
        };
        repository.attributes = Value::object(attributes.map(with_key).collect::<Vec<_>>());
        repository.origin = "roles/web.role.hcl:1".into();
        wanted.resources[0] = repository;
        let report = converge(&wanted, Mode::Image);
        assert!(!report.has_failed(), "{report:#?}");
        let sources = text("/etc/apt/sources.list.d/own.sources").unwrap();
        let path = sources.lines().find_map(|line| line.strip_prefix("Signed-By: ")).unwrap();
        assert!(text(path).unwrap().starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINAP8="), "{sources}");
        assert!(converge(&wanted, Mode::Image).is_clean());
    });
}
