use std::fmt;

use andon_schema::ProviderAddress;

/// A configuration of a provider, as state files name it: `module.m.provider["registry.terraform.io/hashicorp/aws"].west`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderReference {
    /// The calls of the modules that it is in, without instances; empty for the root module.
    pub module: Vec<String>,
    /// The provider.
    pub provider: ProviderAddress,
    /// Its alias, where it is not the default configuration.
    pub alias: Option<String>,
}

/// Text that names no configuration of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no provider configuration; one looks like `provider[\"registry.terraform.io/hashicorp/aws\"]`")]
pub struct ProviderReferenceError(pub String);

impl ProviderReference {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Result<ProviderReference, ProviderReferenceError> {
        Self::parts(text).ok_or_else(|| ProviderReferenceError(text.to_owned()))
    }

    fn parts(text: &str) -> Option<ProviderReference> {
        let (modules, rest) = text.split_once("provider[\"")?;
        let (address, rest) = rest.split_once("\"]")?;
        let provider = ProviderAddress::parse(address).ok().filter(|provider| provider.to_string() == address)?;
        let alias = match rest.strip_prefix('.') {
            Some(alias) if is_name(alias) => Some(alias.to_owned()),
            None if rest.is_empty() => None,
            _ => return None,
        };
        let mut module = Vec::new();
        let mut words = modules.split('.');
        loop {
            match (words.next()?, words.next()) {
                ("module", Some(name)) if is_name(name) => module.push(name.to_owned()),
                ("", None) => return Some(ProviderReference { module, provider, alias }),
                _ => return None,
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['.', '[', ']', '"', '/'])
}

impl fmt::Display for ProviderReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.module {
            write!(out, "module.{name}.")?;
        }
        write!(out, "provider[\"{}\"]", self.provider)?;
        self.alias.as_ref().map_or(Ok(()), |alias| write!(out, ".{alias}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back_as_written() {
        for text in [
            "provider[\"terraform.io/builtin/terraform\"]",
            "provider[\"registry.terraform.io/hashicorp/aws\"].west",
            "module.m.provider[\"registry.terraform.io/hashicorp/aws\"]",
            "module.m.module.n.provider[\"example.com:8443/a/b\"].x-y",
        ] {
            assert_eq!(ProviderReference::parse(text).map(|reference| reference.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "provider.aws",
            "provider[\"aws\"]",
            "provider[\"registry.terraform.io/hashicorp/aws\"].",
            "provider[\"registry.terraform.io/hashicorp/aws\"]x",
            "module.provider[\"registry.terraform.io/hashicorp/aws\"]",
            "module.m[0].provider[\"registry.terraform.io/hashicorp/aws\"]",
            "x.m.provider[\"registry.terraform.io/hashicorp/aws\"]",
        ] {
            assert!(ProviderReference::parse(text).is_err(), "{text}");
        }
    }
}
