//! What servers are told before they boot: keys and user data, the latter read by the real cloud-init.

use std::path::{Path, PathBuf};
use std::process::Command;

use andon_schema::Identity;
use andon_value::Value;

use crate::Test;
use crate::world::{World, inside, root, texts};

pub const TESTS: &[Test] = &[("server_has_keys", has_keys), ("server_reads_its_user_data", reads_its_user_data)];

fn has_keys(world: &World) {
    if root().is_none() {
        return;
    }
    let network = world.create("lab_network", &[]).unwrap().0;
    let (one, made) = world.create("lab_key", &[("name", "one".into())]).unwrap();
    let (two, other) = world.create("lab_key", &[("name", "two".into())]).unwrap();
    let public = |key: &Value| key.get_str("public_key").unwrap().to_owned();
    let given = |keys: &[String], rest: &[(&'static str, Value)]| {
        let own = [
            ("name", "web".into()),
            ("image", "i".into()),
            ("network", network.as_str().into()),
            ("init", "andon".into()),
        ];
        [&own[..], &[("keys", texts(keys))], rest].concat()
    };
    let (server, value) = world.create("lab_server", &given(&[public(&made)], &[])).unwrap();
    let file =
        |server: &Identity| inside(server, "stat -c '%U %a' ~/.ssh ~/.ssh/authorized_keys; cat ~/.ssh/authorized_keys");
    assert_eq!(file(&server), format!("root 700\nroot 600\n{}\n", public(&made)));
    let both = [public(&made), public(&other)];
    let value = world.update("lab_server", &server, &value, &given(&both, &[])).unwrap().value;
    assert_eq!(file(&server), format!("root 700\nroot 600\n{}\n", both.join("\n")));
    let stopped =
        world.update("lab_server", &server, &value, &given(&both[1..], &[("running", false.into())])).unwrap().value;
    world.update("lab_server", &server, &stopped, &given(&both[1..], &[])).unwrap();
    assert_eq!(file(&server), format!("root 700\nroot 600\n{}\n", both[1]));
    let failure = world.create("lab_server", &given(&["no key".to_owned()], &[])).unwrap_err();
    assert!(failure.summary.contains("no public key"), "{failure}");
    world.delete("lab_server", &server);
    for (kind, identity) in [("lab_key", &one), ("lab_key", &two), ("lab_network", &network)] {
        world.delete(kind, identity);
    }
}

/// A root file system that has cloud-init, or a printed reason.
fn root_with_cloud_init(folder: &Path) -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("ANDON_TEST_CLOUD_ROOT") {
        return Some(root.into());
    }
    let root = folder.join("root");
    let made = Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", "--include=systemd-sysv,cloud-init", "bookworm"])
        .arg(&root)
        .output();
    match made {
        Ok(output) if output.status.success() => Some(root),
        Ok(output) => {
            println!("skipped: no root with cloud-init could be made: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            println!("skipped: cannot run `mmdebstrap`: {error}");
            None
        }
    }
}

fn reads_its_user_data(world: &World) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let Some(root) = root_with_cloud_init(folder.path()) else { return };
    let network = world.create("lab_network", &[]).unwrap().0;
    let (key, made) = world.create("lab_key", &[]).unwrap();
    let user_data = "#cloud-config\nlocale: false\nusers:\n- default\n- name: deploy\nwrite_files:\n- path: /srv/told\n  content: hello\nruncmd:\n- [sh, -c, 'cat /var/lib/cloud/data/instance-id >>/srv/ran']\n";
    let given = |user_data: &str| {
        [
            ("name", Value::from("web-7")),
            ("image", "i".into()),
            ("network", network.as_str().into()),
            ("keys", texts(&[made.get_str("public_key").unwrap().to_owned()])),
            ("cloud_init", user_data.into()),
        ]
    };
    for attempt in 0..2 {
        let identity = world.identity();
        let made = world.create_from("lab_server", &identity, &given(user_data), vec![root.clone()]).unwrap();
        let status = inside(&identity, "cloud-init status --wait --long");
        assert!(status.contains("status: done") && status.contains("NoCloud"), "{status}");
        assert_eq!(inside(&identity, "cat /srv/told /srv/ran; hostname"), format!("hello{identity}\nweb-7\n"));
        // What it did is what the server is from now on compared with.
        let lower = [root.clone()];
        let data = ["/var", "/run", "/root", "/home", "/srv"];
        let changed = || {
            let changed = world.lab.changed_files(&identity, &lower, &data).unwrap();
            changed.into_iter().map(|file| file.path).collect::<Vec<_>>()
        };
        assert!(changed().contains(&"/etc/passwd".to_owned()), "{:?}", changed());
        world.lab.remember_files(&identity, &lower, &data).unwrap();
        assert_eq!(changed(), [""; 0]);
        inside(&identity, "echo '# by hand' >>/etc/hosts.allow; echo by:x:1001:1001::/:/bin/sh >>/etc/passwd");
        assert_eq!(changed().iter().filter(|path| *path == "/etc/passwd").count(), 1, "{:?}", changed());
        if attempt == 0 {
            // Started again, it is the same instance, and does nothing again.
            let stopped = [&given(user_data)[..], &[("running", false.into())]].concat();
            let planned = |prior: &Value, given: &[(&str, Value)]| {
                world.lab.plan("lab_server", Some(prior), &crate::world::config("lab_server", given)).unwrap()
            };
            let extra = andon_lab::CreateExtra {
                owner: crate::world::OWNER.into(),
                lower_dirs: vec![root.clone()],
                ..Default::default()
            };
            let (plan, _) = planned(&made.value, &stopped);
            let now = world.lab.update("lab_server", &identity, &made.value, &plan, &extra).unwrap().value;
            let (plan, _) = planned(&now, &given(user_data));
            let now = world.lab.update("lab_server", &identity, &now, &plan, &extra).unwrap().value;
            inside(&identity, "cloud-init status --wait");
            assert_eq!(inside(&identity, "cat /srv/ran"), format!("{identity}\n"));
            assert_eq!(planned(&now, &given("#!/bin/sh\n")).1, ["cloud_init"]);
        }
        world.delete("lab_server", &identity);
    }
    for (kind, identity) in [("lab_key", &key), ("lab_network", &network)] {
        world.delete(kind, identity);
    }
}
