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
