use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use andon_host::{act, observe};
use andon_schema::host::{Act, Bytes, Entry, Look, Node, Sight, Stage};

pub fn write(path: &str, content: &str) -> Act {
    Act::WriteFile {
        path: path.into(),
        content: Bytes::from(content),
        mode: None,
        owner: None,
        group: None,
        validate: None,
    }
}

fn entry(path: &str) -> Option<Entry> {
    match observe(&[Look::Path { path: path.into(), content: true }], Stage::Live).remove(0) {
        Sight::Path(entry) => entry,
        other => unreachable!("{other:?}"),
    }
}

fn done(acts: &[Act]) {
    for outcome in act(acts, Stage::Live) {
        outcome.unwrap();
    }
}

#[test]
fn what_is_written_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(entry(&at("a")), None);
    assert_eq!(entry(&at("a/b/c")), None);
    done(&[write(&at("a"), "one")]);
    let seen = entry(&at("a")).unwrap();
    assert_eq!((seen.node, seen.mode), (Node::File(Some(Bytes::from("one"))), 0o644));
    assert_eq!(entry(&at("a/b")), None, "a file is no directory");
    // What an interrupted write left is taken over; nothing else appears beside the file.
    fs::set_permissions(at("a"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(at(".andon-e40c292c"), "half").unwrap();
    done(&[write(&at("a"), "two")]);
    assert_eq!(entry(&at("a")).unwrap().mode, 0o600, "the mode stays");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    done(&[Act::SetMeta { path: at("a").into(), mode: Some(0o4711), owner: None, group: None }]);
    assert_eq!(entry(&at("a")).unwrap().mode, 0o4711);
    symlink("a", at("l")).unwrap();
    assert_eq!(entry(&at("l")).unwrap().node, Node::Link("a".into()));
    done(&[write(&at("l"), "three")]);
    assert_eq!(entry(&at("l")).unwrap().node, Node::File(Some(Bytes::from("three"))));
    assert_eq!(entry(&at("a")).unwrap().node, Node::File(Some(Bytes::from("two"))), "the target is left alone");
    done(&[Act::MakeLink { path: at("l").into(), target: "nowhere".into() }]);
    assert_eq!(entry(&at("l")).unwrap().node, Node::Link("nowhere".into()));
    let outcome =
        act(&[Act::SetMeta { path: at("l").into(), mode: Some(0o600), owner: None, group: None }], Stage::Live);
    assert!(outcome[0].is_err(), "a link has no mode of its own");
    if nix::unistd::geteuid().is_root() {
        done(&[Act::SetMeta { path: at("l").into(), mode: None, owner: Some("1".into()), group: Some("2".into()) }]);
        let link = fs::symlink_metadata(at("l")).unwrap();
        assert_eq!((link.uid(), link.gid()), (1, 2));
    }
    done(&[
        Act::MakeDirectory { path: at("x/y/z").into(), mode: Some(0o1770), owner: None, group: None },
        write(&at("x/y/z/f"), ""),
    ]);
    assert_eq!(entry(&at("x/y")).unwrap().mode, 0o755);
    assert_eq!(entry(&at("x/y/z")).unwrap().mode, 0o1770);
    let listing = observe(&[Look::Listing(at("x/y/z").into()), Look::Listing(at("nowhere").into())], Stage::Live);
    assert_eq!(listing, [Sight::Listing(Some(vec!["f".into()])), Sight::Listing(None)]);
    symlink("/", at("x/y/root")).unwrap();
    done(&[Act::Remove { path: at("x").into() }, Act::Remove { path: at("x").into() }]);
    assert_eq!(entry(&at("x")), None);
    assert!(fs::metadata("/etc").is_ok(), "links are not followed");
}

#[test]
fn an_act_that_fails_ends_the_row_and_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let outcomes = act(&[write(&at("a"), ""), write(&at("no/b"), ""), write(&at("c"), "")], Stage::Live);
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes[1].as_ref().is_err_and(|reason| reason.contains("no/b could not be written")), "{outcomes:?}");
    let unknown = Act::WriteFile {
        path: at("a").into(),
        content: Bytes::from("new"),
        mode: None,
        owner: Some("no-such-user".into()),
        group: None,
        validate: None,
    };
    assert!(act(&[unknown], Stage::Live)[0].as_ref().is_err_and(|reason| reason.contains("no user `no-such-user`")));
    assert_eq!(fs::read(at("a")).unwrap(), b"");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn owners_by_name_and_number() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root gives files away");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let give = |owner: &str, group: &str| Act::WriteFile {
        path: path.to_str().unwrap().into(),
        content: Bytes::from("x"),
        mode: Some(0o6750),
        owner: Some(owner.into()),
        group: Some(group.into()),
        validate: None,
    };
    done(&[give("daemon", "4242")]);
    let seen = entry(path.to_str().unwrap()).unwrap();
    assert_eq!((&*seen.owner.name, seen.group.id, &*seen.group.name), ("daemon", 4242, ""));
    assert_eq!(seen.mode, 0o6750);
    done(&[write(path.to_str().unwrap(), "y")]);
    assert_eq!(fs::metadata(&path).unwrap().gid(), 4242, "the group stays");
}

#[test]
fn the_order_of_looks_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| -> std::sync::Arc<str> { directory.path().join(name).to_str().unwrap().into() };
    done(&[write(&at("a"), "one"), write(&at("b"), "two")]);
    let same = |name: &str, content: &str| Look::Same { path: at(name), content: Bytes::from(content) };
    let looks = [
        Look::Path { path: at("a"), content: true },
        same("a", "one"),
        same("a", "on"),
        same("a", "two"),
        same("c", "one"),
        Look::Digest(at("b")),
        Look::Tree(at("")),
        Look::Listing(at("")),
        Look::User("root".into()),
        Look::Group("root".into()),
    ];
    let sights = observe(&looks, Stage::Live);
    let backwards: Vec<Look> = looks.iter().rev().cloned().collect();
    assert_eq!(observe(&backwards, Stage::Live).into_iter().rev().collect::<Vec<_>>(), sights);
    let is_same = |sight: &Sight| matches!(sight, Sight::Same { same: true, .. });
    assert_eq!(sights[1..5].iter().map(is_same).collect::<Vec<_>>(), [true, false, false, false]);
}

#[test]
fn files_of_every_size_are_compared_to_their_last_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let same = |content: &[u8]| {
        let look = Look::Same { path: path.to_str().unwrap().into(), content: Bytes::from(content.to_vec()) };
        match observe(&[look], Stage::Live).remove(0) {
            Sight::Same { same, length, .. } => (same, length),
            other => panic!("{other:?}"),
        }
    };
    let piece = 64 * 1024;
    for length in [0, 1, 2, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 1, 2 * piece + 2, 3 * piece + 7] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        assert_eq!(same(&content), (true, length as u64), "{length}");
        let longer = [&content[..], b"x"].concat();
        assert!(!same(&longer).0, "{length}");
        if let Some((last, rest)) = content.split_last() {
            assert!(!same(rest).0, "{length}");
            assert!(!same(&[rest, &[last ^ 1]].concat()).0, "{length}");
        }
    }
}
