//! Images as containers of Podman and crun, which get them from a registry and from a layout.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use andon_image::{ContainerConfig, Reference, Registries, Source};
use serde_json::{Value as Json, json};

use crate::oci::{Registry, has, run};
use crate::tree::{Data, bake, root_file_system, set_mode};

const BUSYBOX: &str = "/usr/bin/busybox";

pub fn engines_run_it_unchanged() {
    if !Path::new(BUSYBOX).exists() {
        println!("  skipped: busybox is not installed");
        return;
    }
    let data = Data::new("engines");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    fs::create_dir(root.join("usr/bin")).unwrap();
    fs::remove_file(root.join("bin")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    fs::copy(BUSYBOX, root.join("usr/bin/busybox")).unwrap();
    set_mode(&root.join("usr/bin/busybox"), 0o755);
    symlink("busybox", root.join("usr/bin/sh")).unwrap();
    let from = Source::parse(root.to_str().unwrap(), Path::new("/")).unwrap();
    let base = images.base(&from, &|_| {}).unwrap().digest;
    let digest = bake(&images, &base, "engines", "engines", |root| {
        fs::write(root.join("etc/greeting"), "hi\n").unwrap();
        fs::remove_file(root.join("usr/removed")).unwrap();
    });
    let script = "echo $GREETING $(busybox cat /etc/greeting) $(busybox ls /usr) $(busybox id -u)";
    let config = ContainerConfig {
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        environment: [("GREETING".to_owned(), "says".to_owned())].into(),
        ..ContainerConfig::default()
    };
    let expected = "says hi bin 0\n";
    let image = images.oci(&digest, &config, &mut |_| {}).unwrap();
    let layout = data.0.join("layout");
    image.write_layout(&layout, "web").unwrap();
    let layout = format!("{}:web", layout.display());
    match has("podman") && has("runc") && has("docker-registry") {
        true => {
            let registry = Registry::start(&data.0);
            let to = Reference::parse(&format!("{}/team/web:1", registry.address)).unwrap();
            Registries::new().push(&image, &to, &mut |_| {}).unwrap();
            for from in [format!("docker://{to}"), format!("oci:{layout}")] {
                let tls: &[&str] = if from.starts_with("docker") { &["--tls-verify=false"] } else { &[] };
                let said = podman(&data.0, &[&["run", "--rm", "--network", "none"], tls, &[&from]].concat());
                assert_eq!(said, expected, "{from}");
            }
            podman(&data.0, &["rmi", "--all", "--force"]);
            // It leaves these groups behind; where something else is in one, it stays.
            let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
            for place in hierarchies.chain(["/sys/fs/cgroup".into()]) {
                for group in ["libpod_parent/conmon", "libpod_parent"] {
                    let _ = fs::remove_dir(place.join(group));
                }
            }
        }
        false => println!("  skipped: podman, runc or docker-registry is not installed"),
    }
    match has("crun") && has("umoci") {
        true => {
            let bundle = data.0.join("bundle");
            run("umoci", &["unpack", "--image", &layout, bundle.to_str().unwrap()]);
            // As the image says, but for the terminal, which a test has none of.
            let path = bundle.join("config.json");
            let mut spec: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            spec["process"]["terminal"] = json!(false);
            fs::write(&path, spec.to_string()).unwrap();
            // It refuses machines with both versions of control groups.
            let script =
                "umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root \"$0\" run --bundle \"$1\" \"$2\"";
            let name = format!("andon-image-{}", std::process::id());
            let state = data.0.join("crun");
            let words = ["--mount", "sh", "-c", script, state.to_str().unwrap(), bundle.to_str().unwrap(), &name];
            assert_eq!(run("unshare", &words), expected);
        }
        false => println!("  skipped: crun or umoci is not installed"),
    }
}

fn podman(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("podman");
    command.arg("--root").arg(directory.join("storage")).arg("--runroot").arg(directory.join("running"));
    command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
