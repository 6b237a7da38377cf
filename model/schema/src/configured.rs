use std::fmt;
use std::sync::Arc;

use andon_value::{Path, Value};

use crate::address::Parser;
use crate::{InstanceKey, ProviderAddress};

/// Names one configuration of a provider within its stack, as Terraform writes it in a state:
/// `module.app.provider["registry.example.com/acme/cloud"].west`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderConfigAddress {
    /// The way into the module that has the `provider` block: names of calls, which have neither `count` nor
    /// `for_each`. Empty for the stack's own root module.
    pub module: Arc<[Arc<str>]>,
    /// The provider.
    pub provider: ProviderAddress,
    /// The alias; `None` for the provider's default configuration.
    pub alias: Option<Arc<str>>,
    /// Which of the configurations of a `provider` block with `for_each`.
    pub key: Option<InstanceKey>,
}

/// A provider and the configuration that it has to be asked, or to act, with.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfiguredProvider {
    /// Which configuration it is.
    pub address: ProviderConfigAddress,
    /// Its value, of the type that the provider's schema implies: unknown where only an apply knows.
    pub config: Value,
}

/// What a plugin keeps with an object beside its attributes, and must be given back with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// The version of the type's schema that the attributes were written by.
    pub schema_version: u64,
    /// Bytes that mean something to the plugin alone.
    pub private: Arc<[u8]>,
    /// What names the object in the world, where the type has a schema for that.
    pub identity: Option<Value>,
    /// The version of the schema for that by which it was written; `None` where there is none, or nobody wrote it down.
    pub identity_version: Option<u64>,
}

/// By which plugin a question is answered or a command carried out, and what it is given back.
#[derive(Debug, Clone, PartialEq)]
pub struct Via {
    /// The provider.
    pub provider: Arc<ConfiguredProvider>,
    /// What it kept with the object; what it planned to keep, in a command.
    pub kept: Kept,
    /// `provider_meta` of the module, of the type that the provider's schema for it implies.
    pub meta: Option<Value>,
}

/// What a provider says of something that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Whether it refuses; else it only warns.
    pub error: bool,
    /// What is wrong, in one line.
    pub summary: String,
    /// Why; may be empty.
    pub detail: String,
    /// What of the configuration it is about; empty for all of it.
    pub path: Path,
}

impl ProviderConfigAddress {
    /// The default configuration of a provider in a stack's root module.
    pub fn of(provider: ProviderAddress) -> ProviderConfigAddress {
        ProviderConfigAddress { module: [].into(), provider, alias: None, key: None }
    }

    /// Reads what [`fmt::Display`] writes; `None` for any other text.
    pub fn parse(text: &str) -> Option<ProviderConfigAddress> {
        let mut parser = Parser::new(text);
        let mut module = Vec::new();
        while parser.take("module.") {
            module.push(parser.word().ok()?);
            parser.need(".").ok()?;
        }
        parser.need("provider").ok()?;
        let Some(InstanceKey::Name(provider)) = parser.key().ok()? else { return None };
        let provider = ProviderAddress::parse(&provider).ok()?;
        let alias = if parser.take(".") { Some(parser.word().ok()?) } else { None };
        let key = parser.key().ok()?;
        parser.is_at_end().then(|| ProviderConfigAddress { module: module.into(), provider, alias, key })
    }
}

impl fmt::Display for ProviderConfigAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.iter().try_for_each(|name| write!(to, "module.{name}."))?;
        write!(to, "provider[\"{}\"]", self.provider)?;
        self.alias.iter().try_for_each(|alias| write!(to, ".{alias}"))?;
        self.key.iter().try_for_each(|key| write!(to, "{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in [
            "provider[\"registry.terraform.io/hashicorp/aws\"]",
            "provider[\"registry.terraform.io/hashicorp/aws\"].west",
            "module.a.module.b.provider[\"terraform.io/builtin/terraform\"]",
            "provider[\"registry.terraform.io/hashicorp/aws\"].by[\"eu-1\"]",
        ] {
            assert_eq!(ProviderConfigAddress::parse(text).map(|it| it.to_string()).as_deref(), Some(text));
        }
        for text in
            ["", "provider", "provider[0]", "provider[\"a/b/c\"].", "provider[\"a b\"]", "module.a[0].provider[\"x\"]"]
        {
            assert_eq!(ProviderConfigAddress::parse(text), None, "{text}");
        }
    }
}
