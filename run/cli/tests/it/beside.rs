//! Projects on one machine, two in one data directory and one in its own, as another user has it, with the same names for
//! everything: none knows of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::time::Duration;

use serde_json::Value as Json;

use crate::support::{Project, kill_server, left_of, names_in_the_lab, need_lab};

fn project(name: &str) -> Project {
    let project = Project::empty(name);
    project.write("root/etc/motd", &format!("{name}\n"));
    project.write("root/usr/share/some", "x\n");
    project.write("andon.hcl", "project \"shop\" {}\nenvironment \"dev\" {}\nenvironment \"staging\" {}\n");
    project.write("images/small.image.hcl", "image \"small\" { from = \"./root\" }\n");
    project.write(
        "stacks/app/main.tf",
        "resource \"andon_image\" \"small\" { definition = \"small\" }\n\
         resource \"lab_network\" \"app\" { name = \"app\" }\n\
         resource \"lab_volume\" \"data\" {\n  name = \"data\"\n  size = \"16M\"\n}\n\
         resource \"lab_bucket\" \"backups\" { name = \"backups\" }\n\
         resource \"lab_server\" \"web\" {\n  name = \"web\"\n  image = andon_image.small.digest\n  \
         network = lab_network.app.id\n  volumes = { \"/srv/data\" = lab_volume.data.id }\n}\n\
         resource \"lab_network\" \"back\" { name = \"back\" }\n\
         resource \"lab_server\" \"db\" {\n  name = \"db\"\n  image = andon_image.small.digest\n  \
         network = lab_network.back.id\n  running = false\n}\n",
    );
    project
}

/// What an attribute of an environment's resource is.
fn attribute(project: &Project, environment: &str, kind: &str, name: &str, attribute: &str) -> String {
    let state: Json = serde_json::from_str(&project.ok(&["state", "pull", "-e", environment]).out).unwrap();
    let resources = state["resources"].as_array().unwrap();
    let resource = resources.iter().find(|resource| resource["type"] == kind && resource["name"] == name).unwrap();
    resource["instances"][0]["attributes"][attribute].as_str().unwrap().to_owned()
}

/// The addresses that the gateway of a network gives for a name.
fn addresses(gateway: &str, name: &str) -> Vec<String> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut question = vec![0, 77, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    socket.send_to(&question, (gateway, 53)).unwrap();
    let mut answer = [0; 1500];
    let count = socket.recv(&mut answer).unwrap();
    // Each record ends with the length of its address, which is four bytes, and the address.
    let records = answer[question.len()..count].chunks_exact(16);
    records.map(|record| record[12..].iter().map(u8::to_string).collect::<Vec<_>>().join(".")).collect()
}

/// Every object of the environment `dev` by its address, with its identity and what it is.
fn objects(project: &Project) -> BTreeMap<String, Json> {
    let status: Json = serde_json::from_str(&project.ok(&["status", "--json"]).out).unwrap();
    let mut environments = status["environments"].as_array().unwrap().iter();
    let dev =
        environments.find(|environment| environment["environment"] == "dev").unwrap_or_else(|| panic!("{status}"));
    let objects = dev["objects"].as_array().unwrap().iter();
    objects.map(|object| (object["address"].as_str().unwrap().to_owned(), object.clone())).collect()
}

#[test]
fn projects_beside_each_other() {
    need_lab!();
    let mut projects = ["beside-one", "beside-other", "beside-apart"].map(project);
    projects[2].data_dir = projects[2].directory.join(".data");
    let [one, other, apart] = &projects;
    assert_eq!(one.data_dir, other.data_dir, "they share this machine's lab");
    let all = |words: &[&str]| {
        std::thread::scope(|scope| {
            projects
                .each_ref()
                .map(|project| scope.spawn(move || project.ok(words)))
                .map(|thread| thread.join().unwrap())
        })
    };
    all(&["up", "-y"]);
    let before = projects.each_ref().map(objects);
    // All that there is of them is three.
    for (address, object) in &before[0] {
        for others in &before[1..] {
            assert_ne!(object["identity"], others[address]["identity"], "{address}");
        }
    }
    all(&["sync", "-y"]);
    assert_eq!(projects.each_ref().map(objects), before);
    for ran in all(&["drift"]) {
        assert!(ran.out.contains("everything is as defined"), "{ran}");
    }

    // What happens to one is nothing to the other.
    kill_server(&one.data_dir, before[0]["app/lab_server.web"]["identity"].as_str().unwrap());
    one.exits(2, &["drift"]);
    for unharmed in [other, apart] {
        assert!(unharmed.ok(&["drift"]).out.contains("everything is as defined"));
    }
    one.ok(&["up", "-y"]);
    assert_eq!(objects(one), before[0]);

    // Nor is another environment of the same project, with the same names again.
    one.ok(&["up", "-y", "-e", "staging"]);
    assert_eq!(objects(one), before[0]);
    for environment in ["dev", "staging"] {
        let gateway = attribute(one, environment, "lab_network", "app", "gateway");
        let db = attribute(one, environment, "lab_server", "db", "address");
        assert_eq!(addresses(&gateway, "db.back.lab"), [db], "{environment}");
    }
    one.ok(&["down", "-y", "-e", "staging"]);
    for project in &projects {
        assert!(project.ok(&["drift"]).out.contains("everything is as defined"));
    }

    // A range of addresses is one network's on this machine, whoever's it is.
    let range = attribute(one, "dev", "lab_network", "app", "cidr");
    for (data_dir, word) in [(&one.data_dir, "The lab's network `app` has"), (&apart.data_dir, "already has a route")] {
        let mut greedy = project("beside-greedy");
        greedy.data_dir.clone_from(data_dir);
        greedy.write("stacks/app/main.tf", &format!("resource \"lab_network\" \"app\" {{ cidr = \"{range}\" }}\n"));
        let ran = greedy.exits(1, &["up", "-y"]);
        assert!(ran.err.contains(&format!("the range {range} is taken")) && ran.err.contains(word), "{ran}");
    }

    one.ok(&["down", "-y"]);
    assert_eq!(objects(other), before[1]);
    assert_eq!(objects(apart), before[2]);
    assert!(other.ok(&["drift"]).out.contains("everything is as defined"));
    assert!(other.ok(&["plan", "--detailed-exitcode"]).out.contains("no changes"));
    // And the one is made anew beside the other.
    all(&["up", "-y"]);
    assert_eq!(objects(other), before[1]);
    all(&["down", "-y"]);
}

/// What was only to be forgotten is left as it is, by later runs and by the end of another environment; it goes with its
/// own, once that is approved.
#[test]
fn what_is_forgotten_stays() {
    need_lab!();
    let project = Project::empty("beside-forgotten");
    project.write("andon.hcl", "project \"shop\" {}\nenvironment \"dev\" {}\nenvironment \"staging\" {}\n");
    let network = "resource \"lab_network\" \"app\" { name = \"app\" }\n";
    project.write("main.tf", network);
    project.ok(&["apply", "-y", "-e", "dev"]);
    let names = [attribute(&project, "dev", "lab_network", "app", "id")].into();
    project.write("main.tf", "removed {\n  from = lab_network.app\n  lifecycle { destroy = false }\n}\n");
    project.ok(&["apply", "-y", "-e", "dev"]);
    project.write("main.tf", network);
    for arguments in [&["apply", "-y", "-e", "staging"][..], &["down", "-y", "-e", "staging"]] {
        let ran = project.ok(arguments);
        assert!(ran.all().contains("is kept, as it was only to be forgotten: `andon down -e dev`"), "{ran}");
    }
    // There is nothing else to ask for.
    let unasked = project.exits(1, &["down", "-e", "dev"]);
    assert!(unasked.all().contains("goes with its environment"), "{unasked}");
    assert_ne!(left_of(&names, &project.data_dir), Vec::<String>::new(), "{unasked}");
    let down = project.ok(&["down", "-y", "-e", "dev"]);
    assert!(down.all().contains("removed lab_network `app`"), "{down}");
    assert_eq!(left_of(&names, &project.data_dir), Vec::<String>::new());

    // Of an environment that exists no longer, too.
    project.ok(&["workspace", "new", "old"]);
    project.ok(&["apply", "-y"]);
    let names = [attribute(&project, "old", "lab_network", "app", "id")].into();
    project.ok(&["workspace", "select", "dev"]);
    project.ok(&["workspace", "delete", "-force", "old"]);
    let ran = project.ok(&["down", "-y"]);
    assert!(
        ran.all().contains("is kept, as it was only to be forgotten: `TF_WORKSPACE=old andon down -e old`"),
        "{ran}"
    );
    let down = project.command(&["down", "-y", "-e", "old"]).env("TF_WORKSPACE", "old").output().unwrap();
    assert!(down.status.success(), "{down:?}");
    assert_eq!(left_of(&names, &project.data_dir), Vec::<String>::new());
}

/// A forgotten network goes after the servers in it, and a forgotten server before the network that it is in; neither
/// where the plan is refused or nobody agrees.
#[test]
fn what_is_forgotten_goes_in_its_turn() {
    need_lab!();
    let project = Project::empty("beside-in-turn");
    project.write("root/usr/share/some", "x\n");
    project.write("andon.hcl", "project \"shop\" {}\nenvironment \"dev\" {}\n");
    project.write("images/small.image.hcl", "image \"small\" { from = \"./root\" }\n");
    let definition = |protects: bool| {
        let pair = |name: &str| {
            format!(
                "resource \"lab_network\" \"{name}\" {{\n  name = \"{name}\"\n  \
                 lifecycle {{ prevent_destroy = {protects} }}\n}}\n\
                 resource \"lab_server\" \"{name}\" {{\n  name = \"{name}\"\n  image = andon_image.small.digest\n  \
                 network = lab_network.{name}.id\n  running = false\n}}\n"
            )
        };
        let image = "resource \"andon_image\" \"small\" { definition = \"small\" }\n";
        project.write("main.tf", &format!("{image}{}{}", pair("one"), pair("other")));
    };
    definition(false);
    project.ok(&["apply", "-y"]);
    let names = names_in_the_lab(&project);
    project.ok(&["state", "rm", "lab_network.one", "lab_server.other"]);
    definition(true);
    let refused = project.andon(&["down", "-y"]);
    definition(false);
    assert!(refused.all().contains("is protected by prevent_destroy"), "{refused}");
    let unasked = project.exits(1, &["down"]);
    assert!(unasked.all().contains("Nothing was done."), "{unasked}");
    assert_eq!(names_in_the_lab(&project), names);
    let down = project.ok(&["down", "-y"]);
    for gone in ["removed lab_server `other`", "removed lab_network `one`"] {
        assert!(down.all().contains(gone), "{down}");
    }
    assert_eq!(names_in_the_lab(&project), BTreeSet::new());
    assert_eq!(left_of(&names, &project.data_dir), Vec::<String>::new());
}
