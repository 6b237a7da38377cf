//! What the agent of these tests does.

use std::process::{Command, Stdio};

pub fn work(request: Vec<u8>, contact: &mut andon_reach::Contact<'_>) -> Vec<u8> {
    let progress = &mut *contact.say;
    let request = String::from_utf8(request).unwrap();
    let (verb, rest) = request.split_once(' ').unwrap_or((&request, ""));
    match verb {
        "echo" => rest.as_bytes().to_owned(),
        "count" => {
            (0..rest.parse().unwrap()).for_each(|number: u32| progress(&format!("line {number}")));
            b"counted".to_vec()
        }
        "babble" => {
            progress(rest);
            progress(rest);
            eprintln!("{rest}");
            request.into_bytes()
        }
        "sh" => {
            let mut child = Command::new("sh").args(["-c", rest]).stdout(Stdio::piped()).spawn().unwrap();
            // Not to the end of its output, which a process that it leaves behind may hold open.
            let status = child.wait().unwrap();
            let mut text = Vec::new();
            let mut pipe = child.stdout.take().unwrap();
            nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
            let _ = std::io::Read::read_to_end(&mut pipe, &mut text);
            if text.is_empty() && !status.success() {
                text = status.to_string().into_bytes();
            }
            text
        }
        "tell-and-sleep" => {
            let mut child = Command::new("sleep").arg(rest).spawn().unwrap();
            progress("started");
            child.wait().unwrap();
            Vec::new()
        }
        "wait" => {
            progress("here");
            std::thread::sleep(std::time::Duration::from_millis(200));
            Vec::new()
        }
        "exit" => std::process::exit(rest.parse().unwrap()),
        "complain" => {
            eprintln!("{}last words", "many words\n".repeat(100_000));
            std::process::exit(1)
        }
        "panic" => panic!("the work has a mistake"),
        "kill" => {
            // SAFETY: kill takes two numbers.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            Vec::new()
        }
        other => panic!("no such work: {other}"),
    }
}
