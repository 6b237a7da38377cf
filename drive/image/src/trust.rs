//! Whom the packages of an image are believed by.
//!
//! It is kept with the image, and handed on to what is made over it. It is never read off a layer: one that was made from a
//! distribution's packages may also be the lowest of somebody else's image, whose other layers hold what they like.

use std::fs;

use andon_schema::Failure;

use crate::images::write_whole;
use crate::{Digest, Distribution, Images, Stack};

/// What an image's packages are trusted by. Those who trust the same may share what was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The keys of a distribution, which proved all that the image was made from: `debian bookworm`.
    Release(String),
    /// Nobody but who made this image.
    Image(Digest),
    /// Nobody: there is no image yet.
    Nobody,
}

impl Trust {
    pub(crate) fn of_release(distribution: Distribution, release: &str) -> Trust {
        Trust::Release(format!("{} {release}", distribution.id()))
    }

    /// As a line, which another one never has.
    pub(crate) fn text(&self) -> String {
        match self {
            Trust::Release(release) => format!("release {release}"),
            Trust::Image(digest) => format!("image {digest}"),
            Trust::Nobody => "nobody".to_owned(),
        }
    }

    fn parse(line: &str) -> Option<Trust> {
        match line.split_once(' ')? {
            ("release", release) => Some(Trust::Release(release.to_owned())),
            ("image", digest) => Digest::parse(digest).map(Trust::Image),
            _ => None,
        }
    }
}

impl Images {
    /// What an image that is kept is trusted by: itself, where nothing else is said.
    pub(crate) fn trust_of(&self, image: &Digest) -> Trust {
        let text = fs::read_to_string(self.place(image).join("trust")).unwrap_or_default();
        Trust::parse(text.trim_end()).unwrap_or_else(|| Trust::Image(image.clone()))
    }

    /// Says what an image is trusted by that was made of layers. Of the same content that came here in several ways, a
    /// distribution's proof counts for all; else what was said first.
    pub(crate) fn say_trust(&self, image: &Digest, stack: &Stack, is_new: bool) -> Result<(), Failure> {
        let is_proven = matches!(stack.trust, Trust::Release(_)) && !matches!(self.trust_of(image), Trust::Release(_));
        match &stack.trust {
            Trust::Nobody => Ok(()),
            trust if is_new || is_proven => {
                write_whole(&self.place(image).join("trust"), format!("{}\n", trust.text()).as_bytes())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::Settings;
    use crate::tree::Tree;

    /// A store whose layers are lists only.
    struct Store(PathBuf, Images);

    impl Store {
        fn new() -> Store {
            let place = std::env::temp_dir().join(format!("andon-trust-{}", std::process::id()));
            let images = Images::open(&place, Settings::default()).unwrap();
            Store(place, images)
        }

        fn layer(&self, path: &str) -> Digest {
            let mut tree = Tree::default();
            tree.insert(path.as_bytes(), "d 755 0 0 0 - -".to_owned());
            let place = self.1.layer_place(&tree.digest());
            fs::create_dir_all(place.join("upper")).unwrap();
            fs::write(place.join("tree"), tree.encode()).unwrap();
            tree.digest()
        }
    }

    impl Drop for Store {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn trust_is_of_images_and_not_of_their_layers() {
        let store = Store::new();
        let images = &store.1;
        let (bottom, over, other) = (store.layer("usr"), store.layer("usr/bin"), store.layer("opt"));
        let release = Trust::Release("debian bookworm".into());
        let assemble = |layers: &[&Digest], trust: &Trust| {
            images.assemble(&Stack::new(layers.iter().copied().cloned().collect(), trust.clone())).unwrap()
        };
        let base = assemble(&[&bottom], &release);
        // Somebody else's has the same layer below.
        let pulled = assemble(&[&bottom, &over], &Trust::Nobody);
        assert_eq!(images.trust_of(&base), release);
        assert_eq!(images.trust_of(&pulled), Trust::Image(pulled.clone()));
        // What is made over an image trusts what that does.
        for (below, expected) in [(&base, &release), (&pulled, &Trust::Image(pulled.clone()))] {
            let mut stack = images.stack(below).unwrap();
            stack.push(Some(other.clone()));
            let made = images.assemble(&stack).unwrap();
            assert_eq!(
                (images.trust_of(&made), images.stack(&made).unwrap().trust),
                (expected.clone(), expected.clone())
            );
        }
        // The same content once more: pulled from elsewhere it loses nothing, and made of packages it is proven.
        assert_eq!(assemble(&[&bottom], &Trust::Nobody), base);
        assert_eq!(images.trust_of(&base), release);
        assemble(&[&bottom, &over], &Trust::Image(base.clone()));
        assert_eq!(images.trust_of(&pulled), Trust::Image(pulled.clone()));
        assemble(&[&bottom, &over], &release);
        assert_eq!(images.trust_of(&pulled), release);
    }

    #[test]
    fn trust_reads_back_as_written() {
        let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
        for trust in [Trust::Release("ubuntu jammy".into()), Trust::Image(digest)] {
            assert_eq!(Trust::parse(&trust.text()), Some(trust));
        }
        for text in ["", "nobody", "debian bookworm", "image x"] {
            assert_eq!(Trust::parse(text), None, "{text}");
        }
    }
}
