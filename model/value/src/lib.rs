//! Values, types, numbers and marks: what an expression evaluates to, and what a provider is told.
//!
//! Unknown and sensitive are properties of a value, never of its printing (invariant 8). A [`Value`] is cheap to
//! clone: everything large in it is shared.

mod convert;
mod elements;
mod equal;
mod json;
mod number;
mod order;
mod path;
mod refine;
mod render;
mod secrets;
mod stored;
mod ty;
mod typed_json;
mod unify;
mod value;

pub use convert::{ConvertError, convert, convert_type};
pub use elements::Elements;
pub use equal::equals;
pub use json::{JsonError, from_json, from_json_implied, to_json, type_from_json, type_to_json};
pub use number::Number;
pub use order::in_written_order;
pub use path::{Path, PathStep};
pub use refine::{Bound, Known, Range, Refinement};
pub use render::{is_identifier, quote, render};
pub use secrets::SecretTexts;
pub use stored::{DecodeError, decode, encode};
pub use ty::Type;
pub use typed_json::{from_typed_json, to_typed_json};
pub use unify::unify;
pub use value::{Kind, Marks, Value};
