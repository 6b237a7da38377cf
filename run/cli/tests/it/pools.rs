//! What is replaced behind a balancer that is asked all the while: pools by each strategy, with an image that is no good,
//! members that end and drivers that are killed; servers by each reason for which they are replaced.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::support::{Load, Project, eventually, faults, get, kill_server, left_of, names_in_the_lab, need_lab};

/// `ANDON_TEST_ROOT`, or a printed reason.
fn root() -> Option<String> {
    let root = std::env::var("ANDON_TEST_ROOT").ok().filter(|root| std::path::Path::new(root).is_dir());
    if root.is_none() {
        println!("skipped: ANDON_TEST_ROOT names no directory with a Debian root file system");
    }
    root
}

/// A project with an image of which nginx says what `answer` is, and that is well where `well` says so; what is made of it
/// follows, before its balancer.
fn project(name: &str, root: &str, made: &str, targets: &str) -> Project {
    let project = Project::empty(name);
    project.write("images/web.image.hcl", &format!("image \"web\" {{\n  from   = \"{root}\"\n  roles  = [\"web\"]\n  params = {{ answer = \"200 one\", well = 200 }}\n}}\n"));
    project.write(
        "roles/web.role.hcl",
        r#"role "web" {
  param "answer" { type = string }
  param "well" { type = number }

  file "/etc/nginx/sites-enabled/default" {
    content = <<-EOT
      server {
        listen 80 default_server;
        location / { return ${param.answer}; }
        location = /healthz { return ${param.well} ok; }
      }
    EOT
  }
}
"#,
    );
    project.write(
        "main.tf",
        &format!(
            r#"variable "size" {{ default = 2 }}

resource "lab_network" "net" {{}}

resource "andon_image" "web" {{ definition = "web" }}

{made}
resource "lab_balancer" "web" {{
  listen = "127.0.0.1:{port}"
  health = "/healthz"
{targets}
}}
"#,
            port = project.port
        ),
    );
    project
}

fn project_with_pool(name: &str, root: &str, strategy: &str) -> Project {
    let pool = format!(
        r#"resource "lab_pool" "web" {{
  name        = "web"
  size        = var.size
  image       = andon_image.web.digest
  network     = lab_network.net.id
  init        = "andon"
  command     = ["/usr/sbin/nginx", "-g", "daemon off;"]
  health      = "/healthz"
  port        = 80
  healthy_for = "1s"
  wait        = "20s"
  deaths      = 3
{strategy}
}}

output "members" {{ value = lab_pool.web.members }}
"#
    );
    project(name, root, &pool, "  pool   = lab_pool.web.id\n  port   = 80")
}

fn members(project: &Project) -> Vec<(String, String)> {
    let ran = project.ok(&["output", "--json", "members"]);
    let members: Json = serde_json::from_str(&ran.out).unwrap();
    let members = members.get("value").unwrap_or(&members).as_array().unwrap().clone();
    let text = |member: &Json, name: &str| member[name].as_str().unwrap().to_owned();
    members.iter().map(|member| (text(member, "name"), text(member, "identity"))).collect()
}

fn says(project: &Project) -> String {
    get(&format!("127.0.0.1:{}", project.port), "/", Duration::from_secs(5)).unwrap().1
}

/// Runs something while clients ask, and wants none of them to fail, and 1,000 answers a second. Where this machine has too
/// much else to do, it wants a third of what the same clients got of the same balancer right before. In no second may it be
/// less than a tenth of either.
fn under_load<T>(project: &Project, what: &str, run: impl FnOnce() -> T) -> T {
    let load = Load::start(project.port, 10);
    std::thread::sleep(Duration::from_millis(1100));
    let (before, failures) = load.stop_by_seconds();
    assert!(failures.is_empty(), "before {what}: {failures:?}");
    let load = Load::start(project.port, 10);
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    let done = run();
    let took = began.elapsed();
    std::thread::sleep(Duration::from_millis(200));
    let (seconds, failures) = load.stop_by_seconds();
    let answers: usize = seconds.iter().sum();
    let rate = answers as f64 / (took.as_secs_f64() + 0.4);
    // The last second is none.
    let whole = &seconds[..((took.as_secs_f64() + 0.4) as usize).min(seconds.len())];
    let slowest = whole.iter().min().copied().unwrap_or(answers);
    println!(
        "{what}: {answers} requests in {:.1} s, {rate:.0} a second, {slowest} in the slowest; {} in the second before; {} failed",
        took.as_secs_f64(),
        before[0],
        failures.len()
    );
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let busy: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let processors = std::thread::available_parallelism().unwrap().get();
    let mut wanted = 1000.0_f64;
    if busy > 2.0 * processors as f64 {
        wanted = wanted.min(before[0] as f64 / 3.0);
        println!("{wanted:.0} a second are enough: this machine has a load of {busy} on {processors} processors");
    }
    assert!(rate >= wanted, "{what}: only {rate:.0} requests a second of {wanted:.0}");
    assert!(slowest as f64 >= wanted / 10.0, "{what}: only {slowest} requests in a second: {seconds:?}");
    assert!(failures.is_empty(), "{what}: {} failed: {:?}", failures.len(), failures.first());
    done
}

/// All that a pool does under load, with one strategy.
fn strategy(name: &str, strategy: &str) {
    need_lab!();
    let Some(root) = root() else { return };
    let project = project_with_pool(name, &root, strategy);
    project.ok(&["up", "-y"]);
    assert_eq!(members(&project).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["web-0", "web-1"]);
    assert_eq!(says(&project), "one");
    assert!(project.ok(&["plan"]).all().contains("no changes"));
    // A new image.
    project.edit("images/web.image.hcl", "200 one", "200 two");
    let old = members(&project);
    let plan = project.ok(&["plan"]).all();
    assert!(plan.contains("replaces its members"), "{plan}");
    under_load(&project, &format!("{name}, a new image"), || project.ok(&["apply", "-y"]));
    assert_eq!(says(&project), "two");
    let new = members(&project);
    assert!(new.len() == 2 && new.iter().all(|member| !old.contains(member)), "{new:?}");
    // An image that is never well, and one that is well and answers badly.
    for (from, to, why) in
        [("well = 200", "well = 500", "GET /healthz was answered with 500."), ("200 two", "200 three", "")]
    {
        project.edit("images/web.image.hcl", from, to);
        project.edit("main.tf", "wait        = \"20s\"", "wait        = \"2s\"");
        let ran =
            under_load(&project, &format!("{name}, an image that is no good"), || project.exits(1, &["apply", "-y"]));
        assert!(ran.all().contains("the old ones are back") && ran.all().contains(why), "{ran}");
        assert_eq!(says(&project), "two");
        assert_eq!(members(&project).len(), 2);
        project.edit("main.tf", "wait        = \"2s\"", "wait        = \"20s\"");
    }
    project.edit("images/web.image.hcl", "well = 500", "well = 200");
    // The driver is killed in the midst of it, again and again; the last one ends it.
    under_load(&project, &format!("{name}, killed"), || {
        for millis in [400, 900, 1400, 2000] {
            let mut child =
                project.command(&["apply", "-y"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(millis));
            let _ = child.kill();
            child.wait().unwrap();
        }
        project.ok(&["apply", "-y"])
    });
    assert_eq!(says(&project), "three");
    assert!(project.ok(&["plan"]).all().contains("no changes"));
    // More, fewer.
    for size in ["4", "1", "2"] {
        under_load(&project, &format!("{name}, {size} members"), || {
            project.ok(&["apply", "-y", "-var", &format!("size={size}")])
        });
        assert_eq!(members(&project).len().to_string(), size);
    }
    let names = names_in_the_lab(&project);
    project.ok(&["down", "-y"]);
    assert_eq!(left_of(&names, &project.data_dir), Vec::<String>::new());
}

#[test]
fn rolling() {
    strategy("rolling", "");
}

#[test]
fn blue_green() {
    strategy("blue-green", "  strategy = \"blue_green\"");
}

#[test]
fn canary() {
    strategy("canary", "  strategy = \"canary\"\n  share    = 0.2");
}

/// The identities of the servers, in the order of their places.
fn servers(project: &Project) -> Vec<String> {
    let objects = project.objects().into_iter();
    let servers = objects.filter(|object| object["address"].as_str().unwrap().contains("lab_server"));
    servers.map(|server| server["identity"].as_str().unwrap().to_owned()).collect()
}

/// Every reason for which servers are replaced, under load.
#[test]
fn servers_made_before_the_old_ones_go() {
    need_lab!();
    let Some(root) = root() else { return };
    let made = r#"resource "lab_server" "web" {
  count    = 2
  name     = "web-${count.index}"
  image    = andon_image.web.digest
  network  = lab_network.net.id
  init     = "andon"
  command  = ["/usr/sbin/nginx", "-g", "daemon off;"]
  max_age  = "30d"
  on_drift = "replace"
  lifecycle { create_before_destroy = true }
}
"#;
    let targets = "  targets = [for server in lab_server.web : \"${server.address}:80\"]";
    let project = project("replaced", &root, made, targets);
    project.ok(&["up", "-y"]);
    assert_eq!(says(&project), "one");
    let check = |what: &str, args: &[&str], expected: [bool; 2]| {
        let before = servers(&project);
        let ran = under_load(&project, what, || project.ok(args));
        let after = servers(&project);
        assert_eq!(after.len(), 2, "{ran}");
        assert_eq!([before[0] != after[0], before[1] != after[1]], expected, "{what}: {ran}");
        ran
    };
    check("servers, by hand", &["apply", "-y", "-replace=lab_server.web[0]"], [true, false]);
    project.edit("images/web.image.hcl", "200 one", "200 two");
    check("servers, a new image", &["apply", "-y"], [true, true]);
    assert_eq!(says(&project), "two");
    project.in_server("web-1", "echo by hand >/etc/motd");
    let ran = check("servers, drift", &["sync", "-y"], [false, true]);
    assert!(ran.err.contains("a file of its image is no longer as the image has it"), "{ran}");
    project.ages();
    let ran = check("servers, too old", &["sync", "-y"], [true, true]);
    assert_eq!(ran.err.matches("and may be 30 days (`max_age`)").count(), 2, "{ran}");
    assert!(project.ok(&["plan"]).all().contains("no changes"));
    let names = names_in_the_lab(&project);
    project.ok(&["down", "-y"]);
    assert_eq!(left_of(&names, &project.data_dir), Vec::<String>::new());
}

/// A canary that answers with errors is sent back by the balancer's counts; what has died is replaced, until too many
/// die.
#[test]
fn counts_and_deaths() {
    need_lab!();
    let Some(root) = root() else { return };
    let project = project_with_pool("deaths", &root, "  strategy = \"canary\"\n  share    = 0.2");
    project.ok(&["up", "-y"]);
    project.edit("images/web.image.hcl", "200 one", "500 two");
    let load = Load::start(project.port, 4);
    let ran = project.exits(1, &["apply", "-y"]);
    let (answers, failures) = load.stop();
    assert!(ran.all().contains("requests to new servers went wrong"), "{ran}");
    assert!(!failures.is_empty() && failures.len() < answers, "{} of {answers}", failures.len());
    assert_eq!(says(&project), "one");
    // What passed is told, and changes no plan.
    let balancer = || {
        let mut objects = project.objects().into_iter();
        objects.find(|object| object["address"].as_str().unwrap().ends_with("lab_balancer.web")).unwrap()["traffic"]
            .take()
    };
    let before = balancer();
    assert!(before["counts"]["requests"].as_u64().unwrap() > answers as u64 / 2, "{before}");
    assert!(before["counts"]["errors"].as_u64().unwrap() >= failures.len() as u64, "{before}");
    says(&project);
    let after = balancer();
    assert_eq!(after["counts"]["requests"].as_u64().unwrap(), before["counts"]["requests"].as_u64().unwrap() + 1);
    assert_eq!(after["targets"].as_array().unwrap().len(), 2, "{after}");
    let told = project.ok(&["status", "--traffic"]).out;
    assert!(told.contains("clients; ") && told.matches("weight 1, healthy: ").count() == 2, "{told}");
    assert!(!project.ok(&["status"]).out.contains("weight"));
    project.edit("images/web.image.hcl", "500 two", "200 one");
    let begun: Json = "members end too fast: 3 have ended within 10 min".into();
    for death in 1..=3 {
        let (name, identity) = members(&project).remove(0);
        kill_server(&project.data_dir, &identity);
        eventually("the death is seen", Duration::from_secs(60), || {
            project.andon(&["drift"]).all().contains("members")
        });
        // Who looks for drift has the ledger know it before anybody tries to make members again, and once.
        let known = if death < 3 { Vec::new() } else { vec![begun.clone()] };
        project.andon(&["drift"]);
        assert_eq!(faults(&project), known);
        let ran = project.andon(&["apply", "-y"]);
        if death < 3 {
            assert_eq!(ran.code, Some(0), "{ran}");
            assert!(members(&project).iter().any(|(again, other)| *again == name && *other != identity));
        } else {
            assert_eq!(ran.code, Some(1), "{ran}");
            assert!(ran.all().contains("die too fast"), "{ran}");
        }
    }
    assert_eq!(says(&project), "one");
    // It goes on to be said, until it is over.
    let fault = "fault members end too fast: 3 have ended within 10 min";
    let told = project.ok(&["status"]).out;
    assert!(told.lines().any(|line| line.contains("bad ") && line.contains(fault)), "{told}");
    let logged = project.ok(&["logs"]).out;
    assert!(logged.contains("die too fast"), "{logged}");
    assert!(logged.contains("lab_pool.web is at fault: members end too fast"), "{logged}");
    // However often somebody looks or tries, it is one event.
    project.exits(1, &["apply", "-y"]);
    project.andon(&["drift"]);
    assert_eq!(faults(&project), std::slice::from_ref(&begun));
    let pool = || project.objects().into_iter().find(|object| object["address"].as_str().unwrap().contains("pool"));
    let told = pool().unwrap()["fault"].take();
    assert!(told["what"] == begun && told["since"].is_string(), "{told}");
    assert!(project.ok(&["plan"]).out.contains("members end too fast"));
    project.edit("images/web.image.hcl", "200 one", "200 four");
    // Another apply that is stopped does not forget it, nor what became of it.
    project.edit("main.tf", "healthy_for = \"1s\"", "healthy_for = \"60s\"");
    project.stopped_when(&["apply", "-y"], "requests go to");
    let told = project.ok(&["status"]).out;
    assert!(told.contains(fault), "{told}");
    assert_eq!(faults(&project), std::slice::from_ref(&begun));
    project.edit("main.tf", "healthy_for = \"60s\"", "healthy_for = \"1s\"");
    project.ok(&["apply", "-y"]);
    assert_eq!(says(&project), "four");
    assert!(!project.ok(&["status"]).out.contains("fault members"));
    assert_eq!(faults(&project), [begun, Json::Null]);
    assert!(pool().unwrap()["fault"].is_null());
    assert!(project.ok(&["plan"]).all().contains("no changes"));
    project.ok(&["down", "-y"]);
}

/// The definitions of `docs/pools.md` are sound.
#[test]
fn documented() {
    let page = include_str!("../../../../docs/pools.md");
    let blocks = page.split("```hcl\n").skip(1).filter_map(|rest| rest.split("```").next());
    let project = Project::empty("documented-pool");
    project.write("images/web.image.hcl", "image \"web\" {\n  from = \"debian:bookworm\"\n}\n");
    project.write("roles/web.role.hcl", "role \"web\" {\n  package \"nginx\" {}\n}\n");
    project.write("main.tf", &blocks.collect::<String>());
    project.ok(&["check"]);
    project.ok(&["fmt", "-check"]);
}
