//! A secret that is given to a role is in nothing that is said of it: no plan, report, failure or journal.

use std::fs;

use crate::support::Project;

/// What no output may hold.
const SECRET: &str = "HUSH9hush";

/// Host resources that are given the parameter `pw`, a line each, the arguments apart by `;`.
const RESOURCES: &str = r#"
cron "c1" { schedule="@daily"; command="echo ${param.pw}" }
cron "c2" { schedule="@daily"; command="true"; environment={ A=param.pw } }
cron "c3" { schedule="${param.pw} * * * *"; command="true" }
sudoers "s" { user="root"; commands=["/bin/${param.pw}"] }
firewall_rule "f" { action="accept"; ports=["80"]; log=param.pw }
host_entry "h1" { address="10.0.0.1"; aliases=[param.pw] }
host_entry "h2" { address=param.pw }
locale "C.UTF-8" { variables={ LANG=param.pw } }
repository "r" { url="https://example.test/${param.pw}"; options={ x=param.pw } }
certificate "/OUT/c.pem" { dns_names=["${param.pw}.test"] }
archive "/OUT/archive" { source="https://127.0.0.1:1/${param.pw}.tar.gz" }
file "/OUT/f1" { content="a\n${param.pw}\n" }
file "/OUT/f2" { content="a"; mode=param.pw }
file "/OUT/f3" { content="a"; owner=param.pw }
file "/OUT/f4" { path="${param.out}/${param.pw}"; content="a" }
file "/OUT/f5" { source="/nowhere/${param.pw}" }
file "/OUT/f6" { source="https://127.0.0.1:1/${param.pw}" }
file "/OUT/f7" { content="a"; validate="test ${param.pw}" }
file "/OUT/f8" { content=base64encode(param.pw); group=param.pw }
file "/OUT/f9" { content="${param.pw}\n"; validate="cat %s && false" }
line "l" { path="/OUT/l"; line="x ${param.pw}" }
block "b" { path="/OUT/b"; content="x ${param.pw}" }
directory "/OUT/d1" { owner=param.pw }
directory "/OUT/d2" { source=param.pw }
link "/OUT/link1" { target="/nowhere/${param.pw}" }
link "/OUT/link2" { target="/nowhere/${param.pw}"; hard=true }
package "p" { source="https://127.0.0.1:1/${param.pw}.deb" }
package "p2" { name=param.pw }
user "u1" { groups=[param.pw]; comment=param.pw }
user "u2" { keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ${param.pw}"] }
user "u3" { password=param.pw; shell="/bin/${param.pw}" }
group "g" { members=[param.pw] }
exec "e1" { creates="/OUT/e"; command="echo ${param.pw} && false" }
exec "e2" { creates="/OUT/e"; command="true"; cwd="/nowhere/${param.pw}" }
exec "e3" { command=["echo", param.pw] }
timezone "t" { name=param.pw }
hostname "h" { name=param.pw }
sysctl "net.core.somaxconn" { value=param.pw }
service "s" { name=param.pw }
unit "u.service" { content="[Service]\nExecStart=/bin/echo ${param.pw}\n" }
timer "t" { schedule="daily"; command="echo ${param.pw}" }
git "/OUT/git" { url="https://127.0.0.1:1/${param.pw}" }
kernel_module "km" { options={ a=param.pw } }
mount "/OUT/m" { device="/dev/${param.pw}"; fstype="ext4" }
authorized_key "k" { user="root"; key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ${param.pw}" }
container "con" { image="x/${param.pw}" }
check "c" { file "f" { path="/nowhere/${param.pw}" } }
check "c" { file "/etc/passwd" { owner=param.pw } }
check "c" { process "p" { name=param.pw } }
check "c" { sysctl "net.core.somaxconn" { value=param.pw } }
check "c" { command "c" { words=["echo", param.pw] } }
file "/OUT/list" { content="x"; owner=param.many[0] }
file "/OUT/map" { content="x"; owner=param.map.a }
"#;

/// The kinds of them that change nothing but what is below a directory of the test.
const APART: [&str; 7] = ["file", "line", "block", "directory", "link", "exec", "check"];

#[test]
fn a_sensitive_parameter_is_said_nowhere() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root converges this machine");
        return;
    }
    let mut project = Project::empty("said-nowhere");
    project.data_dir = project.directory.join("data");
    let out = project.directory.join("out").display().to_string();
    fs::create_dir(&out).unwrap();
    fs::write(format!("{out}/b"), "what was there\n").unwrap();
    project.write(
        "values.tfvars",
        &format!("pw = \"{SECRET}\"\nmany = [\"{SECRET}\"]\nmap = {{ a = \"{SECRET}\" }}\nout = \"{out}\"\n"),
    );
    for (number, resource) in RESOURCES.trim().lines().enumerate() {
        let resource = resource.replace("/OUT", &out);
        let body = resource.replace("; ", "\n").replace("{ ", "{\n").replace(" }", "\n}");
        project.write(
            "roles/quiet.role.hcl",
            &format!(
                "role \"quiet\" {{
  param \"out\" {{ type = string }}
  param \"pw\" {{
    type      = string
    sensitive = true
  }}
  param \"many\" {{
    type      = list(string)
    sensitive = true
  }}
  param \"map\" {{
    type      = map(string)
    sensitive = true
  }}
{body}
}}
"
            ),
        );
        let kind = resource.split(' ').next().unwrap();
        let base = ["run", "quiet", "--on", "local", "--params-file", "values.tfvars", "-y"];
        let ways: &[&[&str]] = if APART.contains(&kind) { &[&["--json"], &["--plan"]] } else { &[&["--plan"]] };
        for way in ways {
            let ran = project.andon(&[&base, *way].concat());
            let said = format!("{}{}", ran.out, ran.err);
            assert!(!said.contains(SECRET), "{number}: {resource}\n{said}");
            // A role that is not understood says nothing of its parameters.
            for word in ["unsupported", "unexpected", "unknown", "no parameter", "expected"] {
                assert!(!said.contains(word), "{number}: {resource}\n{said}");
            }
        }
    }
    let runs = project.andon(&["undo", "--on", "local"]);
    assert!(!format!("{}{}", runs.out, runs.err).contains(SECRET));
}
