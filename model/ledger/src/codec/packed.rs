//! Snapshots: the packed form of a state.
//!
//! Unlike records, a snapshot can always be made anew from the entries, so that its form may change with any version.
//! What there is most of, objects and data, is packed: numbers as LEB128, a word that was there before as its number
//! among the words. All the rest is a record of the state without them, so that it has one form only.

use std::collections::HashMap;
use std::sync::Arc;

use andon_schema::{
    Identity, InstanceAddress, InstanceKey, Kept, Mode, ModuleStep, Object, ObjectStatus, ProviderConfigAddress,
    ResourceAddress,
};
use andon_text::deeper;
use andon_value::{Kind, Marks, Number, Type, Value, type_from_json, type_to_json};

use super::{CodecError, decode_state, write};
use crate::{EnvironmentState, InstanceState, ReadData, State};

/// What a packed state begins with; the digit is the version of the form.
const MAGIC: &[u8] = b"andon packed state 1\n";

type Written = Result<(), CodecError>;
/// `None` where the bytes are not what [`encode_snapshot`] wrote.
type Read<T> = Option<T>;

/// Packs a state.
///
/// # Errors
/// Where it holds what must not be stored.
pub fn encode_snapshot(state: &State) -> Result<Vec<u8>, CodecError> {
    let mut writer = Writer { out: MAGIC.to_vec(), words: HashMap::new() };
    writer.bytes(super::record(write::state_without_objects(state)?).as_bytes());
    for there in state.environments.values() {
        writer.count(there.instances.len());
        for (address, instance) in &there.instances {
            writer.instance_address(address);
            writer.count(usize::from(instance.current.is_some()));
            writer.count(instance.deposed.len());
            instance.objects().try_for_each(|object| writer.object(object))?;
        }
        writer.count(there.data.len());
        for (address, data) in &there.data {
            writer.instance_address(address);
            writer.value(&data.value)?;
            writer.provider(data.provider.as_ref());
            writer.number(data.schema_version);
        }
    }
    Ok(writer.out)
}

/// Reads what [`encode_snapshot`] packed, or an earlier version wrote as a record.
///
/// # Errors
/// Where the bytes are neither, and where a later version packed them.
pub fn decode_snapshot(bytes: &[u8]) -> Result<State, CodecError> {
    let Some(packed) = bytes.strip_prefix(MAGIC) else {
        let text = std::str::from_utf8(bytes).map_err(|error| CodecError::Syntax(error.to_string()))?;
        return decode_state(text);
    };
    let mut reader = Reader {
        rest: packed,
        words: Vec::new(),
        types: HashMap::new(),
        providers: HashMap::new(),
        nowhere: Arc::from([]),
    };
    let damaged = || CodecError::Syntax("it is cut short or mixed up".to_owned());
    let rest = reader.bytes().and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(damaged)?;
    let State { sequence, mut environments, .. } = decode_state(rest)?;
    for there in environments.values_mut() {
        reader.environment(there).ok_or_else(damaged)?;
    }
    match reader.rest {
        [] => Ok(State::new(sequence, environments)),
        _ => Err(damaged()),
    }
}

/// What a packed value is.
mod tag {
    pub const NULL: u8 = 0;
    pub const TYPED_NULL: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const TRUE: u8 = 3;
    pub const WHOLE: u8 = 4;
    pub const NEGATIVE: u8 = 5;
    pub const STRING: u8 = 6;
    pub const TUPLE: u8 = 7;
    pub const LIST: u8 = 8;
    pub const SET: u8 = 9;
    pub const MAP: u8 = 10;
    pub const OBJECT: u8 = 11;
    pub const SENSITIVE: u8 = 12;
    /// As the text of a record.
    pub const RECORD: u8 = 13;
}

struct Writer<'s> {
    out: Vec<u8>,
    words: HashMap<WordKey<'s>, u64>,
}

/// Words are mostly borrowed from the state; those that are made while writing are owned.
type WordKey<'s> = std::borrow::Cow<'s, str>;

impl<'s> Writer<'s> {
    /// LEB128: seven bits a byte, the lowest first.
    fn number(&mut self, mut number: u64) {
        loop {
            let low = number.to_le_bytes()[0] & 0x7f;
            number >>= 7;
            if number == 0 {
                return self.out.push(low);
            }
            self.out.push(low | 0x80);
        }
    }

    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    /// A text that is there often: 0 and the text the first time, its number from then on.
    fn word(&mut self, word: impl Into<WordKey<'s>>) {
        let word = word.into();
        let next = self.words.len() as u64 + 1;
        match self.words.get(&word) {
            Some(number) => self.number(*number),
            None => {
                self.number(0);
                self.bytes(word.as_bytes());
                self.words.insert(word, next);
            }
        }
    }

    fn key(&mut self, key: Option<&'s InstanceKey>) {
        match key {
            None => self.out.push(0),
            Some(InstanceKey::Index(index)) => {
                self.out.push(1);
                self.number(*index);
            }
            Some(InstanceKey::Name(name)) => {
                self.out.push(2);
                self.word(&**name);
            }
        }
    }

    fn resource_address(&mut self, address: &'s ResourceAddress) {
        self.word(&*address.stack);
        self.count(address.module.len());
        for step in address.module.iter() {
            self.word(&*step.name);
            self.key(step.key.as_ref());
        }
        self.out.push(match address.mode {
            Mode::Managed => 0,
            Mode::Data => 1,
            Mode::Ephemeral => 2,
        });
        self.word(&*address.kind);
        self.word(&*address.name);
    }

    fn instance_address(&mut self, address: &'s InstanceAddress) {
        self.resource_address(&address.resource);
        self.key(address.key.as_ref());
    }

    fn provider(&mut self, provider: Option<&Arc<ProviderConfigAddress>>) {
        self.word(provider.map_or_else(String::new, ToString::to_string));
    }

    fn object(&mut self, object: &'s Object) -> Written {
        self.bytes(object.identity.as_str().as_bytes());
        self.value(&object.value)?;
        let Kept { schema_version, private, identity, identity_version } = &object.kept;
        let tainted = object.status == ObjectStatus::Tainted;
        let flags = [tainted, object.create_before_destroy, identity.is_some(), identity_version.is_some()];
        self.out.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
        self.count(object.dependencies.len());
        object.dependencies.iter().for_each(|resource| self.resource_address(resource));
        self.provider(object.provider.as_ref());
        self.number(*schema_version);
        self.bytes(private);
        identity_version.iter().for_each(|version| self.number(*version));
        identity.iter().try_for_each(|identity| self.value(identity))
    }

    fn ty(&mut self, ty: &Type) {
        self.word(type_to_json(ty).to_string());
    }

    fn value(&mut self, value: &'s Value) -> Written {
        if value.marks().ephemeral {
            return Err(CodecError::NotStored("an ephemeral value"));
        }
        if value.marks().sensitive {
            self.out.push(tag::SENSITIVE);
        }
        deeper(|| self.kind(value))
    }

    fn kind(&mut self, value: &'s Value) -> Written {
        match value.kind() {
            Kind::Null(Type::Dynamic) => self.out.push(tag::NULL),
            Kind::Null(ty) => {
                self.out.push(tag::TYPED_NULL);
                self.ty(ty);
            }
            Kind::Bool(false) => self.out.push(tag::FALSE),
            Kind::Bool(true) => self.out.push(tag::TRUE),
            Kind::Number(number) => match number.to_i64().filter(|whole| Number::from(*whole) == *number) {
                Some(whole) => {
                    self.out.push(if whole < 0 { tag::NEGATIVE } else { tag::WHOLE });
                    self.number(whole.unsigned_abs());
                }
                None => self.record(value),
            },
            Kind::String(text) => {
                self.out.push(tag::STRING);
                self.bytes(text.as_bytes());
            }
            Kind::Tuple(elements) => {
                self.out.push(tag::TUPLE);
                self.values(elements.len(), elements.iter())?;
            }
            Kind::List(ty, elements) => {
                self.out.push(tag::LIST);
                self.ty(ty);
                self.values(elements.len(), elements.iter())?;
            }
            Kind::Set(ty, elements) => {
                self.out.push(tag::SET);
                self.ty(ty);
                self.values(elements.len(), elements.iter())?;
            }
            Kind::Map(ty, entries) => {
                self.out.push(tag::MAP);
                self.ty(ty);
                self.count(entries.len());
                entries.iter().try_for_each(|entry| self.entry(entry))?;
            }
            Kind::Object(entries) => {
                self.out.push(tag::OBJECT);
                self.count(entries.len());
                entries.iter().try_for_each(|entry| self.entry(entry))?;
            }
            Kind::Unknown(..) => self.record(value),
        }
        Ok(())
    }

    fn record(&mut self, value: &Value) {
        self.out.push(tag::RECORD);
        let (unmarked, _) = value.clone().unmark();
        self.bytes(andon_value::encode(&unmarked).to_string().as_bytes());
    }

    fn values(&mut self, count: usize, mut values: impl Iterator<Item = &'s Value>) -> Written {
        self.count(count);
        values.try_for_each(|value| self.value(value))
    }

    fn entry(&mut self, (name, value): (&'s Arc<str>, &'s Value)) -> Written {
        self.word(&**name);
        self.value(value)
    }
}

struct Reader<'b> {
    rest: &'b [u8],
    words: Vec<Arc<str>>,
    /// Types and provider configurations that were read, by their words.
    types: HashMap<Arc<str>, Type>,
    providers: HashMap<Arc<str>, Arc<ProviderConfigAddress>>,
    /// The way into no module.
    nowhere: Arc<[ModuleStep]>,
}

impl<'b> Reader<'b> {
    fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Read<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Every thing that is counted takes a byte at least.
    fn count(&mut self) -> Read<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest.len())
    }

    fn bytes(&mut self) -> Read<&'b [u8]> {
        let count = self.count()?;
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Read<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn word(&mut self) -> Read<Arc<str>> {
        match self.number()?.checked_sub(1) {
            Some(at) => self.words.get(usize::try_from(at).ok()?).cloned(),
            None => {
                let word: Arc<str> = self.text()?.into();
                self.words.push(Arc::clone(&word));
                Some(word)
            }
        }
    }

    fn many<T>(&mut self, read: impl Fn(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn environment(&mut self, there: &mut EnvironmentState) -> Read<()> {
        there.instances = self.many(Self::instance)?.into_iter().collect();
        there.data = self.many(Self::data)?.into_iter().collect();
        Some(())
    }

    fn instance(&mut self) -> Read<(InstanceAddress, InstanceState)> {
        let address = self.instance_address()?;
        let (has_current, deposed) = (self.count()?, self.count()?);
        let current = match has_current {
            0 => None,
            _ => Some(self.object()?),
        };
        let deposed = (0..deposed).map(|_| self.object()).collect::<Read<_>>()?;
        Some((address, InstanceState { current, deposed }))
    }

    fn data(&mut self) -> Read<(InstanceAddress, ReadData)> {
        let address = self.instance_address()?;
        let data = ReadData { value: self.value()?, provider: self.provider()?, schema_version: self.number()? };
        Some((address, data))
    }

    fn key(&mut self) -> Read<Option<InstanceKey>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(InstanceKey::Index(self.number()?))),
            2 => Some(Some(InstanceKey::Name(self.word()?))),
            _ => None,
        }
    }

    fn resource_address(&mut self) -> Read<ResourceAddress> {
        let stack = self.word()?;
        let steps = self.many(|reader| Some(ModuleStep { name: reader.word()?, key: reader.key()? }))?;
        let module = if steps.is_empty() { Arc::clone(&self.nowhere) } else { steps.into() };
        let mode = match self.byte()? {
            0 => Mode::Managed,
            1 => Mode::Data,
            2 => Mode::Ephemeral,
            _ => return None,
        };
        Some(ResourceAddress { stack, module, mode, kind: self.word()?, name: self.word()? })
    }

    fn instance_address(&mut self) -> Read<InstanceAddress> {
        Some(InstanceAddress { resource: self.resource_address()?, key: self.key()? })
    }

    fn provider(&mut self) -> Read<Option<Arc<ProviderConfigAddress>>> {
        let word = self.word()?;
        if word.is_empty() {
            return Some(None);
        }
        if let Some(provider) = self.providers.get(&word) {
            return Some(Some(Arc::clone(provider)));
        }
        let provider = Arc::new(ProviderConfigAddress::parse(&word)?);
        self.providers.insert(word, Arc::clone(&provider));
        Some(Some(provider))
    }

    fn object(&mut self) -> Read<Object> {
        let identity = Identity::parse(self.text()?)?;
        let value = self.value()?;
        let flags = self.byte()?;
        let is = |bit: u8| flags & 1 << bit != 0;
        let dependencies = self.many(Self::resource_address)?;
        let provider = self.provider()?;
        let (schema_version, private) = (self.number()?, self.bytes()?.into());
        let identity_version = if is(3) { Some(self.number()?) } else { None };
        let names = if is(2) { Some(self.value()?) } else { None };
        Some(Object {
            identity,
            value,
            status: if is(0) { ObjectStatus::Tainted } else { ObjectStatus::Ready },
            dependencies,
            create_before_destroy: is(1),
            provider,
            kept: Kept { schema_version, private, identity: names, identity_version },
        })
    }

    fn ty(&mut self) -> Read<Type> {
        let word = self.word()?;
        if let Some(ty) = self.types.get(&word) {
            return Some(ty.clone());
        }
        let ty = type_from_json(&super::json(&word).ok()?).ok()?;
        self.types.insert(word, ty.clone());
        Some(ty)
    }

    fn value(&mut self) -> Read<Value> {
        deeper(|| self.value_here())
    }

    fn value_here(&mut self) -> Read<Value> {
        Some(match self.byte()? {
            tag::NULL => Value::NULL,
            tag::TYPED_NULL => Value::null(self.ty()?),
            tag::FALSE => false.into(),
            tag::TRUE => true.into(),
            tag::WHOLE => i64::try_from(self.number()?).ok()?.into(),
            tag::NEGATIVE => 0i64.checked_sub_unsigned(self.number()?)?.into(),
            // It was normalised when it was made.
            tag::STRING => Value::new(Kind::String(self.text()?.into())),
            tag::TUPLE => Value::tuple(self.many(Self::value)?),
            tag::LIST => Value::list(self.ty()?, self.many(Self::value)?),
            tag::SET => Value::set(self.ty()?, self.many(Self::value)?),
            tag::MAP => Value::map(self.ty()?, self.many(Self::entry)?),
            tag::OBJECT => Value::object(self.many(Self::entry)?),
            tag::SENSITIVE => self.value()?.mark(Marks::SENSITIVE),
            tag::RECORD => andon_value::decode(&super::json(self.text()?).ok()?).ok()?,
            _ => return None,
        })
    }

    fn entry(&mut self) -> Read<(Arc<str>, Value)> {
        Some((self.word()?, self.value()?))
    }
}
