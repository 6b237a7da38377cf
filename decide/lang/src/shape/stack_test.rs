//! The blocks of Terraform's test language (<https://developer.hashicorp.com/terraform/language/tests>): what
//! `*.tftest.hcl` files hold.

use andon_hcl::json::Strings;

use super::stack::{CONDITION, PROVIDER};
use super::{Argument, Nested, Reading, Shape, any, at_most_once, closed, open, optional, required};

const TARGET: Argument = required("target", "The address of what is replaced.").expression();
const VALUES: Argument = optional("values", "The attributes that a provider would have decided, as an object.");
const DURING: Argument =
    optional("override_during", "`plan` or `apply`: from when on; `apply` without it.").expression();

static OVERRIDE: Shape = closed(&[TARGET, VALUES, DURING], &[]);

static OVERRIDE_MODULE: Shape =
    closed(&[TARGET, optional("outputs", "The outputs that the module gives, as an object."), DURING], &[]);

const OVERRIDE_RESOURCE_BLOCK: Nested =
    any("override_resource", &[], &OVERRIDE, "A resource that is not made: its attributes are given here.");
const OVERRIDE_DATA_BLOCK: Nested =
    any("override_data", &[], &OVERRIDE, "A data source that is not read: its attributes are given here.");
const OVERRIDE_MODULE_BLOCK: Nested =
    any("override_module", &[], &OVERRIDE_MODULE, "A module that is left out: its outputs are given here.");

static MOCK: Shape =
    closed(&[optional("defaults", "The attributes that the provider would have decided, as an object."), DURING], &[]);

pub(crate) static MOCK_PROVIDER: Shape = closed(
    &[
        optional("alias", "A second name, where a provider has several configurations.").text(),
        optional("source", "A directory of files with more mocks.").text(),
        DURING,
    ],
    &[
        any("mock_resource", &["type"], &MOCK, "What resources of a type are made to be."),
        any("mock_data", &["type"], &MOCK, "What data sources of a type are made to be."),
        OVERRIDE_RESOURCE_BLOCK,
        OVERRIDE_DATA_BLOCK,
    ],
);

static PLAN_OPTIONS: Shape = closed(
    &[
        optional("mode", "`normal` or `refresh-only`.").expression(),
        optional("refresh", "Whether objects are read before the plan; true without it."),
        optional("replace", "Addresses of objects to replace.").expression(),
        optional("target", "Addresses that the plan is limited to.").expression(),
    ],
    &[],
);

static RUN_MODULE: Shape = closed(
    &[
        required("source", "Where the module is that takes the place of the stack.").text(),
        optional("version", "The versions to use, of a module from a registry.").text(),
    ],
    &[],
);

static VARIABLES: Shape = Shape { others: Reading::Strings(Strings::Template), ..open(&[], &[]) };

static RUN: Shape = closed(
    &[
        optional("command", "`plan` or `apply`; `apply` without it.").expression(),
        optional("providers", "The provider configurations to use, by the names that the stack gives them.")
            .expression(),
        optional("expect_failures", "What must refuse the given values: variables, outputs, checks or resources.")
            .expression(),
        optional("state_key", "Runs of one key share their state.").text(),
        optional("parallel", "Whether it may run beside its neighbours, where no run needs another."),
    ],
    &[
        at_most_once("plan_options", &[], &PLAN_OPTIONS, "How the plan is made."),
        at_most_once("variables", &[], &VARIABLES, "Values for the stack's input variables in this run."),
        at_most_once("module", &[], &RUN_MODULE, "A module that takes the place of the stack in this run."),
        any("assert", &[], &CONDITION, "What must be true after the run."),
        OVERRIDE_RESOURCE_BLOCK,
        OVERRIDE_DATA_BLOCK,
        OVERRIDE_MODULE_BLOCK,
    ],
);

static SETTINGS: Shape = closed(&[optional("parallel", "What runs say of themselves that say nothing.")], &[]);

/// A `*.tfmock.hcl` file: what a mocked provider gives, for several tests.
pub(crate) static MOCK_FILE: Shape = closed(
    &[],
    &[
        any("mock_resource", &["type"], &MOCK, "What resources of a type are made to be."),
        any("mock_data", &["type"], &MOCK, "What data sources of a type are made to be."),
        OVERRIDE_RESOURCE_BLOCK,
        OVERRIDE_DATA_BLOCK,
    ],
);

/// A `*.tftest.hcl` file.
pub(crate) static STACK_TEST_FILE: Shape = closed(
    &[],
    &[
        at_most_once("test", &[], &SETTINGS, "How the file's runs are made."),
        any("run", &["name"], &RUN, "One plan or apply, and what must be true after it."),
        at_most_once("variables", &[], &VARIABLES, "Values for the stack's input variables in every run."),
        any("provider", &["name"], &PROVIDER, "A configuration of a provider for the runs."),
        any(
            "mock_provider",
            &["name"],
            &MOCK_PROVIDER,
            "A provider that does nothing, and gives what is written here.",
        ),
        OVERRIDE_RESOURCE_BLOCK,
        OVERRIDE_DATA_BLOCK,
        OVERRIDE_MODULE_BLOCK,
    ],
);
