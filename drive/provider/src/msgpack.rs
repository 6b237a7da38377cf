//! Values as they travel to and from a plugin: MessagePack, by the type that the schema gives, with extension 0 for an
//! unknown value and extension 12 for one of which more is known. Marks do not travel.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_text::deeper;
use andon_value::{Bound, Kind, Number, Path, PathStep, Range, Refinement, Type, Value, type_from_json, type_to_json};
use rmp::Marker;
use rmp::decode as read;
use rmp::encode as write;

/// The extension of an unknown value of which more is known than its type.
const REFINED: i8 = 12;

/// Values nested deeper than this are refused.
const DEEPEST: usize = 256;

/// A longer prefix of an unknown string is cut.
const LONGEST_PREFIX_BYTES: usize = 256;

/// Why a value has no wire form, or bytes no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The value is not of the type that the schema asks for.
    #[error("the value{0} is not {1}")]
    Type(Path, String),
    /// The bytes are not the wire form of a value of the type.
    #[error("what was received is no value of its type: {0}")]
    Form(String),
}

/// The wire form of a value of a type. Where the type leaves something open, the value's own type goes along.
pub fn encode(value: &Value, ty: &Type) -> Result<Vec<u8>, CodecError> {
    let mut out = write::buffer::ByteBuf::new();
    encode_into(value, ty, &mut out).map_err(|(path, ty)| CodecError::Type(path, ty.in_words()))?;
    Ok(out.into_vec())
}

/// The value of a type that bytes stand for.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value, CodecError> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(ty, DEEPEST)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(CodecError::Form("more bytes follow it".to_owned())) }
}

type Out = write::buffer::ByteBuf;
type Misfit = (Path, Type);

/// Writing to memory does not fail, except that a length may not fit: then nothing of it was written.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn encode_into(value: &Value, ty: &Type, out: &mut Out) -> Result<(), Misfit> {
    deeper(|| encode_here(value, ty, out))
}

fn encode_here(value: &Value, ty: &Type, out: &mut Out) -> Result<(), Misfit> {
    let misfit = || (Path::new(), ty.clone());
    if *ty == Type::Dynamic {
        let own = value.ty();
        if own != Type::Dynamic {
            let _ = write::write_array_len(out, 2);
            let _ = write::write_bin(out, type_to_json(&own).to_string().as_bytes());
            return encode_into(value, &own, out);
        }
    }
    match (value.kind(), ty) {
        (Kind::Unknown(_, known), _) => unknown(known, out),
        (Kind::Null(_), _) => drop(write::write_nil(out)),
        (Kind::String(text), Type::String) => drop(write::write_str(out, text)),
        (Kind::Bool(truth), Type::Bool) => drop(write::write_bool(out, *truth)),
        (Kind::Number(value), Type::Number) => number(value, out),
        (Kind::List(..) | Kind::Tuple(_), Type::List(element)) | (Kind::Set(..), Type::Set(element)) => {
            let count = value.elements().map_or(0, |elements| elements.len());
            let _ = write::write_array_len(out, length(count));
            for (step, child) in value.steps() {
                encode_into(child, element, out).map_err(|error| within(error, step))?;
            }
        }
        (Kind::Tuple(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            let _ = write::write_array_len(out, length(elements.len()));
            for ((step, child), ty) in value.steps().zip(types.iter()) {
                encode_into(child, ty, out).map_err(|error| within(error, step))?;
            }
        }
        (Kind::Map(_, entries) | Kind::Object(entries), Type::Map(element)) => {
            let _ = write::write_map_len(out, length(entries.len()));
            for ((name, child), (step, _)) in entries.iter().zip(value.steps()) {
                let _ = write::write_str(out, name);
                encode_into(child, element, out).map_err(|error| within(error, step))?;
            }
        }
        (Kind::Object(entries), Type::Object { attributes, .. }) => {
            // A name too many is as wrong as a name too few.
            if entries.len() != attributes.len() {
                return Err(misfit());
            }
            let _ = write::write_map_len(out, length(attributes.len()));
            for (name, ty) in attributes.iter() {
                let child = entries.get(name).ok_or_else(misfit)?;
                let _ = write::write_str(out, name);
                encode_into(child, ty, out).map_err(|error| within(error, PathStep::Attribute(name.clone())))?;
            }
        }
        _ => return Err(misfit()),
    }
    Ok(())
}

fn within((path, ty): Misfit, step: PathStep) -> Misfit {
    (path.within(step), ty)
}

/// The shortest form that loses nothing: a whole number, a double, or decimal text.
fn number(number: &Number, out: &mut Out) {
    let float = number.to_f64();
    if let Some(whole) = number.to_i64() {
        let _ = write::write_sint(out, whole);
    } else if !number.is_integer() && exactly(float).as_ref() == Some(number) {
        let _ = write::write_f64(out, float);
    } else {
        let _ = write::write_str(out, &number.to_string());
    }
}

/// The number that a double is, to its last bit; `None` for infinities and what is none.
fn exactly(float: f64) -> Option<Number> {
    // No double has more digits after the point than this.
    float.is_finite().then(|| Number::parse(&format!("{float:.1074}"))).flatten()
}

/// The number of the fewest digits that a double stands for. Providers send 0.1 as a double, which is not 0.1; to
/// Terraform two numbers are one that are written the same.
fn shortest(float: f64) -> Option<Number> {
    Number::from_f64(float).filter(|_| float.is_finite())
}

fn unknown(known: &Refinement, out: &mut Out) {
    let mut entries = 0;
    let mut body = Out::new();
    if known.not_null {
        entries += 1;
        let _ = write::write_uint(&mut body, 1);
        let _ = write::write_bool(&mut body, false);
    }
    match known.range.as_deref() {
        None => {}
        Some(Range::Prefix(prefix)) => {
            entries += 1;
            let _ = write::write_uint(&mut body, 2);
            let end = (0..=LONGEST_PREFIX_BYTES.min(prefix.len())).rev().find(|end| prefix.is_char_boundary(*end));
            let _ = write::write_str(&mut body, prefix.get(..end.unwrap_or(0)).unwrap_or_default());
        }
        Some(Range::Number { least, most }) => {
            for (key, bound) in [(3, least), (4, most)] {
                let Some(bound) = bound else { continue };
                entries += 1;
                let _ = write::write_uint(&mut body, key);
                let _ = write::write_array_len(&mut body, 2);
                number(&bound.number, &mut body);
                let _ = write::write_bool(&mut body, bound.inclusive);
            }
        }
        Some(Range::Length { least, most }) => {
            for (key, bound) in [(5, (*least > 0).then_some(*least)), (6, *most)] {
                let Some(bound) = bound else { continue };
                entries += 1;
                let _ = write::write_uint(&mut body, key);
                let _ = write::write_uint(&mut body, u64::try_from(bound).unwrap_or(u64::MAX));
            }
        }
    }
    if entries == 0 {
        out.as_mut_vec().extend([0xd4, 0, 0]);
        return;
    }
    let _ = write::write_ext_meta(out, length(body.as_slice().len() + 1), REFINED);
    let _ = write::write_map_len(out, entries);
    out.as_mut_vec().extend(body.as_slice());
}

/// What is left to read.
struct Reader<'b> {
    rest: &'b [u8],
}

fn broken(error: impl std::fmt::Display) -> CodecError {
    CodecError::Form(error.to_string())
}

impl<'b> Reader<'b> {
    fn marker(&self) -> Result<Marker, CodecError> {
        self.rest.first().map(|byte| Marker::from_u8(*byte)).ok_or_else(|| broken("it ends too early"))
    }

    fn take(&mut self, count: u32) -> Result<&'b [u8], CodecError> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| broken("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'b str, CodecError> {
        let count = read::read_str_len(&mut self.rest).map_err(broken)?;
        std::str::from_utf8(self.take(count)?).map_err(broken)
    }

    fn value(&mut self, ty: &Type, deepest: usize) -> Result<Value, CodecError> {
        let deepest = deepest.checked_sub(1).ok_or_else(|| broken("it is nested too deeply"))?;
        deeper(|| self.value_here(ty, deepest))
    }

    fn value_here(&mut self, ty: &Type, deepest: usize) -> Result<Value, CodecError> {
        match self.marker()? {
            Marker::Null => {
                read::read_nil(&mut self.rest).map_err(broken)?;
                return Ok(Value::null(ty.without_optional()));
            }
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => return self.unknown(ty),
            _ => {}
        }
        match ty {
            Type::Dynamic => {
                if read::read_array_len(&mut self.rest).map_err(broken)? != 2 {
                    return Err(broken("a value of any type comes with its type"));
                }
                let count = read::read_bin_len(&mut self.rest).map_err(broken)?;
                let json = serde_json::from_slice(self.take(count)?).map_err(broken)?;
                self.value(&type_from_json(&json).map_err(broken)?, deepest)
            }
            Type::String => Ok(Value::string(self.text()?)),
            Type::Bool => Ok(Value::from(read::read_bool(&mut self.rest).map_err(broken)?)),
            Type::Number => Ok(Value::from(self.number()?)),
            Type::List(element) => Ok(Value::list((**element).clone(), self.elements(element, deepest)?)),
            Type::Set(element) => Ok(Value::set((**element).clone(), self.elements(element, deepest)?)),
            Type::Map(element) => {
                let count = read::read_map_len(&mut self.rest).map_err(broken)?;
                let entry = |_| Ok((Arc::from(self.text()?), self.value(element, deepest)?));
                let entries: BTreeMap<Arc<str>, Value> = (0..count).map(entry).collect::<Result<_, CodecError>>()?;
                Ok(Value::map((**element).clone(), entries))
            }
            Type::Tuple(types) => {
                let count = read::read_array_len(&mut self.rest).map_err(broken)?;
                if usize::try_from(count) != Ok(types.len()) {
                    return Err(broken(format!("a tuple has {count} elements")));
                }
                let elements = types.iter().map(|ty| self.value(ty, deepest));
                Ok(Value::tuple(elements.collect::<Result<Vec<_>, _>>()?))
            }
            Type::Object { attributes, .. } => {
                let count = read::read_map_len(&mut self.rest).map_err(broken)?;
                let mut entries = BTreeMap::new();
                for _ in 0..count {
                    let name = self.text()?;
                    let (name, ty) =
                        attributes.get_key_value(name).ok_or_else(|| broken(format!("a {name:?} in it")))?;
                    entries.insert(name.clone(), self.value(ty, deepest)?);
                }
                match attributes.keys().find(|name| !entries.contains_key(*name)) {
                    Some(missing) => Err(broken(format!("no {missing:?} in it"))),
                    None => Ok(Value::object(entries)),
                }
            }
        }
    }

    fn elements(&mut self, element: &Type, deepest: usize) -> Result<Vec<Value>, CodecError> {
        let count = read::read_array_len(&mut self.rest).map_err(broken)?;
        (0..count).map(|_| self.value(element, deepest)).collect()
    }

    fn number(&mut self) -> Result<Number, CodecError> {
        let refuse = || broken("a number that cannot be read");
        match self.marker()? {
            Marker::F64 => shortest(read::read_f64(&mut self.rest).map_err(broken)?).ok_or_else(refuse),
            Marker::F32 => shortest(read::read_f32(&mut self.rest).map_err(broken)?.into()).ok_or_else(refuse),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                Number::parse(self.text()?).ok_or_else(refuse)
            }
            Marker::U64 => Ok(Number::from(read::read_u64(&mut self.rest).map_err(broken)?)),
            _ => Ok(Number::from(read::read_int::<i64, _>(&mut self.rest).map_err(broken)?)),
        }
    }

    /// An unknown value; what is said of it beyond what is understood is passed over, as the format asks.
    fn unknown(&mut self, ty: &Type) -> Result<Value, CodecError> {
        let ext = read::read_ext_meta(&mut self.rest).map_err(broken)?;
        let mut inner = Reader { rest: self.take(ext.size)? };
        if ext.typeid != REFINED || ext.size <= 1 {
            return Ok(Value::unknown(ty.without_optional()));
        }
        Ok(Value::refined(ty.without_optional(), inner.refinement().unwrap_or_default()))
    }

    fn refinement(&mut self) -> Result<Refinement, CodecError> {
        let mut known = Refinement::default();
        let (mut numbers, mut lengths) = ((None, None), (0, None));
        for _ in 0..read::read_map_len(&mut self.rest).map_err(broken)? {
            match read::read_int::<i64, _>(&mut self.rest).map_err(broken)? {
                1 => known.not_null = !read::read_bool(&mut self.rest).map_err(broken)?,
                2 => known.range = Some(Arc::new(Range::Prefix(self.text()?.into()))),
                3 => numbers.0 = Some(self.bound()?),
                4 => numbers.1 = Some(self.bound()?),
                5 => lengths.0 = read::read_int(&mut self.rest).map_err(broken)?,
                6 => lengths.1 = Some(read::read_int(&mut self.rest).map_err(broken)?),
                // How long an entry is that is not understood is not known either: what came before it holds.
                _ => break,
            }
        }
        if let (least, most @ Some(_)) | (least @ Some(_), most) = numbers {
            known.range = Some(Arc::new(Range::Number { least, most }));
        } else if let (least, most @ Some(_)) | (least @ 1.., most) = lengths {
            known.range = Some(Arc::new(Range::Length { least, most }));
        }
        Ok(known)
    }

    fn bound(&mut self) -> Result<Bound, CodecError> {
        read::read_array_len(&mut self.rest).map_err(broken)?;
        let number = self.number()?;
        Ok(Bound { number, inclusive: read::read_bool(&mut self.rest).map_err(broken)? })
    }
}
