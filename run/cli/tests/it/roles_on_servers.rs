//! Roles on a real Debian server with systemd: packages, services, units, timers, users, mounts, kernel settings, a
//! firewall, and what belongs to a server as such. Each is looked at with the server's own tools.

use crate::support::{Project, need_lab};

/// What the server must be.
const ROLE: &str = r##"
role "everything" {
  package "tools" { names = ["nftables", "cron", "procps"] }

  group "team" { gid = 3100 }
  user "deploy" {
    uid      = 3001
    groups   = ["team", "adm"]
    shell    = "/bin/bash"
    comment  = "Deploys"
    password = "!"
  }
  authorized_key "laptop" {
    user = "deploy"
    key  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1PGzT1ne9fqbWDmBVzGAvTVWFDnzxLvLUCSYCeZ2Gl laptop"
  }

  directory "/srv/app" {
    owner = "deploy"
    mode  = "0750"
  }
  file "/srv/app/run" {
    mode    = "0755"
    content = "#!/bin/sh\nwhile :; do date > /run/app.seen; sleep 1; done\n"
  }
  unit "app.service" {
    unit { Description = "The app" }
    service {
      ExecStart = "/srv/app/run"
      Restart   = "always"
    }
    install { WantedBy = "multi-user.target" }
    enabled = true
    running = true
  }
  unit "limits" {
    name    = "cron.service"
    drop_in = "10-limits"
    service { LimitNOFILE = 4242 }
    restarts = [service.cron]
  }
  service "cron" {
    running = true
    enabled = true
  }
  timer "tick" {
    schedule = "*-*-* 03:00:00"
    command  = "echo tick > /run/tick"
  }
  cron "nightly" {
    schedule = "30 2 * * *"
    user     = "deploy"
    command  = "/bin/true"
  }

  mount "/srv/scratch" {
    device  = "tmpfs"
    fstype  = "tmpfs"
    options = ["size=8m", "mode=0700"]
  }
  sysctl "net.ipv4.ip_forward" { value = "1" }
  hostname "everything" {}
  host_entry "db.internal" { address = "10.0.0.7" }
  timezone "zone" { name = "UTC" }

  firewall_rule "default" { policy = "drop" }
  firewall_rule "established" {
    state  = ["established", "related"]
    action = "accept"
  }
  firewall_rule "loopback" {
    interface = ["lo"]
    action    = "accept"
  }
  firewall_rule "ssh" {
    ports  = [22]
    action = "accept"
  }
  directory "/etc/ssl" {}
  certificate "app" {
    path    = "/etc/ssl/app.crt"
    key     = "/etc/ssl/app.key"
    subject = { CN = "app.internal" }
    days    = 90
  }

  check "up" {
    service "app" { running = true }
    mount "/srv/scratch" {}
    sysctl "net.ipv4.ip_forward" { value = "1" }
    user "deploy" {}
  }
}
"##;

/// A command in the server, and a part of what it says.
const SEEN: [(&str, &str); 18] = [
    ("getent passwd deploy", "deploy:x:3001:3001:Deploys:/home/deploy:/bin/bash"),
    ("id -Gn deploy", "team"),
    ("stat -c '%a %U' /home/deploy/.ssh/authorized_keys", "600 deploy"),
    ("systemctl is-active app cron tick.timer", "active\nactive\nactive"),
    ("systemctl is-enabled app cron tick.timer", "enabled\nenabled\nenabled"),
    ("systemctl show -p LimitNOFILE --value cron", "4242"),
    ("prlimit -n -o SOFT --noheadings -p $(systemctl show -p MainPID --value cron)", "4242"),
    ("systemctl start tick.service && cat /run/tick", "tick"),
    ("cat /run/app.seen", ":"),
    ("cat /etc/cron.d/nightly", "30 2 * * * deploy /bin/true"),
    ("findmnt -no FSTYPE,OPTIONS /srv/scratch", "size=8192k"),
    ("grep scratch /etc/fstab", "tmpfs"),
    ("cat /proc/sys/net/ipv4/ip_forward", "1"),
    ("cat /etc/hostname; hostname", "everything\neverything"),
    ("getent hosts db.internal", "10.0.0.7"),
    ("nft list table inet andon", "policy drop"),
    ("systemctl is-enabled nftables", "enabled"),
    ("stat -c %a /etc/ssl/app.key", "600"),
];

#[test]
fn a_debian_server_is_as_its_role_says() {
    need_lab!();
    let project = Project::empty("everything");
    project.write("roles/everything.role.hcl", ROLE);
    // What the distribution brings is baked, so that the converge is about the rest.
    project.write(
        "roles/ground.role.hcl",
        "role \"ground\" {\n  package \"ground\" { names = [\"nftables\", \"cron\", \"procps\"] }\n}\n",
    );
    project.write(
        "images/ground.image.hcl",
        "image \"ground\" {\n  from = \"debian:bookworm\"\n  roles = [\"ground\"]\n}\n",
    );
    project.write(
        "main.tf",
        r#"
resource "lab_network" "net" {
  name = "everything"
  cidr = "10.231.9.0/24"
}
resource "andon_image" "ground" { definition = "ground" }
resource "lab_server" "one" {
  name    = "every-one"
  image   = andon_image.ground.digest
  network = lab_network.net.id
}
"#,
    );
    project.ok(&["apply", "-y"]);
    let run = |more: &[&str]| project.andon(&[&["run", "everything", "--on", "every-one"], more].concat());
    let planned = run(&["--plan", "--detailed-exitcode"]);
    assert_eq!(planned.code, Some(2), "{planned}");
    let done = run(&["-y"]);
    assert_eq!(done.code, Some(0), "{done}");
    for (command, expected) in SEEN {
        let said = project.in_server("every-one", command);
        assert!(said.contains(expected), "{command}: {said}");
    }
    let again = run(&["-y", "--detailed-exitcode"]);
    assert_eq!(again.code, Some(0), "the second converge changes something: {again}");

    // What drifts is found, each by name, and put right.
    project.in_server(
        "every-one",
        "systemctl stop app; umount /srv/scratch; nft delete table inet andon; usermod -s /bin/sh deploy; \
         echo 0 > /proc/sys/net/ipv4/ip_forward; rm /etc/cron.d/nightly; systemctl disable --quiet tick.timer",
    );
    let drift = run(&["--plan"]);
    for expected in [
        "unit \"app.service\"",
        "mount \"/srv/scratch\"",
        "firewall_rule",
        "user \"deploy\"",
        "sysctl",
        "cron \"nightly\"",
        "timer \"tick\"",
    ] {
        assert!(drift.out.contains(expected), "{expected}: {drift}");
    }
    assert_eq!(run(&["-y"]).code, Some(0));
    for (command, expected) in SEEN {
        let said = project.in_server("every-one", command);
        assert!(said.contains(expected), "after drift: {command}: {said}");
    }
    let again = run(&["-y", "--detailed-exitcode"]);
    assert_eq!(again.code, Some(0), "the converge after drift does not settle: {again}");
    project.ok(&["destroy", "-y"]);
}
