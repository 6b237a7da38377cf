use std::os::unix::fs::MetadataExt;

use andon_converge::Mode;
use andon_host::{act, observe};
use andon_schema::host::{Act, HostResource, Look, Sight, Stage, User, UserWish};
use andon_value::{Type, Value};

use crate::converge::{catalog, changes, converge, resource};
use crate::root::{in_a_root, text};

fn user(name: &str) -> Option<User> {
    match observe(&[Look::User(name.into())], Stage::Live).remove(0) {
        Sight::User(user) => user,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn users_and_groups_come_change_and_go() {
    in_a_root(come_change_and_go);
}

/// Without the tools of shadow its files are edited, to the same end.
#[test]
fn users_and_groups_come_change_and_go_without_shadow() {
    in_a_root(|| {
        forget_the_tools();
        come_change_and_go();
        everything_of_a_user();
        let mode = |path: &str| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!([mode("/etc/passwd"), mode("/etc/shadow")], [0o644, 0o640]);
    });
}

fn forget_the_tools() {
    for tool in ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "chpasswd"] {
        let _ = std::fs::remove_file(format!("/usr/sbin/{tool}"));
    }
    for tool in ["gpasswd", "chage"] {
        let _ = std::fs::remove_file(format!("/usr/bin/{tool}"));
    }
}

fn come_change_and_go() {
    let done = |acts: &[Act]| act(acts, Stage::Live).into_iter().for_each(|outcome| outcome.unwrap());
    let wish =
        UserWish { shell: Some("/bin/bash".into()), groups: vec!["adm".into(), "web".into()], ..UserWish::default() };
    done(&[
        Act::AddGroup { name: "web".into(), gid: Some(7007), system: false },
        Act::AddUser { name: "deploy".into(), wish, system: false },
        Act::AddUser { name: "robot".into(), wish: UserWish::default(), system: true },
    ]);
    let deploy = user("deploy").unwrap();
    assert_eq!((&*deploy.home, &*deploy.shell), ("/home/deploy", "/bin/bash"));
    assert_eq!(deploy.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["adm", "web"]);
    assert!(std::fs::metadata("/home/deploy").unwrap().is_dir());
    assert!(user("robot").unwrap().uid < 1000 && std::fs::metadata("/home/robot").is_err());
    let wish = UserWish {
        uid: Some(4321),
        group: Some("web".into()),
        home: Some("/srv/deploy".into()),
        shell: Some("/bin/sh".into()),
        groups: vec!["sudo".into()],
        ..UserWish::default()
    };
    let renumber = Act::ChangeGroup { name: "web".into(), gid: Some(7008), members: None };
    done(&[Act::ChangeUser { name: "deploy".into(), wish }, renumber]);
    let deploy = user("deploy").unwrap();
    assert_eq!((deploy.uid, deploy.gid, &*deploy.home, &*deploy.shell), (4321, 7008, "/srv/deploy", "/bin/sh"));
    assert_eq!(deploy.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["adm", "sudo", "web"]);
    done(&[Act::RemoveUser { name: "deploy".into(), home: false }, Act::RemoveGroup("web".into())]);
    assert_eq!(user("deploy"), None);
    let refused = act(&[Act::RemoveGroup("web".into())], Stage::Live).remove(0).unwrap_err();
    assert!(refused.contains("web"), "{refused}");
}

/// Everything of passwd, shadow and groups, set by a role; the files hold it, and the next run finds nothing to do.
#[test]
fn a_role_says_everything_of_a_user() {
    in_a_root(everything_of_a_user);
}

fn everything_of_a_user() {
    let hash = "$6$abcdefgh$0123456789abcdefghijklmnopqrstuvwxyz./ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijk";
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGRlcGxveSBrZXkgb2YgdGhlIHRlc3Qgb25seSE deploy@laptop";
    let set = |texts: &[&str]| Value::set(Type::String, texts.iter().map(|text| Value::from(*text)));
    let user = |given: &[(&str, Value)]| resource("user", "deploy", given);
    let whole = |more: &[(&str, Value)]| {
        let given = [
            ("comment", "Deploys, mostly".into()),
            ("groups", set(&["adm", "web"])),
            ("exclusive", true.into()),
            ("password", hash.into()),
            ("expires", "2031-02-28".into()),
            ("password_max_days", 90.into()),
            ("password_min_days", 1.into()),
            ("password_inactive_days", 30.into()),
            ("keys", set(&[key])),
        ];
        let overridden = |name: &str| more.iter().any(|(other, _)| *other == name);
        let kept = given.into_iter().filter(|(name, _)| !overridden(name));
        user(&kept.chain(more.iter().cloned()).collect::<Vec<_>>())
    };
    let apply = |resources: Vec<HostResource>, count: usize| {
        let catalog = catalog(resources);
        let (plan, report) = (converge(&catalog, Mode::Plan), converge(&catalog, Mode::Apply));
        assert!(!plan.has_failed() && !report.has_failed(), "{plan:#?} {report:#?}");
        assert_eq!((changes(&plan), changes(&report)), (count, count), "{report:#?}");
        assert!(!format!("{plan:?}{report:?}").contains("$6$abc"), "{plan:?} {report:?}");
        let again = converge(&catalog, Mode::Apply);
        assert!(again.is_clean(), "{again:#?}");
        report
    };
    let shadow = || text("/etc/shadow").unwrap().lines().find_map(|it| it.strip_prefix("deploy:").map(str::to_owned));
    let days = |line: &str| line.split(':').skip(2).map(str::to_owned).collect::<Vec<_>>();
    let groups = || vec![resource("group", "web", &[]), resource("group", "crew", &[])];
    apply([groups(), vec![whole(&[])]].concat(), 3);
    let line = shadow().unwrap();
    assert!(line.starts_with(hash), "{line}");
    assert_eq!(days(&line)[..6], ["1", "90", "7", "30", "22338", ""]);
    let keys = "/home/deploy/.ssh/authorized_keys";
    assert_eq!(text(keys), Some(format!("{key}\n")));
    let metadata = std::fs::metadata(keys).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid()), (0o600, user_named("deploy").uid));

    let changed = [
        ("locked", true.into()),
        ("groups", set(&["crew"])),
        ("expires", "never".into()),
        ("home", "/srv/deploy".into()),
        ("move_home", true.into()),
    ];
    apply(vec![whole(&changed)], 1);
    let line = shadow().unwrap();
    assert!(line.starts_with(&format!("!{hash}:")) && days(&line)[4].is_empty(), "{line}");
    assert_eq!(user_named("deploy").groups.iter().map(|it| &**it).collect::<Vec<_>>(), ["crew"]);
    assert_eq!(text("/srv/deploy/.ssh/authorized_keys"), Some(format!("{key}\n")));
    apply(vec![user(&[("locked", false.into()), ("keys", set(&[])), ("exclusive_keys", true.into())])], 1);
    assert!(shadow().unwrap().starts_with(hash));
    assert_eq!(text("/srv/deploy/.ssh/authorized_keys").as_deref(), Some(""));

    let members = |names: &[&str], exclusive: bool| {
        resource("group", "web", &[("members", set(names)), ("exclusive", exclusive.into())])
    };
    apply(vec![members(&["deploy", "nobody"], false)], 1);
    apply(vec![members(&["deploy"], true)], 1);
    let entry = text("/etc/group").unwrap();
    assert!(entry.lines().any(|line| line.starts_with("web:x:") && line.ends_with(":deploy")), "{entry}");
    let gone = HostResource { absent: true, ..user(&[("remove_home", true.into())]) };
    apply(vec![gone], 1);
    assert!(std::fs::metadata("/srv/deploy").is_err() && shadow().is_none());
}

fn user_named(name: &str) -> User {
    user(name).unwrap()
}
