//! Whether what a provider plans is a plan for the configuration.

use andon_schema::{Attribute, Block, NestedAttributes, NestedBlock, Nesting};
use andon_value::{PathStep, Type, Value};

use super::conform::misfits;
use super::equal::equal;
use super::shape::{Member, Shape, attribute_has, element, part};
use super::stored::write_only_given;
use super::{Fault, Faults, shown};

/// Judges what a provider plans for an object: it must be of the schema's type, hold no write-only value, and give what
/// the configuration gives, where that leaves nothing to the provider. Of a provider that answers with the legacy type
/// system only [`check_planned_type`] binds; what this finds beyond it is worth a line in a log.
pub fn check_planned(schema: &Block, prior: &Value, config: &Value, planned: &Value) -> Vec<Fault> {
    let faults = check_planned_type(schema, planned);
    if !faults.is_empty() {
        return faults;
    }
    let mut faults = Faults::default();
    block(schema, prior, config, planned, &mut faults);
    faults.found
}

/// The part of [`check_planned`] that binds every provider: the type, and that nothing write-only is in the plan.
pub fn check_planned_type(schema: &Block, planned: &Value) -> Vec<Fault> {
    let mut faults = Faults::default();
    misfits(planned, &schema.implied_type(), &mut faults);
    if faults.found.is_empty() {
        write_only_given(schema, planned, &mut faults);
    }
    faults.found
}

const UNKNOWN_WHOLE: &str = "is unknown as a whole, but only what is in it may be unknown";

/// Both are there, or both are not; `None` where nothing is left to compare.
fn present(config: &Value, planned: &Value, faults: &mut Faults) -> Option<()> {
    match (planned.is_null(), config.is_null()) {
        (true, false) => faults.add("is planned to be absent, but the configuration has it"),
        (false, true) => faults.add("is planned to be there, but the configuration does not have it"),
        (true, true) => {}
        (false, false) => return Some(()),
    }
    None
}

fn block(schema: &Block, prior: &Value, config: &Value, planned: &Value, faults: &mut Faults) {
    if present(config, planned, faults).is_none() {
        return;
    }
    if planned.is_unknown() && !config.is_unknown() {
        return faults.add(UNKNOWN_WHOLE);
    }
    members(Shape::from(schema), prior, config, planned, faults);
}

fn members(shape: Shape, prior: &Value, config: &Value, planned: &Value, faults: &mut Faults) {
    for (name, schema) in shape.attributes {
        let [prior, config, planned] = [prior, config, planned].map(|it| part(it, name, Member::Attribute(schema)));
        let step = PathStep::Attribute(name.as_str().into());
        faults.within(step, |faults| attribute(schema, &prior, &config, &planned, faults));
    }
    for (name, nested) in shape.blocks {
        let [prior, config, planned] = [prior, config, planned].map(|it| part(it, name, Member::Block(nested)));
        if !equal(&planned, &config) {
            let step = PathStep::Attribute(name.as_str().into());
            faults.within(step, |faults| blocks(nested, &prior, &config, &planned, faults));
        }
    }
}

fn attribute(schema: &Attribute, prior: &Value, config: &Value, planned: &Value, faults: &mut Faults) {
    // A value that stays as it is says that the configured one means the same.
    let stays = !prior.is_null() && !config.is_null() && equal(planned, prior);
    let left_to_provider = schema.computed && (!schema.optional || config.is_null());
    if equal(planned, config) || stays || left_to_provider || schema.write_only {
        return;
    }
    let secret = attribute_has(schema, |attribute| attribute.sensitive) || config.is_secret() || prior.is_secret();
    if config.is_null() {
        let planned = shown(planned, secret);
        return faults.add(format!(
            "is planned as {planned}, but the configuration leaves it out and the provider may not give it"
        ));
    }
    if let Some(nested) = schema.nested.as_deref() {
        return objects(nested, prior, config, planned, faults);
    }
    let what = format!("is planned as {}, but the configuration has {}", shown(planned, secret), shown(config, secret));
    faults.add(if prior.is_null() { what } else { format!("{what}, and it was {}", shown(prior, secret)) });
}

/// The objects of an attribute that the provider describes.
fn objects(nested: &NestedAttributes, prior: &Value, config: &Value, planned: &Value, faults: &mut Faults) {
    if present(config, planned, faults).is_none() {
        return;
    }
    if planned.is_unknown() {
        return faults.add("is planned as something not known yet, but the configuration has it");
    }
    let shape = Shape::from(nested);
    let each = |prior: &Value, config: &Value, planned: &Value, faults: &mut Faults| {
        if present(config, planned, faults).is_some() {
            members(shape, prior, config, planned, faults);
        }
    };
    match nested.nesting {
        Nesting::Single | Nesting::Group => each(prior, config, planned, faults),
        // Elements of a set cannot be told apart, so that only how many there are can be.
        Nesting::Set => {
            let ((least, most), (config_least, config_most)) = (planned.length_bounds(), config.length_bounds());
            if most.is_some_and(|most| most < config_least) || config_most.is_some_and(|most| most < least) {
                faults.add(counts("elements", planned, config));
            }
        }
        Nesting::List | Nesting::Map => elements("elements", prior, config, planned, faults, each),
    }
}

fn blocks(nested: &NestedBlock, prior: &Value, config: &Value, planned: &Value, faults: &mut Faults) {
    if config.is_unknown() {
        return faults.add("is planned, but how many such blocks there are is not known yet");
    }
    if planned.is_unknown() {
        return faults.add("stands for blocks and is unknown as a whole, but only what is in them may be unknown");
    }
    if nested.nesting != Nesting::Single && planned.is_null() {
        return faults.add("stands for blocks and is null, but is empty where there are none");
    }
    let each = |prior: &Value, config: &Value, planned: &Value, faults: &mut Faults| {
        block(&nested.block, prior, config, planned, faults);
    };
    match nested.nesting {
        Nesting::Single | Nesting::Group => each(prior, config, planned, faults),
        // Elements of a set cannot be told apart, and a provider may mix what was with what is configured.
        Nesting::Set => {
            for (step, _) in planned.steps().filter(|(_, element)| element.is_unknown()) {
                faults.within(step, |faults| faults.add(UNKNOWN_WHOLE));
            }
        }
        Nesting::List | Nesting::Map => elements("blocks", prior, config, planned, faults, each),
    }
}

/// Elements that have a name in their collection: there are the same, and each is planned for its configuration.
fn elements(
    what: &str,
    prior: &Value,
    config: &Value,
    planned: &Value,
    faults: &mut Faults,
    each: impl Fn(&Value, &Value, &Value, &mut Faults),
) {
    let no_prior = Value::null(Type::Dynamic);
    if let (Some(planned), Some(entries)) = (planned.as_entries(), config.as_entries()) {
        for key in entries.keys().filter(|key| !planned.contains_key(*key)) {
            faults.within(PathStep::Key(key.clone()), |faults| faults.add("is configured, but is not in the plan"));
        }
    } else if planned.length_bounds() != length_of(config) {
        return faults.add(counts(what, planned, config));
    }
    for (step, planned) in planned.steps() {
        let (prior, config) = (element(prior, &step).unwrap_or(&no_prior), element(config, &step));
        faults.within(step, |faults| match config {
            Some(config) => each(prior, config, planned, faults),
            None => faults.add("is planned, but is not in the configuration"),
        });
    }
}

/// How many elements there are. A legacy provider's null, which `ignore_changes` may have brought in, has none.
fn length_of(value: &Value) -> (usize, Option<usize>) {
    if value.is_null() { (0, Some(0)) } else { value.length_bounds() }
}

fn counts(what: &str, planned: &Value, config: &Value) -> String {
    let count = |value: &Value| match length_of(value) {
        (least, Some(most)) if least == most => least.to_string(),
        _ => "a number of them that is not known yet".to_owned(),
    };
    format!("has {} {what} in the plan, but {} in the configuration", count(planned), count(config))
}
