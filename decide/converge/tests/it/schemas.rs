use andon_converge::{schemas, validate};
use andon_schema::host::HostResource;
use andon_value::Value;

use crate::catalog::{absent, catalog, file, reloads, resource, with_check};

#[test]
fn every_attribute_is_described() {
    let (kinds, checks) = schemas();
    assert!(kinds.len() >= 10 && checks.len() >= 7);
    for (name, block) in kinds.iter().chain(&checks) {
        assert!(block.description.ends_with('.'), "{name}");
        for (attribute, schema) in &block.attributes {
            assert!(schema.description.ends_with('.'), "{name}.{attribute}");
            assert_ne!(schema.required, schema.optional, "{name}.{attribute}");
        }
        for meta in ["when", "for_each", "after", "reloads", "restarts", "only_on", "absent"] {
            assert!(!block.attributes.contains_key(meta), "{name}.{meta} is the language's");
        }
    }
}

fn check(resources: Vec<HostResource>, words: &[&str]) {
    let wrong = validate(&catalog(resources));
    assert_eq!(wrong.len(), words.len(), "{wrong:?}");
    for ((origin, message), words) in wrong.iter().zip(words) {
        assert!(message.contains(words) && origin.contains(".role.hcl:"), "{origin} {message}");
    }
}

#[test]
fn values_that_cannot_be_meant() {
    let one = |kind: &str, name: &str, given: &[(&str, Value)], words: &str| {
        check(vec![resource(kind, name, given)], &[words]);
    };
    check(vec![file("/etc/a", "")], &[]);
    one("file", "etc/a", &[], "is not absolute");
    one("file", "/etc/../a", &[], "has a step");
    one("file", "/etc//a", &[], "a slash too many");
    one("file", "/etc/a", &[("mode", "0888".into())], "`0888` is not a mode");
    one("file", "/etc/a", &[("owner", "a b".into())], "`a b` is not a name");
    one("file", "/etc/a", &[("validate", "true".into())], "there is no `content`");
    one("directory", "/etc", &[("purge", true.into())], "too near the root");
    one("link", "/etc/a", &[], "needs a `target`");
    one("line", "/etc/a", &[], "needs `line`");
    one("line", "/etc/a", &[("line", "a\nb".into())], "more than one line");
    one("line", "/etc/a", &[("line", "a".into()), ("match", "(".into())], "`match` is not a regular expression");
    one("package", "-nginx", &[], "not the name of a package");
    let package = |given: &[(&str, Value)], words: &str| one("package", "a", given, words);
    package(&[("names", crate::catalog::list(&["b"])), ("version", "1".into())], "`version` is about one package");
    package(&[("latest", true.into()), ("version", "1".into())], "both say which version");
    package(&[("latest", true.into()), ("hold", true.into())], "give `hold` or `latest`");
    package(&[("purge", true.into())], "`purge` is about a package that is removed");
    one("package", "a;b", &[], "not the name of a package");
    one("package", "a", &[("version", "1 2".into())], "not the version");
    one("service", "a b", &[], "not the name of a service");
    one("user", "1abc", &[], "not a name for a user");
    one("user", "a", &[("uid", (-1).into())], "`uid` is not a whole number");
    one("user", "a", &[("shell", "bash".into())], "is not absolute");
    one("exec", "a", &[("command", "true".into())], "so that it would run every time");
    one("exec", "a", &[("creates", "/a".into())], "an exec needs a `command`");
    one("exec", "a", &[("command", " ".into()), ("creates", "/a".into())], "`command` is empty");
    one("exec", "a", &[("command", "a".into()), ("creates", "a".into())], "is not absolute");
    let secret = Value::tuple([Value::from("a"), Value::from("b").mark(andon_value::Marks::SENSITIVE)]);
    one("exec", "a", &[("command", secret), ("creates", "/a".into())], "everyone on a server sees the words");
    let statuses = Value::list(andon_value::Type::Number, [Value::from(300)]);
    one("exec", "a", &[("command", "a".into()), ("creates", "/a".into()), ("returns", statuses)], "exit statuses");
    one("sysctl", "somaxconn", &[("value", "1".into())], "not a kernel setting");
    one("sysctl", "a.b", &[], "needs a `value`");
    one("timezone", "t", &[("name", "../etc/passwd".into())], "not a time zone");
    check(vec![absent(resource("directory", "/srv", &[]))], &["too near the root"]);
    check(
        vec![file("/etc/a", ""), resource("link", "/etc/a", &[("target", "b".into())])],
        &["link \"/etc/a\" and file \"/etc/a\" at file.role.hcl:6 are both about the path `/etc/a`"],
    );
    check(
        vec![file("/etc/a", ""), resource("file", "again", &[("path", "/etc/a".into())])],
        &["file \"again\" and file \"/etc/a\" at file.role.hcl:6 are both about the path `/etc/a`"],
    );
    check(
        vec![resource("package", "a", &[]), resource("package", "b", &[("name", "a".into())])],
        &["package \"b\" and package \"a\" at package.role.hcl:1 are both about the name `a`"],
    );
    // All of a `for_each` together need it, once.
    check(
        vec![file("/etc/a[x]", ""), file("/etc/a[y]", "")],
        &["file \"/etc/a\" needs `path`, as its label is the same for each of its `for_each`"],
    );
    let line = || resource("line", "/etc/a", &[("line", "x".into())]);
    check(vec![line(), resource("file", "/etc/a", &[])], &[]);
    check(vec![line(), file("/etc/a", "")], &["edits a file whose whole content is defined, at file.role.hcl:6"]);
    check(
        vec![reloads(file("/etc/a", ""), "nginx")],
        &["reloads the service `nginx`, which this role does not define"],
    );
    one("file", "/etc/a[x]", &[], "file \"/etc/a\" needs `path`");
    check(vec![resource("package", "tools[jq]", &[("name", "jq".into())])], &[]);
    assert_eq!(validate(&with_check(catalog(Vec::new()), "http", "http://[::1]", &[])), []);
    let mut unknown = file("/etc/a", "");
    unknown.kind = "flie".into();
    check(vec![unknown], &["no kind of host resource `flie`"]);
}

#[test]
fn checks_that_cannot_be_meant() {
    for (kind, name, given, words) in [
        ("port", "http", vec![], "is not a port"),
        ("port", "tcp/0", vec![], "is not a port"),
        ("port", "tcp/80", vec![("timeout", Value::from("soon"))], "not a span of time"),
        ("http", "ftp://a/", vec![], "is not an address"),
        ("http", "a/b", vec![], "is not an address"),
        ("http", "http://a/", vec![("status", 42.into())], "not one of HTTP"),
        ("file", "etc", vec![], "is not absolute"),
    ] {
        let wrong = validate(&with_check(catalog(Vec::new()), kind, name, &given));
        assert!(wrong.len() == 1 && wrong[0].1.contains(words), "{wrong:?}");
    }
}
