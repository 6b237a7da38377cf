//! The same work on several things, some beside each other.

use std::sync::{Mutex, PoisonError};

use andon_schema::Failure;

/// Does work on each item, at most so many at once. Where it fails on one, or ends by itself, those that are not begun by
/// then are left by whoever failed; the others go on.
///
/// # Errors
/// The failure of one that failed; `broken` where what did the work came to an end by itself.
pub(super) fn each_beside<T: Sync>(
    items: &[T],
    most: usize,
    work: impl Fn(&T) -> Result<(), Failure> + Sync,
    broken: impl Fn() -> Failure,
) -> Result<(), Failure> {
    let waiting = Mutex::new(items.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let one_after_another = || {
        while let Some(item) = next() {
            work(item)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        // There are as many as the machine lets its user have.
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, one_after_another).ok();
        let threads: Vec<_> = (0..items.len().min(most)).map_while(start).collect();
        let here = if threads.is_empty() { one_after_another() } else { Ok(()) };
        let ends: Vec<Result<(), Failure>> =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(broken()))).collect();
        here.and(ends.into_iter().collect())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn broken() -> Failure {
        Failure::new("broken", "It came to an end by itself.")
    }

    /// Works on so many items, of which one may be bad: how it ended, how many were done, and the most at once.
    fn check(items: usize, bad: Option<(usize, bool)>, expected: Result<(), &str>) -> (usize, usize) {
        let (done, now, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<usize> = (0..items).collect();
        let work = |item: &usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            match bad {
                Some((at, true)) if at == *item => panic!("the deletion has a fault of its own"),
                Some((at, false)) if at == *item => Err(Failure::new("refused", "It is held.")),
                _ => {
                    done.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
            }
        };
        let ended = each_beside(&items, 4, work, broken).map_err(|failure| failure.summary);
        assert_eq!(ended, expected.map_err(str::to_owned), "{bad:?}");
        (done.into_inner(), most.into_inner())
    }

    #[test]
    fn one_that_ends_by_itself_is_no_success() {
        assert_eq!(check(0, None, Ok(())).0, 0);
        let (done, most) = check(100, None, Ok(()));
        assert!(done == 100 && most <= 4, "{done}, {most} at once");
        for panics in [true, false] {
            let expected = Err(if panics { "broken" } else { "refused" });
            assert_eq!(check(1, Some((0, panics)), expected).0, 0);
            // Those that are well go on.
            assert_eq!(check(100, Some((50, panics)), expected).0, 99);
        }
    }
}
