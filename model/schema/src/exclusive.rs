/// What of an attribute's value only one object can have at once, such as an address, or the addresses of a range. An object
/// that has it cannot be there before the one that it replaces is gone, and another one of its type can only take it after.
#[derive(Debug, Clone, Copy)]
pub struct Exclusive {
    /// The attribute of the same object that says where, such as the machine that it is on: who is elsewhere has something
    /// else. `None` where it is the same everywhere.
    pub within: Option<&'static str>,
    /// Whether what replaces an object has the same, as a rule.
    pub stays: bool,
    /// What a value takes, or an element of it; `None` where that cannot be said.
    pub takes: fn(&str) -> Option<Extent>,
}

/// A stretch of something: what has a place in common with it is in its way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// Of what.
    pub of: String,
    /// The first place that belongs to it.
    pub first: u128,
    /// The last one that does.
    pub last: u128,
}

impl Exclusive {
    /// Of which no two can have the same text.
    pub const SAME: Exclusive =
        Exclusive { within: None, stays: true, takes: |text| Some(Extent { of: text.to_owned(), first: 0, last: 0 }) };
}

impl PartialEq for Exclusive {
    fn eq(&self, other: &Exclusive) -> bool {
        (self.within, self.stays) == (other.within, other.stays)
    }
}

impl Eq for Exclusive {}
