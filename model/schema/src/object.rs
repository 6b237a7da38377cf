use std::fmt;
use std::sync::Arc;

use andon_value::Value;

use crate::{Kept, ProviderConfigAddress, ResourceAddress};

/// The planned name of one object in the world: given before it is created, so that after a crash a driver can look
/// for it. Everything that a driver makes for the object carries it. 12 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// An identity from 48 random bits.
    pub fn from_random(bits: u64) -> Identity {
        Identity(format!("{:012x}", bits & 0xFFFF_FFFF_FFFF).into())
    }

    /// An identity read back from a record. `None` unless it is 1 to 32 ASCII letters, digits or `-`.
    pub fn parse(text: &str) -> Option<Identity> {
        let sound =
            (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        sound.then(|| Identity(text.into()))
    }

    /// An identity whose [`Identity::deposed_key`] is this one, from 48 random bits. `None` unless the key is 8
    /// hexadecimal digits.
    pub fn with_deposed_key(key: &str, bits: u64) -> Option<Identity> {
        let sound = key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        sound.then(|| Identity(format!("{key}{}", Identity::from_random(bits)).into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What Terraform would call it among the objects that were replaced and are still there: 8 hexadecimal digits.
    pub fn deposed_key(&self) -> String {
        let digits = self.0.chars().filter(char::is_ascii_hexdigit).take(8);
        format!("{:0<8}", digits.collect::<String>())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// One object that exists because a definition asked for it: what the state says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its planned name.
    pub identity: Identity,
    /// Its attributes, wholly known.
    pub value: Value,
    /// Whether it may be kept.
    pub status: ObjectStatus,
    /// The resources that its definition read when it was last applied; it is deleted before they are.
    pub dependencies: Vec<ResourceAddress>,
    /// Its `create_before_destroy` when it was last applied, inherited ones included.
    pub create_before_destroy: bool,
    /// The provider configuration that it was last applied with; `None` for what is built in and has none.
    pub provider: Option<Arc<ProviderConfigAddress>>,
    /// What its provider keeps with it.
    pub kept: Kept,
}

/// Whether an object may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectStatus {
    /// As it should be.
    Ready,
    /// Its creation failed midway, or has not come to its end, or the user says so: it is replaced by the next apply.
    Tainted,
}
