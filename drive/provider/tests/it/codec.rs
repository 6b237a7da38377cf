//! The wire form of values.

use andon_provider::{CodecError, decode, encode};
use andon_value::{Bound, Number, Type, Value};
use proptest::prelude::*;

fn number(text: &str) -> Value {
    Value::from(Number::parse(text).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_form_is_the_protocols() {
    let object = Type::object([("a", Type::Number), ("b", Type::String)]);
    for (value, ty, expected) in [
        (Value::from(true), Type::Bool, "c3"),
        (Value::from("é"), Type::String, "a2c3a9"),
        (Value::null(Type::String), Type::String, "c0"),
        (Value::from(0), Type::Number, "00"),
        (Value::from(-1), Type::Number, "ff"),
        (Value::from(300), Type::Number, "cd012c"),
        (Value::from(i64::MIN), Type::Number, "d38000000000000000"),
        (number("1.5"), Type::Number, "cb3ff8000000000000"),
        // No double is exactly this.
        (number("0.1"), Type::Number, "a3302e31"),
        (number("18446744073709551616"), Type::Number, "b43138343436373434303733373039353531363136"),
        (Value::unknown(Type::String), Type::String, "d40000"),
        (Value::unknown(Type::String).with_prefix("arn:").not_null(), Type::String, ""),
        (Value::list(Type::Bool, [Value::from(true), Value::from(false)]), Type::list(Type::Bool), "92c3c2"),
        (Value::set(Type::Number, [Value::from(2), Value::from(1)]), Type::set(Type::Number), "920102"),
        (Value::map(Type::Number, [("k", Value::from(1))]), Type::map(Type::Number), "81a16b01"),
        (Value::object([("b", Value::NULL), ("a", Value::from(1))]), object.clone(), "82a16101a162c0"),
        (Value::NULL, Type::Dynamic, "c0"),
        (Value::UNKNOWN, Type::Dynamic, "d40000"),
        (Value::from(1), Type::Dynamic, "92c408226e756d6265722201"),
        (Value::null(Type::Bool), Type::Dynamic, "92c40622626f6f6c22c0"),
        (Value::from("x").mark(andon_value::Marks::SENSITIVE), Type::String, "a178"),
    ] {
        let bytes = encode(&value, &ty).unwrap();
        if !expected.is_empty() {
            assert_eq!(hex(&bytes), expected, "{value:?}");
        }
        let back = decode(&bytes, &ty).unwrap();
        let (plain, _) = value.unmark();
        assert_eq!(back.ty(), if ty == Type::Dynamic { plain.ty() } else { ty }, "{plain:?}");
    }
}

#[test]
fn what_is_known_of_an_unknown_travels() {
    let numbers = (Some(Bound::inclusive(1)), Some(Bound { number: Number::parse("2.5").unwrap(), inclusive: false }));
    for value in [
        Value::unknown(Type::String).not_null(),
        Value::unknown(Type::String).with_prefix("arn:aws:"),
        Value::unknown(Type::Number).between(numbers.0, numbers.1),
        Value::unknown(Type::list(Type::Bool)).with_length(1, Some(4)),
        Value::unknown(Type::set(Type::Bool)).with_length(2, None),
    ] {
        let ty = value.ty();
        assert_eq!(decode(&encode(&value, &ty).unwrap(), &ty), Ok(value));
    }
    // What is not understood is passed over: another extension, a key that nobody knows, a range that does not fit.
    for bytes in ["c7020d0000", "c703 0c 81 63 c0", "c704 0c 81 05 a0 00", "d60c000000 00", "c8000200 0000"] {
        let bytes: Vec<u8> = bytes
            .replace(' ', "")
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        assert_eq!(decode(&bytes, &Type::String), Ok(Value::unknown(Type::String)), "{}", hex(&bytes));
    }
    let long = Value::unknown(Type::String).with_prefix(&"é".repeat(400));
    let bytes = encode(&long, &Type::String).unwrap();
    assert!(bytes.len() < 300);
    assert_eq!(decode(&bytes, &Type::String).unwrap().known_prefix(), "é".repeat(128));
}

#[test]
fn what_does_not_fit_is_refused() {
    let object = Type::object([("a", Type::list(Type::Number))]);
    for (value, ty, expected) in [
        (Value::from("x"), Type::Number, "the value is not a number"),
        (Value::object::<&str>([]), object.clone(), "the value is not an object"),
        (
            Value::object([("a", Value::tuple([Value::from(1), Value::from("x")]))]),
            object.clone(),
            "the value.a[1] is not a number",
        ),
    ] {
        assert_eq!(encode(&value, &ty).unwrap_err().to_string(), expected);
    }
    for (bytes, ty) in [
        (&b""[..], Type::String),
        (b"\xa5abc", Type::String),
        (b"\xa1\xff", Type::String),
        (b"\xc3\xc3", Type::Bool),
        (b"\x80", object),
        (b"\x81\xa1zc0", Type::object([("a", Type::Bool)])),
        (b"\xdd\xff\xff\xff\xff", Type::list(Type::Bool)),
        (b"\xcb\x7f\xf0\0\0\0\0\0\0", Type::Number),
        (b"\x92\xc4\x03\"x\"\xc0", Type::Dynamic),
        (b"\xc7\xff\x0c\x81", Type::String),
    ] {
        assert!(matches!(decode(bytes, &ty), Err(CodecError::Form(_))), "{bytes:?}");
    }
    // Values of any type within values of any type, for ever.
    let deep = b"\x92\xc4\x09\"dynamic\"".repeat(100_000);
    assert!(decode(&deep, &Type::Dynamic).is_err());
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![Just(Type::Bool), Just(Type::Number), Just(Type::String), Just(Type::Dynamic)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let plain = inner.clone().prop_filter("collections hold one type", |ty| !ty.has_dynamic());
        prop_oneof![
            plain.clone().prop_map(Type::list),
            plain.clone().prop_map(Type::set),
            plain.prop_map(Type::map),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Type::tuple),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(Type::object),
        ]
    })
}

fn values(ty: &Type) -> BoxedStrategy<Value> {
    let known = match ty.clone() {
        Type::Dynamic => {
            types().prop_filter("of some type", |ty| !ty.has_dynamic()).prop_flat_map(|ty| values(&ty)).boxed()
        }
        Type::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Type::Number => prop_oneof![
            any::<i64>().prop_map(Value::from),
            "-?[0-9]{1,40}(\\.[0-9]{1,20})?".prop_map(|text| number(&text)).prop_filter(
                // As in Terraform, the zero below zero arrives as zero.
                "not -0",
                |value| value.as_number().is_some_and(|it| it.to_f64() != 0.0),
            ),
            any::<f32>()
                .prop_filter_map("finite, not -0", |float| Number::from_f64(f64::from(float) + 0.0).map(Value::from)),
        ]
        .boxed(),
        Type::String => any::<String>().prop_map(Value::from).boxed(),
        Type::List(element) => {
            let of = (*element).clone();
            prop::collection::vec(values(&element), 0..3).prop_map(move |all| Value::list(of.clone(), all)).boxed()
        }
        Type::Set(element) => {
            let of = (*element).clone();
            prop::collection::vec(values(&element), 0..3).prop_map(move |all| Value::set(of.clone(), all)).boxed()
        }
        Type::Map(element) => {
            let of = (*element).clone();
            let entries = prop::collection::btree_map(any::<String>(), values(&element), 0..3);
            entries.prop_map(move |all| Value::map(of.clone(), all)).boxed()
        }
        Type::Tuple(elements) => elements.iter().map(values).collect::<Vec<_>>().prop_map(Value::tuple).boxed(),
        Type::Object { attributes, .. } => {
            let all: Vec<_> = attributes.iter().map(|(name, ty)| (Just(name.clone()), values(ty))).collect();
            all.prop_map(Value::object).boxed()
        }
    };
    let ty = ty.clone();
    prop_oneof![
        8 => known,
        1 => Just(Value::null(ty.clone())),
        1 => Just(Value::unknown(ty)),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn values_travel_unchanged((ty, value) in types().prop_flat_map(|ty| { let of = values(&ty); (Just(ty), of) })) {
        let bytes = encode(&value, &ty).unwrap();
        prop_assert_eq!(decode(&bytes, &ty).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64), ty in types()) {
        let _ = decode(&bytes, &ty);
    }
}
