use std::fs;
use std::os::unix::fs::symlink;

use andon_host::act;
use andon_schema::host::{Act, Bytes, Stage};

use crate::root::{in_a_root, mounts, text};

fn write(path: &str, content: &str, validate: &str, stage: Stage) -> Result<(), String> {
    let act_ = Act::WriteFile {
        path: path.into(),
        content: Bytes::from(content),
        mode: Some(0o640),
        owner: None,
        group: None,
        validate: Some(validate.into()),
    };
    act(&[act_], stage).remove(0)
}

#[test]
fn the_command_sees_the_new_content_in_its_place() {
    in_a_root(|| {
        for stage in [Stage::Live, Stage::Image] {
            let _ = fs::remove_dir_all("/srv/app");
            fs::create_dir_all("/srv/app/sub").unwrap();
            fs::write("/srv/app/sub/part", "part").unwrap();
            fs::write("/srv/app/other", "other").unwrap();
            symlink("other", "/srv/app/link").unwrap();
            symlink("nowhere", "/srv/app/dangling").unwrap();
            let before = mounts();
            let whole = "grep -q new /srv/app/PATH && cat /srv/app/sub/part /srv/app/link /srv/app/other";
            for (name, old) in [("file", Some("old")), ("fresh", None), ("dangling", None), ("other", Some("other"))] {
                let path = format!("/srv/app/{name}");
                if let Some(old) = old {
                    fs::write(&path, old).unwrap();
                }
                let refused =
                    write(&path, "new, but wrong", "echo because; grep new \"$(dirname /srv/app/x)\"/*; false", stage);
                let reason = refused.unwrap_err();
                assert!(
                    reason.contains(&format!("the new content of {path} is refused by `echo because;")),
                    "{reason}"
                );
                assert!(reason.contains("because\n") && reason.contains("new, but wrong"), "{reason}");
                assert_eq!(text(&path).as_deref(), old, "what was there stays");
                write(&path, "new", &whole.replace("PATH", name), stage).unwrap();
                assert_eq!(text(&path).as_deref(), Some("new"));
            }
            assert!(fs::symlink_metadata("/srv/app/dangling").unwrap().is_file());
            assert_eq!(text("/srv/app/nowhere"), None);
            assert_eq!(mounts(), before, "no mount is left");
            let mut names: Vec<_> = fs::read_dir("/srv/app")
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, ["dangling", "file", "fresh", "link", "other", "sub"], "no temporary file is left");
        }
    });
}

#[test]
fn nobody_else_sees_it() {
    in_a_root(|| {
        fs::write("/srv/a", "old").unwrap();
        // The command looks through a process that stays outside: this thread.
        let outside = format!("/proc/{}/task/{}/root/srv/a", std::process::id(), nix::unistd::gettid());
        write("/srv/a", "new", &format!("grep -q new /srv/a && grep -q old {outside}"), Stage::Live).unwrap();
        let outside = outside.replace("/srv/a", "/srv/b");
        write("/srv/b", "new", &format!("grep -q new /srv/b && ! test -e {outside}"), Stage::Live).unwrap();
    });
}

#[test]
fn a_temporary_file_for_commands_that_take_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("it's");
    let path = path.to_str().unwrap();
    write(path, "new", "grep -q new %s && ! grep -q old %s", Stage::Live).unwrap();
    assert_eq!(text(path).as_deref(), Some("new"));
    let reason = write(path, "newer", "echo line 3: no such directive; exit 1", Stage::Image).unwrap_err();
    assert!(reason.ends_with("line 3: no such directive"), "{reason}");
    assert_eq!(text(path).as_deref(), Some("new"));
}
