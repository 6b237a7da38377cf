use crate::Paint;

/// How something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether with colours.
    pub paint: Paint,
    /// The columns that a line may take; `None` where lines are as long as they are, for whoever reads them by program.
    pub width: Option<usize>,
    /// Everything by itself and whole; else what is alike together, and what is long shortened.
    pub full: bool,
}

impl From<Paint> for Look {
    fn from(paint: Paint) -> Look {
        Look { paint, width: None, full: false }
    }
}
