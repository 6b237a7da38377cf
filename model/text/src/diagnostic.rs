use crate::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing may be done until it is mended.
    Error,
    /// The user should know; work goes on.
    Warning,
}

/// What failed, where in the user's file, why, and what to do: the one shape of every complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What failed, in one line without a full stop: `unsupported argument "contnet"`.
    pub summary: String,
    /// Where, where there is a place.
    pub span: Option<Span>,
    /// What is wrong at `span`, in a few words beside the underlined text; may be empty.
    pub label: String,
    /// Other places that explain it, each with a few words.
    pub related: Vec<(Span, String)>,
    /// Why, in plain sentences; may be empty. Values in play are shown here, never a secret one.
    pub detail: String,
    /// The values in play: a reference as it is written, and what is said of it after the word "is". `detail` says the
    /// same in sentences. Never a secret.
    pub values: Vec<(String, String)>,
    /// What to do about it, a sentence each.
    pub help: Vec<String>,
    /// What kind of complaint it is, where that matters to others: a lint's name, by which it is switched off.
    pub name: Option<&'static str>,
    /// What it is about where that is no place in a file: an address such as `web/lab_server.web[0]`.
    pub subject: Option<String>,
}

impl Diagnostic {
    /// The name of complaints about what nothing defines: they are follow-on noise where a file could not be read.
    pub const UNDECLARED: &'static str = "undeclared";

    /// The name of complaints about variables without a value: who asks for no values need not mind.
    pub const MISSING_VALUE: &'static str = "missing-value";

    /// An error with a summary alone; the builder methods add the rest.
    pub fn error(summary: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            summary: summary.into(),
            span: None,
            label: String::new(),
            related: Vec::new(),
            detail: String::new(),
            values: Vec::new(),
            help: Vec::new(),
            name: None,
            subject: None,
        }
    }

    /// A warning with a summary alone.
    pub fn warning(summary: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(summary) }
    }

    /// Points at the place.
    pub fn at(mut self, span: Span) -> Diagnostic {
        self.span = Some(span);
        self
    }

    /// Says in a few words what is wrong at the place.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// Points at another place that explains this one.
    pub fn related(mut self, span: Span, words: impl Into<String>) -> Diagnostic {
        self.related.push((span, words.into()));
        self
    }

    /// Says why.
    pub fn detail(mut self, detail: impl Into<String>) -> Diagnostic {
        self.detail = detail.into();
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    /// Says what kind of complaint it is.
    pub fn named(mut self, name: &'static str) -> Diagnostic {
        self.name = Some(name);
        self
    }

    /// Says what it is about.
    pub fn subject(mut self, subject: impl Into<String>) -> Diagnostic {
        self.subject = Some(subject.into());
        self
    }

    /// The same with other words in each of its texts, such as without the secrets in them.
    pub fn reworded(mut self, words: &dyn Fn(&str) -> String) -> Diagnostic {
        let texts = [&mut self.summary, &mut self.label, &mut self.detail].into_iter();
        let texts = texts.chain(self.related.iter_mut().map(|(_, text)| text)).chain(&mut self.help);
        let texts = texts.chain(self.values.iter_mut().map(|(_, value)| value)).chain(&mut self.subject);
        texts.for_each(|text| *text = words(text));
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Diagnostics in the order found. Work that finds several goes on and reports them all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(Diagnostic::is_error)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Sorts by place, so that a report reads in the order of the files; those without a place come last.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|diagnostic| (diagnostic.span.is_none(), diagnostic.span));
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(all: I) -> Diagnostics {
        Diagnostics(all.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
