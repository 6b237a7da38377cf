//! Values, types, numbers and marks: what an expression evaluates to, and what a provider is told.
//!
//! Unknown and sensitive are properties of a value, never of its printing (invariant 8). A [`Value`] is cheap to
//! clone: everything large in it is shared.

mod number;
mod ty;
mod value;

pub use number::Number;
pub use ty::Type;
pub use value::{Kind, Marks, Value};
