use andon_schema::{Attribute, Block, TypeSchema};
use andon_value::Type;

/// The data source that reads another stack's outputs. It is answered here, from the graph or from what was
/// published, and by no provider.
pub const STACK_DATA: &str = "andon_stack";

/// The resource that publishes one value to the registry, and the data source that reads one.
pub const VALUE: &str = "andon_value";

/// The schema of [`STACK_DATA`], for [`andon_schema::Schemas::data`].
pub fn stack_schema() -> TypeSchema {
    let attributes = [
        ("name", Attribute::required(Type::String, "The name of the stack.")),
        ("outputs", Attribute::computed(Type::Dynamic, "Its outputs, by name.")),
    ];
    let block = Block {
        attributes: attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect(),
        description: "Reads the outputs of another stack of the same environment.".to_owned(),
        ..Block::default()
    };
    TypeSchema::of(block)
}
