//! Every lint: one table drives the switches, the documentation and its tests.

use super::name;

/// A lint.
#[derive(Debug)]
pub struct Lint {
    /// The name by which it is switched on and off.
    pub name: &'static str,
    /// Whether it is on where nothing is said of it.
    pub on: bool,
    /// What it finds, in one sentence.
    pub what: &'static str,
    /// Why that is worth a warning, in one sentence.
    pub why: &'static str,
    /// A stack's file in which it finds something.
    pub bad: &'static str,
    /// The same, written better.
    pub good: &'static str,
}

/// Every lint: those that are on first.
pub fn lints() -> &'static [Lint] {
    &LINTS
}

/// The lint of a name.
pub(super) fn find(name: &str) -> Option<&'static Lint> {
    LINTS.iter().find(|lint| lint.name == name)
}

/// The names of all.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    LINTS.iter().map(|lint| lint.name)
}

static LINTS: [Lint; 25] = [
    Lint {
        name: name::UNUSED_VARIABLE,
        on: true,
        what: "A variable of a module, or a parameter of a role, that nothing reads.",
        why: "Whoever gives it a value believes that it does something.",
        bad: "variable \"size\" {\n  type = number\n}\n",
        good: "variable \"size\" {\n  type = number\n}\n\noutput \"size\" {\n  value = var.size\n}\n",
    },
    Lint {
        name: name::UNUSED_LOCAL,
        on: true,
        what: "A local that nothing reads.",
        why: "It is read by people only, who look for what it does.",
        bad: "locals {\n  size = 4\n}\n",
        good: "locals {\n  size = 4\n}\n\noutput \"size\" {\n  value = local.size\n}\n",
    },
    Lint {
        name: name::UNUSED_DATA,
        on: true,
        what: "A data source that nothing reads and that has no conditions.",
        why: "It is asked for at every plan, and a plan fails where it is not there.",
        bad: "data \"terraform_remote_state\" \"net\" {\n  backend = \"local\"\n}\n",
        good: "data \"terraform_remote_state\" \"net\" {\n  backend = \"local\"\n}\n\noutput \"net\" {\n  value = data.terraform_remote_state.net.outputs\n}\n",
    },
    Lint {
        name: name::UNUSED_ALIAS,
        on: true,
        what: "A provider configuration with an alias that nothing uses.",
        why: "It asks for credentials and settings that no resource needs.",
        bad: "provider \"aws\" {\n  alias = \"west\"\n}\n",
        good: "provider \"aws\" {\n  alias = \"west\"\n}\n\nresource \"aws_vpc\" \"main\" {\n  provider = aws.west\n}\n",
    },
    Lint {
        name: name::UNUSED_PROVIDER,
        on: true,
        what: "An entry of required_providers that neither the module nor one that it calls needs.",
        why: "The provider is installed for nothing.",
        bad: "terraform {\n  required_providers {\n    random = {\n      source  = \"hashicorp/random\"\n      version = \"~> 3.0\"\n    }\n  }\n}\n",
        good: "terraform {\n  required_providers {\n    random = {\n      source  = \"hashicorp/random\"\n      version = \"~> 3.0\"\n    }\n  }\n}\n\nresource \"random_pet\" \"name\" {}\n",
    },
    Lint {
        name: name::INTERPOLATION,
        on: true,
        what: "A template that is one interpolation and no text around it.",
        why: "It is the value itself, whatever its type, and looks like text.",
        bad: "output \"place\" {\n  value = \"${path.module}\"\n}\n",
        good: "output \"place\" {\n  value = path.module\n}\n",
    },
    Lint {
        name: name::QUOTES,
        on: true,
        what: "A reference or a word in quotes where none are needed.",
        why: "Older versions of the language needed them; editors and searches do not see a reference in text.",
        bad: "resource \"terraform_data\" \"a\" {}\n\nresource \"terraform_data\" \"b\" {\n  depends_on = [\"terraform_data.a\"]\n}\n",
        good: "resource \"terraform_data\" \"a\" {}\n\nresource \"terraform_data\" \"b\" {\n  depends_on = [terraform_data.a]\n}\n",
    },
    Lint {
        name: name::BARE_TYPE,
        on: true,
        what: "The type \"list\" or \"map\" without the type of its elements.",
        why: "It is an old form of list(any) and map(any), which take elements of one type, found from the value.",
        bad: "variable \"names\" {\n  type = list\n}\n\noutput \"names\" {\n  value = var.names\n}\n",
        good: "variable \"names\" {\n  type = list(string)\n}\n\noutput \"names\" {\n  value = var.names\n}\n",
    },
    Lint {
        name: name::DOTTED_INDEX,
        on: true,
        what: "An index that is written after a dot.",
        why: "It is an old form, and reads like an attribute.",
        bad: "resource \"terraform_data\" \"a\" {\n  count = 2\n}\n\noutput \"first\" {\n  value = terraform_data.a.0.id\n}\n",
        good: "resource \"terraform_data\" \"a\" {\n  count = 2\n}\n\noutput \"first\" {\n  value = terraform_data.a[0].id\n}\n",
    },
    Lint {
        name: name::LOOKUP,
        on: true,
        what: "A call of lookup without a default.",
        why: "It does what an index does, and is an old form of it.",
        bad: "output \"size\" {\n  value = lookup({ small = 1 }, \"small\")\n}\n",
        good: "output \"size\" {\n  value = { small = 1 }[\"small\"]\n}\n",
    },
    Lint {
        name: name::PROVIDER_VERSION,
        on: true,
        what: "The version of a provider in the block that configures it.",
        why: "Versions belong to required_providers, which is read before any configuration.",
        bad: "provider \"aws\" {\n  version = \"~> 5.0\"\n}\n",
        good: "terraform {\n  required_providers {\n    aws = {\n      source  = \"hashicorp/aws\"\n      version = \"~> 5.0\"\n    }\n  }\n}\n\nprovider \"aws\" {}\n",
    },
    Lint {
        name: name::DUPLICATE_KEY,
        on: true,
        what: "A key that is written twice in one object.",
        why: "The last value is taken, and the others are lost without a word.",
        bad: "output \"sizes\" {\n  value = { small = 1, large = 2, small = 3 }\n}\n",
        good: "output \"sizes\" {\n  value = { small = 3, large = 2 }\n}\n",
    },
    Lint {
        name: name::EMPTY_COMPARISON,
        on: true,
        what: "A list, a set or a map that is compared with [] or {}.",
        why: "They are of different types, so they never are equal, not even where both are empty.",
        bad: "variable \"names\" {\n  type = list(string)\n}\n\noutput \"none\" {\n  value = var.names == []\n}\n",
        good: "variable \"names\" {\n  type = list(string)\n}\n\noutput \"none\" {\n  value = length(var.names) == 0\n}\n",
    },
    Lint {
        name: name::EMPTY_LIFECYCLE,
        on: true,
        what: "A lifecycle block with nothing in it.",
        why: "It changes nothing.",
        bad: "resource \"terraform_data\" \"a\" {\n  lifecycle {}\n}\n",
        good: "resource \"terraform_data\" \"a\" {}\n",
    },
    Lint {
        name: name::UNPINNED_MODULE,
        on: true,
        what: "A module from a git repository without \"ref\", or from a registry without a version.",
        why: "Another day, or another machine, gets another module, and nothing in the files says why.",
        bad: "module \"vpc\" {\n  source = \"git::https://example.com/vpc.git\"\n}\n",
        good: "module \"vpc\" {\n  source = \"git::https://example.com/vpc.git?ref=v1.2.0\"\n}\n",
    },
    Lint {
        name: name::UNREACHABLE_VALIDATION,
        on: true,
        what: "A validation of a variable that holds whatever the value is.",
        why: "It refuses nothing, and looks as if it did.",
        bad: "variable \"names\" {\n  type = list(string)\n\n  validation {\n    condition     = length(var.names) >= 0\n    error_message = \"Give some names.\"\n  }\n}\n\noutput \"names\" {\n  value = var.names\n}\n",
        good: "variable \"names\" {\n  type = list(string)\n\n  validation {\n    condition     = length(var.names) > 0\n    error_message = \"Give some names.\"\n  }\n}\n\noutput \"names\" {\n  value = var.names\n}\n",
    },
    Lint {
        name: name::POSSIBLE_ERROR,
        on: true,
        what: "An error in a part that is needed only for some values.",
        why: "With these values the plan fails; until then nobody sees it.",
        bad: "variable \"many\" {\n  type = bool\n}\n\noutput \"size\" {\n  value = var.many ? tonumber(\"ten\") : 1\n}\n",
        good: "variable \"many\" {\n  type = bool\n}\n\noutput \"size\" {\n  value = var.many ? tonumber(\"10\") : 1\n}\n",
    },
    Lint {
        name: name::UNKNOWN_LINT,
        on: true,
        what: "A comment that passes over a lint which there is not.",
        why: "It has no effect; its name may be misspelt.",
        bad: "# andon:ignore unused-varable\noutput \"one\" {\n  value = 1\n}\n",
        good: "# andon:ignore unused-variable\nvariable \"later\" {}\n",
    },
    Lint {
        name: name::NO_LANGUAGE_VERSION,
        on: false,
        what: "A module that does not say which versions of the language it works with.",
        why: "With an older version it fails in some place of it, rather than at the beginning.",
        bad: "output \"one\" {\n  value = 1\n}\n",
        good: "terraform {\n  required_version = \">= 1.5\"\n}\n\noutput \"one\" {\n  value = 1\n}\n",
    },
    Lint {
        name: name::NO_REQUIRED_PROVIDER,
        on: false,
        what: "A provider that required_providers does not name.",
        why: "Where it comes from is guessed by its name, and any version of it will do.",
        bad: "resource \"random_pet\" \"name\" {}\n",
        good: "terraform {\n  required_providers {\n    random = {\n      source  = \"hashicorp/random\"\n      version = \"~> 3.0\"\n    }\n  }\n}\n\nresource \"random_pet\" \"name\" {}\n",
    },
    Lint {
        name: name::NO_PROVIDER_VERSION,
        on: false,
        what: "An entry of required_providers without a version.",
        why: "The next version of the provider may not do what the module expects.",
        bad: "terraform {\n  required_providers {\n    random = {\n      source = \"hashicorp/random\"\n    }\n  }\n}\n\nresource \"random_pet\" \"name\" {}\n",
        good: "terraform {\n  required_providers {\n    random = {\n      source  = \"hashicorp/random\"\n      version = \"~> 3.0\"\n    }\n  }\n}\n\nresource \"random_pet\" \"name\" {}\n",
    },
    Lint {
        name: name::UNTYPED,
        on: false,
        what: "A variable without a type.",
        why: "It takes anything, and what does not fit fails where it is used.",
        bad: "variable \"size\" {}\n\noutput \"size\" {\n  value = var.size\n}\n",
        good: "variable \"size\" {\n  type = number\n}\n\noutput \"size\" {\n  value = var.size\n}\n",
    },
    Lint {
        name: name::UNDOCUMENTED_VARIABLE,
        on: false,
        what: "A variable without a description.",
        why: "Whoever calls the module has to read it to know what to give.",
        bad: "variable \"size\" {\n  type = number\n}\n\noutput \"size\" {\n  value = var.size\n}\n",
        good: "variable \"size\" {\n  description = \"How many servers there are.\"\n  type        = number\n}\n\noutput \"size\" {\n  value = var.size\n}\n",
    },
    Lint {
        name: name::UNDOCUMENTED_OUTPUT,
        on: false,
        what: "An output without a description.",
        why: "Whoever calls the module has to read it to know what is given.",
        bad: "output \"one\" {\n  value = 1\n}\n",
        good: "output \"one\" {\n  description = \"The number one.\"\n  value       = 1\n}\n",
    },
    Lint {
        name: name::CONSTANT_COUNT,
        on: false,
        what: "A count that is 0 or 1, written out.",
        why: "What it is for is not to be seen: the block is there, or it is not.",
        bad: "resource \"terraform_data\" \"a\" {\n  count = 1\n}\n",
        good: "resource \"terraform_data\" \"a\" {}\n",
    },
];
