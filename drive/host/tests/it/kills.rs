//! A converge that is killed at any moment: the next one ends right, and whoever reads meanwhile never sees half a file.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use andon_converge::Mode;
use andon_schema::host::Catalog;

use crate::converge::{catalog, converge, resource};
use crate::root::in_a_root;

/// Says to the test binary that it is the converge to be killed.
const WORKER: &str = "ANDON_TEST_WORKER";

const FILES: usize = 12;
const DIRECTORY: &str = "/srv/andon-kills";

fn content(version: &str, file: usize) -> String {
    format!("{version}{file:04}\n").repeat(1000)
}

fn wanted() -> Catalog {
    let mut resources = vec![resource("directory", DIRECTORY, &[("purge", true.into())])];
    for file in 0..FILES {
        let mode = if file % 2 == 0 { "0640" } else { "0644" };
        let given = [("content", content("new", file).into()), ("mode", mode.into())];
        resources.push(resource("file", &format!("{DIRECTORY}/{file}"), &given));
    }
    resources.push(resource("link", &format!("{DIRECTORY}/now"), &[("target", "0".into())]));
    let line = [("path", format!("{DIRECTORY}/0.conf").into()), ("line", "a=2".into()), ("match", "^a=".into())];
    resources.push(resource("line", "a", &line));
    catalog(resources)
}

fn begin() {
    let _ = fs::remove_dir_all(DIRECTORY);
    fs::create_dir_all(DIRECTORY).unwrap();
    for file in 0..FILES {
        let new = format!("{DIRECTORY}/{file}.new");
        fs::write(&new, content("old", file)).unwrap();
        fs::rename(new, format!("{DIRECTORY}/{file}")).unwrap();
    }
    fs::write(format!("{DIRECTORY}/0.conf"), "a=1\nb=1\n").unwrap();
    fs::write(format!("{DIRECTORY}/stray"), "x").unwrap();
}

fn worker_process() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["kills::worker", "--exact"]).env(WORKER, "1").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn worker() {
    if std::env::var_os(WORKER).is_some() {
        assert!(!converge(&wanted(), Mode::Apply).has_failed());
    }
}

#[test]
fn a_kill_at_any_moment_is_made_good_and_no_file_is_ever_half() {
    let kills: u64 = std::env::var("ANDON_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    in_a_root(move || {
        begin();
        let began = Instant::now();
        assert!(worker_process().status().unwrap().success());
        let mut whole = began.elapsed();
        let (over, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let reader = std::thread::spawn({
            let (over, reads) = (over.clone(), reads.clone());
            move || {
                let contents: Vec<[String; 2]> =
                    (0..FILES).map(|file| ["old", "new"].map(|version| content(version, file))).collect();
                while !over.load(Ordering::Relaxed) {
                    for (file, known) in contents.iter().enumerate() {
                        // While the next story is set up there may be none.
                        let Ok(text) = fs::read_to_string(format!("{DIRECTORY}/{file}")) else { continue };
                        assert!(known.contains(&text), "{} bytes of {file}", text.len());
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
        });
        let mut seed: u64 = 1;
        let mut cut_short = 0;
        for kill in 0..kills {
            begin();
            // Numerical Recipes' generator: the moments are the same each time, as far as a clock goes.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut child = worker_process().spawn().unwrap();
            std::thread::sleep(
                whole.mul_f64((seed >> 33) as f64 / f64::from(u32::MAX >> 1)).min(Duration::from_secs(2)),
            );
            let ended = child.try_wait().unwrap().is_some();
            child.kill().unwrap();
            child.wait().unwrap();
            cut_short += usize::from(!ended);
            if ended {
                whole = whole.mul_f64(0.95);
            }
            let report = converge(&wanted(), Mode::Apply);
            assert!(!report.has_failed(), "kill {kill}: {report:#?}");
            assert!(converge(&wanted(), Mode::Apply).is_clean(), "kill {kill}");
            let mut names: Vec<String> =
                fs::read_dir(DIRECTORY).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            let mut expected: Vec<String> = (0..FILES).map(|file| file.to_string()).collect();
            expected.extend(["0.conf".to_owned(), "now".to_owned()]);
            expected.sort();
            assert_eq!(names, expected, "kill {kill}");
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        println!("{cut_short} of {kills} were killed in the middle, {} reads", reads.load(Ordering::Relaxed));
        assert!(cut_short > 0 && reads.load(Ordering::Relaxed) > 0);
    });
}
