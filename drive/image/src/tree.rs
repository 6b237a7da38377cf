//! What a root file system holds, as text: a line for each path. A layer is one, and the layers of an image over each
//! other come to one.

use std::collections::BTreeMap;
use std::ops::Bound;

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Begins the line of a directory.
pub(crate) const DIRECTORY: &str = "d";
/// Begins the line of a directory of a layer through which nothing shows.
pub(crate) const OPAQUE_DIRECTORY: &str = "o";
/// All of the line of a path of a layer that is gone.
pub(crate) const WHITEOUT: &str = "w";

/// The first line of every list that is kept.
const FORMAT: &str = "andon tree 1";

/// Paths without a leading slash, the root as the empty one, and what is there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<Vec<u8>, String>);

impl Tree {
    pub(crate) fn insert(&mut self, path: &[u8], line: String) {
        self.0.insert(path.to_owned(), line);
    }

    pub(crate) fn remove(&mut self, path: &[u8]) {
        self.0.remove(path);
    }

    /// What is at a path.
    pub(crate) fn line(&self, path: &[u8]) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.0.iter().map(|(path, line)| (&**path, &**line))
    }

    /// Whether anything is beneath a path.
    pub(crate) fn has_beneath(&self, path: &[u8]) -> bool {
        self.beneath(path).next().is_some()
    }

    /// Whether it says nothing: of a layer, that it changes nothing but perhaps its own root directory.
    pub(crate) fn is_nothing(&self, below: &Tree) -> bool {
        self.0.len() <= 1 && self.line(b"") == below.line(b"")
    }

    /// The size of its files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().filter_map(|line| size(line)).sum()
    }

    /// Lays another one over it, as the kernel's overlay does.
    pub(crate) fn cover(&mut self, layer: &Tree) {
        for (path, line) in &layer.0 {
            let is_directory = line.starts_with(DIRECTORY);
            let replaces = !is_directory || self.line(path).is_some_and(|below| !below.starts_with(DIRECTORY));
            if replaces {
                let gone: Vec<Vec<u8>> = self.beneath(path).map(<[u8]>::to_owned).collect();
                gone.iter().for_each(|path| drop(self.0.remove(path)));
            }
            if line == WHITEOUT {
                self.0.remove(path);
            } else if let Some(rest) = line.strip_prefix(OPAQUE_DIRECTORY) {
                self.0.insert(path.clone(), format!("{DIRECTORY}{rest}"));
            } else {
                self.0.insert(path.clone(), line.clone());
            }
        }
    }

    fn beneath<'t>(&'t self, path: &[u8]) -> impl Iterator<Item = &'t [u8]> + use<'t> {
        let (from, to) = match path {
            [] => (Bound::Excluded(Vec::new()), Bound::Unbounded),
            path => (Bound::Included([path, b"/"].concat()), Bound::Excluded([path, b"0"].concat())),
        };
        self.0.range((from, to)).map(|(path, _)| &**path)
    }

    /// The digest of all that it says.
    pub(crate) fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(self.encode());
        Digest::of(hash)
    }

    /// As it is kept: a line of text for each path, in their order.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.0.len() * 128);
        text.extend(FORMAT.as_bytes());
        for (path, line) in &self.0 {
            text.push(b'\n');
            text.extend(line.as_bytes());
            text.push(b' ');
            for byte in path {
                match byte {
                    b'\n' => text.extend(br"\n"),
                    b'\\' => text.extend(br"\\"),
                    byte => text.push(*byte),
                }
            }
        }
        text.push(b'\n');
        text
    }

    /// Reads what [`Tree::encode`] wrote; `None` for anything else.
    pub(crate) fn decode(text: &[u8]) -> Option<Tree> {
        let mut lines = text.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
        if lines.next()? != FORMAT.as_bytes() {
            return None;
        }
        let entry = |text: &[u8]| {
            let fields = if text.starts_with(WHITEOUT.as_bytes()) { 1 } else { 7 };
            let mut spaces = text.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
            let (line, path) = text.split_at_checked(spaces.nth(fields - 1)?)?;
            let mut path = path.get(1..)?.to_owned();
            if path.contains(&b'\\') {
                path = unescaped(&path)?;
            }
            Some((path, std::str::from_utf8(line).ok()?.to_owned()))
        };
        lines.map(entry).collect::<Option<_>>().map(Tree)
    }
}

/// The size of a file, by its line.
pub(crate) fn size(line: &str) -> Option<u64> {
    line.strip_prefix("f ")?.split(' ').nth(3)?.parse().ok()
}

fn unescaped(path: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                other => *other,
            },
            byte => *byte,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(lines: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, line) in lines {
            let line = if *line == WHITEOUT { (*line).to_owned() } else { format!("{line} 644 0 0 3 - -") };
            tree.insert(path.as_bytes(), line);
        }
        tree
    }

    #[test]
    fn layers_cover_what_is_below_as_the_kernel_has_it() {
        let below = [("", "d"), ("a", "d"), ("a-b", "f"), ("a/x", "f"), ("a/y", "d"), ("a/y/z", "f"), ("b", "f")];
        let check = |over: &[(&str, &str)], expected: &[&str]| {
            let mut merged = tree(&below);
            merged.cover(&tree(over));
            let paths: Vec<_> = merged.iter().map(|(path, _)| String::from_utf8(path.to_owned()).unwrap()).collect();
            assert_eq!(paths, expected, "{over:?}");
            assert!(merged.iter().all(|(_, line)| !line.starts_with(['w', 'o'])));
        };
        check(&[("a", "w")], &["", "a-b", "b"]);
        check(&[("a", "o"), ("a/n", "f")], &["", "a", "a-b", "a/n", "b"]);
        check(&[("a", "d"), ("a/x", "w")], &["", "a", "a-b", "a/y", "a/y/z", "b"]);
        check(&[("a", "f")], &["", "a", "a-b", "b"]);
        check(&[("b", "d"), ("b/c", "f")], &["", "a", "a-b", "a/x", "a/y", "a/y/z", "b", "b/c"]);
        check(&[("c", "w")], &["", "a", "a-b", "a/x", "a/y", "a/y/z", "b"]);
        check(&[("", "o")], &[""]);
    }

    #[test]
    fn lists_read_back_as_written() {
        let all = tree(&[("", "d"), ("a b", "f"), ("n\n\\e", "l"), ("gone file", "w"), ("z", "o")]);
        assert_eq!(Tree::decode(&all.encode()), Some(all.clone()));
        assert_eq!(all.bytes(), 3);
        assert_eq!(Tree::decode(&Tree::default().encode()), Some(Tree::default()));
        for text in ["", "andon tree 2\n", "andon tree 1\nf 644 x\n", "andon tree 1\nw x"] {
            assert_eq!(Tree::decode(text.as_bytes()), None, "{text}");
        }
    }
}
