//! Work on many servers at once: as a rollout has it, each on a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use andon_fleet::Rollout;

/// How often whoever watches is told that time passes.
const TICK: Duration = Duration::from_millis(100);

/// What happens while servers are worked on; servers by their places.
#[derive(Debug)]
pub enum Happening<'a, T> {
    /// The work on one begins.
    Begun(usize),
    /// It says a line about its progress.
    Said(usize, String),
    /// It has ended.
    Ended(usize, &'a T),
    /// The user asked for an end: what runs is finished, and nothing more begins.
    Interrupted,
    /// Time passes.
    Tick,
}

/// What is done on the server of a place; lines about its progress go to whoever watches.
pub type Doing<'a, T> = &'a (dyn Fn(usize, &dyn Fn(&str)) -> T + Sync);

/// Does `work` on every server that the rollout begins with, and tells `watch` what happens. Gives the answers by place,
/// `None` of those that were not begun.
pub fn on_many<T: Send>(
    total: usize,
    rollout: &mut Rollout,
    interrupt: &AtomicBool,
    work: Doing<'_, T>,
    has_failed: &dyn Fn(&T) -> bool,
    watch: &mut dyn FnMut(Happening<'_, T>),
) -> Vec<Option<T>> {
    enum Word<T> {
        Said(usize, String),
        Ended(usize, T),
    }
    let mut answers: Vec<Option<T>> = (0..total).map(|_| None).collect();
    let (sender, words) = channel::<Word<T>>();
    let mut told = false;
    std::thread::scope(|scope| {
        loop {
            if interrupt.load(Ordering::Relaxed) && !told {
                told = true;
                rollout.stop("it was stopped by hand");
                watch(Happening::Interrupted);
            }
            for place in rollout.begin() {
                watch(Happening::Begun(place));
                let sender = sender.clone();
                scope.spawn(move || {
                    let lines = sender.clone();
                    let answer = work(place, &|line: &str| drop(lines.send(Word::Said(place, line.to_owned()))));
                    let _ = sender.send(Word::Ended(place, answer));
                });
            }
            if rollout.is_over() {
                break;
            }
            match words.recv_timeout(TICK) {
                Ok(Word::Said(place, line)) => watch(Happening::Said(place, line)),
                Ok(Word::Ended(place, answer)) => {
                    rollout.ended(place, has_failed(&answer));
                    watch(Happening::Ended(place, &answer));
                    if let Some(slot) = answers.get_mut(place) {
                        *slot = Some(answer);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => watch(Happening::Tick),
            }
        }
    });
    answers
}
