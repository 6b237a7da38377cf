//! What runs keep, and how it is put back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use andon_converge::{Undo, undo, undo_looks};
use andon_host::{Journal, act_while, kept_content, kept_run, kept_runs, observe};
use andon_schema::host::{Act, Stage};
use andon_schema::{EntryStatus, KeptState};
use andon_value::SecretTexts;

use crate::files::write;
use crate::root::{in_a_root, text};

fn run(acts: &[Act], secret: &[&str]) -> u64 {
    let mut journal = Journal::new("web", "0a1b2c", SecretTexts::default());
    journal.hide(&secret.iter().map(|path| (*path).into()).collect());
    for outcome in act_while(acts, Stage::Live, Some(&mut journal), &mut |_| true) {
        outcome.unwrap();
    }
    journal.run().unwrap()
}

fn foresee(number: u64) -> Undo {
    let run = kept_run(number).unwrap().unwrap();
    undo(&run, observe(&undo_looks(&run), Stage::Live), false, &mut kept_content)
}

fn carry_out(undo: &Undo) {
    let acts: Vec<Act> = undo.acts.iter().map(|(_, act)| act.clone()).collect();
    for outcome in act_while(&acts, Stage::Live, None, &mut |_| true) {
        outcome.unwrap();
    }
}

#[test]
fn a_run_is_undone() {
    in_a_root(|| {
        let _ = fs::remove_dir_all("/var/lib/andon");
        fs::create_dir_all("/srv/u/gone/deep").unwrap();
        fs::write("/srv/u/a", "old\n").unwrap();
        fs::set_permissions("/srv/u/a", fs::Permissions::from_mode(0o640)).unwrap();
        fs::write("/srv/u/gone/deep/x", "x\n").unwrap();
        symlink("old", "/srv/u/l").unwrap();
        fs::write("/srv/u/secret", "hunter1\n").unwrap();
        let path = |path: &str| -> std::sync::Arc<str> { path.into() };
        let meta = |mode| Act::SetMeta { path: path("/srv/u/a"), mode: Some(mode), owner: None, group: None };
        let made = Act::MakeDirectory { path: path("/srv/u/n/m"), mode: None, owner: None, group: None };
        let acts = [
            write("/srv/u/a", "new\n"),
            meta(0o600),
            write("/srv/u/a", "newer\n"),
            made,
            write("/srv/u/n/m/f", "made\n"),
            Act::MakeLink { path: path("/srv/u/l"), target: path("new") },
            Act::Remove { path: path("/srv/u/gone") },
            write("/srv/u/secret", "hunter2\n"),
        ];
        let number = run(&acts, &["/srv/u/secret"]);
        assert_eq!(number, 1);
        for (path, mode) in [("/var/lib/andon/kept", 0o700), ("/var/lib/andon/runs/1", 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, mode);
        }
        let known = kept_runs().unwrap().remove(0);
        assert_eq!((&*known.title, &*known.name, known.paths.len()), ("web", "0a1b2c", 9));
        assert!(matches!(&known.paths[0].was, KeptState::File { mode: 0o640, .. }));
        let undo = foresee(1);
        let lines: Vec<String> =
            undo.report.entries.iter().map(|it| format!("{} {:?}", it.address, it.change)).collect();
        assert_eq!(
            lines,
            [
                "file \"/srv/u/a\" Update",
                "directory \"/srv/u/gone\" Create",
                "directory \"/srv/u/gone/deep\" Create",
                "file \"/srv/u/gone/deep/x\" Create",
                "link \"/srv/u/l\" Update",
                "file \"/srv/u/n/m/f\" Remove",
                "file \"/srv/u/secret\" Update",
                "directory \"/srv/u/n/m\" Remove",
                "directory \"/srv/u/n\" Remove",
            ]
        );
        assert_eq!(undo.report.entries[0].diff.as_deref(), Some("@@ -1 +1 @@\n-newer\n+old\n"));
        assert!(!format!("{:?}", undo.report).contains("hunter"), "a secret is not shown");
        carry_out(&undo);
        assert_eq!(text("/srv/u/a").as_deref(), Some("old\n"));
        assert_eq!(fs::metadata("/srv/u/a").unwrap().mode() & 0o7777, 0o640);
        assert_eq!(text("/srv/u/gone/deep/x").as_deref(), Some("x\n"));
        assert_eq!(fs::read_link("/srv/u/l").unwrap().to_str(), Some("old"));
        assert_eq!(text("/srv/u/secret").as_deref(), Some("hunter1\n"));
        assert!(!fs::exists("/srv/u/n").unwrap());
        assert_eq!(foresee(1), Undo::default(), "a second time there is nothing to do");
    });
}

#[test]
fn what_was_changed_since_is_left_alone() {
    in_a_root(|| {
        let _ = fs::remove_dir_all("/var/lib/andon");
        fs::create_dir_all("/srv/u").unwrap();
        fs::write("/srv/u/a", "old\n").unwrap();
        let made = Act::MakeDirectory { path: "/srv/u/d".into(), mode: None, owner: None, group: None };
        let number = run(&[write("/srv/u/a", "new\n"), made, write("/srv/u/d/f", "f")], &[]);
        fs::write("/srv/u/a", "mine\n").unwrap();
        fs::write("/srv/u/d/mine", "mine\n").unwrap();
        let undo = foresee(number);
        let said: Vec<String> = (undo.report.entries.iter())
            .map(|entry| match &entry.status {
                EntryStatus::Skipped(reason) => format!("{}: {reason}", entry.address),
                _ => entry.address.clone(),
            })
            .collect();
        assert_eq!(
            said,
            [
                "file \"/srv/u/a\": it was changed since that run, and is left alone",
                "file \"/srv/u/d/f\"",
                "directory \"/srv/u/d\": it holds mine, which that run did not make, and is left alone",
            ]
        );
        carry_out(&undo);
        assert_eq!(text("/srv/u/a").as_deref(), Some("mine\n"));
        assert!(fs::exists("/srv/u/d/mine").unwrap() && !fs::exists("/srv/u/d/f").unwrap());
        assert_eq!(kept_run(77), Ok(None));
        // A line that was cut off by a kill tells of nothing.
        let journal = format!("/var/lib/andon/runs/{number}");
        let whole = fs::read_to_string(&journal).unwrap();
        fs::write(&journal, format!("{whole}was\t/srv/u/a\tf 644")).unwrap();
        assert_eq!(kept_run(number).unwrap().unwrap().paths.len(), 3);
    });
}
