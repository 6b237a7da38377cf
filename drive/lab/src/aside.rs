//! Work in a thread of its own: the namespaces that it enters there are nobody else's.

use std::io;
use std::thread::{Builder, scope};

/// Does something in a new thread, and waits for its end. Fails where this machine lets its user have no more threads.
pub(crate) fn aside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    scope(|scope| {
        let thread = Builder::new().spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that does it came to an end by itself")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_it_is_given_back() {
        assert_eq!(aside(|| Ok(7)).unwrap(), 7);
        assert_eq!(aside::<()>(|| Err(io::ErrorKind::NotFound.into())).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(aside::<()>(|| std::panic::resume_unwind(Box::new(()))).unwrap_err().to_string().contains("by itself"));
    }
}
