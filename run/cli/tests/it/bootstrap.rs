//! `andon_bootstrap`: user data that has a new server install Andon, join, and keep itself as its roles say; read by the
//! cloud-init of the distribution.

use std::fs;
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::support::{ANDON, Project, eventually, need_lab, serve};

#[test]
fn a_server_joins_by_its_cloud_init() {
    need_lab!();
    let project = Project::empty("bootstrap");
    project.write(
        "shop/roles/web.role.hcl",
        "role \"web\" {\n  param \"greeting\" {}\n  file \"/etc/greeting\" { content = \"${param.greeting}\\n\" }\n}\n",
    );
    let archive = project.directory.join("shop.tar.gz");
    let pack = || {
        let packed = Command::new("tar")
            .arg("-czf")
            .arg(&archive)
            .arg("-C")
            .arg(project.directory.join("shop"))
            .arg(".")
            .status();
        assert!(packed.unwrap().success());
    };
    pack();
    let packed = archive.clone();
    let port = serve("0.0.0.0:0", move |path| match path {
        "/andon" => fs::read(ANDON).ok(),
        "/shop.tar.gz" => fs::read(&packed).ok(),
        _ => None,
    });
    let sum: String = Sha256::digest(fs::read(ANDON).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    // What a platform hands to cloud-init is here laid where it looks without one: the seed of NoCloud.
    project.write(
        "roles/cloudy.role.hcl",
        "role \"cloudy\" {\n  package \"cloud-init\" {}\n  package \"curl\" {}\n  package \"ca-certificates\" {}\n}\n\
         role \"seeded\" {\n  param \"user_data\" {}\n  \
         directory \"/var/lib/cloud/seed/nocloud\" {}\n  \
         file \"/var/lib/cloud/seed/nocloud/user-data\" {\n    content = param.user_data\n  }\n  \
         file \"/var/lib/cloud/seed/nocloud/meta-data\" { content = \"instance-id: one\\n\" }\n}\n",
    );
    project.write(
        "images/cloudy.image.hcl",
        "image \"cloudy\" {\n  from = \"debian:bookworm\"\n  roles = [\"cloudy\"]\n}\n",
    );
    project.write(
        "main.tf",
        &format!(
            r#"
resource "lab_network" "app" {{
  name = "boot"
  cidr = "10.231.7.0/24"
}}
data "andon_bootstrap" "web" {{
  roles          = ["web"]
  from           = "http://10.231.7.1:{port}/shop.tar.gz"
  params         = {{ greeting = "hello 50% \"off\"" }}
  every          = "2s"
  program_url    = "http://10.231.7.1:{port}/andon"
  program_sha256 = "{sum}"
}}
resource "andon_image" "cloudy" {{ definition = "cloudy" }}
resource "lab_server" "one" {{
  name    = "one"
  image   = andon_image.cloudy.digest
  network = lab_network.app.id
}}
resource "andon_host" "one" {{
  connection = lab_server.one.connection
  role       = "seeded"
  params     = {{ user_data = data.andon_bootstrap.web.user_data }}
}}
"#
        ),
    );
    project.ok(&["apply", "-y"]);
    // cloud-init looks for its data when a server boots.
    let boot = "cloud-init clean --logs; cloud-init init --local; cloud-init init; cloud-init modules --mode=config; \
                cloud-init modules --mode=final; cloud-init status --long; cat /var/log/cloud-init-output.log; \
                journalctl -q -n 30 -u andon-agent; true";
    let said = project.in_server("one", boot);
    let greeting = || project.andon(&["ssh", "one", "cat", "/etc/greeting"]).out;
    eventually(&format!("the server is as its role says: {said}"), Duration::from_secs(120), || {
        greeting() == "hello 50% \"off\"\n"
    });
    assert_eq!(project.in_server("one", "systemctl is-enabled andon-agent").trim(), "enabled");
    assert_eq!(project.in_server("one", "stat -c %a /etc/andon/params.auto.tfvars.json").trim(), "600");
    // The agent goes on: what drifts is put right, and a new definition arrives.
    project.in_server("one", "echo by hand > /etc/greeting");
    eventually("drift is put right", Duration::from_secs(60), || greeting() == "hello 50% \"off\"\n");
    project.write(
        "shop/roles/web.role.hcl",
        "role \"web\" {\n  param \"greeting\" {}\n  file \"/etc/greeting\" { content = \"good day\\n\" }\n}\n",
    );
    pack();
    eventually("a new definition arrives", Duration::from_secs(60), || greeting() == "good day\n");
    project.ok(&["destroy", "-y"]);
}
