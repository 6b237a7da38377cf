use std::fmt;

use andon_schema::Failure;

use crate::Digest;

/// An image in a registry: `registry.example/team/web:1.2`, or `…@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry: a host, with a port where it has one.
    pub registry: String,
    /// The name there: `team/web`.
    pub name: String,
    /// `latest` where none is named.
    pub tag: String,
    /// Where it is named, it counts, and the tag is for the reader.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Whether a text begins like one: with a host. A name alone could be anything.
    pub fn is_like(text: &str) -> bool {
        text.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost")
    }

    /// Reads one. The registry must be named.
    pub fn parse(text: &str) -> Result<Reference, Failure> {
        let wrong = |why: &str| {
            Failure::new("this is no reference to a registry", format!("`{text}`: {why}."))
                .help("Write REGISTRY/NAME:TAG, such as registry.example.com/team/web:1.2.")
        };
        if !Reference::is_like(text) {
            return Err(wrong("it does not begin with the registry's host name"));
        }
        let (registry, rest) = text.split_once('/').ok_or_else(|| wrong("it has no name"))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(Digest::parse(digest).ok_or_else(|| wrong("what follows the @ is no digest"))?))
            }
            None => (rest, None),
        };
        let (name, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
        let of = |text: &str, more: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte))
        };
        if name.is_empty()
            || name.split('/').any(|part| part.is_empty() || !of(part, "._-"))
            || name.bytes().any(|byte| byte.is_ascii_uppercase())
        {
            return Err(wrong("a name has lower-case letters, digits and `._-/`"));
        }
        if tag.is_empty() || tag.len() > 128 || !of(tag, "._-") || tag.starts_with(['.', '-']) {
            return Err(wrong("a tag has letters, digits and `._-`"));
        }
        if !of(registry, ".-:[]") {
            return Err(wrong("the registry is no host name"));
        }
        Ok(Reference { registry: registry.to_owned(), name: name.to_owned(), tag: tag.to_owned(), digest })
    }

    /// Reads one to push to: a tag, which the image is then found by.
    ///
    /// # Errors
    /// Where it is no reference, or names a digest: that follows from what is pushed.
    pub fn parse_target(text: &str) -> Result<Reference, Failure> {
        let reference = Reference::parse(text)?;
        match &reference.digest {
            None => Ok(reference),
            Some(_) => Err(Failure::new(
                "nothing can be pushed to a digest",
                format!("`{text}`: what a manifest's digest is follows from what is pushed."),
            )
            .help(format!("Push to a tag: {}/{}:{}.", reference.registry, reference.name, reference.tag))),
        }
    }

    /// What the registry is asked by.
    pub(crate) fn wanted(&self) -> &str {
        self.digest.as_ref().map_or(&*self.tag, Digest::as_str)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}:{}", self.registry, self.name, self.tag)?;
        self.digest.iter().try_for_each(|digest| write!(to, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_a_registry_a_name_and_a_tag() {
        let check = |text: &str, expected: Option<(&str, &str, &str)>| {
            let found = Reference::parse(text).ok();
            let parts = found.as_ref().map(|it| (&*it.registry, &*it.name, &*it.tag));
            assert_eq!(parts, expected, "{text}");
            found.iter().for_each(|it| assert_eq!(Reference::parse(&it.to_string()).as_ref(), Ok(it)));
        };
        check("127.0.0.1:5000/team/web:1.2", Some(("127.0.0.1:5000", "team/web", "1.2")));
        check("localhost/web", Some(("localhost", "web", "latest")));
        let digest = format!("sha256:{}", "0".repeat(64));
        check(&format!("r.example/web@{digest}"), Some(("r.example", "web", "latest")));
        for text in [
            "web",
            "web:1",
            "team/web:1",
            "r.example/",
            "r.example/Web",
            "r.example/a//b",
            "r.example/a:",
            "r.example/a@x",
        ] {
            check(text, None);
        }
    }
}
