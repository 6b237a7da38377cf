use andon_plan::duties::{
    check_applied, check_completion, check_planned, check_read, conforms, ignore_all, ignore_changes, marked,
    normalised, planned_unknown, proposed, replaces, sensitive_paths,
};
use andon_schema::Block;
use andon_value::{Path, PathStep, Value};
use proptest::prelude::*;

use super::generated::{Choices, config, given, made, schema};

/// A schema, two configurations, and the objects that a provider makes of the first.
struct Drawn {
    schema: Block,
    config: Value,
    other: Value,
    /// What only the provider gives is unknown.
    planned: Value,
    /// It is known in part.
    replanned: Value,
    /// All is known.
    object: Value,
}

fn drawn(numbers: Vec<u8>) -> Drawn {
    let mut choices = Choices::new(numbers);
    let schema = schema(&mut choices, 2, false);
    let (config, other) = (config(&mut choices, &schema), config(&mut choices, &schema));
    let planned = made(&schema, &config, &mut |ty| Value::unknown(ty.clone()));
    let mut values = Vec::new();
    let object = made(&schema, &config, &mut |ty| {
        let value = given(&mut choices, ty);
        values.push(value.clone());
        value
    });
    let mut values = values.into_iter();
    let replanned = made(&schema, &config, &mut |ty| match values.next().unwrap() {
        value if choices.one_in(2) => value,
        _ => Value::unknown(ty.clone()),
    });
    Drawn { schema, config, other, planned, replanned, object }
}

/// The names of what is configured and not null.
fn configured(config: &Value) -> impl Iterator<Item = Path> {
    let given = config.as_entries().unwrap().iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, _)| Path::from_iter([PathStep::Attribute(name.clone())]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_duties_agree_with_each_other(numbers in proptest::collection::vec(any::<u8>(), 0..200)) {
        let Drawn { schema, config, other, planned, replanned, object } = drawn(numbers);
        let none = Value::null(schema.implied_type());
        for value in [&config, &other, &planned, &replanned, &object, &none] {
            prop_assert_eq!(conforms(value, &schema.implied_type()), Ok(()));
        }

        // What is configured as before is proposed as it is; of nothing, the configuration is proposed.
        prop_assert_eq!(&proposed(&schema, &object, &config), &object);
        prop_assert_eq!(&proposed(&schema, &none, &config), &config);
        prop_assert_eq!(&planned_unknown(&schema, &config), &planned);
        // What is proposed is a plan for the configuration, whatever was before; so is any that fills in the rest.
        let next = proposed(&schema, &object, &other);
        prop_assert_eq!(check_planned(&schema, &object, &other, &next), vec![]);
        prop_assert_eq!(&proposed(&schema, &next, &other), &next);
        for plan in [&config, &planned, &replanned, &object] {
            prop_assert_eq!(check_planned(&schema, &none, &config, plan), vec![]);
        }

        // A completion of a completion is one; nothing known is ever taken back.
        for (before, after) in
            [(&planned, &planned), (&planned, &replanned), (&replanned, &object), (&planned, &object), (&none, &none)]
        {
            prop_assert_eq!(check_completion(&schema, before, after), vec![]);
        }
        if planned != object {
            prop_assert!(!check_completion(&schema, &object, &planned).is_empty());
        }
        prop_assert!(!check_completion(&schema, &none, &object).is_empty());
        prop_assert!(!check_completion(&schema, &planned, &none).is_empty());

        // What is done as planned is stored as it is.
        let stored = check_applied(&schema, Some(&planned), &object, false);
        prop_assert_eq!((stored.value, stored.faults), (Some(object.clone()), vec![]));
        let stored = check_read(&schema, &replanned);
        prop_assert_eq!(stored.faults.is_empty(), replanned.is_wholly_known());
        prop_assert!(stored.value.is_some_and(|value| value.is_wholly_known()));
        prop_assert_eq!(&normalised(&schema, &object), &object);

        // Ignoring everything proposes what there is, by name as well as by `all`.
        let (kept, _) = ignore_all(&schema, &other, &object);
        prop_assert_eq!(&proposed(&schema, &object, &kept), &object);
        let every: Vec<Path> = configured(&object).chain(configured(&other)).collect();
        let (kept, differing) = ignore_changes(&schema, &other, &object, &every);
        prop_assert_eq!(&kept, &object);
        prop_assert!(differing.iter().all(|path| every.contains(path)));
        prop_assert_eq!(ignore_changes(&schema, &config, &object, &[]), (config.clone(), vec![]));
        // Again, it finds nothing.
        let again: Vec<Path> = ignore_changes(&schema, &kept, &object, &every).1;
        prop_assert_eq!(again, vec![]);

        // What did not change replaces nothing; what is unknown may.
        prop_assert_eq!(replaces(&schema, &every, &object, &object), Ok(vec![]));
        for path in configured(&object) {
            let changed = object.at(&path) != next.at(&path);
            prop_assert_eq!(replaces(&schema, std::slice::from_ref(&path), &object, &next).unwrap().len(), usize::from(changed));
        }

        // No mark where there is no secret.
        prop_assert_eq!(&marked(&schema, &object, &config), &object);
        prop_assert_eq!(sensitive_paths(&schema, &object), vec![]);
    }

    #[test]
    fn a_configured_value_that_is_planned_otherwise_is_a_fault(numbers in proptest::collection::vec(any::<u8>(), 0..200)) {
        let Drawn { schema, config, planned, .. } = drawn(numbers);
        let none = Value::null(schema.implied_type());
        for name in configured(&config).filter_map(|path| match path.steps() {
            [PathStep::Attribute(name)] => Some(name.clone()),
            _ => None,
        }) {
            let Some(attribute) = schema.attributes.get(&*name) else { continue };
            for instead in [Value::unknown(attribute.ty.clone()), Value::null(attribute.ty.clone())] {
                let entries = planned.as_entries().unwrap().iter();
                let plan = Value::object(entries.map(|(other, value)| {
                    (other.clone(), if *other == name { instead.clone() } else { value.clone() })
                }));
                let faults = check_planned(&schema, &none, &config, &plan);
                let at: Vec<String> = faults.iter().map(|fault| fault.path.to_string()).collect();
                prop_assert_eq!(at, vec![format!(".{name}")]);
            }
        }
    }
}
