#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at once")]

use andon_value::{Kind, Marks, Number, Type, Value, convert, decode, encode, equals, from_json, to_json, unify};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "\\$", "[a-z \\$]{0,3}", Just("é".to_owned())]
}

fn ty() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![Just(Type::Dynamic), Just(Type::Bool), Just(Type::Number), Just(Type::String)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(Type::set),
            inner.clone().prop_map(Type::map),
            vec(inner.clone(), 0..3).prop_map(Type::tuple),
            btree_map(name(), inner, 0..3).prop_map(Type::object),
        ]
    })
}

fn marks() -> impl Strategy<Value = Marks> {
    prop_oneof![
        6 => Just(Marks::NONE),
        1 => Just(Marks::SENSITIVE),
        1 => Just(Marks { sensitive: true, ephemeral: true }),
        1 => Just(Marks { sensitive: false, ephemeral: true }),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (any::<i64>(), 1u64..1000).prop_map(|(of, by)| Value::from(Number::from(of).div(&Number::from(by)).unwrap())),
        prop_oneof!["[0-9]{1,3}", "true|false", ".{0,8}"].prop_map(Value::string),
        ty().prop_map(Value::null),
        ty().prop_map(Value::unknown),
    ]
}

/// Values of every kind; the elements of a collection are of its type.
fn value() -> impl Strategy<Value = Value> {
    let marked = |value: (Value, Marks)| value.0.mark(value.1);
    (leaf(), marks()).prop_map(marked).prop_recursive(3, 24, 4, move |inner| {
        let collection = |to: fn(Type) -> Type| {
            move |elements: Vec<Value>| convert(&Value::tuple(elements), &to(Type::Dynamic)).ok()
        };
        let map = |entries| convert(&Value::object::<String>(entries), &Type::map(Type::Dynamic)).ok();
        let any = prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::tuple),
            btree_map(name(), inner.clone(), 0..4).prop_map(Value::object),
            vec(inner.clone(), 0..4).prop_filter_map("no common type", collection(Type::list)),
            vec(inner.clone(), 0..4).prop_filter_map("no common type", collection(Type::set)),
            btree_map(name(), inner, 0..4).prop_filter_map("no common type", map),
        ];
        (any, marks()).prop_map(marked)
    })
}

proptest! {
    #[test]
    fn what_is_stored_comes_back(value in value()) {
        let json = encode(&value);
        prop_assert_eq!(decode(&json).unwrap(), value.clone());
        // Through text as well, as a ledger keeps it.
        let text = json.to_string();
        prop_assert_eq!(decode(&serde_json::from_str(&text).unwrap()).unwrap(), value);
    }

    #[test]
    fn converting_twice_is_converting_once(value in value(), ty in ty()) {
        if let Ok(once) = convert(&value, &ty) {
            prop_assert_eq!(convert(&once, &ty).unwrap(), once);
        }
    }

    #[test]
    fn a_value_is_of_its_own_type(value in value()) {
        prop_assert_eq!(convert(&value, &value.ty()).unwrap(), value);
    }

    #[test]
    fn conversion_gives_the_type_asked_for(value in value(), ty in ty()) {
        if let Ok(converted) = convert(&value, &ty) {
            prop_assert!(converted.ty() == ty || ty.has_dynamic());
        }
    }

    #[test]
    fn marks_are_never_lost(value in value(), ty in ty()) {
        if let Ok(converted) = convert(&value, &ty) {
            // An object may be converted to one with fewer attributes; nothing else leaves anything out.
            let keeps_all = !matches!(ty, Type::Object { .. } | Type::List(_) | Type::Set(_) | Type::Map(_) | Type::Tuple(_));
            let within = converted.marks_within();
            prop_assert_eq!(within.union(value.marks()), within);
            prop_assert!(!keeps_all || within == value.marks_within());
        }
        let both = equals(&value, &Value::NULL).marks();
        prop_assert_eq!(both, value.marks_within());
        let (bare, taken) = value.unmark_deep();
        prop_assert_eq!(bare.marks_within(), Marks::NONE);
        prop_assert_eq!(taken, value.marks_within());
    }

    #[test]
    fn what_types_agree_on_all_can_become(types in vec(ty(), 1..4)) {
        // With `any` in it, what each becomes hangs on its values.
        if let Some(agreed) = unify(&types).filter(|agreed| !agreed.has_dynamic()) {
            for ty in &types {
                prop_assert!(andon_value::convert_type(ty, &agreed).is_ok(), "{} to {}", ty, agreed);
            }
        }
        prop_assert_eq!(unify(&[types[0].clone(), types[0].clone()]), Some(types[0].clone()));
    }

    #[test]
    fn agreement_has_no_order(mut types in vec(ty(), 2..4)) {
        let agreed = unify(&types);
        types.reverse();
        prop_assert_eq!(unify(&types), agreed);
    }

    #[test]
    fn known_values_equal_themselves(value in value()) {
        let (equal, _) = equals(&value, &value).unmark();
        prop_assert_eq!(equal.as_bool(), value.is_wholly_known().then_some(true));
    }

    #[test]
    fn plain_json_keeps_known_values(value in value()) {
        match to_json(&value) {
            Ok(json) => {
                let (bare, _) = value.unmark_deep();
                // `any` inside a type leaves JSON to itself, so only settled types come back.
                if !bare.ty().has_dynamic() {
                    prop_assert_eq!(from_json(&json, &bare.ty()).unwrap(), bare);
                }
            }
            Err(_) => prop_assert!(!value.is_wholly_known()),
        }
    }

    #[test]
    fn no_secret_is_rendered(text in "[a-z]{12}", other in value()) {
        let secret = Value::string(text.clone()).mark(Marks::SENSITIVE);
        let held = Value::tuple([other, Value::object([("a", secret.clone())]), Value::tuple([secret]).mark(Marks::SENSITIVE)]);
        prop_assert!(!andon_value::render(&held, 0).contains(&text));
        for ty in [Type::Number, Type::Bool, Type::list(Type::Bool), Type::object([("b", Type::Bool)])] {
            let value = Value::object([("a", Value::string(text.clone()))]).mark(Marks::SENSITIVE);
            if let Err(error) = convert(&value, &ty) {
                prop_assert!(!error.to_string().contains(&text));
            }
        }
    }

    #[test]
    fn types_come_back_from_json(ty in ty()) {
        prop_assert_eq!(andon_value::type_from_json(&andon_value::type_to_json(&ty)).unwrap(), ty);
    }

    #[test]
    fn sets_hold_no_marks(elements in vec(value(), 0..4)) {
        let set = Value::set(Type::Dynamic, elements.clone());
        let Kind::Set(_, inner) = set.kind() else { panic!("a set") };
        prop_assert!(inner.iter().all(|element| element.marks_within() == Marks::NONE));
        let all = elements.iter().fold(Marks::NONE, |marks, element| marks.union(element.marks_within()));
        prop_assert_eq!(set.marks(), all);
    }

    #[test]
    fn hashes_agree_with_equality(left in any::<i64>(), right in -3i64..3) {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let hash = |number: &Number| { let mut state = DefaultHasher::new(); number.hash(&mut state); state.finish() };
        let there = Number::from(left).mul(&Number::from(1i64 << 62)).unwrap().add(&Number::from(right)).unwrap();
        let back = there.sub(&Number::from(right)).unwrap().div(&Number::from(1i64 << 62)).unwrap();
        prop_assert_eq!(&back, &Number::from(left));
        prop_assert_eq!(hash(&back), hash(&Number::from(left)));
    }
}
