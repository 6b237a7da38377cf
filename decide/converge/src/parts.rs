//! Where an image's converge may be cut into parts, each of which is kept as a layer: in the order of the catalog, after
//! what takes long, so that what comes later is made anew without it. A cut is made only where one converge without it
//! would come to the same.

use std::ops::Range;
use std::sync::Arc;

use andon_schema::host::{Catalog, HostResource};
use andon_value::{Value, encode};

use crate::args::Args;
use crate::converge::address_of;

/// A role takes no more layers than this: images are made over images, and a stack of layers has its bounds.
const PARTS_MAX: usize = 12;

/// What is emptied when a layer is finished, and lives as long as the part of a converge that wrote it. Who says one of
/// these words may hand something on to whoever else says it.
const PASSING: [&str; 9] = [
    "/tmp",
    "/run",
    "/dev/shm",
    "mktemp",
    "/var/log",
    "/var/backups",
    "/etc/machine-id",
    "/etc/ssh/ssh_host",
    "ssl-cert-snakeoil",
];

/// The parts of a catalog's resources, in their order. None is empty.
pub fn parts(catalog: &Catalog) -> Vec<Range<usize>> {
    let resources = &catalog.resources;
    let mut cuts: Vec<usize> = (1..resources.len())
        .filter(|at| {
            let (before, after) = (resources.get(at - 1), resources.get(*at));
            before.is_some_and(takes_long) && !after.is_some_and(takes_long)
        })
        .collect();
    let tied: Vec<(usize, usize)> = ties(catalog);
    cuts.retain(|cut| !tied.iter().any(|(first, last)| first < cut && cut <= last));
    // What is far up changes least.
    let spare = cuts.len().saturating_sub(PARTS_MAX - 1);
    cuts.drain(..spare);
    cuts.push(resources.len());
    let mut start = 0;
    let parts = cuts.into_iter().map(|end| std::mem::replace(&mut start, end)..end);
    parts.filter(|part| !part.is_empty()).collect()
}

/// All that a part is made from, as text: what its resources ask and read.
pub fn ingredients(catalog: &Catalog, part: Range<usize>) -> Vec<u8> {
    let resources = catalog.resources.get(part).unwrap_or_default();
    let mut text = b"andon part 1\n".to_vec();
    let mut add = |bytes: &[u8]| {
        text.extend(bytes.len().to_string().as_bytes());
        text.push(b' ');
        text.extend(bytes);
        text.push(b'\n');
    };
    let looks_around = resources.iter().any(looks_around);
    let asked = if looks_around { &*catalog.resources } else { resources };
    for resource in asked {
        add(resource.kind.as_bytes());
        add(resource.name.as_bytes());
        add(encode(&resource.attributes).to_string().as_bytes());
        add(format!("{}{:?}", resource.absent, resource.only_on).as_bytes());
    }
    let read = Catalog {
        resources: asked.to_vec(),
        files: catalog.files.clone(),
        executable: catalog.executable.clone(),
        ..Catalog::default()
    };
    for (path, content) in crate::sources(&read) {
        add(path.as_bytes());
        add(if catalog.executable.contains(path) { b"executable" } else { b"" });
        add(&content.0);
    }
    text
}

/// Whether doing it again is what one waits for. A repository alone is quick, and what follows it needs its lists.
fn takes_long(resource: &HostResource) -> bool {
    match &*resource.kind {
        "package" | "archive" | "git" | "exec" | "container" => true,
        "directory" => Args::of_resource(resource).has("source"),
        _ => false,
    }
}

/// Whether what it does depends on what the rest of the catalog asks.
fn looks_around(resource: &HostResource) -> bool {
    let says = |attribute| Args::of_resource(resource).truth(attribute) == Some(true);
    match &*resource.kind {
        "directory" => says("purge"),
        "authorized_key" => says("exclusive"),
        "user" => says("exclusive_keys"),
        "firewall_rule" => true,
        _ => false,
    }
}

/// First and last places between which there is no cut.
fn ties(catalog: &Catalog) -> Vec<(usize, usize)> {
    let resources = &catalog.resources;
    let mut ties = Vec::new();
    let mut tie = |places: Vec<usize>| {
        if let (Some(first), Some(last)) = (places.first(), places.last()) {
            ties.push((*first, *last));
        }
    };
    let where_any = |is: &dyn Fn(&HostResource) -> bool| -> Vec<usize> {
        resources.iter().enumerate().filter(|(_, resource)| is(resource)).map(|(place, _)| place).collect()
    };
    // Commands may hand each other anything.
    tie(where_any(&|resource| &*resource.kind == "exec"));
    for word in PASSING {
        tie(where_any(&|resource| says(resource, word)));
    }
    for (place, resource) in resources.iter().enumerate() {
        if let Some(named) = &resource.only_on {
            let is_named =
                |other: &HostResource| named.iter().any(|(kind, name)| *kind == other.kind && *name == other.name);
            let mut places = where_any(&is_named);
            places.push(place);
            places.sort_unstable();
            tie(places);
        }
    }
    ties
}

/// Whether a resource that may hand something on says a word. What is in a file is for those who run later.
fn says(resource: &HostResource, word: &str) -> bool {
    let name = |text: &Arc<str>| text.contains(word);
    let entries = resource.attributes.as_entries().into_iter().flat_map(|entries| entries.iter());
    let is_inside = |attribute: &str| matches!(attribute, "content" | "environment" | "contents");
    name(&resource.name)
        || entries.filter(|(attribute, _)| !is_inside(attribute)).any(|(_, value)| value_says(value, word))
}

fn value_says(value: &Value, word: &str) -> bool {
    encode(value).to_string().contains(word)
}

/// How a part is called where it is said what is made.
pub fn part_name(catalog: &Catalog, part: &Range<usize>) -> String {
    let resources = catalog.resources.get(part.clone()).unwrap_or_default();
    let mut names = resources.iter().map(|resource| address_of(&resource.kind, &resource.name));
    match (names.next(), names.next_back()) {
        (Some(first), Some(last)) if resources.len() > 2 => format!("{first} … {last}"),
        (Some(first), Some(last)) => format!("{first}, {last}"),
        (Some(first), None) => first,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, name, attributes.
    type Wanted<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

    fn catalog(resources: &[Wanted]) -> Catalog {
        let resource = |(kind, name, attributes): &Wanted| HostResource {
            kind: (*kind).into(),
            name: (*name).into(),
            attributes: Value::object(attributes.iter().map(|(name, text)| {
                (Arc::<str>::from(*name), if *text == "true" { Value::from(true) } else { Value::from(*text) })
            })),
            absent: false,
            notifies: Vec::new(),
            only_on: None,
            role: "web".into(),
            origin: "roles/web.role.hcl:1".into(),
        };
        Catalog { resources: resources.iter().map(resource).collect(), ..Catalog::default() }
    }

    const FILE: Wanted = ("file", "/etc/a", &[("content", "x")]);
    const PACKAGE: Wanted = ("package", "nginx", &[]);
    const COMMAND: Wanted = ("exec", "make", &[("command", "make")]);

    #[test]
    fn cuts_come_after_what_takes_long() {
        let check = |resources: &[Wanted], expected: &[(usize, usize)]| {
            let found: Vec<_> = parts(&catalog(resources)).iter().map(|part| (part.start, part.end)).collect();
            assert_eq!(found, expected, "{resources:?}");
        };
        check(&[], &[]);
        check(&[FILE], &[(0, 1)]);
        check(&[PACKAGE, FILE], &[(0, 1), (1, 2)]);
        check(&[FILE, PACKAGE, PACKAGE, FILE, FILE], &[(0, 3), (3, 5)]);
        check(&[PACKAGE, FILE, PACKAGE], &[(0, 1), (1, 3)]);
        check(&[("repository", "r", &[]), FILE, PACKAGE, FILE], &[(0, 3), (3, 4)]);
        check(&[("directory", "/srv", &[("source", "site")]), FILE], &[(0, 1), (1, 2)]);
        check(&[("directory", "/srv", &[]), FILE], &[(0, 2)]);
        // Commands share what no layer keeps, and so does whoever names it.
        check(&[COMMAND, FILE, COMMAND, FILE], &[(0, 3), (3, 4)]);
        let fetch = ("exec", "fetch", &[("command", "curl -o /tmp/x.deb")][..]);
        let install = ("package", "x", &[("source", "/tmp/x.deb")][..]);
        check(&[PACKAGE, FILE, fetch, FILE, install, FILE], &[(0, 1), (1, 5), (5, 6)]);
        // What a file says is for those who read it once it runs.
        check(
            &[PACKAGE, ("file", "/a", &[("content", "/run/x")]), PACKAGE, ("file", "/b", &[("content", "/run/x")])],
            &[(0, 1), (1, 3), (3, 4)],
        );
    }

    #[test]
    fn what_waits_for_a_change_is_in_its_part() {
        let mut all = catalog(&[FILE, PACKAGE, FILE, COMMAND, FILE]);
        assert_eq!(parts(&all), [0..2, 2..4, 4..5]);
        all.resources[3].only_on = Some(vec![("package".into(), "nginx".into())]);
        assert_eq!(parts(&all), [0..4, 4..5]);
    }

    #[test]
    fn the_number_of_parts_has_a_bound_and_nothing_is_lost() {
        let all = catalog(&[PACKAGE, FILE].repeat(40));
        let parts = parts(&all);
        assert_eq!(parts.len(), PARTS_MAX);
        assert_eq!(parts.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..80).collect::<Vec<_>>());
        assert_eq!(parts.last(), Some(&(79..80)));
    }

    #[test]
    fn a_part_is_made_of_what_it_asks_and_sees() {
        let one = |resources: &[Wanted]| ingredients(&catalog(resources), 0..1);
        assert_eq!(one(&[FILE, PACKAGE]), one(&[FILE]));
        assert_ne!(one(&[FILE]), one(&[("file", "/etc/a", &[("content", "y")])]));
        let purge = ("directory", "/etc/d", &[("purge", "true")][..]);
        assert_ne!(one(&[purge, FILE]), one(&[purge]), "it spares what others ask");
    }
}
