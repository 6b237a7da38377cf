use andon_host::{act, observe};
use andon_schema::host::{Act, Look, Sight, Stage, User, UserWish};

use crate::root::in_a_root;

fn user(name: &str) -> Option<User> {
    match observe(&[Look::User(name.into())], Stage::Live).remove(0) {
        Sight::User(user) => user,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn users_and_groups_come_change_and_go() {
    in_a_root(|| {
        let done = |acts: &[Act]| act(acts, Stage::Live).into_iter().for_each(|outcome| outcome.unwrap());
        let wish = UserWish {
            shell: Some("/bin/bash".into()),
            groups: vec!["adm".into(), "web".into()],
            ..UserWish::default()
        };
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
        };
        done(&[Act::ChangeUser { name: "deploy".into(), wish }, Act::ChangeGroup { name: "web".into(), gid: 7008 }]);
        let deploy = user("deploy").unwrap();
        assert_eq!((deploy.uid, deploy.gid, &*deploy.home, &*deploy.shell), (4321, 7008, "/srv/deploy", "/bin/sh"));
        assert_eq!(deploy.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["adm", "sudo", "web"]);
        done(&[Act::RemoveUser("deploy".into()), Act::RemoveGroup("web".into())]);
        assert_eq!(user("deploy"), None);
        let refused = act(&[Act::RemoveGroup("web".into())], Stage::Live).remove(0).unwrap_err();
        assert!(refused.contains("groupdel failed: ") && refused.contains("'web' does not exist"), "{refused}");
    });
}
