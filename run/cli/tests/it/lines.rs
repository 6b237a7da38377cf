//! What only the plan can refuse, and what only the apply can, is said at the line of the argument that it is about.

use std::net::TcpListener;

use crate::support::{Project, need_lab};

/// Each line with a mark is wrong, for the reason beside it; no other one is.
const WRONG: &str = r##"resource "lab_network" "a" {
  cidr = "10.217.0.0/23"
}
resource "lab_network" "b" {
  name = "b"
  cidr = "10.217.1.0/24" #! `cidr` overlaps that of web/lab_network.a
}
resource "lab_network" "c" {
  count = 2
  name  = "c${count.index}"
  cidr  = cidrsubnet("10.218.0.0/16", 8, 7) #! `cidr` is taken by web/lab_network.c[0]
}
resource "lab_network" "d" {
  cidr = "10.217.2.0/24"
}
resource "lab_server" "one" {
  name    = "one"
  image   = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  network = lab_network.d.id
  address = "10.217.2.9"
}
resource "lab_server" "two" {
  name    = "two"
  image   = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  network = lab_network.d.id
  address = cidrhost("10.217.2.0/24", 9) #! `address` is taken by web/lab_server.one
}
resource "lab_balancer" "all" {
  listen  = "0.0.0.0:18085"
  targets = ["10.217.2.9:80"]
}
resource "lab_balancer" "loopback" {
  listen  = "127.0.0.1:18085" #! `listen` overlaps that of web/lab_balancer.all
  targets = ["10.217.2.9:80"]
}
resource "lab_balancer" "other" {
  listen  = "127.0.0.1:18086"
  targets = ["10.217.2.9:80"]
}
resource "lab_bucket" "one" {
  name   = "backups"
  listen = "127.0.0.1:18087"
}
resource "lab_bucket" "beside" {
  name   = "others"
  listen = "127.0.0.1:18087"
}
resource "lab_bucket" "elsewhere" {
  name   = "backups"
  listen = "127.0.0.1:18088"
}
resource "lab_bucket" "two" {
  name   = "backups" #! `name` is taken by web/lab_bucket.one
  listen = "127.0.0.1:18087"
}
"##;

/// The same of what a single object is refused for, of which the plan asks the lab.
const REFUSED: &str = r##"locals {
  settings = { name = "x", made = true }
}
resource "lab_server" "text" {
  name    = "text"
  image   = "latest" #! `latest` is no image
  network = "n"
}
resource "lab_server" "machine" {
  name           = "machine"
  image          = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  network        = "n"
  vm             = local.settings.made
  read_only_root = true #! a machine has no `read_only_root`
}
resource "lab_server" "host" {
  name       = "host"
  on_host    = "host"
  network    = "n"
  cloud_init = "#!/bin/sh" #! `cloud_init` and `on_host` exclude each other
}
resource "lab_server" "attached" {
  name    = "attached"
  image   = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  network = "n"
  volumes = { "/srv" = "v" }
  shares = {
    "/mnt" = "s"
    "/srv" = "t" #! two things are at `/srv`
  }
}
resource "lab_server" "none" { #! `image` is missing
  name    = "none"
  network = "n"
}
resource "lab_balancer" "tcp" {
  listen  = "127.0.0.1:18085"
  targets = ["10.217.2.9:80"]
  mode    = "tcp"
  sticky  = "cookie" #! a cookie needs requests
}
resource "lab_balancer" "weights" {
  listen  = "127.0.0.1:18086"
  targets = ["10.217.2.9:80"]
  weights = {
    "10.217.2.9:80" = 1
    "10.217.2.8:80" = 2 #! 10.217.2.8:80 is no target
  }
}
resource "lab_network" "a" {
  name = local.settings.name
}
resource "lab_network" "b" {
  name = "x" #! the name `x` is taken
}
"##;

/// The line of each error with what it says; a place is the line after it.
fn errors(said: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = said.lines().collect();
    let mut errors: Vec<(usize, String)> = Vec::new();
    for pair in lines.windows(2) {
        let Some(summary) = pair[0].strip_prefix("error: ") else { continue };
        let place = pair[1].trim().strip_prefix("--> stacks/web/main.tf:").unwrap_or_else(|| panic!("{said}"));
        errors.push((place.split(':').next().unwrap().parse().unwrap(), summary.to_owned()));
    }
    errors
}

#[test]
fn what_a_plan_refuses_is_at_its_line() {
    for text in [WRONG, REFUSED] {
        let project = Project::empty("lines");
        project.write("andon.hcl", "project \"shop\" {}\n\nenvironment \"dev\" {}\n");
        project.write("stacks/web/main.tf", text);
        let marked = text.lines().enumerate();
        let expected: Vec<(usize, String)> =
            marked.filter_map(|(at, line)| Some((at + 1, line.split_once("#! ")?.1.to_owned()))).collect();
        project.ok(&["check"]);
        let ran = project.exits(1, &["plan"]);
        let mut found = errors(&ran.err);
        // Which of two of one name is asked for first is not settled.
        if text == REFUSED {
            let one = found.iter_mut().find(|(_, summary)| summary.contains("the name `x`")).unwrap();
            let names = [expected.last().unwrap().0 - 3, expected.last().unwrap().0];
            assert!(names.contains(&one.0), "{ran}");
            one.0 = names[1];
        }
        assert_eq!(found, expected, "{ran}");
    }
}

#[test]
fn two_ranges_that_overlap_are_both_shown() {
    let project = Project::empty("ranges");
    project.write("andon.hcl", "project \"shop\" {}\n\nenvironment \"dev\" {}\n");
    let network = |name: &str, cidr: &str| format!("resource \"lab_network\" \"{name}\" {{\n  cidr = \"{cidr}\"\n}}\n");
    let text = [network("app", "10.217.0.0/24"), network("data", "10.217.0.128/25")].concat();
    project.write("stacks/web/main.tf", &text);
    insta::assert_snapshot!(project.exits(1, &["plan"]).err, @r#"
    error: `cidr` overlaps that of web/lab_network.app
     --> stacks/web/main.tf:5:10
      |
    2 |   cidr = "10.217.0.0/24"
      |          --------------- web/lab_network.app would have it here
    ...
    5 |   cidr = "10.217.0.128/25"
      |          ^^^^^^^^^^^^^^^^^ web/lab_network.data
      |
      = That would have `10.217.0.0/24`, and this `10.217.0.128/25`: only one `lab_network` can have what is in both.
      = help: Give one of them another `cidr`, or leave it out.
    "#);
}

#[test]
fn what_an_apply_refuses_is_at_its_line() {
    need_lab!();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = holder.local_addr().unwrap().to_string();
    let project = Project::empty("taken");
    project.write("andon.hcl", "project \"shop\" {}\n\nenvironment \"dev\" {}\n");
    let text = "resource \"lab_balancer\" \"web\" {\n  targets = [\"10.217.2.9:80\"]\n  listen  = \"LISTEN\"\n}\n";
    project.write("stacks/web/main.tf", &text.replace("LISTEN", &listen));
    let ran = project.andon(&["up", "-y"]);
    let said = ran.all();
    assert!(said.contains(&format!("cannot listen on {listen}")), "{ran}");
    assert!(said.contains("--> stacks/web/main.tf:3:13"), "{ran}");
    project.andon(&["down", "-y"]);
}
