use std::fmt;
use std::sync::Arc;

/// Where providers come from that name no host of their own.
pub const DEFAULT_HOST: &str = "registry.terraform.io";

/// The host that stands for what needs no download, as Terraform writes it.
pub const BUILT_IN_HOST: &str = "terraform.io";

/// The namespace of what needs no download.
pub const BUILT_IN_NAMESPACE: &str = "builtin";

/// Names a provider, wherever it is installed: the `source` of a `required_providers` entry
/// (<https://developer.hashicorp.com/terraform/language/providers/requirements#source-addresses>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderAddress {
    /// The host of its registry, in lower case.
    pub host: Arc<str>,
    /// The organisation, in lower case.
    pub namespace: Arc<str>,
    /// The name, in lower case.
    pub name: Arc<str>,
}

impl ProviderAddress {
    /// What a local name means where nothing says more: a built-in provider, or one of the default namespace.
    pub fn implied(name: &str) -> ProviderAddress {
        match name {
            "terraform" | "lab" | "andon" => ProviderAddress::built_in(name),
            name => ProviderAddress {
                host: DEFAULT_HOST.into(),
                namespace: "hashicorp".into(),
                name: name.to_lowercase().into(),
            },
        }
    }

    /// Reads `[[host/]namespace/]name`, as `source` writes it.
    pub fn parse(text: &str) -> Result<ProviderAddress, ProviderAddressError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (host, namespace, name) = match parts.as_slice() {
            [name] => return part(name).map(|name| ProviderAddress::implied(&name)),
            [namespace, name] => (DEFAULT_HOST, *namespace, *name),
            [host, namespace, name] => (*host, *namespace, *name),
            _ => return Err(ProviderAddressError::Parts),
        };
        let address = ProviderAddress {
            host: host.to_lowercase().into(),
            namespace: part(namespace)?.into(),
            name: part(name)?.into(),
        };
        if host.is_empty() || host.contains(|letter: char| letter.is_whitespace() || "\"'\\?#@".contains(letter)) {
            return Err(ProviderAddressError::Host);
        }
        if let Some(rest) = address.name.strip_prefix("terraform-provider-") {
            return Err(ProviderAddressError::Prefix(rest.to_owned()));
        }
        Ok(address)
    }

    /// A provider that needs no download.
    pub fn built_in(name: &str) -> ProviderAddress {
        ProviderAddress { host: BUILT_IN_HOST.into(), namespace: BUILT_IN_NAMESPACE.into(), name: name.into() }
    }

    /// Whether it needs no download.
    pub fn is_built_in(&self) -> bool {
        *self.host == *BUILT_IN_HOST && *self.namespace == *BUILT_IN_NAMESPACE
    }
}

impl fmt::Display for ProviderAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.host, self.namespace, self.name)
    }
}

/// Why text is no provider address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderAddressError {
    /// It has more than three parts.
    Parts,
    /// The host cannot be one.
    Host,
    /// This part cannot be a namespace or a name.
    Part(String),
    /// The name is that of the plugin's program; this is the provider's.
    Prefix(String),
}

impl fmt::Display for ProviderAddressError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProviderAddressError::Parts => out.write_str("it has more parts than host, namespace and name"),
            ProviderAddressError::Host => out.write_str("its host cannot be the name of a host"),
            ProviderAddressError::Part(part) => write!(
                out,
                "\"{part}\" is no name: letters, digits, single \"-\" and \"_\" make one, with letters or digits at both ends"
            ),
            ProviderAddressError::Prefix(rest) => write!(out, "the provider's own name is \"{rest}\""),
        }
    }
}

impl std::error::Error for ProviderAddressError {}

/// A namespace or a name, in lower case.
fn part(text: &str) -> Result<String, ProviderAddressError> {
    let outer = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let inner = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let fine = outer(text.chars().next()) && outer(text.chars().last()) && text.chars().all(inner);
    if fine && !text.contains("--") {
        Ok(text.to_lowercase())
    } else {
        Err(ProviderAddressError::Part(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        for (text, expected) in [
            ("aws", Some("registry.terraform.io/hashicorp/aws")),
            ("Integrations/GitHub", Some("registry.terraform.io/integrations/github")),
            ("registry.example.com:8443/a/b-c", Some("registry.example.com:8443/a/b-c")),
            ("terraform.io/builtin/terraform", Some("terraform.io/builtin/terraform")),
            ("lab", Some("terraform.io/builtin/lab")),
            ("a/b/c/d", None),
            ("", None),
            ("a/", None),
            ("a/-b", None),
            ("a/b--c", None),
            ("a/terraform-provider-b", None),
            ("/a/b", None),
            ("https://x/a", None),
        ] {
            assert_eq!(
                ProviderAddress::parse(text).ok().map(|address| address.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
