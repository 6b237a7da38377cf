//! The blocks of Andon's own files.

use super::stack::VARIABLE;
use super::{ANYTHING, Nested, Shape, Times, any, at_most_once, closed, open, optional, required};

static LOCALS: Shape = open(&[], &[]);

static LINT: Shape = closed(
    &[
        optional("disable", "The names of lints that are switched off."),
        optional("enable", "The names of lints that are switched on."),
    ],
    &[],
);

static PROJECT: Shape = closed(
    &[optional("required_version", "The versions of Andon that the project works with.")],
    &[at_most_once("lint", &[], &LINT, "Which warnings are given.")],
);

static ENVIRONMENT: Shape = closed(
    &[
        optional("variables", "Values for the stacks' input variables, by name."),
        optional("protected", "Whether every change needs to be approved by name."),
    ],
    &[],
);

/// `andon.hcl`
pub(crate) static PROJECT_FILE: Shape = closed(
    &[],
    &[
        at_most_once("project", &["name"], &PROJECT, "The project."),
        any("environment", &["name"], &ENVIRONMENT, "One parameterised instance of the project's stacks."),
    ],
);

/// A `check` of a role or a test: its blocks are assertions, each of a kind with a schema.
pub(crate) static CHECK: Shape = open(&[optional("when", "Where it is false, the check is left out.")], &[]);

pub(crate) static ROLE: Shape = open(
    &[optional("inherits", "The roles that this one builds on.")],
    &[
        any("param", &["name"], &VARIABLE, "A value that is given to the role."),
        any("locals", &[], &LOCALS, "Names for expressions of the role."),
        any("check", &["name"], &CHECK, "What must be true of the server once the role is applied."),
    ],
);

/// A `*.role.hcl` file.
pub(crate) static ROLE_FILE: Shape = closed(&[], &[any("role", &["name"], &ROLE, "What a kind of server must be.")]);

/// The meta-arguments of a host resource.
pub(crate) static HOST: Shape = open(
    &[
        optional("when", "Where it is false, the resource is left out."),
        optional(
            "for_each",
            "One for each entry of a map, or for each string of a set: toset(…) makes a set of a list.",
        ),
        optional("absent", "Whether it must not be there."),
        optional("after", "Host resources that come first."),
        optional("reloads", "Services that are reloaded when it changes."),
        optional("restarts", "Services that are restarted when it changes."),
        optional("only_on", "For `exec`: it runs only when one of these host resources has changed."),
    ],
    &[],
);

static CONNECTION: Shape = closed(
    &[
        optional("kind", "How it is reached: \"ssh\", or \"local\" for this machine."),
        optional("user", "Whom to log in as; as the configuration of ssh has it where none is given."),
        optional("port", "The port."),
        optional("identity_file", "A file with a private key."),
        optional("options", "Further options of ssh_config(5), by name."),
        optional(
            "become",
            "Whether root does the work, by sudo where the login is another user; true where it is not said.",
        ),
    ],
    &[],
);

static HOST_BLOCK: Shape = closed(
    &[
        optional(
            "address",
            "A host name, an address, or a Host of the configuration of ssh; its name where none is given.",
        ),
        optional("tags", "Texts by name, to select it by."),
        optional("roles", "The roles that it has."),
        optional("params", "Values of the roles' parameters, by name."),
        optional("for_each", "One for each element of a set or a map."),
    ],
    &[at_most_once("connection", &[], &CONNECTION, "How it is reached.")],
);

/// A `*.hosts.hcl` file.
pub(crate) static HOSTS_FILE: Shape = closed(
    &[],
    &[
        any("host", &["name"], &HOST_BLOCK, "A server."),
        any("locals", &[], &LOCALS, "Names for expressions of the files of hosts."),
    ],
);

static IMAGE: Shape = closed(
    &[
        required("from", "What it is baked from: a release, a directory, an archive or another image."),
        optional("roles", "The roles baked into it."),
        optional("params", "Values of the roles' parameters, by name."),
    ],
    &[any("output", &["format"], &ANYTHING, "A form that the image is written in.")],
);

/// A `*.image.hcl` file.
pub(crate) static IMAGE_FILE: Shape = closed(&[], &[any("image", &["name"], &IMAGE, "A server template.")]);

static EXPECT: Shape = closed(&[optional("changes", "How many host resources the role may change.")], &[]);
static SERVER: Shape = open(&[], &[]);

static TEST: Shape = closed(
    &[optional("role", "The role under test."), optional("params", "Values of the role's parameters, by name.")],
    &[
        Nested {
            kind: "server",
            labels: &[],
            times: Times::Once,
            shape: &SERVER,
            description: "The throw-away server that the test runs on.",
        },
        at_most_once("expect", &[], &EXPECT, "What applying the role must do."),
        any("check", &["name"], &CHECK, "What must be true once the role is applied."),
    ],
);

/// A `*.test.hcl` file.
pub(crate) static TEST_FILE: Shape =
    closed(&[], &[any("test", &["name"], &TEST, "A test of a role or an image on a throw-away server.")]);
