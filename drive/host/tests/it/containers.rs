//! Containers of a real podman, where there is one that can run them.

use std::process::Command;

use andon_converge::Mode;
use andon_schema::host::HostResource;
use andon_value::{Marks, Type, Value};

use crate::converge::{catalog, changes, converge, resource};
use crate::root::in_a_root;

const STORAGE: &str =
    "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/lib/containers/storage\"\nrunroot = \"/run/containers\"\n";
const ENGINE: &str = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n[containers]\n\
                      default_sysctls = []\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

fn sh(line: &str) -> Result<String, String> {
    let output = Command::new("sh").args(["-c", line]).output().map_err(|error| error.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

/// Makes an image of a busybox, and tries whether it runs.
fn prepare() -> Result<(), String> {
    std::fs::create_dir_all("/etc/containers").map_err(|error| error.to_string())?;
    std::fs::write("/etc/containers/storage.conf", STORAGE).map_err(|error| error.to_string())?;
    std::fs::write("/etc/containers/containers.conf", ENGINE).map_err(|error| error.to_string())?;
    sh("mkdir -p /srv/image/bin && cp $(command -v busybox) /srv/image/bin/busybox && cd /srv/image/bin \
        && for tool in sh sleep; do ln -s busybox $tool; done")?;
    sh("tar -C /srv/image -cf /srv/image.tar . && podman import -q /srv/image.tar localhost/probe:1")?;
    sh("podman run --rm --network none localhost/probe:1 sh -c true").map(drop)
}

#[test]
fn a_container_is_kept_as_it_is_defined() {
    in_a_root(|| {
        if let Err(error) = prepare() {
            return println!("skipped: podman runs no container here: {}", error.lines().last().unwrap_or_default());
        }
        let container = |more: &[(&str, Value)]| {
            let mut given = vec![
                ("image", Value::from("localhost/probe:1")),
                ("network", "none".into()),
                ("command", Value::list(Type::String, ["sh", "-c", "sleep 1000"].map(Value::from))),
                ("options", Value::list(Type::String, ["--stop-timeout=0".into()])),
                ("environment", Value::map(Type::String, [("TOKEN", "hunter2".into())]).mark(Marks::SENSITIVE)),
            ];
            given.extend(more.iter().cloned());
            resource("container", "probe", &given)
        };
        let apply = |resource: HostResource, count: usize| {
            let catalog = catalog(vec![resource]);
            let (plan, report) = (converge(&catalog, Mode::Plan), converge(&catalog, Mode::Apply));
            assert!(!plan.has_failed() && !report.has_failed(), "{plan:#?} {report:#?}");
            assert_eq!((changes(&plan), changes(&report)), (count, count), "{plan:#?} {report:#?}");
            assert!(!format!("{plan:?}{report:?}").contains("hunter2"));
            let again = converge(&catalog, Mode::Apply);
            assert!(again.is_clean(), "{again:#?}");
        };
        apply(container(&[]), 1);
        assert_eq!(sh("podman exec probe sh -c 'echo $TOKEN'").as_deref(), Ok("hunter2"));
        let first = sh("podman inspect -f '{{.Id}}' probe");
        sh("podman stop probe").unwrap();
        apply(container(&[]), 1);
        assert_eq!(sh("podman inspect -f '{{.Id}}' probe"), first, "it is the same one");
        apply(container(&[("hostname", "other".into()), ("memory", "64m".into())]), 1);
        assert_eq!(sh("podman inspect -f '{{.Config.Hostname}}' probe").as_deref(), Ok("other"));
        apply(container(&[("hostname", "other".into()), ("memory", "64m".into()), ("running", false.into())]), 1);
        sh("podman rm -f probe && podman create --name probe --network none localhost/probe:1 sleep 9").unwrap();
        apply(container(&[]), 1);
        apply(HostResource { absent: true, ..container(&[]) }, 1);
        assert_eq!(sh("podman ps -a --format '{{.Names}}'").as_deref(), Ok(""));
    });
}
