/// An arbitrary-precision number: 512 bits of mantissa, rounded half to even, as the Terraform language has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(i64);

impl From<i64> for Number {
    fn from(whole: i64) -> Number {
        Number(whole)
    }
}
