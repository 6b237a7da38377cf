//! The order in which Terraform writes the elements of a set, where those are neither texts, numbers nor truths: that of
//! texts made of them. Files that hold sets are the same only where their order is.

use andon_text::deeper;

use crate::{Kind, Type, Value};

/// The elements of a list, a tuple or a set, and the values of a map or an object, in the order in which Terraform
/// writes them.
pub fn in_written_order(value: &Value) -> Vec<&Value> {
    let mut children: Vec<&Value> = value.children().collect();
    if let Kind::Set(element, _) = value.kind()
        && !matches!(element, Type::String | Type::Number | Type::Bool)
    {
        children.sort_by_cached_key(|child| {
            let mut text = String::new();
            write(child, &mut text);
            text
        });
    }
    children
}

fn write(value: &Value, out: &mut String) {
    let mut each = |open: char, close: char| {
        out.push(open);
        for child in in_written_order(value) {
            deeper(|| write(child, out));
            out.push(';');
        }
        out.push(close);
    };
    match value.kind() {
        Kind::Unknown(..) => out.push('?'),
        Kind::Null(_) => out.push('~'),
        Kind::Bool(truth) => out.push(if *truth { 'T' } else { 'F' }),
        Kind::Number(number) => out.push_str(&number.to_string()),
        Kind::String(text) => out.push_str(&format!("{text:?}")),
        Kind::List(..) | Kind::Set(..) => each('[', ']'),
        Kind::Tuple(_) | Kind::Object(_) => each('<', '>'),
        Kind::Map(_, entries) => {
            out.push('{');
            for (key, child) in entries.iter() {
                out.push_str(&format!("{key:?}:"));
                deeper(|| write(child, out));
                out.push(';');
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_in_the_order_of_their_texts() {
        let object = |ports: &[&str], name: &str| {
            let ports = Value::list(Type::String, ports.iter().map(|port| Value::from(*port)));
            Value::object([("a", ports), ("b", Value::from(name))])
        };
        let long = object(&["x", "y"], "one");
        let short = object(&["x"], "two");
        let set = Value::set(long.ty(), [short.clone(), long.clone()]);
        assert_eq!(in_written_order(&set), [&long, &short]);
        // Numbers by how large they are, and not as texts.
        let numbers = Value::set(Type::Number, [10, 9].map(Value::from));
        assert_eq!(in_written_order(&numbers), [&Value::from(9), &Value::from(10)]);
        let pairs = [Value::tuple([Value::from(10)]), Value::tuple([Value::from(9)])];
        let set = Value::set(pairs[0].ty(), pairs.clone());
        assert_eq!(in_written_order(&set), [&pairs[0], &pairs[1]]);
    }
}
